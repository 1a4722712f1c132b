//! Repairs and the signs of staleness: what is recorded is found again, and counted within its bounds.

use std::time::Duration;

use millstream_plan::{AssetStatus, Recorded};
use millstream_schedule::{Circuit, CircuitPolicy};
use millstream_state::{
    CheckResult, FoundAsset, Holder, LeaseRequest, NewRepair, RepairAction, RepairState, StepEnd, StepOutcome,
};
use millstream_types::{CheckId, Severity, TimestampMicros};

use crate::{
    place::{Place, on_each_database},
    world::{asset, end, recorded, run, step},
};

on_each_database! {
    a_repair_is_recorded_once_until_it_is_over,
    what_is_given_up_is_not_begun_again,
    signs_are_found_since_the_first_bad_attempt,
    parts_that_were_left_out_are_a_sign_until_a_step_has_read_them,
    what_is_found_of_an_asset_leaves_since_when_it_ends_badly,
    the_lease_of_a_holder_that_is_gone_is_no_sign_that_somebody_writes,
}

const NOW: TimestampMicros = TimestampMicros(1_000_000);

fn repair(state: RepairState, at: i64) -> NewRepair {
    NewRepair {
        asset: asset("silver.orders"),
        code: "MS-0507".to_owned(),
        cause: "a file is damaged".to_owned(),
        action: RepairAction::Rebuild,
        found: TimestampMicros(at),
        state,
    }
}

async fn a_repair_is_recorded_once_until_it_is_over(place: Place) {
    let state = place.open().await;
    let orders = asset("silver.orders");
    assert!(state.begin_repair(&repair(RepairState::Due, 5)).await.unwrap());
    assert!(!state.begin_repair(&repair(RepairState::Due, 6)).await.unwrap(), "it is due already");
    let due = place.open().await.open_repairs().await.unwrap();
    assert_eq!((due.len(), due[0].found, due[0].ended), (1, TimestampMicros(5), None));
    let from = [RepairState::Due];
    let end = state.end_repairs(&orders, &from, RepairState::Failed, Some("no luck"), TimestampMicros(7));
    assert_eq!(end.await.unwrap(), 1);
    assert!(state.open_repairs().await.unwrap().is_empty());
    assert!(state.begin_repair(&repair(RepairState::Due, 8)).await.unwrap(), "another one may follow");
    let all = state.repairs(9).await.unwrap();
    assert_eq!(all.iter().map(|repair| repair.found.0).collect::<Vec<_>>(), [8, 5]);
    assert_eq!((all[1].state, all[1].message.as_deref()), (RepairState::Failed, Some("no luck")));
    assert_eq!(state.repairs_since(&orders, TimestampMicros(0)).await.unwrap(), 2);
    assert_eq!(state.repairs_since(&orders, TimestampMicros(6)).await.unwrap(), 1);
    assert_eq!(state.repairs(1).await.unwrap().len(), 1);
}

async fn what_is_given_up_is_not_begun_again(place: Place) {
    let state = place.open().await;
    let orders = asset("silver.orders");
    assert!(state.begin_repair(&repair(RepairState::GivenUp, 5)).await.unwrap());
    assert!(!state.begin_repair(&repair(RepairState::Due, 6)).await.unwrap());
    assert!(!state.begin_repair(&repair(RepairState::GivenUp, 7)).await.unwrap());
    let from = [RepairState::Due, RepairState::GivenUp];
    let ended = state.end_repairs(&orders, &from, RepairState::Repaired, None, TimestampMicros(8)).await;
    assert_eq!(ended.unwrap(), 1);
    assert!(state.begin_repair(&repair(RepairState::Due, 9)).await.unwrap());
}

async fn signs_are_found_since_the_first_bad_attempt(place: Place) {
    let state = place.open().await;
    assert_eq!(state.stale_signs(NOW).await.unwrap(), Default::default());
    let orders = asset("silver.orders");
    let built = recorded(3);
    let failed = |at: i64| Recorded {
        status: AssetStatus::Failed { code: "MS-1".into(), error: "no".into() },
        built_at: TimestampMicros(at),
        ..built.clone()
    };
    let outcome = || StepOutcome::Failed { code: "MS-1".into(), error: "no".into(), hint: None };
    let mut since = Vec::new();
    for (number, outcome, recorded) in [
        (1, StepOutcome::Built, built.clone()),
        (2, outcome(), failed(100)),
        (3, outcome(), failed(200)),
        (4, StepOutcome::Built, built.clone()),
        (5, outcome(), failed(300)),
    ] {
        let start = run(number);
        state.begin_run(&start).await.unwrap();
        let step = step(&start.run, "silver.orders", outcome);
        state.record_step(&end(&step, Some(&recorded))).await.unwrap();
        since.push(state.stale_signs(NOW).await.unwrap().assets[&orders].bad_since.map(|at| at.0));
    }
    assert_eq!(since, [None, Some(100), Some(100), None, Some(300)]);
    let policy = CircuitPolicy::default();
    let fail = move |circuit: &mut Circuit| {
        (0..5).for_each(|at| {
            circuit.failed(&policy, TimestampMicros(at));
        });
    };
    state.change_circuit("shop", fail).await.unwrap();
    state.begin_repair(&repair(RepairState::Due, 5)).await.unwrap();
    let signs = state.stale_signs(NOW).await.unwrap();
    assert_eq!(signs.circuits["shop"], TimestampMicros(4));
    assert_eq!(signs.damaged[&orders], (TimestampMicros(5), "a file is damaged".to_owned()));
    assert_eq!(signs.assets[&orders].version, built.version);
    assert!(signs.left_out.is_empty() && signs.promises.is_empty());
}

async fn parts_that_were_left_out_are_a_sign_until_a_step_has_read_them(place: Place) {
    let state = place.open().await;
    let orders = asset("bronze.orders");
    let left_out = CheckResult {
        check: CheckId::from("readable".to_owned()),
        severity: Severity::Warn,
        passed: false,
        failed: 1,
        observed: Some("b.csv: cut off".to_owned()),
    };
    for (number, outcome, checks, expected) in [
        (1, StepOutcome::Built, vec![left_out.clone()], Some("b.csv: cut off")),
        (2, StepOutcome::Cancelled, vec![], Some("b.csv: cut off")),
        (3, StepOutcome::Unchanged, vec![], None),
    ] {
        let start = run(number);
        state.begin_run(&start).await.unwrap();
        let step = step(&start.run, "bronze.orders", outcome);
        let built = recorded(3);
        state.record_step(&StepEnd { checks: &checks, ..end(&step, Some(&built)) }).await.unwrap();
        let signs = state.stale_signs(NOW).await.unwrap();
        assert_eq!(signs.left_out.get(&orders).map(String::as_str), expected, "{number}");
    }
}

async fn what_is_found_of_an_asset_leaves_since_when_it_ends_badly(place: Place) {
    let state = place.open().await;
    let (orders, start) = (asset("silver.orders"), run(1));
    let halted = AssetStatus::Halted { reason: "no".into() };
    let bad = Recorded { status: halted.clone(), built_at: TimestampMicros(100), ..recorded(3) };
    state.begin_run(&start).await.unwrap();
    let ended = step(&start.run, "silver.orders", StepOutcome::Built);
    state.record_step(&end(&ended, Some(&recorded(3)))).await.unwrap();
    state.record_step(&end(&ended, Some(&bad))).await.unwrap();
    let seen = state.recorded_of(&orders).await.unwrap().unwrap();
    let compacted = Recorded { version: recorded(4).version, ..seen.clone() };
    let found = FoundAsset { asset: &orders, seen: Some(&seen), recorded: Some(&compacted), metrics: &[] };
    state.record_found(&[found]).await.unwrap();
    let sign = state.stale_signs(NOW).await.unwrap().assets.remove(&orders).unwrap();
    assert_eq!((sign.bad_since, sign.version), (Some(TimestampMicros(100)), recorded(4).version));
    let sound = Recorded { status: AssetStatus::Built, ..compacted.clone() };
    let found = FoundAsset { asset: &orders, seen: Some(&compacted), recorded: Some(&sound), metrics: &[] };
    state.record_found(&[found]).await.unwrap();
    assert_eq!(state.stale_signs(NOW).await.unwrap().assets[&orders].bad_since, None);
}

async fn the_lease_of_a_holder_that_is_gone_is_no_sign_that_somebody_writes(place: Place) {
    let state = place.open().await;
    let (orders, start) = (asset("silver.orders"), run(1));
    state.begin_run(&start).await.unwrap();
    let ended = step(&start.run, "silver.orders", StepOutcome::Built);
    state.record_step(&end(&ended, Some(&recorded(3)))).await.unwrap();
    let is_leased = async |now| state.stale_signs(now).await.unwrap().assets[&orders].is_leased;
    let (holder, length) = (Holder::this_process("run", NOW), Duration::from_secs(2));
    let request = LeaseRequest { assets: std::slice::from_ref(&orders), holder: &holder, now: NOW, length };
    state.take_lease(&request).await.unwrap();
    assert!(is_leased(NOW).await);
    // A database with a clock of its own goes by that.
    tokio::time::sleep(2 * length).await;
    assert!(!is_leased(TimestampMicros(NOW.0 + 10_000_000)).await);
}
