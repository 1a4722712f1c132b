//! Steps that fail: what is tried again, what waits for a place that does not answer, what is set aside, and what is promised.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use millstream_engine::{Clock, DecisionKind, Engine, EngineError, ErrorClass, Event, Observer};
use millstream_lake::{LakeError, StorageFault};
use millstream_schedule::{CircuitPolicy, CircuitState, Promise, PromiseState};
use millstream_state::{State, StepOutcome, StepRecord};
use millstream_types::{AssetId, TimestampMicros};

use crate::{
    harness::{Act, Call, Harm, Line, block_on},
    scheduled::{Process, until, world},
};

const HOURLY: &str = "
=== sources/events.yaml
connector: {type: scripted, place: events}
schedule: every 1h
contract: {columns: {id: {type: int64, required: true}}}
=== tables/silver/events.sql
SELECT id FROM bronze.events
";

async fn logged(state: &State, asset: &str, kind: DecisionKind) -> Vec<String> {
    let mut log = state.schedule_decisions(1_000).await.unwrap();
    log.reverse();
    let of_asset = log.into_iter().filter(|logged| logged.asset.as_str() == asset && logged.kind == kind);
    of_asset.map(|logged| logged.because).collect()
}

/// The alarms that were told, each with whether it was the all-clear.
#[derive(Default)]
struct Alarms(Mutex<Vec<(String, bool)>>);

impl Observer for Alarms {
    fn event(&self, event: &Event) {
        if let Event::Alarm { about, is_over, .. } = event {
            self.0.lock().unwrap().push((about.clone(), *is_over));
        }
    }
}

async fn circuit(engine: &Engine) -> Option<CircuitState> {
    engine.connections().await.unwrap().first().map(|connection| connection.circuit)
}

#[test]
fn an_attempt_that_takes_too_long_is_broken_off_and_tried_again() {
    block_on(async {
        let text = HOURLY.replace("schedule: every 1h", "timeout: 2s\nretry: {attempts: 2, base: 1ms}");
        let world = world(&text);
        world.definition.script.silence("events", true);
        world.act(&Act::Run(Default::default())).await;
        let steps = world.state().await.latest_steps().await.unwrap();
        let is_late = |step: &StepRecord| matches!(&step.outcome, StepOutcome::Failed { code, .. } if code == "MS-0740");
        assert!(steps.iter().any(is_late), "{steps:?}");
        let notes = world.notes.take();
        assert_eq!(notes.iter().filter(|note| note.contains("fails at attempt")).count(), 1, "{notes:?}");
        world.definition.script.silence("events", false);
        world.run().await;
        assert_eq!(world.rows("silver.events").await.len(), 2);
    });
}

#[test]
fn retries_beyond_the_budget_of_the_hour_are_refused() {
    block_on(async {
        let text = format!("=== millstream.yaml\nname: test\nretry: {{budget: 2/h}}\n{HOURLY}");
        let world = world(&text);
        world.definition.script.fail("events", Call::Read, Harm::Passing, 20);
        world.act(&Act::Run(Default::default())).await;
        let notes = world.notes.take();
        assert_eq!(notes.iter().filter(|note| note.contains("fails at attempt")).count(), 2, "{notes:?}");
        let refused = "the 2 retries of an hour of the project are used up";
        assert!(notes.iter().any(|note| note.contains(refused)), "{notes:?}");
    });
}

#[test]
fn a_source_that_is_away_opens_its_circuit_and_is_read_again_when_it_answers() {
    block_on(async {
        let world = world(HOURLY);
        let process = Process::start(&world, &Line::quiet()).await;
        let alarms = Arc::new(Alarms::default());
        process.engine.events().observe(alarms.clone());
        let state = world.state().await;
        until("nothing is built", async || world.rows("silver.events").await.len() == 2).await;
        world.definition.script.put("events", "b", "id\n3");
        world.definition.script.fail("events", Call::Discover, Harm::Passing, 10_000);
        process.pass(&world, 3_600);
        until("the circuit does not open", async || {
            // A step that could not reach its place is tried again after a while.
            process.pass(&world, 5);
            tokio::time::sleep(Duration::from_millis(50)).await;
            circuit(&process.engine).await.is_some_and(|state| state != CircuitState::Closed)
        })
        .await;
        let held = async || logged(&state, "bronze.events", DecisionKind::Held).await;
        until("nothing is held", async || {
            held().await.iter().any(|because| because.contains("source `events`"))
        })
        .await;
        // A minute passes, the probe fails; then the place answers, and everything goes on by itself.
        process.pass(&world, 31);
        until("there is no probe", async || {
            let started = logged(&state, "bronze.events", DecisionKind::Started).await;
            started.iter().any(|because| because.contains("could not be reached"))
        })
        .await;
        world.definition.script.calm("events");
        until("it does not recover", async || {
            process.pass(&world, 30);
            tokio::time::sleep(Duration::from_millis(20)).await;
            world.rows("silver.events").await.len() == 3
        })
        .await;
        until("the circuit stays open", async || state.circuits().await.unwrap().is_empty()).await;
        process.stop().await;
        let told = alarms.0.lock().unwrap().clone();
        let of_source = |is_over| ("source:events".to_owned(), is_over);
        assert_eq!(told, [of_source(false), of_source(true)], "one alarm, one all-clear");
    });
}

#[test]
fn a_look_before_a_step_does_not_count_beside_the_attempt() {
    block_on(async {
        let text = HOURLY.replace("schedule: every 1h", "timeout: 50ms\nretry: {attempts: 1}");
        let world = world(&text);
        world.definition.script.silence("events", true);
        let state = world.state().await;
        for (run, counted) in [(1, Some(1)), (2, Some(2)), (3, Some(3)), (4, Some(4)), (5, None)] {
            world.act(&Act::Run(Default::default())).await;
            let circuits = state.circuits().await.unwrap();
            let circuit = &circuits["source:events"];
            let counts = circuit.open.is_none().then_some(circuit.failures.len());
            assert_eq!(counts, counted, "run {run}: {circuit:?}");
        }
    });
}

#[test]
fn a_place_that_lists_but_lets_nobody_read_opens_its_circuit_and_does_not_close_it_by_a_look() {
    block_on(async {
        let text = HOURLY.replace("schedule: every 1h", "retry: {attempts: 4, base: 1ms, cap: 1ms}");
        let world = world(&text);
        world.definition.script.fail("events", Call::Read, Harm::Passing, 1_000);
        let state = world.state().await;
        let known = async || state.circuits().await.unwrap().remove("source:events").unwrap_or_default();
        world.act(&Act::Run(Default::default())).await;
        assert_eq!((known().await.failures.len(), known().await.open), (4, None));
        world.act(&Act::Run(Default::default())).await;
        let opened = known().await.open.expect("the fifth attempt opens it");
        world.clock.pass(31);
        world.act(&Act::Run(Default::default())).await;
        let probed = known().await.open.expect("listing is no answer");
        assert_eq!((probed.since, probed.wait.ms()), (opened.since, 60_000), "{probed:?}");
        world.definition.script.calm("events");
        world.clock.pass(61);
        world.run().await;
        assert!(state.circuits().await.unwrap().is_empty());
    });
}

#[test]
fn a_source_with_nothing_new_does_not_speak_for_another_that_fails_behind_the_same_connection() {
    block_on(async {
        let source = |name: &str| {
            format!(
                "=== sources/{name}.yaml\nconnector: {{type: scripted, connection: shelf, place: {name}}}\n\
                 retry: {{attempts: 1}}\ncontract: {{columns: {{id: {{type: int64, required: true}}}}}}\n"
            )
        };
        let connection = "=== connections/shelf.yaml\ntype: scripted\npassword: x\n";
        let world = world(&format!("{connection}{}{}", source("events"), source("idle")));
        world.definition.script.put("idle", "a", "id\n1");
        world.run().await;
        world.definition.script.put("events", "b", "id\n3");
        world.definition.script.fail("events", Call::Read, Harm::Passing, 2);
        let state = world.state().await;
        let failures =
            async || state.circuits().await.unwrap().get("shelf").map(|known| known.failures.len());
        for counted in 1..=2 {
            world.act(&Act::Run(Default::default())).await;
            assert_eq!(failures().await, Some(counted));
        }
        world.run().await;
        assert_eq!(failures().await, None);
        // Attempts of a step that is still tried count, although none is on record as failed yet.
        let (policy, now) = (CircuitPolicy::default(), world.clock.now());
        state.change_circuit("shelf", move |circuit| circuit.failed(&policy, now)).await.unwrap();
        world.run().await;
        assert_eq!(failures().await, Some(1), "two sources with nothing new say nothing");
        world.definition.script.put("idle", "b", "id\n2");
        world.run().await;
        assert_eq!(failures().await, None, "one that is read does");
    });
}

#[test]
fn a_connection_says_when_its_circuit_opens_or_that_it_has_none() {
    let run = |circuit: &str| {
        block_on(async {
            let connection = format!("=== connections/shelf.yaml\ntype: scripted\npassword: x\n{circuit}\n");
            let through = HOURLY.replace("place: events}", "place: events, connection: shelf}");
            let through = through.replace("schedule: every 1h", "retry: {attempts: 1}");
            let world = world(&format!("{connection}{through}"));
            world.definition.script.fail("events", Call::Discover, Harm::Passing, 10);
            world.act(&Act::Run(Default::default())).await;
            let circuits = world.state().await.circuits().await.unwrap();
            circuits
                .get("shelf")
                .map(|circuit| (circuit.failures.len(), circuit.open.map(|open| open.wait.ms())))
        })
    };
    assert_eq!(run(""), Some((1, None)));
    assert_eq!(run("circuit: {failures: 1, wait: 5s}"), Some((0, Some(5_000))));
    assert_eq!(run("circuit: off"), None);
}

#[test]
fn an_asset_that_fails_again_and_again_is_set_aside_until_somebody_asks_for_it() {
    block_on(async {
        let text = "
=== sources/events.yaml
connector: {type: scripted, place: events}
schedule: every 1h
set_aside_after: 2
contract: {columns: {id: {type: int64, required: true}}}
";
        let world = world(text);
        world.definition.script.fail("events", Call::Read, Harm::Lasting, 4);
        let process = Process::start(&world, &Line::quiet()).await;
        let state = world.state().await;
        let events = AssetId::new("bronze.events");
        until("it is not set aside", async || {
            process.pass(&world, 3_600);
            tokio::time::sleep(Duration::from_millis(20)).await;
            process.engine.aside().await.unwrap().contains_key(&events)
        })
        .await;
        process.pass(&world, 3_600);
        until("a tick is not answered", async || {
            let skipped = logged(&state, "bronze.events", DecisionKind::Skipped).await;
            skipped.iter().any(|because| because.starts_with("set aside"))
        })
        .await;
        world.definition.script.calm("events");
        process.engine.resume(&events).await.unwrap();
        until("it does not come back", async || world.rows("bronze.events").await.len() == 2).await;
        until("it is still set aside", async || process.engine.aside().await.unwrap().is_empty()).await;
        assert!(state.resumptions().await.unwrap().is_empty());
        process.stop().await;
    });
}

#[test]
fn a_run_of_another_process_that_ends_well_brings_back_what_is_set_aside() {
    block_on(async {
        let text = HOURLY.replace("schedule: every 1h", "schedule: every 1h\nset_aside_after: 1");
        let world = world(&text);
        world.definition.script.fail("events", Call::Read, Harm::Lasting, 10_000);
        let process = Process::start(&world, &Line::quiet()).await;
        let events = AssetId::new("bronze.events");
        until("it is not set aside", async || {
            process.pass(&world, 3_600);
            tokio::time::sleep(Duration::from_millis(20)).await;
            process.engine.aside().await.unwrap().contains_key(&events)
        })
        .await;
        world.definition.script.calm("events");
        world.run().await;
        until("it is still set aside", async || {
            process.pass(&world, 3);
            tokio::time::sleep(Duration::from_millis(20)).await;
            process.engine.aside().await.unwrap().is_empty()
        })
        .await;
        process.stop().await;
    });
}

#[test]
fn a_promise_that_is_broken_is_recorded_once_and_once_when_it_is_kept_again() {
    block_on(async {
        let text = HOURLY.replace("SELECT id", "/*---\nsla: {at_most: 2h}\n---*/\nSELECT id");
        let world = world(&text);
        let process = Process::start(&world, &Line::quiet()).await;
        let state = world.state().await;
        until("nothing is built", async || world.rows("silver.events").await.len() == 2).await;
        let promised = async || {
            let promises = process.engine.promises(None, 2).await.unwrap();
            promises.into_iter().find(|promise| promise.promise == Promise::AtMost).unwrap()
        };
        until("it is not kept", async || promised().await.state == Some(PromiseState::Kept)).await;
        world.definition.script.fail("events", Call::Discover, Harm::Passing, 10_000);
        process.pass(&world, 3_600);
        process.pass(&world, 2 * 3_600);
        until("it is not broken", async || {
            process.pass(&world, 1);
            tokio::time::sleep(Duration::from_millis(20)).await;
            matches!(promised().await.state, Some(PromiseState::Broken { .. }))
        })
        .await;
        world.definition.script.calm("events");
        until("it is not kept again", async || {
            process.pass(&world, 60);
            tokio::time::sleep(Duration::from_millis(20)).await;
            promised().await.state == Some(PromiseState::Kept)
        })
        .await;
        let breaches = state.sla_breaches(TimestampMicros(0)).await.unwrap();
        let breaches = &breaches[&AssetId::new("silver.events")];
        assert_eq!(breaches.len(), 1, "{breaches:?}");
        assert!(
            breaches[0].met_at.is_some_and(|met| met > breaches[0].broken_at && met <= world.clock.now())
        );
        process.stop().await;
    });
}

#[test]
fn each_error_has_one_class() {
    let timed_out =
        EngineError::TimedOut { asset: AssetId::new("silver.a"), after: Duration::from_secs(600) };
    assert_eq!(timed_out.to_string(), "an attempt at `silver.a` took longer than 10m");
    assert_eq!(timed_out.class(), ErrorClass::Transient);
    let full = |error: std::io::ErrorKind| LakeError::Storage {
        action: "commit",
        path: "silver/a".into(),
        fault: StorageFault::DiskFull,
        source: std::io::Error::from(error).into(),
    };
    let full = EngineError::Lake(full(std::io::ErrorKind::StorageFull));
    assert_eq!((full.class(), full.class().may_pass()), (ErrorClass::Store, false));
    let spilled = EngineError::File {
        verb: "write",
        path: "spill".into(),
        source: std::io::ErrorKind::StorageFull.into(),
    };
    assert_eq!(spilled.class(), ErrorClass::Store);
    assert_eq!(EngineError::Cancelled.class(), ErrorClass::Cancelled);
    assert_eq!(EngineError::Worker { doing: "x" }.class(), ErrorClass::Bug);
    let unknown = EngineError::UnknownAsset { name: "x".into(), nearest: None };
    assert_eq!((unknown.class(), unknown.class().may_pass()), (ErrorClass::Definition, false));
}
