//! Steps that run in other processes: they outlive the process that schedules, and are started once more when theirs has died.

use std::num::NonZeroUsize;

use millstream_schedule::{Claimant, Limits, OfferedStep, SAME_DEFINITION_MAX, ScheduledAsset, claims};
use millstream_types::Span;

use crate::harness::{Table, check, steps, triggered};

fn hooked(id: &str, inputs: &[&str]) -> ScheduledAsset {
    triggered(id, inputs, &[&format!("webhook {id}"), "change"])
}

fn two() -> (Vec<ScheduledAsset>, Limits) {
    (vec![hooked("a", &[]), hooked("b", &[])], steps(1))
}

#[test]
fn a_step_whose_process_died_starts_once_more_and_then_is_given_up() {
    let mut table = Table::set(vec![hooked("a", &[]), hooked("b", &["a"])], &steps(2));
    table.webhook("a");
    check(&table.interrupted("a"), "start a (interrupted by the end of the process; webhook a, attempt 2)");
    check(
        &table.webhook("a"),
        "note a: webhook a
        wait a: it runs already, and runs once more afterwards",
    );
    // What came meanwhile has an attempt of its own.
    check(
        &table.interrupted("a"),
        "skip a: the end of the process interrupted it twice
        start a (webhook a)",
    );
    check(&table.unchanged("a"), "");
    check(&table.interrupted("a"), "");
}

#[test]
fn an_interrupted_step_gives_its_place_back() {
    let (assets, limits) = two();
    let mut table = Table::set(assets, &limits);
    table.webhook("a");
    table.later("1s").webhook("b");
    // It waits since before the other one.
    check(&table.interrupted("a"), "start a (interrupted by the end of the process; webhook a, attempt 2)");
    check(&table.unchanged("a"), "start b (webhook b)");
}

#[test]
fn a_step_goes_on_while_another_process_begins_to_schedule() {
    let (assets, limits) = two();
    let mut table = Table::set(assets.clone(), &limits);
    table.webhook("a");
    table.webhook("b");
    check(&table.restart_beside(assets, &limits, &["a"]), "wait b: as many steps run as may at once");
    check(
        &table.webhook("a"),
        "note a: webhook a
        wait a: it runs already, and runs once more afterwards",
    );
    check(&table.unchanged("a"), "start b (webhook b)");
    check(&table.unchanged("b"), "start a (webhook a)");
}

#[test]
fn a_step_that_goes_on_and_whose_process_dies_then_starts_once_more() {
    let (assets, limits) = two();
    let mut table = Table::set(assets.clone(), &limits);
    table.webhook("a");
    check(&table.restart_beside(assets.clone(), &limits, &["a"]), "");
    check(&table.interrupted("a"), "start a (interrupted by the end of the process, attempt 2)");
    check(&table.restart_beside(assets, &limits, &["a"]), "");
    check(&table.interrupted("a"), "skip a: the end of the process interrupted it twice");
}

#[test]
fn a_step_that_goes_on_with_another_definition_is_followed_by_one_with_the_present() {
    let (assets, limits) = two();
    let mut table = Table::set(assets.clone(), &limits);
    table.webhook("a");
    let mut changed = assets;
    changed[0].definition = millstream_types::Fingerprint::new([9; 32]);
    check(
        &table.restart_beside(changed, &limits, &["a"]),
        "wait a: it runs already, and runs once more afterwards",
    );
    check(&table.unchanged("a"), "start a (not up to date)");
}

#[test]
fn more_steps_start_when_more_may_run() {
    let (assets, limits) = two();
    let mut table = Table::set(assets, &limits);
    table.webhook("a");
    table.webhook("b");
    check(&table.limit_steps(2), "start b (webhook b)");
    // Those that run go on, though they are more than may start now.
    check(&table.limit_steps(1), "");
    check(&table.unchanged("a"), "");
    check(&table.webhook("a"), "note a: webhook a\nwait a: as many steps run as may at once");
    check(&table.unchanged("b"), "start a (webhook a)");
}

fn offered(text: &str) -> Vec<OfferedStep> {
    let waits = |late| if late { SAME_DEFINITION_MAX } else { Span::from_ms(0) };
    let step = |c: char| OfferedStep { has_definition: c.is_uppercase(), waits: waits("lL".contains(c)) };
    text.chars().map(step).collect()
}

/// `S` is a step whose definition the process has, `s` one whose it has not, `l` one that waits for long.
#[test]
fn a_process_asks_for_its_part_of_what_it_may_run() {
    let check = |text: &str, free: usize, workers: usize, schedules: bool, expected: &[usize]| {
        let workers = NonZeroUsize::new(workers).unwrap();
        let found = claims(Claimant { free, workers, schedules }, &offered(text));
        assert_eq!(found, expected, "{text} {free} {workers} {schedules}");
    };
    check("", 4, 1, true, &[]);
    check("SSS", 0, 1, true, &[]);
    check("SSS", 2, 1, false, &[0, 1]);
    check("SSSSS", 4, 1, false, &[0, 1, 2, 3]);
    // Others may have room too.
    check("SSSSS", 4, 3, false, &[0, 1]);
    check("S", 4, 3, false, &[0]);
    // Another definition is left to those that have it, for a while.
    check("sSsS", 4, 1, true, &[1, 3]);
    check("slsL", 4, 1, true, &[1, 3]);
    check("slsL", 4, 1, false, &[3]);
}
