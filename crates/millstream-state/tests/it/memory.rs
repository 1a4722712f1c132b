//! What was recorded comes back, also after the store was opened again.

use millstream_plan::{AssetStatus, Recorded};
use millstream_state::{
    CheckResult, FoundAsset, Metric, NewSchema, Pin, RunEnd, RunOutcome, StepEnd, StepOutcome,
};
use millstream_types::{CheckId, Severity, TimestampMicros};
use serde_json::json;

use crate::{
    place::{Place, on_each_database},
    world::{asset, end, recorded, run, step, table},
};

on_each_database! {
    a_run_and_its_steps_come_back,
    a_run_that_never_ended_is_found_interrupted_by_the_next,
    a_failed_attempt_keeps_what_the_last_good_one_recorded,
    what_was_found_is_recorded_as_a_whole,
    checks_and_metrics_belong_to_their_step,
    schemas_are_numbered_and_a_repeated_one_is_not_counted,
    pins_are_kept_until_their_owner_lets_go,
}

async fn a_run_and_its_steps_come_back(place: Place) {
    let state = place.open().await;
    let start = run(1);
    state.begin_run(&start).await.unwrap();
    let last = state.last_run().await.unwrap().unwrap();
    assert_eq!((last.outcome, last.principal.as_deref()), (None, Some("ci")));
    let outcomes = [
        StepOutcome::Built,
        StepOutcome::Unchanged,
        StepOutcome::Halted { reason: "12 %".into(), hint: Some("look".into()) },
        StepOutcome::Failed { code: "MS-0401".into(), error: "full".into(), hint: None },
        StepOutcome::Skipped { because: asset("bronze.a") },
        StepOutcome::Cancelled,
    ];
    let steps: Vec<_> =
        (0..).zip(outcomes).map(|(n, outcome)| step(&start.run, &format!("silver.t{n}"), outcome)).collect();
    for step in &steps {
        state.record_step(&end(step, None)).await.unwrap();
    }
    let (run, outcome) = (&start.run, RunOutcome::Failed);
    let end = RunEnd { run, finished: TimestampMicros(2_000), outcome, publishes: None, messages: &[] };
    state.finish_run(&end).await.unwrap();
    let again = place.open().await;
    assert_eq!(again.steps(&start.run).await.unwrap(), steps);
    assert_eq!(again.latest_steps().await.unwrap(), steps);
    let last = again.run(&start.run).await.unwrap().unwrap();
    assert_eq!((last.outcome, last.finished), (Some(RunOutcome::Failed), Some(TimestampMicros(2_000))));
    assert_eq!(again.recorded().await.unwrap(), [].into());
}

async fn a_run_that_never_ended_is_found_interrupted_by_the_next(place: Place) {
    let state = place.open().await;
    state.begin_run(&run(1)).await.unwrap();
    state.begin_run(&run(2)).await.unwrap();
    let outcomes: Vec<_> = state.runs(9).await.unwrap().into_iter().map(|run| run.outcome).collect();
    assert_eq!(outcomes, [None, Some(RunOutcome::Interrupted)]);
}

async fn a_failed_attempt_keeps_what_the_last_good_one_recorded(place: Place) {
    let state = place.open().await;
    let start = run(1);
    let attempt = async |recorded: &Recorded| {
        state
            .record_step(&end(&step(&start.run, "silver.t", StepOutcome::Built), Some(recorded)))
            .await
            .unwrap();
        state.recorded().await.unwrap().remove(&asset("silver.t")).unwrap()
    };
    assert_eq!(attempt(&recorded(1)).await, recorded(1));
    let status = AssetStatus::Failed { code: "MS-0401".into(), error: "disk full".into() };
    let failed = Recorded { status: status.clone(), version: None, rows: None, ..recorded(2) };
    assert_eq!(attempt(&failed).await, Recorded { status, ..recorded(1) });
    assert_eq!(attempt(&recorded(3)).await, recorded(3));
    let status = AssetStatus::Halted { reason: "12 % rejected".into() };
    assert_eq!(
        attempt(&Recorded { status: status.clone(), ..recorded(4) }).await,
        Recorded { status, ..recorded(3) }
    );
}

async fn what_was_found_is_recorded_as_a_whole(place: Place) {
    let state = place.open().await;
    let (table, other) = (asset("silver.t"), asset("silver.u"));
    let failed = |at| {
        let status = AssetStatus::Failed { code: "MS-0401".into(), error: "disk full".into() };
        Recorded { status, ..recorded(at) }
    };
    let rows = [Metric { name: "rows".into(), value: 20.0 }];
    let found = |asset, seen, recorded, metrics| FoundAsset { asset, seen, recorded, metrics };
    let (first, second) = (failed(1), failed(2));
    state
        .record_found(&[found(&table, None, Some(&first), &[]), found(&other, None, Some(&first), &[])])
        .await
        .unwrap();
    state
        .record_found(&[
            found(&table, Some(&first), Some(&second), &rows),
            found(&other, Some(&first), None, &[]),
        ])
        .await
        .unwrap();
    assert_eq!(state.recorded().await.unwrap(), [(table, second.clone())].into());
    assert_eq!(place.metrics("silver.t", "rows").await, [(second.built_at.0, 20.0)]);
}

async fn checks_and_metrics_belong_to_their_step(place: Place) {
    let state = place.open().await;
    let result = |check: &str, severity, passed, failed| CheckResult {
        check: CheckId::new(check),
        severity,
        passed,
        failed,
        observed: (failed > 0).then(|| format!("{failed} rows")),
    };
    let checks = [
        result("not_null(id)", Severity::Halt, true, 0),
        result("range(amount)", Severity::Quarantine, false, 12),
        result("unique(id)", Severity::Warn, true, 0),
    ];
    for number in 1..=3_i32 {
        let start = run(number.into());
        let mut step = step(&start.run, "silver.t", StepOutcome::Built);
        step.finished = TimestampMicros(number.into());
        let metrics = [
            Metric { name: "row_count".into(), value: f64::from(number) * 10.0 },
            Metric { name: "mean(amount)".into(), value: f64::NAN },
        ];
        state
            .record_step(&StepEnd {
                step: &step,
                recorded: None,
                checks: &checks,
                metrics: &metrics,
                messages: &[],
            })
            .await
            .unwrap();
    }
    assert_eq!(state.known_checks(&asset("silver.t")).await.unwrap(), checks);
    assert_eq!(state.known_checks(&asset("silver.u")).await.unwrap(), []);
    assert_eq!(place.metrics("silver.t", "row_count").await, [(3, 30.0), (2, 20.0), (1, 10.0)]);
    assert_eq!(place.metrics("silver.t", "mean(amount)").await, []);
}

async fn schemas_are_numbered_and_a_repeated_one_is_not_counted(place: Place) {
    let state = place.open().await;
    let (orders, run) = (table("bronze.orders"), run(1).run);
    let schema = |columns, at, change| NewSchema {
        columns,
        at: TimestampMicros(at),
        run: Some(&run),
        part: Some("data/2.csv"),
        change,
    };
    let changes = async || -> Vec<_> {
        let versions = state.schema_versions(&orders).await.unwrap();
        versions.into_iter().map(|schema| (schema.version, schema.change)).collect()
    };
    let [first, noted, priced] = [json!(["id"]), json!(["id", "note"]), json!(["id", "note", "price"])];
    let landed = [schema(&first, 1, "first")];
    let widened = [schema(&noted, 2, "added `note`"), schema(&priced, 2, "added `price`")];
    for _ in 0..2 {
        state.record_schemas(&orders, &landed).await.unwrap();
        state.record_schemas(&orders, &widened).await.unwrap();
        let expected = [(1, "first"), (2, "added `note`"), (3, "added `price`")];
        assert_eq!(changes().await, expected.map(|(version, change)| (version, change.to_owned())));
    }
    state.record_schemas(&orders, &[schema(&priced, 3, "again")]).await.unwrap();
    state.record_schemas(&orders, &[schema(&first, 4, "anew")]).await.unwrap();
    assert_eq!(changes().await.last(), Some(&(4, "anew".to_owned())));
    let versions = state.schema_versions(&orders).await.unwrap();
    assert_eq!(versions[1].columns, noted);
    assert_eq!(versions[1].part.as_deref(), Some("data/2.csv"));
}

async fn pins_are_kept_until_their_owner_lets_go(place: Place) {
    let state = place.open().await;
    let pin = |version, by: &str, at| Pin {
        table: table("gold.t"),
        version,
        pinned_by: by.into(),
        at: TimestampMicros(at),
    };
    state.pin(&pin(3, "dataset churn", 1)).await.unwrap();
    state.pin(&pin(3, "dataset churn", 2)).await.unwrap();
    state.pin(&pin(3, "me", 1)).await.unwrap();
    assert_eq!(state.pins().await.unwrap(), [pin(3, "dataset churn", 1), pin(3, "me", 1)]);
    assert!(state.unpin(&table("gold.t"), 3, "dataset churn").await.unwrap());
    assert!(!state.unpin(&table("gold.t"), 3, "dataset churn").await.unwrap());
    assert_eq!(state.pins().await.unwrap(), [pin(3, "me", 1)]);
}
