//! Steps that run in other processes: they outlive the process that schedules, and are started once more when theirs has died.

use std::num::NonZeroUsize;

use millstream_schedule::{
    Claimant, Decision, GoesOn, Limits, OfferedStep, RecordedAsset, RecordedAttempt, ScheduledAsset,
    Scheduler, claims,
};

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

#[test]
fn a_step_whose_asset_is_gone_keeps_its_places_under_the_next_process() {
    let heavy = |id: &str| ScheduledAsset { pools: vec!["heavy".to_owned()], ..hooked(id, &[]) };
    let limits = Limits { pools: [("heavy".to_owned(), NonZeroUsize::MIN)].into(), ..steps(8) };
    let mut table = Table::set(vec![heavy("a"), heavy("b")], &limits);
    table.webhook("a");
    check(&table.restart_beside(vec![heavy("b")], &limits, &["a"]), "");
    check(&table.webhook("b"), "note b: webhook b\nwait b: the pool `heavy` is full");
    // The asset comes back, and does not overlap itself.
    check(
        &table.reload(vec![heavy("a"), heavy("b")], &limits),
        "wait a: it runs already, and runs once more afterwards",
    );
    check(&table.unchanged("a"), "start b (webhook b)");
    check(&table.unchanged("b"), "start a (definition changed)");
}

#[test]
fn a_step_that_goes_on_takes_the_places_that_it_took_when_it_began() {
    let (assets, limits) = two();
    let limits = Limits {
        steps: NonZeroUsize::new(8).unwrap(),
        pools: [("heavy".to_owned(), NonZeroUsize::MIN)].into(),
        ..limits
    };
    let heavy = |asset: &ScheduledAsset| ScheduledAsset { pools: vec!["heavy".to_owned()], ..asset.clone() };
    let mut table = Table::set(vec![heavy(&assets[0]), heavy(&assets[1])], &limits);
    table.webhook("a");
    // The project says now that the asset takes no place in the pool.
    table.restart_beside(vec![assets[0].clone(), heavy(&assets[1])], &limits, &["a"]);
    check(&table.webhook("b"), "note b: webhook b\nwait b: the pool `heavy` is full");
    check(&table.unchanged("a"), "start b (webhook b)");
}

#[test]
fn a_step_that_tries_a_place_is_the_only_one_under_the_next_process_too() {
    let asking = |id: &str| ScheduledAsset { circuit: Some("crm".to_owned()), ..hooked(id, &[]) };
    let now = crate::time::at("2026-07-01T00:00:00Z");
    let goes_on = |is_probe| {
        let asset = asking("a");
        let definition = asset.definition;
        let goes_on = GoesOn { definition, connection: None, pools: Vec::new(), is_probe };
        let running = Some(RecordedAttempt { attempt: 1, fresh_as_of: now });
        let first =
            RecordedAsset { running, goes_on: Some(goes_on), stale: false, ..RecordedAsset::new(asset.id) };
        let second = RecordedAsset { stale: false, ..RecordedAsset::new(asking("b").id) };
        // The wait of the circuit is over.
        let open = [("crm".to_owned(), now)];
        let assets = vec![asking("a"), asking("b")];
        Scheduler::restore_with(assets, &steps(8), &[first, second], &open, now).unwrap().0
    };
    let starts = |decisions: &[Decision]| decisions.iter().any(|one| matches!(one, Decision::Start(_)));
    let mut scheduler = goes_on(true);
    assert!(!starts(&scheduler.triggered("b", now)));
    assert!(starts(&scheduler.circuit_closed("crm", now)));
    // One that began before the circuit opened says nothing of the place.
    assert!(starts(&goes_on(false).triggered("b", now)));
}

fn offered(text: &str) -> Vec<OfferedStep> {
    let step = |c: char| OfferedStep { has_definition: c.is_uppercase(), is_local: "lL".contains(c) };
    text.chars().map(step).collect()
}

/// `S` is a step whose definition the process has, `s` one whose it has not, `L` and `l` those whose product lies on one machine.
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
    // Another definition is left to those that have it, and what lies on one machine to the process that looks after it.
    check("sSsS", 4, 1, true, &[1, 3]);
    check("lLsS", 4, 1, true, &[1, 3]);
    check("lLsS", 4, 1, false, &[3]);
}
