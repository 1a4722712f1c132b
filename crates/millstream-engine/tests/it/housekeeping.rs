//! Housekeeping by itself: it comes when it is due, keeps what somebody needs, is on record, and its silence is an alarm.

use std::{sync::Arc, time::Duration};

use millstream_engine::{Engine, RunRequest};
use millstream_state::{Holder, LeaseRequest, Moment::After};
use millstream_types::{AssetId, TimestampMicros};
use tokio_util::sync::CancellationToken;

use crate::harness::{Act, Definition, Ended, Line, Step, Step::*, World, block_on, check};

const PROJECT: &str = "
=== sources/orders.yaml
connector: {type: scripted, place: orders}
contract: {columns: {id: {type: int64, required: true}, customer_id: {type: int64}, at: {type: timestamp}}}
=== tables/silver/orders.sql
/*---
materialize: incremental
---*/
SELECT id, customer_id, at FROM bronze.orders
=== features/customer.yaml
entity: {name: customer, key: customer_id}
views:
  orders: {from: silver.orders, time: at, features: {orders: {count: \"*\"}}}
services:
  s: [orders.*]
=== datasets/d.yaml
labels: {from: silver.orders, entity: customer, time: at, columns: [customer_id, at, id]}
features: s
";

const HOUR: i64 = 3_600;
pub(crate) const DAY: i64 = 24 * HOUR;

/// The project with a line in `millstream.yaml`.
pub(crate) fn with(policy: &str) -> String {
    format!("{PROJECT}=== millstream.yaml\nname: test\nhousekeeping: {policy}\n")
}

/// Four days with a part each. The clock begins at midnight.
fn days() -> Vec<Step> {
    let mut steps = vec![Put("orders/a", "id,customer_id,at\n0,1,2026-05-01T00:00:00Z"), Run, KeepHouse];
    for rows in ["1,2,2026-05-02T00:00:00Z", "2,1,2026-05-03T00:00:00Z", "3,1,2026-05-04T00:00:00Z"] {
        steps.extend([Append("orders/a", rows), Pass(60), Run]);
    }
    steps
}

const BUILT: &str = "bronze.orders built +1\nsilver.orders built +1\n";

fn told_of_days() -> String {
    format!("{BUILT}not due\n{}", BUILT.repeat(3))
}

#[test]
fn it_comes_once_at_its_tick_and_no_table_runs_for_it() {
    let mut steps = days();
    steps.extend([Pass(3 * HOUR - 300), KeepHouse, Pass(180), KeepHouse, KeepHouse, Run]);
    steps.extend([Pass(DAY), KeepHouse, KeepHouse, RowsAt("silver.orders", 3), Runs]);
    check(
        PROJECT,
        &steps,
        &format!(
            "{}not due
            bronze.orders: 4 put together, 0 gone
            silver.orders: 4 put together, 0 gone
            not due
            (nothing)
            (nothing)
            not due
            silver.orders at 3:
            id: 0, customer_id: 1, at: 2026-05-01T00:00:00Z
            id: 1, customer_id: 2, at: 2026-05-02T00:00:00Z
            id: 2, customer_id: 1, at: 2026-05-03T00:00:00Z
            id: 3, customer_id: 1, at: 2026-05-04T00:00:00Z
            succeeded
            succeeded
            succeeded
            succeeded
            succeeded
            succeeded
            succeeded",
            told_of_days()
        ),
    );
}

#[test]
fn ticks_that_nobody_saw_are_answered_by_one() {
    let mut steps = days();
    steps.extend([Pass(40 * DAY), KeepHouse, KeepHouse, Pass(40 * DAY), KeepHouse, KeepHouse]);
    check(
        PROJECT,
        &steps,
        &format!(
            "{}bronze.orders: 4 put together, 3 gone
            silver.orders: 4 put together, 3 gone
            not due
            bronze.orders: 0 put together, 6 gone
            silver.orders: 0 put together, 6 gone
            not due",
            told_of_days()
        ),
    );
}

#[test]
fn a_version_that_a_dataset_pins_stays() {
    let mut steps = days();
    steps.extend([Dataset("d"), Pass(40 * DAY), KeepHouse, Pass(40 * DAY), KeepHouse]);
    steps.extend([RowsAt("silver.orders", 3), Dataset("d")]);
    check(
        PROJECT,
        &steps,
        &format!(
            "{}d v1
            bronze.orders: 4 put together, 3 gone
            silver.orders: 4 put together, 3 gone; kept from version 3 on, which is still needed
            bronze.orders: 0 put together, 6 gone
            silver.orders at 3:
            id: 0, customer_id: 1, at: 2026-05-01T00:00:00Z
            id: 1, customer_id: 2, at: 2026-05-02T00:00:00Z
            id: 2, customer_id: 1, at: 2026-05-03T00:00:00Z
            id: 3, customer_id: 1, at: 2026-05-04T00:00:00Z
            d v1, unchanged",
            told_of_days()
        ),
    );
}

#[test]
fn a_project_can_turn_it_off_or_have_it_more_often() {
    let steps = [days(), vec![Pass(400 * DAY), KeepHouse, Alarms]].concat();
    check(&with("{schedule: off}"), &steps, &format!("{}not due\n(nothing)", told_of_days()));
    let steps =
        [days(), vec![Pass(HOUR), KeepHouse, Pass(HOUR), KeepHouse, Pass(HOUR / 2), KeepHouse]].concat();
    let expected = "bronze.orders: 4 put together, 0 gone
        silver.orders: 4 put together, 0 gone
        (nothing)
        not due";
    check(&with("{schedule: every 1h}"), &steps, &format!("{}{expected}", told_of_days()));
}

#[test]
fn old_runs_are_forgotten_and_what_is_known_of_assets_stays() {
    let policy = with("{runs: 30d}");
    let mut steps = days();
    steps.extend([Checks("silver.orders"), Pass(20 * DAY), KeepHouse, Pass(20 * DAY), KeepHouse, Runs]);
    check(
        &policy,
        &steps,
        &format!(
            "{}built 0 s ago
            bronze.orders: 4 put together, 3 gone
            silver.orders: 4 put together, 3 gone
            bronze.orders: 0 put together, 6 gone
            silver.orders: 0 put together, 6 gone
            3 runs forgotten
            succeeded
            succeeded
            succeeded",
            told_of_days()
        ),
    );
}

#[test]
fn a_table_that_cannot_be_tidied_holds_up_no_other_and_is_an_alarm_at_the_third_time() {
    let mut steps = days();
    steps.push(Garble("lake/bronze/orders/_delta_log/00000000000000000002.json"));
    for _ in 0..3 {
        steps.extend([Pass(DAY), KeepHouse, Alarms]);
    }
    let mut world = None;
    let told = block_on(async { story(&mut world, &steps).await });
    let failed = told.iter().filter(|line| line.starts_with("! bronze.orders failed")).count();
    assert_eq!(failed, 3, "{told:#?}");
    assert!(told.iter().any(|line| line.starts_with("! silver.orders: 4 put together")), "{told:#?}");
    let last = told.last().unwrap();
    assert!(last.starts_with("tidying `bronze.orders` failed 3 times in a row: "), "{told:#?}");
    let alarms = told.iter().filter(|line| line.starts_with("tidying")).count();
    assert_eq!(alarms, 1, "{told:#?}");
}

/// Plays steps that are told by the world itself, and gives the lines.
async fn story(world: &mut Option<World>, steps: &[Step]) -> Vec<String> {
    let world = world.insert(World::new(Definition::of(PROJECT)));
    let mut told = Vec::new();
    for step in steps {
        match step {
            Put(name, text) => {
                let (place, part) = name.split_once('/').unwrap();
                world.definition.script.put(place, part, text);
            }
            Append(name, rows) => {
                let (place, part) = name.split_once('/').unwrap();
                world.definition.script.append(place, part, rows);
            }
            Pass(seconds) => world.clock.pass(*seconds),
            Garble(path) => world.shelf.spoil(path).await,
            Alarms => told.extend(world.alarms().await),
            step => {
                let act =
                    if matches!(step, KeepHouse) { Act::KeepHouse } else { Act::Run(RunRequest::default()) };
                match world.act(&act).await {
                    Ended::Well(text) => told.extend(text.lines().map(str::to_owned)),
                    Ended::Badly(text) => told.extend(text.lines().map(|line| format!("! {line}"))),
                    Ended::Died => told.push("died".to_owned()),
                }
            }
        }
    }
    told
}

#[test]
fn an_attempt_that_died_is_made_again_after_a_pause_and_its_run_was_interrupted() {
    let dies = DieIn(Box::new(KeepHouse), After, "lake: put lake/silver/orders/_delta_log");
    let mut steps = days();
    steps.extend([Pass(40 * DAY), dies, KeepHouse, Pass(9 * 60), KeepHouse, Pass(120), KeepHouse, KeepHouse]);
    steps.extend([Run, Runs]);
    check(
        PROJECT,
        &steps,
        &format!(
            "{}not due
            not due
            silver.orders: 0 put together, 3 gone; kept from version 3 on, which is still needed
            not due
            (nothing)
            succeeded
            succeeded
            interrupted
            succeeded
            succeeded
            succeeded
            succeeded",
            told_of_days()
        ),
    );
}

#[test]
fn housekeeping_that_does_not_run_is_an_alarm_and_a_maintenance_by_hand_ends_it() {
    let mut steps = days();
    steps.extend([Alarms, Pass(DAY + 8 * HOUR), Alarms, Pass(DAY), Alarms]);
    steps.extend([Maintain(Duration::from_secs(3_600)), Alarms]);
    check(
        PROJECT,
        &steps,
        &format!(
            "{}(nothing)
            (nothing)
            housekeeping has never ended well in 2 days; small files and old versions pile up
            bronze.orders: 4 put together, 3 gone
            silver.orders: 4 put together, 3 gone
            (nothing)",
            told_of_days()
        ),
    );
}

async fn worn() -> World {
    worn_with(PROJECT).await
}

async fn worn_with(text: &str) -> World {
    let world = World::new(Definition::of(text));
    world.definition.script.put("orders", "a", "id,customer_id,at\n0,1,2026-05-01T00:00:00Z");
    world.run().await;
    world.act(&Act::KeepHouse).await;
    for id in 1..4 {
        world.definition.script.append("orders", "a", &format!("{id},1,2026-05-02T00:00:00Z"));
        world.run().await;
    }
    world.clock.pass(DAY);
    world
}

async fn take(world: &World, asset: &str, command: &str) -> millstream_state::LeaseToken {
    use millstream_engine::Clock;
    let holder = Holder::this_process(command, TimestampMicros(0));
    let (assets, now) = ([AssetId::new(asset)], world.clock.now());
    let request =
        LeaseRequest { assets: &assets, holder: &holder, now, length: Duration::from_secs(100 * 86_400) };
    world.state().await.take_lease(&request).await.unwrap()
}

async fn keep_house(engine: &Engine) -> Option<millstream_engine::HousekeepingReport> {
    engine.keep_house(CancellationToken::new()).await.unwrap()
}

#[test]
fn a_table_that_others_work_on_is_left_and_the_others_are_tidied() {
    block_on(async {
        let world = worn().await;
        // The step of the table that reads it: compaction of what it reads would give it a version that it has not seen.
        let lease = take(&world, "silver.orders", "run silver.orders").await;
        let engine = world.engine(&Line::quiet()).await;
        let report = keep_house(&engine).await.unwrap();
        let failed: Vec<&str> = report.failed.iter().map(|(what, _)| what.as_str()).collect();
        assert_eq!(failed, ["bronze.orders", "silver.orders"]);
        world.state().await.end_lease(lease).await.unwrap();
        world.clock.pass(DAY);
        let report = keep_house(&engine).await.unwrap();
        assert!(report.failed.is_empty() && report.tables.len() == 2, "{report:?}");
    });
}

#[test]
fn one_process_at_a_time_does_it() {
    block_on(async {
        let world = worn().await;
        let lease = take(&world, "housekeeping", "housekeeping").await;
        let engine = world.engine(&Line::quiet()).await;
        assert!(keep_house(&engine).await.is_none());
        world.state().await.end_lease(lease).await.unwrap();
        let (one, other) = (world.engine(&Line::quiet()).await, Arc::new(world.engine(&Line::quiet()).await));
        let (first, second) = tokio::join!(keep_house(&one), keep_house(&other));
        assert_eq!(usize::from(first.is_some()) + usize::from(second.is_some()), 1);
    });
}

#[test]
fn a_run_waits_for_the_round_of_a_table_and_is_not_refused() {
    block_on(async {
        let world = worn().await;
        let lease = take(&world, "bronze.orders", "housekeeping").await;
        world.definition.script.append("orders", "a", "9,1,2026-05-02T00:00:00Z");
        let state = world.state().await;
        let freed = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            state.end_lease(lease).await.unwrap();
        };
        let (told, ()) = tokio::join!(world.run(), freed);
        assert_eq!(told, "bronze.orders built +1\nsilver.orders built +1");
    });
}

#[test]
fn runs_and_housekeeping_at_the_same_time_disturb_each_other_in_nothing() {
    block_on(async {
        let text = with("{schedule: every 1h, files: 1h}");
        let (world, twin) = (World::new(Definition::of(&text)), World::new(Definition::of(&text)));
        for world in [&world, &twin] {
            world.definition.script.put("orders", "a", "id,customer_id,at\n0,1,2026-05-01T00:00:00Z");
            world.run().await;
        }
        world.act(&Act::KeepHouse).await;
        let mut tidied = 0;
        for id in 1..12 {
            for world in [&world, &twin] {
                world.definition.script.append("orders", "a", &format!("{id},1,2026-05-02T00:00:00Z"));
                world.clock.pass(2 * HOUR);
            }
            let keeper = world.engine(&Line::quiet()).await;
            // No command waits or is refused for it.
            let (told, report) = tokio::join!(world.run(), keep_house(&keeper));
            assert_eq!(told, "bronze.orders built +1\nsilver.orders built +1", "round {id}");
            let report = report.unwrap();
            assert!(report.failed.is_empty(), "round {id}: {report:?}");
            tidied += report.tables.len();
            twin.run().await;
            for table in ["bronze.orders", "silver.orders"] {
                assert_eq!(world.rows(table).await, twin.rows(table).await, "round {id}");
            }
            assert_eq!(
                world.plan().await,
                Vec::<String>::new(),
                "round {id}: something runs for housekeeping"
            );
        }
        assert!(tidied > 10, "only {tidied} tables were tidied");
    });
}

#[test]
fn a_table_for_which_no_time_was_left_comes_first_the_next_time() {
    block_on(async {
        let world = worn_with(&with("{schedule: every 1h, at_most: 1m}")).await;
        let (line, state) = (Line::quiet(), world.state().await);
        let lease = take(&world, "bronze.orders", "run bronze.orders").await;
        let engine = world.engine(&line).await;
        // While it waits for the first table, the time for all of them goes by.
        let hindered = async {
            let waits =
                || line.points().iter().filter(|point| point.what == "state: take the lease").count() > 1;
            while !waits() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            world.clock.pass(70);
            state.end_lease(lease).await.unwrap();
        };
        let (report, ()) = tokio::join!(keep_house(&engine), hindered);
        let report = report.unwrap();
        let tidied = |report: &millstream_engine::HousekeepingReport| -> Vec<String> {
            report.tables.iter().map(|table| table.table.to_string()).collect()
        };
        assert_eq!(tidied(&report), ["bronze.orders"]);
        assert!(report.left > 0 && report.failed.is_empty(), "{report:?}");
        for id in 10..13 {
            world.definition.script.append("orders", "a", &format!("{id},1,2026-05-02T00:00:00Z"));
            world.run().await;
        }
        world.clock.pass(HOUR);
        let report = keep_house(&engine).await.unwrap();
        assert_eq!(tidied(&report), ["silver.orders", "bronze.orders"]);
        assert_eq!(report.left, 0);
    });
}
