//! Many callers at once: they share syncs, and one that goes away harms nobody.

use std::time::{Duration, Instant};

use millstream_online::Change;

use crate::place::{Place, add_one, counts, entity};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_durable_changes_take_far_less_than_a_thousand_syncs() {
    let place = Place::folder();
    let store = place.open().await;
    add_one(&store, 1, &[entity("warm")], &[], None, true).await.unwrap();
    let started = Instant::now();
    let syncs = 20;
    for _ in 0..syncs {
        store.sync().await.unwrap();
        add_one(&store, 1, &[entity("alone")], &[], None, true).await.unwrap();
    }
    let alone = started.elapsed() / syncs;
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for index in 0..1_000 {
            let store = store.clone();
            tasks.spawn(async move {
                add_one(&store, 1, &[entity(&index.to_string())], &[], None, true).await.unwrap();
            });
        }
        tasks.join_all().await;
        fastest = fastest.min(started.elapsed());
    }
    // A tenth of one after the other, and room for a busy machine.
    assert!(fastest < alone * 100 + Duration::from_millis(500), "{fastest:?}, one alone {alone:?}");
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_gap_between_reading_and_storing() {
    let place = Place::folder();
    let store = place.open().await;
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..200_u64 {
        let store = store.clone();
        tasks.spawn(async move {
            let hot = [entity("hot")];
            let adding = add_one(&store, 1, &hot, &[], None, true);
            // Some give up at once, some while they wait for the record or for the sync.
            tokio::time::timeout(Duration::from_micros(index * 50), adding).await.is_ok()
        });
    }
    let answered = tasks.join_all().await.into_iter().filter(|answered| *answered).count() as u64;
    store.sync().await.unwrap();
    let found = counts(&store, 1, &[entity("hot")]).await[0];
    assert!((answered..=200).contains(&found), "{found} stored, {answered} acknowledged");
    add_one(&store, 1, &[entity("hot")], &[], None, true).await.unwrap();
    assert_eq!(counts(&store, 1, &[entity("hot")]).await, [found + 1]);
}

#[tokio::test]
async fn a_change_that_keeps_everything_stores_nothing() {
    let place = Place::folder();
    let store = place.open().await;
    let entities = [entity("a")];
    let mut change = |_: usize, _: Option<&[u8]>| Ok(Change::Keep);
    let update = millstream_online::Update {
        space: 1,
        entities: &entities,
        change: &mut change,
        marks: &[],
        append: None,
        durable: true,
    };
    assert_eq!(store.update(update).await.unwrap().changed, 0);
    assert_eq!(store.spaces().await.unwrap(), []);
}
