//! Where partitions stand, and how far backfills have come.

use millstream_plan::{PartitionSet, PartitionStanding, PartitionStates, PartitionStatus};
use millstream_state::{BackfillRecord, BackfillStatus, BrokenCheck, PartitionRecord, State};
use millstream_types::{AssetVersion, CheckId, Fingerprint, Severity, TimestampMicros};

use crate::{
    place::{Place, on_each_database},
    world::{asset, run},
};

on_each_database! {
    what_is_recorded_of_partitions_is_read_again,
    a_million_partitions_are_few_rows_and_one_of_them_can_change,
    what_is_touched_alone_is_written,
    a_backfill_goes_on_where_it_was,
}

async fn record(state: &State, states: &PartitionStates, broken: &[BrokenCheck]) {
    let (begun, table) = (run(1), asset("silver.orders"));
    let judged = PartitionSet::range(0, 10);
    let record = PartitionRecord {
        run: &begun.run,
        asset: &table,
        states,
        touched: None,
        judged: &judged,
        broken,
        backfill: None,
    };
    state.record_partitions(&record).await.unwrap();
    assert_eq!(state.partitions(&table).await.unwrap().as_ref(), Some(states));
}

async fn what_is_recorded_of_partitions_is_read_again(place: Place) {
    let (state, table) = (place.open().await, asset("silver.orders"));
    assert_eq!(state.partitions(&table).await.unwrap(), None);
    let mut states = PartitionStates::new(Fingerprint::new([3; 32]));
    states.seen = [(asset("bronze.orders"), AssetVersion::numbered(4))].into();
    states.version = Some(AssetVersion::numbered(7));
    states.settled = [(asset("silver.orders"), AssetVersion::numbered(6))].into();
    (states.built, states.micros) = (5, 600);
    let failed = PartitionStatus::Failed { error: "no".to_owned() };
    states.set(&PartitionSet::range(0, 9), &PartitionStanding::of(PartitionStatus::Built));
    states.set(&PartitionSet::range(3, 4), &PartitionStanding::of(failed));
    let with = PartitionStanding { status: PartitionStatus::Built, parameters: r#"{"rate":"2"}"#.to_owned() };
    states.set(&PartitionSet::range(8, 8), &with);
    let broken = |partition: i64| BrokenCheck {
        partition,
        check: CheckId::from("range(size)".to_owned()),
        severity: Severity::Halt,
        failed: 2,
        observed: None,
    };
    record(&state, &states, &[broken(3), broken(4)]).await;
    assert_eq!(state.broken_checks(&table).await.unwrap(), [broken(3), broken(4)]);
    assert_eq!(state.partitions_open().await.unwrap(), [(table.clone(), 2)].into());
    states.set(&PartitionSet::range(3, 3), &PartitionStanding::of(PartitionStatus::Built));
    states.outdate(&PartitionSet::range(9, 12));
    record(&state, &states, &[broken(4)]).await;
    assert_eq!(state.broken_checks(&table).await.unwrap(), [broken(4)]);
    assert_eq!(state.partitions_open().await.unwrap(), [(table, 5)].into());
}

async fn a_million_partitions_are_few_rows_and_one_of_them_can_change(place: Place) {
    let state = place.open().await;
    let mut states = PartitionStates::new(Fingerprint::new([3; 32]));
    states.set(&PartitionSet::range(0, 999_999), &PartitionStanding::of(PartitionStatus::Built));
    record(&state, &states, &[]).await;
    states.outdate(&PartitionSet::range(500_000, 500_000));
    record(&state, &states, &[]).await;
    assert_eq!(states.spans().len(), 3);
    states.set(&PartitionSet::range(500_000, 500_000), &PartitionStanding::of(PartitionStatus::Built));
    record(&state, &states, &[]).await;
    assert_eq!(states.spans().len(), 1);
}

/// Whichever partitions change, looking at these and at their neighbours alone leaves what looking at all of them does.
async fn what_is_touched_alone_is_written(place: Place) {
    let (state, begun, table) = (place.open().await, run(1), asset("silver.orders"));
    let mut states = PartitionStates::new(Fingerprint::new([3; 32]));
    states.set(&PartitionSet::range(i64::MIN, i64::MIN), &PartitionStanding::of(PartitionStatus::Built));
    record(&state, &states, &[]).await;
    let mut dice = 7_u64;
    let mut roll = |sides: i64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(dice >> 40).unwrap() % sides
    };
    for _ in 0..200 {
        let first = roll(20);
        let last = first + roll(4);
        let meant = PartitionSet::range(first, last);
        match roll(4) {
            0 => states.outdate(&meant),
            1 => states.forget(&meant),
            _ => states.set(&meant, &PartitionStanding::of(PartitionStatus::Built)),
        }
        let record = PartitionRecord {
            run: &begun.run,
            asset: &table,
            states: &states,
            touched: Some((first, last)),
            judged: &meant,
            broken: &[],
            backfill: None,
        };
        state.record_partitions(&record).await.unwrap();
        assert_eq!(state.partitions(&table).await.unwrap().as_ref(), Some(&states));
    }
}

async fn a_backfill_goes_on_where_it_was(place: Place) {
    let state = place.open().await;
    let begun = BackfillRecord {
        id: "b1".to_owned(),
        asset: asset("silver.orders"),
        wanted: PartitionSet::range(0, 9),
        done: PartitionSet::new(),
        failed: PartitionSet::new(),
        chunk: "month".to_owned(),
        parameters: String::new(),
        parallel: 2,
        status: BackfillStatus::Open,
        started: TimestampMicros(5),
        finished: None,
    };
    state.begin_backfill(&begun).await.unwrap();
    let (table, states) = (asset("silver.orders"), PartitionStates::new(Fingerprint::new([3; 32])));
    let (done, failed) = (PartitionSet::range(4, 9), PartitionSet::range(3, 3));
    let record = PartitionRecord {
        run: &run(1).run,
        asset: &table,
        states: &states,
        touched: None,
        judged: &done,
        broken: &[],
        backfill: Some(("b1", &done, &failed)),
    };
    state.record_partitions(&record).await.unwrap();
    // The same one that begins again changes nothing.
    state.begin_backfill(&begun).await.unwrap();
    let come = BackfillRecord { done, failed, ..begun.clone() };
    assert_eq!(state.backfill("b1").await.unwrap(), Some(come.clone()));
    assert!(state.end_backfill("b1", BackfillStatus::Cancelled, TimestampMicros(9)).await.unwrap());
    assert!(!state.end_backfill("b1", BackfillStatus::Finished, TimestampMicros(10)).await.unwrap());
    state.reopen_backfill("b1").await.unwrap();
    let open = BackfillRecord { failed: PartitionSet::new(), ..come };
    assert_eq!(state.backfills(5).await.unwrap(), [open]);
    assert_eq!(state.backfill("b2").await.unwrap(), None);
}
