//! The pulse differs after whatever a status shows, and only then.

use std::time::Duration;

use millstream_state::{Holder, HousekeepingRecord, LeaseRequest, RunEnd, RunOutcome, StepOutcome};
use millstream_types::TimestampMicros;

use crate::{
    place::{Place, on_each_database},
    world::{asset, end, recorded, run, step},
};

on_each_database! {
    it_differs_after_each_change_and_only_then,
}

async fn it_differs_after_each_change_and_only_then(place: Place) {
    let state = place.open().await;
    let mut last = state.pulse().await.unwrap();
    let mut differs = async |what: &str| {
        let pulse = place.open().await.pulse().await.unwrap();
        assert_ne!(pulse, last, "{what} is not felt");
        assert_eq!(place.open().await.pulse().await.unwrap(), pulse, "after {what}");
        last = pulse;
    };
    let start = run(1);
    state.begin_run(&start).await.unwrap();
    differs("the start of a run").await;
    let built = recorded(3);
    state.record_step(&end(&step(&start.run, "silver.a", StepOutcome::Built), Some(&built))).await.unwrap();
    differs("the end of a step").await;
    let (finished, outcome) = (TimestampMicros(1_001), RunOutcome::Succeeded);
    state
        .finish_run(&RunEnd { run: &start.run, finished, outcome, publishes: None, messages: &[] })
        .await
        .unwrap();
    differs("the end of a run").await;
    let holder = Holder::this_process("run", TimestampMicros(5));
    let (assets, now, length) = ([asset("silver.a")], TimestampMicros(5), Duration::from_secs(9));
    let lease =
        state.take_lease(&LeaseRequest { assets: &assets, holder: &holder, now, length }).await.unwrap();
    differs("a lease").await;
    let failed = HousekeepingRecord { failures: 1, ..HousekeepingRecord::new("all", now) };
    state.record_housekeeping(lease, &failed).await.unwrap();
    differs("a failure of housekeeping").await;
    state.end_lease(lease).await.unwrap();
    differs("the end of a lease").await;
}
