//! Tables of every shape, and what they have to hold.

use std::sync::Arc;

use millstream_stream::{
    Aggregate, DeduplicateDefinition, Function, MapDefinition, PipelineBuilder, StageId, Window,
    WindowDefinition,
};
use millstream_types::Span;

use super::{
    World,
    line::Line,
    scripted::{Event, Scripted, Stages},
    table_name,
};
use crate::EngineError;

/// Every row, as it came.
pub(super) fn rows(builder: &mut PipelineBuilder, source: StageId) -> Vec<String> {
    let schema = super::scripted::batch(&[]).schema();
    let map =
        MapDefinition { name: "rows".into(), schema, time: "at".into(), text: "every row as it came".into() };
    builder.map(source, &map, Box::new(|rows| Ok(rows.clone()))).unwrap();
    Vec::new()
}

/// The newest row of each name.
pub(super) fn newest(builder: &mut PipelineBuilder, source: StageId) -> Vec<String> {
    rows(builder, source);
    vec!["name".into()]
}

fn windows(builder: &mut PipelineBuilder, source: StageId, window: Window, lateness: Span) -> Vec<String> {
    let definition = WindowDefinition {
        name: "windows".into(),
        window,
        keys: vec!["name".into()],
        aggregates: vec![
            Aggregate::new("rows", Function::Count),
            Aggregate::new("total", Function::Sum("value".into())),
        ],
        lateness,
    };
    builder.window(source, &definition).unwrap();
    ["name", "window_start", "window_end"].map(str::to_owned).into()
}

/// Sums of ten seconds; rows behind the watermark are late.
pub(super) fn tumbling(builder: &mut PipelineBuilder, source: StageId) -> Vec<String> {
    let window = Window::Tumbling { size: Span::from_ms(10_000), offset: Span::from_ms(0) };
    windows(builder, source, window, Span::from_ms(0));
    Vec::new()
}

/// Sums of ten seconds that later rows correct.
pub(super) fn corrected(builder: &mut PipelineBuilder, source: StageId) -> Vec<String> {
    let window = Window::Tumbling { size: Span::from_ms(10_000), offset: Span::from_ms(0) };
    windows(builder, source, window, Span::from_ms(20_000))
}

/// Sessions that later rows join to one another.
pub(super) fn sessions(builder: &mut PipelineBuilder, source: StageId) -> Vec<String> {
    windows(builder, source, Window::Session { gap: Span::from_ms(8_000) }, Span::from_ms(60_000))
}

/// Each name and value once.
pub(super) fn once(builder: &mut PipelineBuilder, source: StageId) -> Vec<String> {
    let definition = DeduplicateDefinition {
        name: "once".into(),
        keys: vec!["name".into(), "value".into()],
        within: Span::from_ms(1_000_000),
    };
    builder.deduplicate(source, &definition).unwrap();
    Vec::new()
}

/// Events of three names, of which some come late and the value 13 breaks the contract.
pub(super) fn events(count: i64) -> Vec<Event> {
    let names = ["a", "b", "c"];
    let event = |number: i64| {
        let behind = match number % 7 {
            3 => 9,
            5 => 31,
            _ => 0,
        };
        (1_000 + number * 2 - behind, names[usize::try_from(number % 3).unwrap()], number % 20)
    };
    (0..count).map(event).collect()
}

pub(super) fn flow(stages: Stages, count: i64, cut: usize) -> Arc<Scripted> {
    Arc::new(Scripted { events: events(count), cut, disorder: Span::from_ms(0), stages, commit_rows: 6 })
}

/// The value 13 breaks a check.
pub(super) const CHECKED: &str = "checks:\n  - one_of: {column: value, values: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19]}";

/// The table does not depend on where its rows were cut, or on which commits there were.
async fn same_however_cut(stages: Stages) {
    let mut first = None;
    for (cut, commit_rows) in [(1, 1), (5, 3), (64, 1_000)] {
        let world = World::new("");
        let flow = Scripted { commit_rows, ..Arc::into_inner(flow(stages, 60, cut)).unwrap() };
        world.catch_up(&Arc::new(flow), &Line::quiet()).await.unwrap();
        let [table, _, late] = world.contents().await;
        assert!(!table.as_ref().unwrap().is_empty());
        let seen = (table, late.map(|late| late.len()));
        assert_eq!(*first.get_or_insert_with(|| seen.clone()), seen, "cut into {cut}");
    }
}

#[tokio::test]
async fn every_shape_is_the_same_however_cut() {
    for stages in [rows as Stages, newest, tumbling, corrected, sessions, once] {
        same_however_cut(stages).await;
    }
}

#[tokio::test]
async fn a_row_that_fails_a_check_is_rejected_and_a_late_one_is_kept() {
    let world = World::new("");
    world.catch_up(&flow(tumbling, 60, 4), &Line::quiet()).await.unwrap();
    let [table, rejected, late] = world.contents().await;
    let late = late.unwrap();
    assert!(late.iter().all(|row| row.starts_with("late | everything that the row belongs to")), "{late:?}");
    assert!(late[0].contains("\"name\""), "{late:?}");
    assert_eq!(rejected, None);
    let checked = World::new(CHECKED);
    checked.catch_up(&flow(rows, 60, 4), &Line::quiet()).await.unwrap();
    let [rest, rejected, none_late] = checked.contents().await;
    assert_eq!((rest.unwrap().len(), rejected.unwrap().len(), none_late), (57, 3, None));
    // Each row is in one window or late; windows of the last rows are open.
    let in_windows: i64 =
        table.unwrap().iter().map(|row| row.split(" | ").nth(3).unwrap().parse::<i64>().unwrap()).sum();
    assert!(in_windows + i64::try_from(late.iter().count()).unwrap() <= 60);
}

#[tokio::test]
async fn a_table_begins_where_it_ended() {
    let world = World::new("");
    let whole = flow(corrected, 90, 7);
    for count in [10, 11, 40, 40, 90] {
        let so_far = Scripted { events: events(count), ..Arc::into_inner(flow(corrected, 90, 7)).unwrap() };
        world.catch_up(&Arc::new(so_far), &Line::quiet()).await.unwrap();
    }
    let undisturbed = World::new("");
    undisturbed.catch_up(&whole, &Line::quiet()).await.unwrap();
    assert_eq!(world.contents().await, undisturbed.contents().await);
}

#[tokio::test]
async fn another_definition_is_computed_anew_beside_the_old_one() {
    let world = World::new("");
    world.catch_up(&flow(corrected, 60, 7), &Line::quiet()).await.unwrap();
    for stages in [sessions as Stages, corrected, newest, rows] {
        world.catch_up(&flow(stages, 60, 7), &Line::quiet()).await.unwrap();
        let fresh = World::new("");
        fresh.catch_up(&flow(stages, 60, 7), &Line::quiet()).await.unwrap();
        assert_eq!(world.contents().await[0], fresh.contents().await[0]);
    }
}

#[tokio::test]
async fn lost_state_is_refused_and_a_refresh_mends_it() {
    let world = World::new("");
    let flow = flow(corrected, 60, 7);
    world.catch_up(&flow, &Line::quiet()).await.unwrap();
    let before = world.contents().await;
    std::fs::remove_dir_all(world.path().join("pipelines")).unwrap();
    let refused = world.catch_up(&flow, &Line::quiet()).await.unwrap_err();
    assert!(matches!(refused, EngineError::PipelineState { found: None, .. }), "{refused}");
    assert_eq!(refused.code(), "MS-0792");
    assert_eq!(world.contents().await, before);
    world.refresh(&flow).await.unwrap();
    assert_eq!(world.contents().await[0], before[0]);
    world.catch_up(&flow, &Line::quiet()).await.unwrap();
    assert_eq!(world.contents().await[0], before[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_sees_what_is_not_committed_yet() {
    for stages in [rows as Stages, newest, tumbling, corrected, sessions, once] {
        for commit_rows in [10, 1_000] {
            let flow = Scripted { commit_rows, ..Arc::into_inner(flow(stages, 60, 4)).unwrap() };
            let (seen, committed) = World::new("").seen_and_committed(&Arc::new(flow)).await;
            assert!(!seen.is_empty());
            assert_eq!(seen, committed);
        }
    }
}

/// Transfers between accounts, each told as what it takes from one and gives to the other: in every version the balances come to zero.
#[tokio::test]
async fn balances_sum_to_zero_in_every_version() {
    const ACCOUNTS: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let transfer = |number: i64| {
        let of = |place: i64| ACCOUNTS[usize::try_from(place % 10).unwrap()];
        let amount = 1 + number * 7 % 31;
        [(number, of(number), -amount), (number, of(number * 3 + 1), amount)]
    };
    let events: Vec<Event> = (0..200).flat_map(transfer).collect();
    // A transfer is never cut in two.
    let flow = Scripted { events, cut: 6, disorder: Span::from_ms(0), stages: rows, commit_rows: 10 };
    let world = World::new("");
    world.catch_up(&Arc::new(flow), &Line::quiet()).await.unwrap();
    let engine = world.engine(&Line::quiet()).await;
    let lake = &engine.world().lake;
    let newest = lake.snapshot(&table_name(), millstream_lake::At::Latest).await.unwrap().unwrap();
    assert!(newest.version() > 20, "{}", newest.version());
    for version in 0..=newest.version() {
        let at = millstream_lake::At::Version(version);
        let snapshot = lake.snapshot(&table_name(), at).await.unwrap().unwrap();
        let rows = world.rows_of(&engine, &snapshot, &["at", "name"]).await;
        let sum: i64 = rows.iter().map(|value| value.parse::<i64>().unwrap()).sum();
        assert_eq!(sum, 0, "version {version}");
    }
}
