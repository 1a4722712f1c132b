//! How housekeeping went is remembered, and recorded by nobody but its holder.

use std::time::Duration;

use millstream_state::{Holder, HousekeepingRecord, LeaseRequest, LeaseToken, State, StateError};
use millstream_types::TimestampMicros;

use crate::{
    place::{Place, on_each_database},
    world::asset,
};

on_each_database! {
    what_was_recorded_is_found_until_it_is_forgotten,
    nothing_is_recorded_for_housekeeping_whose_lease_is_gone,
}

async fn lease(state: &State) -> LeaseToken {
    let holder = Holder::this_process("housekeeping", TimestampMicros(5));
    let (assets, now, length) =
        ([asset("housekeeping")], TimestampMicros(1_000_000), Duration::from_secs(3_600));
    state.take_lease(&LeaseRequest { assets: &assets, holder: &holder, now, length }).await.unwrap()
}

fn failed() -> HousekeepingRecord {
    HousekeepingRecord {
        begun: Some(TimestampMicros(7)),
        ended: Some(TimestampMicros(6)),
        failures: 3,
        error: Some("disk full".into()),
        code: Some("MS-0401".into()),
        ..HousekeepingRecord::new("bronze.orders", TimestampMicros(2))
    }
}

async fn what_was_recorded_is_found_until_it_is_forgotten(place: Place) {
    let state = place.open().await;
    let first = HousekeepingRecord::new("all", TimestampMicros(1));
    state.begin_housekeeping(&first).await.unwrap();
    state.begin_housekeeping(&HousekeepingRecord::new("all", TimestampMicros(9))).await.unwrap();
    assert_eq!(place.open().await.housekeeping().await.unwrap(), std::slice::from_ref(&first));
    let lease = lease(&state).await;
    state.record_housekeeping(lease, &failed()).await.unwrap();
    let again = HousekeepingRecord { failures: 4, error: None, ..failed() };
    state.record_housekeeping(lease, &again).await.unwrap();
    assert_eq!(place.open().await.housekeeping().await.unwrap(), [first.clone(), again]);
    state.forget_housekeeping(lease, "bronze.orders").await.unwrap();
    assert_eq!(place.open().await.housekeeping().await.unwrap(), [first]);
}

async fn nothing_is_recorded_for_housekeeping_whose_lease_is_gone(place: Place) {
    let state = place.open().await;
    let gone = lease(&state).await;
    state.record_housekeeping(gone, &failed()).await.unwrap();
    state.end_lease(gone).await.unwrap();
    let refused = [
        state.record_housekeeping(gone, &HousekeepingRecord { failures: 9, ..failed() }).await,
        state.forget_housekeeping(gone, "bronze.orders").await,
    ];
    for refused in refused {
        assert!(matches!(refused, Err(StateError::LeaseLost)), "{refused:?}");
    }
    assert_eq!(state.housekeeping().await.unwrap(), [failed()]);
}
