//! Continuous tables over the event log: events that come in are in the tables once, whoever takes them in, and what the tables hold is what the same SQL
//! gives over all events at once.

use std::time::Duration;

use millstream_engine::{Engine, PipelineStatus, QueryFreshness};
use tokio_util::sync::CancellationToken;

use crate::events::{Stream, listed};

const CLICKS: &str = "
connector: {type: http, commit_rows: 1000}
contract:
  columns:
    id: {type: int64, required: true}
    who: {type: string}
    amount: {type: int64}
    at: {type: timestamp, required: true}
  time: at
";

/// Sums of ten seconds that late rows correct, sessions, single rows, and the newest row of each user.
const TABLES: [(&str, &str); 4] = [
    (
        "tables/silver/sums.sql",
        "/*---\nmaterialize: stream\nstream: {disorder: 2s, lateness: 1m, commit_every: 1s}\n---*/\n\
         SELECT window_start, who, count(*) AS clicks, sum(amount) AS amount\n\
         FROM tumble(bronze.clicks, at, INTERVAL '10 seconds')\nGROUP BY window_start, who\n",
    ),
    (
        "tables/silver/visits.sql",
        "/*---\nmaterialize: stream\nstream: {disorder: 2s, commit_every: 1s}\n---*/\n\
         SELECT window_start, window_end, who, count(*) AS clicks\n\
         FROM session(bronze.clicks, at, INTERVAL '5 seconds')\n\
         GROUP BY window_start, window_end, who\n",
    ),
    (
        "tables/silver/large.sql",
        "/*---\nmaterialize: stream\nstream: {commit_every: 1s}\nchecks:\n  - range: {column: amount, max: 90}\n---*/\n\
         SELECT id, at, amount FROM bronze.clicks WHERE amount > 50\n",
    ),
    (
        "tables/silver/newest.sql",
        "/*---\nmaterialize: stream\nkey: who\nstream: {commit_every: 1s}\n---*/\n\
         SELECT who, at, id FROM bronze.clicks\n",
    ),
];

fn event(id: i64) -> String {
    let who = ["ada", "bob", "eve"][usize::try_from(id % 3).unwrap()];
    // Some come behind others, none so late that its window is gone.
    let second = id - if id % 5 == 3 { 4 } else { 0 };
    format!(
        "{{\"id\": {id}, \"who\": \"{who}\", \"amount\": {}, \"at\": \"2026-01-01T00:{:02}:{:02}Z\"}}",
        id * 7 % 100,
        second.max(0) / 60,
        second.max(0) % 60
    )
}

async fn send(stream: &Stream, engine: &Engine, ids: std::ops::Range<i64>) {
    let events: Vec<String> = ids.map(event).collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    for events in events.chunks(7) {
        stream.send(engine, 0, events).await;
    }
}

/// What the tables hold, in words.
async fn contents(engine: &Engine, freshness: QueryFreshness) -> Vec<String> {
    let tables = [
        "SELECT cast(window_start AS varchar) || ' ' || who || ' ' || cast(clicks AS varchar) || ' ' || cast(amount AS varchar) FROM silver.sums ORDER BY 1",
        "SELECT cast(window_start AS varchar) || ' ' || cast(window_end AS varchar) || ' ' || who || ' ' || cast(clicks AS varchar) FROM silver.visits ORDER BY 1",
        "SELECT id FROM silver.large ORDER BY 1",
        "SELECT who || ' ' || cast(id AS varchar) FROM silver.newest ORDER BY 1",
        "SELECT _check || ' ' || _row FROM silver.large__rejected ORDER BY 1",
        "SELECT _check || ' ' || _row FROM silver.visits__late ORDER BY 1",
    ];
    let mut contents = Vec::new();
    for sql in tables {
        contents.push(listed(engine, sql, freshness).await);
    }
    contents
}

/// Waits until each pipeline has taken so many events in and has them committed or told.
async fn taken_in(status: impl Fn() -> Vec<PipelineStatus>, events: u64) {
    for _ in 0..3_000 {
        let seen = status();
        let is_there = |one: &PipelineStatus| one.rows_in >= events && one.lag_rows == 0;
        if seen.len() == TABLES.len() && seen.iter().all(is_there) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the pipelines do not take {events} events in: {:#?}", status());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_and_pipelines_take_each_event_in_once() {
    let stream = Stream::with(CLICKS, &TABLES).await;
    let engine = stream.engine().await;
    // Taken in by a run, by pipelines in two lives, and by a run again.
    send(&stream, &engine, 0..40).await;
    let report = stream.run(&engine).await;
    assert!(report.succeeded(), "{report:#?}");
    for events in [40..75, 75..110] {
        let count = u64::try_from(events.end - events.start).unwrap();
        let cancel = CancellationToken::new();
        let (pipelines, kept) = engine.keep_pipelines(cancel.clone(), Duration::from_secs(20));
        let kept = tokio::spawn(kept);
        send(&stream, &engine, events).await;
        taken_in(|| pipelines.status(), count).await;
        let seen = contents(&engine, QueryFreshness::Live).await;
        cancel.cancel();
        kept.await.unwrap();
        // Rejected and late rows are seen once they are committed.
        let committed = contents(&engine, QueryFreshness::Committed).await;
        assert_eq!(committed[..TABLES.len()], seen[..TABLES.len()]);
    }
    drop(engine);
    let engine = stream.engine().await;
    send(&stream, &engine, 110..150).await;
    let report = stream.run(&engine).await;
    assert!(report.succeeded(), "{report:#?}");
    let pieces = contents(&engine, QueryFreshness::Committed).await;
    assert!(pieces[0].contains("ada") && pieces[4].contains("range(amount)"), "{pieces:#?}");

    let whole = Stream::with(CLICKS, &TABLES).await;
    let undisturbed = whole.engine().await;
    send(&whole, &undisturbed, 0..150).await;
    assert!(whole.run(&undisturbed).await.succeeded());
    assert_eq!(contents(&undisturbed, QueryFreshness::Committed).await, pieces);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_gets_each_row_once_and_goes_on_where_it_was() {
    let stream = Stream::with(CLICKS, &TABLES).await;
    let engine = stream.engine().await;
    send(&stream, &engine, 0..30).await;
    assert!(stream.run(&engine).await.succeeded());
    send(&stream, &engine, 30..60).await;
    assert!(stream.run(&engine).await.succeeded());
    let expected = listed(&engine, "SELECT id FROM silver.large ORDER BY 1", QueryFreshness::Committed).await;
    let expected: Vec<i64> = expected.split(' ').map(|id| id.parse().unwrap()).collect();
    let mut ids = Vec::new();
    // The table's first version, which has no rows, is the beginning.
    let mut after = Some((0, 0));
    while ids.len() < expected.len() {
        // Each time somebody else goes on after one more row.
        let mut follower = engine.follow("silver.large", after).await.unwrap();
        let rows = follower.next().await.unwrap();
        let id = rows.rows.column_by_name("id").unwrap();
        ids.push(arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(id).value(0));
        after = Some((rows.version, rows.first));
    }
    ids.sort_unstable();
    assert_eq!(ids, expected);
    let unknown = engine.follow("silver.nothing", None).await.unwrap_err();
    assert_eq!(unknown.code(), "MS-0702");
}
