//! Old history goes, and whatever somebody asks for gives the same answer as before.

use std::collections::{BTreeMap, BTreeSet};

use millstream_state::{
    CheckResult, Forget, Forgotten, Metric, RunEnd, RunOutcome, State, StepEnd, StepOutcome,
};
use millstream_types::{CheckId, Severity, TimestampMicros};

use crate::{
    place::{Place, on_each_database},
    world::{asset, before, end, run, step},
};

on_each_database! {
    old_runs_are_forgotten_but_each_assets_latest_step_stays,
    the_results_of_a_check_stay_with_the_step_that_found_them,
    answers_are_the_same_whatever_was_forgotten,
    a_run_without_an_end_stays,
    old_metrics_go_and_the_newest_verification_stays,
}

async fn finish(state: &State, number: i64) {
    let (finished, outcome) = (TimestampMicros(number * 1_000 + 1), RunOutcome::Succeeded);
    state
        .finish_run(&RunEnd { run: &run(number).run, finished, outcome, publishes: None, messages: &[] })
        .await
        .unwrap();
}

fn found(check: &str, failed: u64) -> CheckResult {
    let severity = Severity::Warn;
    CheckResult {
        check: CheckId::from(check.to_owned()),
        severity,
        passed: failed == 0,
        failed,
        observed: None,
    }
}

/// A run of one step.
async fn one(state: &State, number: i64, name: &str, outcome: StepOutcome, checks: &[CheckResult]) {
    let start = run(number);
    state.begin_run(&start).await.unwrap();
    let step = step(&start.run, name, outcome);
    state.record_step(&StepEnd { checks, ..end(&step, None) }).await.unwrap();
    finish(state, number).await;
}

async fn old_runs_are_forgotten_but_each_assets_latest_step_stays(place: Place) {
    let state = place.open().await;
    for number in 1..=3 {
        let name = if number == 1 { "silver.old" } else { "silver.t" };
        one(&state, number, name, StepOutcome::Built, &[]).await;
    }
    let gone = state.forget(&before(3_000)).await.unwrap();
    assert_eq!(gone, Forgotten { runs: 1, steps: 1, ..Forgotten::default() });
    let left: Vec<_> = state.latest_steps().await.unwrap().into_iter().map(|step| step.run).collect();
    assert_eq!(left, [run(1).run, run(3).run]);
    assert_eq!(state.forget(&before(3_000)).await.unwrap(), Forgotten::default());
}

async fn the_results_of_a_check_stay_with_the_step_that_found_them(place: Place) {
    let state = place.open().await;
    one(&state, 1, "silver.t", StepOutcome::Built, &[found("old", 1)]).await;
    one(&state, 2, "silver.t", StepOutcome::Built, &[found("a", 1), found("b", 0)]).await;
    one(&state, 3, "silver.t", StepOutcome::Unchanged, &[found("b", 2)]).await;
    for number in 4..=6 {
        one(&state, number, "silver.t", StepOutcome::Unchanged, &[]).await;
    }
    let known = state.known_checks(&asset("silver.t")).await.unwrap();
    assert_eq!(known, [found("a", 1), found("b", 2)]);
    let gone = state.forget(&before(6_000)).await.unwrap();
    assert_eq!((gone.runs, gone.steps), (3, 3));
    assert_eq!(state.known_checks(&asset("silver.t")).await.unwrap(), known);
    let left = state.runs(9).await.unwrap();
    assert_eq!(left.iter().map(|run| run.run.as_str()).collect::<Vec<_>>(), ["run-6", "run-3", "run-2"]);
}

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Histories of many shapes: what is asked of each asset is the same afterwards, and runs that nobody asks for are gone.
async fn answers_are_the_same_whatever_was_forgotten(place: Place) {
    let state = place.open().await;
    let (mut dice, names) = (Dice(7), ["silver.a", "silver.b", "gold.c"]);
    let mut number = 0;
    for round in 0..12 {
        for _ in 0..10 {
            number += 1;
            let outcome = match dice.below(4) {
                0 => StepOutcome::Built,
                1 => StepOutcome::Skipped { because: asset("x") },
                _ => StepOutcome::Unchanged,
            };
            let checks: Vec<_> =
                (0..dice.below(3)).map(|check| found(&format!("check{check}"), dice.below(9))).collect();
            let name = names[usize::try_from(dice.below(3)).unwrap()];
            one(&state, number, name, outcome, &checks).await;
        }
        let before_it = answers(&state, &names).await;
        let at = (number - i64::try_from(dice.below(10)).unwrap()) * 1_000;
        state.forget(&before(at)).await.unwrap();
        assert_eq!(answers(&state, &names).await, before_it, "round {round}");
        // The youngest ones stay, and of the older ones at most those that hold an answer: of each asset its latest and its
        // last built step, and one for each check.
        let old = state.runs(1_000).await.unwrap().into_iter().filter(|run| run.started.0 < at).count();
        assert!(old <= names.len() * 4, "round {round}: {old} old runs are left");
    }
}

async fn answers(state: &State, names: &[&str]) -> (BTreeMap<String, Vec<CheckResult>>, BTreeSet<String>) {
    let mut checks = BTreeMap::new();
    for name in names {
        checks.insert((*name).to_owned(), state.known_checks(&asset(name)).await.unwrap());
    }
    let latest = state.latest_steps().await.unwrap().into_iter();
    (checks, latest.map(|step| format!("{} {}", step.asset, step.run)).collect())
}

async fn a_run_without_an_end_stays(place: Place) {
    let state = place.open().await;
    let start = run(1);
    state.begin_run(&start).await.unwrap();
    let first = step(&start.run, "silver.t", StepOutcome::Built);
    state.record_step(&end(&first, None)).await.unwrap();
    state.forget(&before(9_000)).await.unwrap();
    assert_eq!(state.last_run().await.unwrap().unwrap().run, start.run);
}

async fn old_metrics_go_and_the_newest_verification_stays(place: Place) {
    let state = place.open().await;
    for number in 1..=3 {
        let start = run(number);
        state.begin_run(&start).await.unwrap();
        let mut step = step(&start.run, "silver.t", StepOutcome::Built);
        step.finished = TimestampMicros(number * 1_000);
        let metrics = [Metric { name: "row_count".into(), value: 1.0 }];
        state.record_step(&StepEnd { metrics: &metrics, ..end(&step, None) }).await.unwrap();
        state.record_verification(TimestampMicros(number), "{}").await.unwrap();
        finish(&state, number).await;
    }
    let runs = TimestampMicros(1_000);
    let gone = state.forget(&Forget { runs, metrics: TimestampMicros(3_000) }).await.unwrap();
    assert_eq!((gone.runs, gone.metrics, gone.verifications), (0, 2, 2));
    assert_eq!(state.verifications(9).await.unwrap(), [(TimestampMicros(3), "{}".to_owned())]);
}
