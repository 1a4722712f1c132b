//! Steps that others keep away from their assets.

use millstream_schedule::{Ending, ScheduledAsset};

use crate::harness::{Table, check, steps, triggered};

fn hooked(id: &str, inputs: &[&str]) -> ScheduledAsset {
    triggered(id, inputs, &[&format!("webhook {id}"), "change"])
}

#[test]
fn a_step_that_is_kept_away_takes_no_place_and_starts_when_others_are_done() {
    let mut table = Table::set(vec![hooked("a", &[]), hooked("b", &[])], &steps(1));
    table.webhook("a");
    check(
        &table.webhook("b"),
        "note b: webhook b
        wait b: as many steps run as may at once",
    );
    check(
        &table.kept_away("a"),
        "postpone a
        start b (webhook b)",
    );
    // The place is taken now, and the step waits for it like others.
    check(&table.freed("a"), "");
    check(&table.unchanged("b"), "start a (webhook a)");
    check(&table.unchanged("a"), "");
}

#[test]
fn what_comes_while_a_step_is_kept_away_is_answered_by_it() {
    let mut table = Table::set(vec![hooked("a", &[])], &steps(2));
    table.webhook("a");
    table.kept_away("a");
    check(&table.later("1m").webhook("a"), "note a: webhook a");
    check(&table.later("1m").freed("a"), "start a (webhook a)");
    check(&table.unchanged("a"), "");
    check(&table.freed("a"), "");
}

#[test]
fn what_reads_the_asset_waits_until_the_step_that_is_kept_away_has_ended() {
    let mut table = Table::set(vec![hooked("a", &[]), hooked("b", &["a"])], &steps(2));
    table.webhook("a");
    table.kept_away("a");
    check(
        &table.webhook("b"),
        "note b: webhook b
        wait b: `a` goes first",
    );
    check(&table.freed("a"), "start a (webhook a)");
    check(&table.unchanged("a"), "skip b: up to date");
}

#[test]
fn a_run_that_is_heard_of_does_the_work_of_the_step_that_it_keeps_away() {
    let mut table = Table::set(vec![hooked("a", &[]), hooked("b", &["a"])], &steps(2));
    table.commit("a");
    check(&table.kept_away("b"), "postpone b");
    check(&table.others_begin("b"), "");
    check(&table.others_end("b", Ending::Well), "skip b: up to date");
    check(&table.freed("b"), "");
}

#[test]
fn the_end_of_a_run_of_others_pays_back_nothing_that_is_owed() {
    let assets = || vec![hooked("a", &[]), hooked("b", &[])];
    let mut table = Table::set(assets(), &steps(1));
    table.webhook("a");
    table.kept_away("a");
    table.others_begin("a");
    table.scheduler.stop_starting();
    check(&table.others_end("a", Ending::Badly), "");
    check(&table.restart(assets(), &steps(1), &[]), "start a (interrupted by the end of the process)");
}

#[test]
fn being_kept_away_is_no_attempt() {
    let assets = || vec![hooked("a", &[])];
    let mut table = Table::set(assets(), &steps(1));
    table.webhook("a");
    for _ in 0..3 {
        check(&table.kept_away("a"), "postpone a");
        check(&table.restart(assets(), &steps(1), &[]), "start a (interrupted by the end of the process)");
    }
    check(&table.unchanged("a"), "");
    check(&table.restart(assets(), &steps(1), &[]), "");
}

#[test]
fn a_process_that_is_about_to_end_starts_nothing_and_loses_nothing() {
    let assets = || vec![hooked("a", &[]), triggered("b", &[], &["after a", "every 1h"])];
    let mut table = Table::set(assets(), &steps(2));
    table.webhook("a");
    table.scheduler.stop_starting();
    check(
        &table.unchanged("a"),
        "note b: after a
        wait b: the process is about to end, and the next one starts it",
    );
    check(
        &table.webhook("a"),
        "note a: webhook a\nwait a: the process is about to end, and the next one starts it",
    );
    check(
        &table.restart(assets(), &steps(2), &[]),
        "start a (webhook a)
        start b (after a)",
    );
}

#[test]
fn each_missed_tick_has_an_answer_of_its_own_although_the_first_step_was_kept_away() {
    let hourly = || {
        let every = triggered("a", &[], &["every 1h"]);
        vec![ScheduledAsset { catch_up: millstream_schedule::CatchUp::All, ..every }]
    };
    let mut table = Table::set(hourly(), &steps(1));
    table.later("3h");
    check(&table.restart(hourly(), &steps(1), &[]), "start a (every 1h)");
    check(&table.kept_away("a"), "postpone a");
    check(&table.freed("a"), "start a (every 1h)");
    check(&table.unchanged("a"), "start a (every 1h)");
    check(&table.unchanged("a"), "start a (every 1h)");
    check(&table.unchanged("a"), "");
}

#[test]
fn a_reload_that_takes_the_trigger_away_leaves_the_step_that_is_owed() {
    let mut table = Table::set(vec![triggered("a", &[], &["webhook a"])], &steps(1));
    table.webhook("a");
    table.kept_away("a");
    check(&table.reload(vec![triggered("a", &[], &["webhook b"])], &steps(1)), "start a (webhook a)");
}
