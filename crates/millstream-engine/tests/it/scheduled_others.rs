//! A project that runs by its triggers beside others: what they hold, what they leave behind, what they ask, and how it stops.

use std::time::Duration;

use millstream_engine::{Clock, DecisionKind, RunRequest, TriggerError};
use millstream_state::HeldLease;
use tokio_util::sync::CancellationToken;

use crate::{
    harness::{Definition, Line, World, block_on},
    scheduled::{HOOKED, HOUR, HOURLY, LONG, Process, decisions, ended, occupied, settled, until, world},
};

const TWO: &str = "
=== sources/events.yaml
connector: {type: scripted, place: events}
schedule: {webhook: arrived}
contract: {columns: {id: {type: int64, required: true}}}
=== sources/orders.yaml
connector: {type: scripted, place: orders}
schedule: {webhook: arrived}
contract: {columns: {id: {type: int64, required: true}}}
";

#[test]
fn a_step_that_waits_for_others_leaves_its_place_to_the_next() {
    block_on(async {
        // One step runs at once.
        let world = world(TWO);
        world.definition.script.put("orders", "a", "id\n1");
        let process = Process::start(&world, &Line::quiet()).await;
        let state = world.state().await;
        settled(&state, &world, "bronze.events", 2).await;
        settled(&state, &world, "bronze.orders", 1).await;
        let other = occupied(&state, &world).await;
        world.definition.script.put("events", "b", "id\n3");
        world.definition.script.put("orders", "b", "id\n2");
        process.scheduling.triggered("arrived").await.unwrap();
        until("the other step does not run", async || world.rows("bronze.orders").await.len() == 2).await;
        assert_eq!(world.rows("bronze.events").await.len(), 2);
        let held = decisions(&state, "bronze.events", DecisionKind::Held).await;
        assert_eq!(held.last().unwrap(), "somebody else works on it, and it starts when they are done");
        state.end_lease(other).await.unwrap();
        settled(&state, &world, "bronze.events", 3).await;
        process.stop().await;
    });
}

#[test]
fn who_waits_for_an_asset_has_the_next_turn_at_it() {
    block_on(async {
        let world = world(TWO);
        world.definition.script.put("orders", "a", "id\n1");
        let process = Process::start(&world, &Line::quiet()).await;
        let state = world.state().await;
        settled(&state, &world, "bronze.events", 2).await;
        settled(&state, &world, "bronze.orders", 1).await;
        // A step works on one of the two assets, and a command waits for both.
        let other = occupied(&state, &world).await;
        let engine = world.engine(&Line::quiet()).await;
        let waiting = tokio::spawn(async move {
            let request = RunRequest { command: "run --wait".into(), ..RunRequest::default() };
            let cancel = CancellationToken::new();
            engine.run(&request, LONG, engine.begin("test"), cancel).await.unwrap()
        });
        let turns = async || {
            let leases = state.leases(world.clock.now()).await.unwrap();
            let waits = |lease: &&HeldLease| lease.holder.command == "run --wait";
            leases.iter().find(waits).map_or(0, |lease| lease.assets.len())
        };
        until("the command has no turn", async || turns().await == 2).await;
        // The other asset is free, and its step is left for the command all the same.
        world.definition.script.put("orders", "b", "id\n2");
        process.scheduling.triggered("arrived").await.unwrap();
        let held = async |asset: &str| decisions(&state, asset, DecisionKind::Held).await.last().cloned();
        let kept_away = Some("somebody else works on it, and it starts when they are done".to_owned());
        until("the step is not held", async || held("bronze.orders").await == kept_away).await;
        assert_eq!(world.rows("bronze.orders").await.len(), 1);
        state.end_lease(other).await.unwrap();
        let report = waiting.await.unwrap();
        assert!(report.steps.iter().any(|step| step.asset.as_str() == "bronze.orders"), "{report:?}");
        assert_eq!(turns().await, 0);
        settled(&state, &world, "bronze.orders", 2).await;
        process.stop().await;
    });
}

#[test]
fn a_scheduled_step_looks_at_nothing_but_its_asset_and_what_it_reads() {
    block_on(async {
        let world =
            world(&format!("{HOOKED}=== sources/orders.yaml{}", TWO.split("orders.yaml").last().unwrap()));
        world.definition.script.put("orders", "a", "id\n1");
        let line = Line::quiet();
        let process = Process::start(&world, &line).await;
        let state = world.state().await;
        settled(&state, &world, "silver.count", 1).await;
        settled(&state, &world, "bronze.orders", 1).await;
        let before = line.points().len();
        process.scheduling.triggered("arrived").await.unwrap();
        until("nothing is looked at", async || line.points().len() > before + 4).await;
        settled(&state, &world, "bronze.orders", 1).await;
        let after: Vec<String> = line.points()[before..].iter().map(|point| point.what.clone()).collect();
        let of_silver: Vec<&String> = after.iter().filter(|what| what.contains("silver")).collect();
        assert!(of_silver.is_empty(), "{of_silver:?} of {after:?}");
        // Two sources were looked at, and neither left a run.
        let looks = after.iter().filter(|what| what.contains("Discover")).count();
        assert_eq!(looks, 2, "{after:?}");
        assert!(!after.iter().any(|what| what.contains("start of the run")), "{after:?}");
        process.stop().await;
    });
}

#[test]
fn a_process_that_is_told_to_stop_lets_its_steps_end_and_starts_nothing() {
    block_on(async {
        let world = world(HOOKED);
        let process = Process::start_with(&world, &Line::quiet(), LONG).await;
        let state = world.state().await;
        settled(&state, &world, "silver.count", 1).await;
        world.definition.script.silence("events", true);
        world.definition.script.put("events", "b", "id\n3");
        let started = async || decisions(&state, "bronze.events", DecisionKind::Started).await.len();
        let before = started().await;
        process.scheduling.triggered("arrived").await.unwrap();
        until("the step does not start", async || started().await > before).await;
        process.cancel.cancel();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!process.task.is_finished());
        world.definition.script.silence("events", false);
        ended("the process does not end", process.stop()).await;
        assert_eq!(world.rows("bronze.events").await.len(), 3, "the step was cut short");
        assert_eq!(world.rows("silver.events").await.len(), 2, "another step was started");
        let process = Process::start(&world, &Line::quiet()).await;
        settled(&state, &world, "silver.events", 3).await;
        process.stop().await;
    });
}

#[test]
fn a_step_that_does_not_end_in_time_is_cut_short_and_started_once_more() {
    block_on(async {
        let world = world(HOOKED);
        let process = Process::start_with(&world, &Line::quiet(), Duration::from_millis(200)).await;
        let state = world.state().await;
        settled(&state, &world, "silver.count", 1).await;
        world.definition.script.silence("events", true);
        world.definition.script.put("events", "b", "id\n3");
        let started = async || decisions(&state, "bronze.events", DecisionKind::Started).await;
        let before = started().await.len();
        process.scheduling.triggered("arrived").await.unwrap();
        until("the step does not start", async || started().await.len() > before).await;
        ended("the process does not end", process.stop()).await;
        assert_eq!(world.rows("bronze.events").await.len(), 2, "the step was not cut short");
        let recorded = state.scheduled_assets().await.unwrap();
        let attempt = recorded.iter().find_map(|asset| asset.running).unwrap().attempt;
        assert_eq!(attempt, 0, "a step that is cut short in order is no attempt");
        world.definition.script.silence("events", false);
        let process = Process::start(&world, &Line::quiet()).await;
        settled(&state, &world, "silver.events", 3).await;
        let again = started().await;
        assert!(again[before + 1].starts_with("interrupted by the end of the process"), "{again:?}");
        process.stop().await;
    });
}

#[test]
fn a_clock_that_was_set_back_is_told_once() {
    block_on(async {
        let world = world(HOURLY);
        let process = Process::start(&world, &Line::quiet()).await;
        let state = world.state().await;
        settled(&state, &world, "silver.events", 2).await;
        let told = async || decisions(&state, "schedule", DecisionKind::Held).await;
        process.pass(&world, -HOUR / 2);
        until("nothing is told", async || !told().await.is_empty()).await;
        process.pass(&world, 1);
        process.pass(&world, 1);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(told().await, ["the clock went back by 30m: no tick comes until it is where it was"]);
        process.pass(&world, HOUR);
        tokio::time::sleep(Duration::from_millis(100)).await;
        process.pass(&world, -2 * HOUR);
        until("nothing is told", async || told().await.len() == 2).await;
        assert!(told().await[1].starts_with("the clock went back by 2h: it was wrong before"));
        process.stop().await;
    });
}

#[test]
fn a_webhook_that_cannot_be_recorded_is_refused_in_time() {
    block_on(async {
        let world = world(HOOKED);
        let line = Line::quiet();
        let process = Process::start(&world, &line).await;
        let state = world.state().await;
        settled(&state, &world, "silver.count", 1).await;
        line.refuse(&["record the schedule"]);
        let called = process.scheduling.triggered("arrived").await;
        assert!(matches!(called, Err(TriggerError::Unrecorded)), "{called:?}");
        line.refuse(&[]);
        world.definition.script.put("events", "b", "id\n3");
        // Whoever calls again is answered once the call is on record.
        until("the call is not taken", async || process.scheduling.triggered("arrived").await.is_ok()).await;
        settled(&state, &world, "silver.events", 3).await;
        process.stop().await;
    });
}

#[test]
fn what_others_committed_and_did_not_record_is_found_when_their_lease_has_ended() {
    block_on(async {
        let world = world(HOURLY);
        let process = Process::start(&world, &Line::quiet()).await;
        let state = world.state().await;
        settled(&state, &world, "silver.events", 2).await;
        world.definition.script.put("events", "b", "id\n3");
        // Another process commits to the lake, and cannot record that.
        let line = Line::quiet();
        let other = world.engine(&line).await;
        line.refuse(&["record the step"]);
        let selection = vec!["bronze.events".to_owned()];
        let request = RunRequest { selection, ..RunRequest::default() };
        // It takes so long that its lease is seen.
        world.definition.script.silence("events", true);
        let ran = other.run(&request, Duration::ZERO, other.begin("run"), CancellationToken::new());
        let (ran, ()) = tokio::join!(Box::pin(ran), async {
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            world.definition.script.silence("events", false);
        });
        assert!(ran.is_err());
        assert_eq!(world.rows("bronze.events").await.len(), 3);
        settled(&state, &world, "silver.events", 3).await;
        process.stop().await;
    });
}

const RELATED: &str = "
=== sources/orders.yaml
connector: {type: scripted, place: orders}
schedule: {webhook: ordered}
contract: {columns: {id: {type: int64, required: true}, day: {type: timestamp}}}
=== sources/names.yaml
connector: {type: scripted, place: names}
schedule: {webhook: named}
contract: {columns: {id: {type: int64, required: true}}}
=== tables/silver/t.sql
/*---
partition: {by: day, column: day}
checks:
  - relationship: {column: id, to: bronze.names.id}
---*/
SELECT id, day FROM bronze.orders
";

#[test]
fn rows_that_wait_for_a_counterpart_come_in_when_it_comes() {
    block_on(async {
        let world = World::new(Definition::of(RELATED));
        world.definition.script.put("names", "a", "id\n1");
        world.definition.script.put("orders", "a", "id,day\n1,2026-06-01T10:00:00Z\n2,2026-06-02T10:00:00Z");
        let process = Process::start(&world, &Line::quiet()).await;
        let state = world.state().await;
        settled(&state, &world, "silver.t", 1).await;
        // The table reads nothing of the names, and no order comes.
        world.definition.script.put("names", "b", "id\n2");
        process.scheduling.triggered("named").await.unwrap();
        settled(&state, &world, "bronze.names", 2).await;
        settled(&state, &world, "silver.t", 2).await;
        let started = decisions(&state, "silver.t", DecisionKind::Started).await;
        assert_eq!(started.last().unwrap(), "not up to date");
        process.stop().await;
    });
}
