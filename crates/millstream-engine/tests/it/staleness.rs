//! Which assets are stale, and why: what fails, waits or was changed is told of what is served, and of all that is made of it.

use std::time::Duration;

use millstream_engine::{Clock, RunRequest, StaleWatch};
use millstream_schedule::{
    Circuit, CircuitPolicy, Promise, PromiseState, RecordedAside, RecordedAsset, WatchedPromise,
};
use millstream_state::{Holder, LeaseRequest, ScheduleRecord, SlaRecord};
use millstream_types::{AssetId, Fingerprint, TimestampMicros};

use crate::harness::{Act, Call, Definition, Ended, Harm, Line, World, block_on};

const CHAIN: &str = "
=== sources/events.yaml
connector: {type: scripted, place: events}
retry: {attempts: 1}
contract: {columns: {id: {type: int64, required: true}}}
=== tables/silver/events.sql
/*---
sla: {at_most: 2h}
checks: [{unique: id, severity: halt}]
---*/
SELECT id FROM bronze.events
=== tables/silver/seen.sql
/*---
materialize: view
---*/
SELECT id FROM silver.events
=== tables/gold/total.sql
SELECT count(*) AS n FROM silver.seen
=== tables/gold/other.sql
SELECT 1 AS one
";

async fn world() -> World {
    let world = World::new(Definition::of(CHAIN));
    world.definition.script.put("events", "a", "id\n1\n2");
    world.run().await;
    world
}

/// The stale assets, each with the word for the cause, its words, and for how many seconds.
async fn stale(world: &World) -> Vec<String> {
    let engine = world.engine(&Line::quiet()).await;
    let stale = engine.stale().await.unwrap();
    let told = stale.iter().map(|(asset, stale)| {
        let age = stale.since.map(|since| (engine.now().0 - since.0) / 1_000_000);
        let since = age.map(|age| format!(" {age} s")).unwrap_or_default();
        format!("{asset} {}{since}: {}", stale.cause.as_str(), stale.cause)
    });
    told.collect()
}

async fn status(world: &World) -> Vec<String> {
    let status = world.engine(&Line::quiet()).await.status().await.unwrap();
    let stale = status.assets.iter().filter(|asset| asset.stale.is_some());
    stale.map(|asset| asset.asset.to_string()).collect()
}

async fn run_badly(world: &World) {
    world.act(&Act::Run(RunRequest::default())).await;
}

#[test]
fn what_is_built_is_fresh_and_what_was_never_built_shows_nothing() {
    block_on(async {
        let world = World::new(Definition::of(CHAIN));
        assert_eq!(stale(&world).await, [""; 0]);
        world.definition.script.put("events", "a", "id\n1");
        world.run().await;
        assert_eq!(stale(&world).await, [""; 0]);
    });
}

#[test]
fn a_source_that_fails_makes_all_stale_that_is_made_of_it_since_its_first_failure() {
    block_on(async {
        let world = world().await;
        world.definition.script.put("events", "b", "id\n3");
        world.definition.script.fail("events", Call::Read, Harm::Lasting, 2);
        run_badly(&world).await;
        world.clock.pass(60);
        run_badly(&world).await;
        let found = stale(&world).await;
        let assets = ["bronze.events failed 60 s", "gold.total upstream 60 s", "silver.events upstream 60 s"];
        for (line, begins) in found.iter().zip(assets) {
            assert!(line.starts_with(begins), "{line}");
        }
        assert!(found[1].contains("made of `bronze.events`: the last step failed: "), "{}", found[1]);
        assert_eq!(found.len(), 4, "the SQL view too: {found:?}");
        assert_eq!(status(&world).await.len(), 4);
        world.run().await;
        assert_eq!(stale(&world).await, [""; 0]);
    });
}

#[test]
fn a_halt_leaves_the_last_good_version_which_is_stale() {
    block_on(async {
        let world = world().await;
        world.definition.script.put("events", "b", "id\n1");
        run_badly(&world).await;
        let found = stale(&world).await;
        let of = |asset: &str| found.iter().find(|line| line.starts_with(asset)).cloned().unwrap_or_default();
        assert!(of("silver.events").contains(" halted 0 s: the last step was halted: "), "{found:?}");
        assert!(of("gold.total").contains(" upstream "), "{found:?}");
        // The run that brought the new rows did not end well, so that readers take the rows of before.
        assert!(of("bronze.events").contains(" withheld 0 s: version "), "{found:?}");
        assert_eq!(world.rows("gold.total").await, ["n: 2"]);
    });
}

#[test]
fn a_definition_that_has_changed_and_is_not_built_is_told() {
    block_on(async {
        let mut world = world().await;
        world.define(
            &CHAIN.replace("SELECT id FROM bronze.events", "SELECT id FROM bronze.events WHERE id > 1"),
        );
        let found = stale(&world).await;
        assert_eq!(
            found[1],
            "silver.events definition_changed: the definition has changed and is not built yet"
        );
        world.run().await;
        assert_eq!(stale(&world).await, [""; 0]);
    });
}

#[test]
fn a_table_that_is_defined_no_more_is_told_as_long_as_it_is_there() {
    block_on(async {
        let mut world = world().await;
        world.define(&CHAIN.replace("=== tables/gold/other.sql\nSELECT 1 AS one\n", ""));
        assert_eq!(stale(&world).await, ["gold.other not_defined: the project defines it no more"]);
    });
}

#[test]
fn open_circuits_and_broken_promises_are_told_until_they_are_over() {
    block_on(async {
        let world = world().await;
        let (state, now) = (world.state().await, world.clock.now());
        let policy = CircuitPolicy::default();
        let fail = move |circuit: &mut Circuit| {
            for _ in 0..5 {
                circuit.failed(&policy, now);
            }
        };
        state.change_circuit("source:events", fail).await.unwrap();
        world.clock.pass(30);
        let found = stale(&world).await;
        let circuit = "circuit_open 30 s: the circuit of the source `events` is open";
        assert_eq!(found[0], format!("bronze.events {circuit}"));
        state.change_circuit("source:events", Circuit::answered).await.unwrap();
        assert_eq!(stale(&world).await, [""; 0]);
        let events = AssetId::new("silver.events");
        let promised = |promise, state| WatchedPromise { promise, since: now, judged_until: now, state };
        let broken = PromiseState::Broken { since: TimestampMicros(now.0 + 10_000_000) };
        // A promise that is not made, as one about steps, says nothing of what an asset holds.
        let promises = [promised(Promise::AtMost, broken), promised(Promise::StepAtMost, broken)];
        let record = SlaRecord { asset: &events, promises: &promises, changes: &[] };
        state.record_sla(&[record]).await.unwrap();
        let found = stale(&world).await;
        let line = found.iter().find(|line| line.starts_with("silver.events")).unwrap();
        assert_eq!(line, "silver.events promise_broken 20 s: a promise is broken: at most 2h old");
        // Whoever watches says when it is kept again.
        world.definition.script.put("events", "b", "id\n3");
        world.run().await;
        assert!(stale(&world).await.iter().any(|line| line.starts_with("silver.events promise_broken")));
        // Nobody does, and what was told was told of the version before.
        world.clock.pass(600);
        assert_eq!(stale(&world).await, [""; 0]);
    });
}

#[test]
fn a_promise_that_nobody_watches_is_judged_by_when_the_asset_was_built() {
    block_on(async {
        let mut world = world().await;
        world.clock.pass(2 * 3_600);
        assert_eq!(stale(&world).await, [""; 0], "just as old as it may be");
        world.clock.pass(60);
        let found = stale(&world).await;
        let broken = "silver.events promise_broken 60 s: a promise is broken: at most 2h old";
        assert!(found.iter().any(|line| line == broken), "{found:?}");
        // Another promise is another matter, however the first one stood.
        world.define(&CHAIN.replace("at_most: 2h", "at_most: 3h"));
        assert_eq!(stale(&world).await, [""; 0]);
        world.clock.pass(3_600);
        assert!(stale(&world).await.iter().any(|line| line.ends_with("at most 3h old")));
        world.definition.script.put("events", "b", "id\n3");
        world.run().await;
        assert_eq!(stale(&world).await, [""; 0]);
    });
}

const AGED: &str = "
=== sources/events.yaml
connector: {type: scripted, place: events}
contract:
  columns: {at: {type: timestamp, required: true}}
  time: at
  freshness: 1h
=== tables/gold/total.sql
SELECT count(*) AS n FROM bronze.events
";

/// What only the tables tell is told by whoever is asked, and of all that is made of them.
#[test]
fn rows_that_are_too_old_and_tables_that_cannot_be_read_are_told_in_every_answer() {
    block_on(async {
        let world = World::new(Definition::of(AGED));
        world.definition.script.put("events", "a", "at\n2026-07-01T00:00:00Z");
        world.run().await;
        assert_eq!(stale(&world).await, [""; 0]);
        let engine = world.engine(&Line::quiet()).await;
        let mut watch = StaleWatch::default();
        assert!(engine.stale_news(&mut watch).await.unwrap().unwrap().is_empty());
        assert!(engine.stale_news(&mut watch).await.unwrap().is_none(), "nothing has happened");
        world.clock.pass(2 * 3_600);
        let found = stale(&world).await;
        assert!(found[0].starts_with("bronze.events too_old: "), "{found:?}");
        assert!(
            found[1].starts_with("gold.total upstream: made of `bronze.events`: the rows are"),
            "{found:?}"
        );
        assert_eq!(status(&world).await, ["bronze.events", "gold.total"]);
        let watched = engine.stale_news(&mut watch).await.unwrap().unwrap();
        assert_eq!(watched, engine.stale().await.unwrap());
        let among = engine.stale_among(&[AssetId::new("gold.total")].into()).await.unwrap();
        assert_eq!(among, watched);
        // The log of the other table cannot be read any more.
        world.shelf.lose("lake/gold/total").await;
        world.clock.pass(600);
        let found = stale(&world).await;
        assert!(found[1].starts_with("gold.total unreadable: it cannot be read: "), "{found:?}");
        assert_eq!(engine.stale_news(&mut watch).await.unwrap().unwrap(), engine.stale().await.unwrap());
    });
}

#[test]
fn parts_that_could_not_be_read_are_told_of_all_that_is_made_of_the_source() {
    block_on(async {
        let world = world().await;
        world.definition.script.put("events", "b", "id\n3\n4");
        world.definition.script.spoil("events", "b", 0);
        world.definition.script.put("events", "c", "id\n5");
        run_badly(&world).await;
        let found = stale(&world).await;
        assert!(
            found[0].starts_with("bronze.events incomplete: parts of it could not be read: "),
            "{found:?}"
        );
        assert!(found.iter().any(|line| line.starts_with("gold.total upstream: ")), "{found:?}");
    });
}

/// Versions of views and datasets are not those of a set: they are served as they are.
#[test]
fn what_is_no_table_is_never_withheld() {
    block_on(async {
        let text = "
=== sources/events.yaml
connector: {type: scripted, place: events}
contract: {columns: {id: {type: int64, required: true}, at: {type: timestamp, required: true}}}
=== tables/gold/once.sql
/*---
checks: [{unique: id, severity: halt}]
---*/
SELECT id FROM bronze.events
=== features/events.yaml
entity: {name: event, key: id}
views: {v: {from: bronze.events, time: at, features: {n: {column: id}}}}
services: {s: [v.*]}
";
        let world = World::new(Definition::of(text));
        world.definition.script.put("events", "a", "id,at\n1,2026-01-01T00:00:00Z");
        assert!(matches!(world.act(&Act::RunAll(RunRequest::default())).await, Ended::Well(_)));
        world.definition.script.put("events", "b", "id,at\n1,2026-01-01T01:00:00Z");
        assert!(matches!(world.act(&Act::RunAll(RunRequest::default())).await, Ended::Badly(_)));
        let found = stale(&world).await;
        assert!(found.iter().any(|line| line.starts_with("bronze.events withheld ")), "{found:?}");
        let others = found.iter().filter(|line| line.starts_with("view:") || line.starts_with("service:"));
        for line in others {
            assert!(line.contains(" upstream "), "{line}");
        }
    });
}

/// Puts the asset aside, as a process does that schedules the project.
async fn set_aside(world: &World, asset: &AssetId, definition: Fingerprint) {
    let (state, now) = (world.state().await, world.clock.now());
    let (assets, holder) = ([AssetId::new("schedule")], Holder::this_process("serve", now));
    let length = Duration::from_secs(60);
    let lease =
        state.take_lease(&LeaseRequest { assets: &assets, holder: &holder, now, length }).await.unwrap();
    let aside = RecordedAside { since: now, definition };
    let recorded = [RecordedAsset { failures: 5, aside: Some(aside), ..RecordedAsset::new(asset.clone()) }];
    state.record_schedule(&ScheduleRecord { lease, assets: &recorded, decisions: &[] }).await.unwrap();
    state.end_lease(lease).await.unwrap();
}

#[test]
fn what_was_set_aside_and_then_built_by_a_command_is_fresh_although_nobody_schedules() {
    block_on(async {
        let world = world().await;
        let (state, events) = (world.state().await, AssetId::new("silver.events"));
        let definition = state.recorded_of(&events).await.unwrap().unwrap().fingerprint;
        set_aside(&world, &events, definition).await;
        let found = stale(&world).await;
        assert!(found.iter().any(|line| line.starts_with("silver.events set_aside 0 s: ")), "{found:?}");
        state.ask_to_resume(&events, world.clock.now()).await.unwrap();
        assert_eq!(stale(&world).await, [""; 0], "it was asked for");
        state.resumed(&events).await.unwrap();
        world.clock.pass(60);
        world.definition.script.put("events", "b", "id\n3");
        world.run().await;
        state.resumed(&events).await.unwrap();
        assert_eq!(stale(&world).await, [""; 0], "it was built since");
        // An earlier definition that failed says nothing of this one.
        set_aside(&world, &events, Fingerprint::new([3; 32])).await;
        assert_eq!(stale(&world).await, [""; 0]);
    });
}
