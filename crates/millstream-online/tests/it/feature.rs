//! Views in the store: chunks and pushes count once, also when the process is killed at any moment.
#![allow(clippy::cast_possible_truncation, reason = "numbers of the tests are small")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use arrow::{
    array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray},
    datatypes::{DataType, Float64Type, Int64Type},
};
use bytes::Bytes;
use millstream_features::{
    aggregate::Aggregation,
    view::{
        Chunk, ColumnDefinition, FeatureDefinition, FeatureValue, KeyDefinition, OnlineView, Position,
        RowDefinition, ViewDefinition,
    },
    window::{DAY, HOUR, Measure, Operand},
};
use millstream_online::{
    EntityKey, OnlineError, RecordKey,
    feature::{PushTarget, Pushes, apply_chunk, fill, remove_older, replace_entities, settle},
};
use millstream_types::Span;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tempfile::TempDir;

use crate::place::{Place, Store, open_folder};

pub(crate) const NOW: i64 = 20_000 * DAY;
pub(crate) const ENTITIES: i64 = 40;
const LOG: &str = "pushed";

/// Entity, event time, value.
pub(crate) type Row = (i64, i64, f64);

pub(crate) fn view(name: &str) -> OnlineView {
    let window = |aggregation, column, window| FeatureValue::Window {
        measure: Measure::One(Operand::new(aggregation, column)),
        window,
    };
    let month = Some(Span::from_ms(30 * 86_400_000));
    let features = [
        ("newest", FeatureValue::Newest(0), DataType::Float64),
        ("count", window(Aggregation::Count, None, None), DataType::Int64),
        ("sum", window(Aggregation::Sum, Some(0), month), DataType::Float64),
        ("last", window(Aggregation::Last, Some(0), month), DataType::Float64),
    ];
    let feature = |(name, value, data_type): (&str, FeatureValue, DataType)| FeatureDefinition {
        name: name.into(),
        value,
        data_type,
        default: None,
    };
    OnlineView::new(ViewDefinition {
        name: name.into(),
        entity: "customer".into(),
        keys: vec![KeyDefinition { name: "id".into(), data_type: DataType::Int64 }],
        query: "SELECT …".into(),
        ttl: None,
        include_same_instant: false,
        columns: vec![ColumnDefinition { sql: "amount".into(), data_type: DataType::Float64 }],
        features: features.into_iter().map(feature).collect(),
        rows: RowDefinition::default(),
    })
    .unwrap()
}

pub(crate) fn batch(view: &OnlineView, rows: &[Row]) -> RecordBatch {
    let times = || rows.iter().map(|(_, time, _)| *time).collect::<Vec<_>>();
    let instants = |times: Vec<i64>| TimestampMicrosecondArray::from(times).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(entity, ..)| Some(*entity)).collect::<Int64Array>()),
        Arc::new(instants(times())),
        Arc::new(instants(times())),
        Arc::new(rows.iter().map(|(.., value)| Some(*value as i64)).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|(.., value)| Some(*value)).collect::<Float64Array>()),
    ];
    RecordBatch::try_new(view.definition().event_schema(), columns).unwrap()
}

fn chunk(epoch: u64, chunk: u64) -> Chunk {
    Chunk { position: Position { epoch, chunk }, ..Chunk::default() }
}

/// The newest value, the count and the sum of each entity.
pub(crate) async fn answers(
    store: &Store,
    view: &OnlineView,
) -> Vec<(Option<f64>, i64, Option<f64>, Option<f64>)> {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ENTITIES));
    let keys = view.entity_keys(&[ids]).unwrap().into_iter().flatten();
    let keys: Vec<RecordKey> =
        keys.map(|key| RecordKey { space: view.space(), entity: EntityKey::from(key) }).collect();
    let records = store.read(&keys).await.unwrap();
    let columns = view.columns(&records, NOW, &view.plan_read_of_all()).unwrap();
    let counts = columns.values[1].as_primitive::<Int64Type>();
    let float = |at: usize, row: usize| {
        let column = columns.values[at].as_primitive::<Float64Type>();
        column.iter().nth(row).flatten()
    };
    (0..counts.len()).map(|row| (float(0, row), counts.value(row), float(2, row), float(3, row))).collect()
}

/// What the lake holds in an epoch, in chunks by entity.
fn lake(epoch: u64) -> Vec<Vec<Row>> {
    let random = &mut SmallRng::seed_from_u64(epoch);
    let mut chunks = vec![Vec::new(); 4];
    for _ in 0..200 {
        let entity = random.random_range(0..ENTITIES);
        let row = (entity, NOW - random.random_range(1..60 * DAY), random.random_range(1..1_000_000) as f64);
        chunks[(entity % 4) as usize].push(row);
    }
    chunks
}

const EPOCHS: u64 = 30;

/// Applies what the mark says is missing.
async fn materialize(store: &Store, views: &[OnlineView; 2], until: u64) {
    for view in views {
        let done = store.mark(view.space(), "done").await.unwrap();
        let done = done.map_or(0, |done| u64::from_le_bytes(done.as_ref().try_into().unwrap()));
        for next in done..until * 4 {
            let (epoch, part) = (next / 4, next % 4);
            let rows = &lake(epoch)[part as usize];
            let chunk = chunk(epoch + 1, part + 1);
            apply_chunk(store.as_ref(), view, &chunk, &batch(view, rows), NOW).await.unwrap();
            store.set_mark(view.space(), "done", Some(&(next + 1).to_le_bytes())).await.unwrap();
        }
    }
}

/// Names the folder to write to, for the process that is to be killed.
const FOLDER: &str = "MILLSTREAM_TEST_FEATURE_FOLDER";

/// Not a case of its own: the other one starts it in a process and kills that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::disallowed_methods, reason = "a test is its own edge: it asks the environment")]
async fn materializes_and_pushes_until_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let store = open_folder(Path::new(&folder)).await.unwrap();
    let pushes = Arc::new(Pushes::new(store.clone()));
    let views = Arc::new([view("orders"), view("visits")]);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4 {
        let (pushes, views) = (pushes.clone(), views.clone());
        tasks.spawn(async move {
            for number in 0.. {
                let row = [((number * 4 + task) % ENTITIES, NOW - HOUR - number, 1.0)];
                let events = views.each_ref().map(|view| batch(view, &row));
                let targets = [0, 1].map(|at| PushTarget { view: &views[at], events: &events[at] });
                let kept = Bytes::from(format!("{} {}", row[0].0, row[0].1));
                pushes.push(LOG, 1, &targets, kept).await.unwrap();
                let mut stdout = std::io::stdout().lock();
                writeln!(stdout, "acknowledged {}", row[0].0).unwrap();
                stdout.flush().unwrap();
            }
        });
    }
    materialize(&store, &views, EPOCHS).await;
    tasks.join_all().await;
}

/// The rows of the log.
async fn logged(store: &Store) -> Vec<Row> {
    let pushes = Pushes::new(store.clone());
    let cut = pushes.cut(LOG).await.unwrap();
    let entries = pushes.entries(LOG, 0, cut, usize::MAX).await.unwrap();
    let row = |bytes: &Bytes| {
        let (entity, time) = std::str::from_utf8(bytes).unwrap().split_once(' ').unwrap();
        (entity.parse().unwrap(), time.parse().unwrap(), 1.0)
    };
    entries.iter().map(|entry| row(&entry.rows)).collect()
}

#[tokio::test]
async fn a_process_that_is_killed_loses_nothing_acknowledged_and_counts_nothing_twice() {
    let (folder, views) = (TempDir::new().unwrap(), [view("orders"), view("visits")]);
    let place = folder.path().join("store");
    let random = &mut SmallRng::seed_from_u64(5);
    let mut acknowledged = BTreeMap::new();
    for _ in 0..6 {
        kill_after(&place, random.random_range(5..200), &mut acknowledged);
    }
    let store = open_folder(&place).await.unwrap();
    materialize(&store, &views, EPOCHS).await;
    let rows = logged(&store).await;
    let undisturbed = Place::folder();
    let other = undisturbed.open().await;
    materialize(&other, &views, EPOCHS).await;
    let without = answers(&other, &views[1]).await;
    let pushes = Pushes::new(other.clone());
    for row in &rows {
        let events = batch(&views[0], std::slice::from_ref(row));
        let targets = [PushTarget { view: &views[0], events: &events }];
        pushes.push(LOG, 1, &targets, Bytes::new()).await.unwrap();
    }
    assert_eq!(answers(&store, &views[0]).await, answers(&other, &views[0]).await);
    // The second view gets a push in a step of its own: what was not acknowledged may be missing there.
    let second = answers(&store, &views[1]).await;
    for entity in 0..ENTITIES {
        let at = entity as usize;
        let pushed = second[at].1 - without[at].1;
        let most = rows.iter().filter(|(logged, ..)| *logged == entity).count() as i64;
        let least = acknowledged.get(&entity).copied().unwrap_or(0);
        assert!((least..=most).contains(&pushed), "entity {entity}: {least} <= {pushed} <= {most}");
    }
    assert!(acknowledged.values().sum::<i64>() > 6, "the processes had no time to push");
}

/// Lets a process work, kills it that many milliseconds after its first acknowledgement, and adds up by entity what it
/// acknowledged.
fn kill_after(folder: &Path, milliseconds: u64, acknowledged: &mut BTreeMap<i64, i64>) {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["feature::materializes_and_pushes_until_killed", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("acknowledged") {
        assert_ne!(output.read_line(&mut text).unwrap(), 0, "the process ended: {text}");
    }
    let reader = thread::spawn(move || {
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).unwrap();
        text + &String::from_utf8_lossy(&rest)
    });
    thread::sleep(Duration::from_millis(milliseconds));
    process.kill().unwrap();
    process.wait().unwrap();
    let text = reader.join().unwrap();
    // The kill may have cut the last line.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for line in whole.lines() {
        let Some((_, entity)) = line.split_once("acknowledged ") else { continue };
        *acknowledged.entry(entity.parse().unwrap()).or_default() += 1;
    }
}

#[tokio::test]
async fn chunks_that_come_again_or_with_older_events_leave_what_is_newer() {
    let (place, view) = (Place::folder(), view("orders"));
    let store = place.open().await;
    let newer = [(1, NOW - HOUR, 7.0), (2, NOW - HOUR, 8.0)];
    let older = [(1, NOW - DAY, 3.0)];
    for _ in 0..2 {
        for (epoch, rows) in [(1, &newer[..]), (2, &older[..])] {
            apply_chunk(store.as_ref(), &view, &chunk(epoch, 1), &batch(&view, rows), NOW).await.unwrap();
        }
    }
    let found = answers(&store, &view).await;
    assert_eq!(found[1], (Some(7.0), 2, Some(10.0), Some(7.0)));
    assert_eq!(found[2], (Some(8.0), 1, Some(8.0), Some(8.0)));
    assert_eq!(found[3], (None, 0, None, None));
}

#[tokio::test]
async fn a_full_epoch_replaces_what_it_reaches_and_removes_what_is_gone() {
    let (place, view) = (Place::folder(), view("orders"));
    let store = place.open().await;
    let before = batch(&view, &[(1, NOW - HOUR, 1.0), (2, NOW - HOUR, 2.0), (3, NOW - HOUR, 3.0)]);
    apply_chunk(store.as_ref(), &view, &chunk(1, 1), &before, NOW).await.unwrap();
    let pushes = Pushes::new(store.clone());
    let pushed = batch(&view, &[(3, NOW - HOUR / 2, 30.0)]);
    pushes.push(LOG, 1, &[PushTarget { view: &view, events: &pushed }], Bytes::new()).await.unwrap();
    let after = batch(&view, &[(2, NOW - HOUR, 20.0)]);
    let filled = Place::folder();
    let other = filled.open().await;
    for _ in 0..2 {
        let applied = fill(other.as_ref(), &view, &chunk(2, 1), &after, NOW).await.unwrap();
        assert_eq!((applied.rows, applied.entities, applied.changed), (1, 1, 1));
    }
    assert_eq!(answers(&other, &view).await[2], (Some(20.0), 1, Some(20.0), Some(20.0)));
    let applied = replace_entities(store.as_ref(), &view, &chunk(2, 1), &after, NOW).await.unwrap();
    assert_eq!((applied.rows, applied.entities, applied.changed), (1, 1, 1));
    let removed = remove_older(store.as_ref(), &view, 2).await.unwrap();
    assert_eq!((removed.entities, removed.changed), (3, 2));
    let found = answers(&store, &view).await;
    assert_eq!(found[1], (None, 0, None, None));
    assert_eq!(found[2], (Some(20.0), 1, Some(20.0), Some(20.0)));
    assert_eq!(found[3], (Some(30.0), 1, Some(30.0), Some(30.0)), "what was pushed stays");
    let covering = Chunk { covered: Some(1), ..chunk(2, 1) };
    assert_eq!(settle(store.as_ref(), &view, &covering).await.unwrap().changed, 1);
    assert_eq!(answers(&store, &view).await[3], (None, 0, None, None));
}

#[tokio::test]
async fn pushes_are_numbered_and_a_cut_has_all_before_it_in_the_log() {
    let (place, view) = (Place::folder(), view("orders"));
    let store = place.open().await;
    let pushes = Arc::new(Pushes::new(store.clone()));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..50 {
        let (pushes, view) = (pushes.clone(), view.clone());
        tasks.spawn(async move {
            let events = batch(&view, &[(number % ENTITIES, NOW - HOUR, 1.0)]);
            let targets = [PushTarget { view: &view, events: &events }];
            pushes.push(LOG, 1, &targets, Bytes::from_static(b"row")).await.unwrap()
        });
    }
    let mut cuts = Vec::new();
    while let Some(first) = tasks.join_next().await {
        first.unwrap();
        let cut = pushes.cut(LOG).await.unwrap();
        cuts.push((cut, pushes.entries(LOG, 0, cut, usize::MAX).await.unwrap().len()));
    }
    let all = pushes.entries(LOG, 0, u64::MAX, usize::MAX).await.unwrap();
    assert_eq!(all.len(), 50);
    for (cut, before) in cuts {
        assert_eq!(before, all.iter().filter(|entry| entry.first <= cut).count());
    }
    assert_eq!(answers(&store, &view).await.iter().map(|(_, count, ..)| count).sum::<i64>(), 50);
}

#[tokio::test]
async fn views_do_not_see_each_other_and_one_can_be_dropped() {
    let (place, views) = (Place::folder(), [view("orders"), view("visits")]);
    let store = place.open().await;
    for (view, value) in views.iter().zip([1.0, 2.0]) {
        let rows = batch(view, &[(1, NOW - HOUR, value)]);
        apply_chunk(store.as_ref(), view, &chunk(1, 1), &rows, NOW).await.unwrap();
    }
    store.drop_space(views[0].space()).await.unwrap();
    assert_eq!(answers(&store, &views[0]).await[1].1, 0);
    assert_eq!(answers(&store, &views[1]).await[1].0, Some(2.0));
}

#[tokio::test]
async fn rows_that_do_not_fit_and_damaged_records_are_errors_that_store_nothing() {
    let (place, view, other) = (Place::folder(), view("orders"), view("visits"));
    let store = place.open().await;
    let rows = batch(&other, &[(1, NOW, 1.0)]);
    let narrow = rows.project(&[0, 1, 2, 3]).unwrap();
    let refused = apply_chunk(store.as_ref(), &view, &chunk(1, 1), &narrow, NOW).await.unwrap_err();
    assert!(matches!(refused, OnlineError::Change { .. }));
    crate::place::put(&store, view.space(), &[]).await;
    let key = view.entity_keys(&[rows.column(0).clone()]).unwrap().remove(0).unwrap();
    let mut damage = |_: usize, _: Option<&[u8]>| Ok(millstream_online::Change::Put(vec![1, 2, 3]));
    let update = millstream_online::Update {
        space: view.space(),
        entities: &[EntityKey::from(key)],
        change: &mut damage,
        marks: &[],
        append: None,
        durable: false,
    };
    store.update(update).await.unwrap();
    let refused = apply_chunk(store.as_ref(), &view, &chunk(1, 1), &rows, NOW).await.unwrap_err();
    assert_eq!(refused.code(), "MS-1014");
    let pushes = Pushes::new(store.clone());
    let targets = [PushTarget { view: &view, events: &rows }];
    assert!(pushes.push(LOG, 1, &targets, Bytes::new()).await.is_err());
    assert!(pushes.entries(LOG, 0, u64::MAX, 10).await.unwrap().is_empty());
}
