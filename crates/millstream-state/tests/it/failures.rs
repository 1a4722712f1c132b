//! Circuits, budgets of retries, assets that are asked for, and promises: what is recorded is found again, whoever changed it.

use millstream_schedule::{
    Breach, Circuit, CircuitPolicy, Promise, PromiseState, RecordedAside, RecordedAsset, SlaChange,
    WatchedPromise,
};
use millstream_state::{Holder, LeaseRequest, ScheduleRecord, SlaRecord, State, StepOutcome};
use millstream_types::{Fingerprint, TimestampMicros};

use crate::{
    place::{Place, on_each_database},
    world::{asset, end, recorded, run, step},
};

on_each_database! {
    a_circuit_is_found_as_it_was_left_and_a_sound_one_leaves_nothing,
    processes_that_change_one_circuit_or_budget_at_once_lose_nothing,
    an_asset_that_was_asked_for_is_there_until_it_was_seen_to,
    an_asset_that_is_set_aside_is_found_so,
    a_step_that_ends_well_asks_for_an_asset_that_is_set_aside,
    promises_and_their_breaches_are_found_again,
}

const SECOND: i64 = 1_000_000;

fn fail(times: i64) -> impl FnOnce(&mut Circuit) -> bool + Send {
    move |circuit| {
        let policy = CircuitPolicy::default();
        (0..times).any(|at| circuit.failed(&policy, TimestampMicros(at * SECOND)).is_some())
    }
}

async fn a_circuit_is_found_as_it_was_left_and_a_sound_one_leaves_nothing(place: Place) {
    let state = place.open().await;
    assert!(state.circuits().await.unwrap().is_empty());
    let (left, opened) = state.change_circuit("shop", fail(3)).await.unwrap();
    assert_eq!((left.failures.len(), opened), (3, false));
    let (left, opened) = state.change_circuit("bank", fail(5)).await.unwrap();
    assert!(left.open.is_some() && opened);
    let again = place.open().await.circuits().await.unwrap();
    assert_eq!(again["bank"], left);
    assert_eq!(again["shop"].failures.len(), 3);
    let (_, change) = state.change_circuit("bank", Circuit::answered).await.unwrap();
    assert!(change.is_some());
    assert_eq!(state.circuits().await.unwrap().into_keys().collect::<Vec<_>>(), ["shop"]);
}

async fn processes_that_change_one_circuit_or_budget_at_once_lose_nothing(place: Place) {
    let states = [place.open().await, place.open().await];
    let now = TimestampMicros(90 * SECOND);
    let work = |state: State| async move {
        let mut taken = 0;
        for _ in 0..10 {
            state.change_circuit("shop", |circuit| circuit.failures.push_back(now)).await.unwrap();
            let may = state.change_retry_budget("", |budget| budget.take(15, now)).await.unwrap();
            taken += usize::from(may);
        }
        taken
    };
    let [one, other] = states.map(|state| tokio::spawn(work(state)));
    assert_eq!(one.await.unwrap() + other.await.unwrap(), 15);
    let state = place.open().await;
    assert_eq!(state.circuits().await.unwrap()["shop"].failures.len(), 20);
    assert_eq!(state.retry_budgets().await.unwrap()[""].used(now), 15);
}

async fn an_asset_that_was_asked_for_is_there_until_it_was_seen_to(place: Place) {
    let state = place.open().await;
    for at in [5, 7] {
        state.ask_to_resume(&asset("silver.a"), TimestampMicros(at)).await.unwrap();
    }
    state.ask_to_resume(&asset("bronze.b"), TimestampMicros(9)).await.unwrap();
    assert_eq!(state.resumptions().await.unwrap(), [asset("bronze.b"), asset("silver.a")]);
    state.resumed(&asset("silver.a")).await.unwrap();
    assert_eq!(state.resumptions().await.unwrap(), [asset("bronze.b")]);
}

async fn an_asset_that_is_set_aside_is_found_so(place: Place) {
    let state = place.open().await;
    let holder = Holder::this_process("serve", TimestampMicros(5));
    let (assets, now) = ([asset("schedule")], TimestampMicros(1_000_000));
    let length = std::time::Duration::from_secs(3_600);
    let request = LeaseRequest { assets: &assets, holder: &holder, now, length };
    let lease = state.take_lease(&request).await.unwrap();
    let aside = RecordedAside { since: TimestampMicros(7), definition: Fingerprint::new([3; 32]) };
    let recorded = [
        RecordedAsset { failures: 4, is_unreachable: true, ..RecordedAsset::new(asset("bronze.b")) },
        RecordedAsset { failures: 5, aside: Some(aside), ..RecordedAsset::new(asset("silver.a")) },
    ];
    for _ in 0..2 {
        state.record_schedule(&ScheduleRecord { lease, assets: &recorded, decisions: &[] }).await.unwrap();
    }
    assert_eq!(state.scheduled_assets().await.unwrap(), recorded);
}

async fn a_step_that_ends_well_asks_for_an_asset_that_is_set_aside(place: Place) {
    let state = place.open().await;
    let holder = Holder::this_process("serve", TimestampMicros(5));
    let (assets, now) = ([asset("schedule")], TimestampMicros(1_000_000));
    let length = std::time::Duration::from_secs(3_600);
    let request = LeaseRequest { assets: &assets, holder: &holder, now, length };
    let lease = state.take_lease(&request).await.unwrap();
    let aside = RecordedAside { since: TimestampMicros(7), definition: Fingerprint::new([3; 32]) };
    let scheduled = [
        RecordedAsset { failures: 4, ..RecordedAsset::new(asset("bronze.b")) },
        RecordedAsset { failures: 5, aside: Some(aside), ..RecordedAsset::new(asset("silver.a")) },
    ];
    state.record_schedule(&ScheduleRecord { lease, assets: &scheduled, decisions: &[] }).await.unwrap();
    let (start, built) = (run(1), recorded(1));
    state.begin_run(&start).await.unwrap();
    let failed = StepOutcome::Failed { code: "MS-0001".into(), error: "no".into(), hint: None };
    for (name, outcome) in [("silver.a", failed), ("bronze.b", StepOutcome::Built)] {
        state.record_step(&end(&step(&start.run, name, outcome), None)).await.unwrap();
        assert!(state.resumptions().await.unwrap().is_empty());
    }
    let start = run(2);
    state.begin_run(&start).await.unwrap();
    for outcome in [StepOutcome::Unchanged, StepOutcome::Built] {
        state.record_step(&end(&step(&start.run, "silver.a", outcome), Some(&built))).await.unwrap();
        assert_eq!(state.resumptions().await.unwrap(), [asset("silver.a")]);
    }
}

async fn promises_and_their_breaches_are_found_again(place: Place) {
    let state = place.open().await;
    let at = |seconds: i64| TimestampMicros(seconds * SECOND);
    let watched = |promise, state| WatchedPromise { promise, since: at(1), judged_until: at(9), state };
    let (promise, id) = (Promise::AtMost, asset("silver.a"));
    let broken = [
        watched(promise, PromiseState::Broken { since: at(5) }),
        watched(Promise::FreshBy, PromiseState::AtRisk),
        watched(Promise::StepAtMost, PromiseState::Kept),
    ];
    let changes = [
        SlaChange::AtRisk { promise, at: at(3), breaks_at: at(5) },
        SlaChange::Broken { promise, at: at(5) },
    ];
    let record = SlaRecord { asset: &id, promises: &broken, changes: &changes };
    for _ in 0..2 {
        state.record_sla(std::slice::from_ref(&record)).await.unwrap();
    }
    assert_eq!(state.sla_promises().await.unwrap()[&id], broken);
    let breach = Breach { promise, broken_at: at(5), met_at: None };
    assert_eq!(state.sla_breaches(at(100)).await.unwrap()[&id], [breach]);
    let kept = [watched(promise, PromiseState::Kept)];
    let changes = [SlaChange::MetAgain { promise, at: at(8), broken_at: at(5) }];
    let record = SlaRecord { asset: &id, promises: &kept, changes: &changes };
    state.record_sla(&[record]).await.unwrap();
    assert_eq!(state.sla_promises().await.unwrap()[&id], kept);
    assert_eq!(state.sla_breaches(at(7)).await.unwrap()[&id], [Breach { met_at: Some(at(8)), ..breach }]);
    assert!(state.sla_breaches(at(8)).await.unwrap().is_empty());
}
