//! The pulse differs after whatever a status shows, and only then.

use std::{num::NonZeroUsize, time::Duration};

use millstream_schedule::{
    Circuit, CircuitPolicy, Promise, PromiseState, RecordedAside, RecordedAsset, WatchedPromise,
};
use millstream_state::{
    Holder, HousekeepingRecord, LeaseRequest, NewRepair, RepairAction, RepairState, RunEnd, RunOutcome,
    ScheduleRecord, SlaRecord, StepOutcome,
};
use millstream_types::{Fingerprint, TimestampMicros};

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
    let aside = RecordedAside { since: now, definition: Fingerprint::new([3; 32]) };
    let aside = [RecordedAsset { aside: Some(aside), ..RecordedAsset::new(asset("silver.a")) }];
    state.record_schedule(&ScheduleRecord { lease, assets: &aside, decisions: &[] }).await.unwrap();
    differs("an asset that is set aside").await;
    state.ask_to_resume(&asset("silver.a"), now).await.unwrap();
    differs("the wish to let it run again").await;
    let policy = CircuitPolicy { failures: NonZeroUsize::MIN, ..CircuitPolicy::default() };
    let fail = move |circuit: &mut Circuit| circuit.failed(&policy, now);
    state.change_circuit("shop", fail).await.unwrap();
    differs("a circuit that opens").await;
    state.change_circuit("shop", Circuit::answered).await.unwrap();
    differs("a circuit that closes").await;
    let promised = |state| WatchedPromise { promise: Promise::AtMost, since: now, judged_until: now, state };
    for (what, promise) in [
        ("a promise that is broken", PromiseState::Broken { since: now }),
        ("a promise that is kept again", PromiseState::Kept),
    ] {
        let promises = [promised(promise)];
        let record = SlaRecord { asset: &asset("silver.a"), promises: &promises, changes: &[] };
        state.record_sla(&[record]).await.unwrap();
        differs(what).await;
    }
    let repair = NewRepair {
        asset: asset("silver.a"),
        code: "MS-1".to_owned(),
        cause: "a file is damaged".to_owned(),
        action: RepairAction::Rebuild,
        found: now,
        state: RepairState::Due,
    };
    state.begin_repair(&repair).await.unwrap();
    differs("damage").await;
    let from = [RepairState::Due];
    state.end_repairs(&repair.asset, &from, RepairState::Repaired, None, now).await.unwrap();
    differs("the end of damage").await;
    state.end_lease(lease).await.unwrap();
    differs("the end of a lease").await;
}
