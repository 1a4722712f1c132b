//! Runs are found by what they were about, how they ended and when they began.

use std::time::Duration;

use millstream_state::{
    Holder, LeaseRequest, Mark, RunEnd, RunFilter, RunOutcome, RunStart, State, StepOutcome,
};
use millstream_types::TimestampMicros;

use crate::{
    place::{Place, on_each_database},
    world::{asset, end, run, step},
};

on_each_database! {
    a_run_whose_process_is_gone_is_interrupted_before_anybody_records_that,
    runs_are_found_by_asset_status_and_start,
}

async fn found(state: &State, filter: RunFilter) -> Vec<String> {
    let runs = state.runs_matching(&filter).await.unwrap();
    runs.into_iter().map(|run| run.run.to_string()).collect()
}

async fn runs_are_found_by_asset_status_and_start(place: Place) {
    let state = place.open().await;
    for (number, name, outcome) in [
        (1, "silver.a", Some(RunOutcome::Succeeded)),
        (2, "silver.b", Some(RunOutcome::Failed)),
        (3, "silver.a", None),
    ] {
        let start = run(number);
        state.begin_run(&start).await.unwrap();
        state.record_step(&end(&step(&start.run, name, StepOutcome::Built), None)).await.unwrap();
        if let Some(outcome) = outcome {
            let finished = TimestampMicros(number * 1_000 + 10);
            let end = RunEnd { run: &start.run, finished, outcome, publishes: None, messages: &[] };
            state.finish_run(&end).await.unwrap();
        }
    }
    let all = RunFilter { asset: None, status: None, since: None, limit: 9 };
    assert_eq!(found(&state, all.clone()).await, ["run-3", "run-2", "run-1"]);
    assert_eq!(found(&state, RunFilter { limit: 2, ..all.clone() }).await, ["run-3", "run-2"]);
    let of_a = RunFilter { asset: Some(asset("silver.a")), ..all.clone() };
    assert_eq!(found(&state, of_a.clone()).await, ["run-3", "run-1"]);
    assert_eq!(found(&state, RunFilter { status: Some(None), ..all.clone() }).await, ["run-3"]);
    let failed = RunFilter { status: Some(Some(RunOutcome::Failed)), ..all.clone() };
    assert_eq!(found(&state, failed).await, ["run-2"]);
    let since = Some(TimestampMicros(2_000));
    assert_eq!(found(&state, RunFilter { since, ..of_a }).await, ["run-3"]);
    assert!(found(&state, RunFilter { asset: Some(asset("silver.c")), ..all }).await.is_empty());
}

async fn a_run_whose_process_is_gone_is_interrupted_before_anybody_records_that(place: Place) {
    let state = place.open().await;
    let (folder, now) = (tempfile::tempdir().unwrap(), TimestampMicros(1_000));
    let mark = Mark::make(folder.path(), "a").unwrap();
    let holder = Holder::this_process("test", now).with_mark(&mark);
    let assets = [asset("silver.a")];
    let length = Duration::from_secs(3_600);
    let request = LeaseRequest { assets: &assets, holder: &holder, now, length };
    let lease = Some(state.take_lease(&request).await.unwrap());
    state.begin_run(&RunStart { lease, ..run(1) }).await.unwrap();
    let all = RunFilter { asset: None, status: None, since: None, limit: 9 };
    let under_way = RunFilter { status: Some(None), ..all.clone() };
    let interrupted = RunFilter { status: Some(Some(RunOutcome::Interrupted)), ..all };
    assert_eq!(found(&state, under_way.clone()).await, ["run-1"]);
    assert!(found(&state, interrupted.clone()).await.is_empty());
    drop(mark);
    assert!(found(&state, under_way).await.is_empty());
    assert_eq!(found(&state, interrupted).await, ["run-1"]);
    let shown = state.run(&run(1).run).await.unwrap().unwrap();
    assert_eq!((shown.outcome, shown.finished), (Some(RunOutcome::Interrupted), None));
}
