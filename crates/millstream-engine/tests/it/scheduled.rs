//! A project that runs by its triggers: what is due starts, once, whatever happens to the process.

use std::{sync::Arc, time::Duration};

use millstream_engine::{
    Clock, DecisionKind, Engine, EngineError, Event, KeepOptions, RunRequest, Scheduling, TriggerError,
};
use millstream_plan::Reason;
use millstream_schedule::Trigger;
use millstream_state::{Holder, LeaseRequest, LeaseToken, Moment, State};
use millstream_types::{AssetId, TimestampMicros};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::{Definition, Harm, Injection, Line, World, block_on};

pub(crate) const HOURLY: &str = "
=== sources/events.yaml
connector: {type: scripted, place: events}
schedule: every 1h
contract: {columns: {id: {type: int64, required: true}}}
=== tables/silver/events.sql
SELECT id FROM bronze.events
";

pub(crate) const HOOKED: &str = "
=== sources/events.yaml
connector: {type: scripted, place: events}
schedule: {webhook: arrived}
contract: {columns: {id: {type: int64, required: true}}}
=== tables/silver/events.sql
SELECT id FROM bronze.events
=== tables/silver/count.sql
SELECT count(*) AS n FROM silver.events
";

pub(crate) const HOUR: i64 = 3_600;

/// So often it is looked whether something has happened, with a pause in between: on a machine that stands still nobody looks, so that
/// what counts is not how long it took.
const LOOKS_MAX: u32 = 24_000;
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// Longer than any test takes.
pub(crate) const LONG: Duration = Duration::from_secs(24 * 3_600);

/// A process that schedules the world's project.
pub(crate) struct Process {
    pub(crate) engine: Engine,
    pub(crate) scheduling: Scheduling,
    pub(crate) task: JoinHandle<()>,
    pub(crate) cancel: CancellationToken,
}

impl Process {
    pub(crate) async fn start(world: &World, line: &Arc<Line>) -> Self {
        Self::start_with(world, line, Duration::ZERO).await
    }

    /// A process that gives steps so long to end when it is told to.
    pub(crate) async fn start_with(world: &World, line: &Arc<Line>, drain: Duration) -> Self {
        Self::start_as(world, line, KeepOptions { drain, shares: false }).await
    }

    pub(crate) async fn start_as(world: &World, line: &Arc<Line>, options: KeepOptions) -> Self {
        Self::of(world.engine(line).await, options)
    }

    pub(crate) fn of(engine: Engine, options: KeepOptions) -> Self {
        let cancel = CancellationToken::new();
        let (scheduling, kept) = engine.keep_scheduled_as(cancel.clone(), options);
        Self { engine, scheduling, task: tokio::spawn(kept), cancel }
    }

    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }

    /// Ends at once, as if it was killed.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.is_err());
    }

    /// Moves the clock and lets the loop see it.
    pub(crate) fn pass(&self, world: &World, seconds: i64) {
        world.clock.pass(seconds);
        self.scheduling.look_at_clock();
    }
}

pub(crate) fn world(text: &str) -> World {
    let world = World::new(Definition::of(text));
    world.definition.script.put("events", "a", "id\n1\n2");
    world
}

pub(crate) fn every_hour() -> Trigger {
    Trigger::Every("1h".parse().unwrap())
}

pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..LOOKS_MAX {
        if holds().await {
            return;
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    panic!("{what}");
}

/// Waits for what comes to its end.
pub(crate) async fn ended<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    for _ in 0..LOOKS_MAX {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(LOOK_PAUSE) => {}
        }
    }
    panic!("{what}");
}

/// Waits until nothing runs any more and the table has so many rows.
pub(crate) async fn settled(state: &State, world: &World, table: &str, rows: usize) {
    until(&format!("{table} never has {rows} rows"), async || {
        let recorded = state.scheduled_assets().await.unwrap();
        let runs = recorded.iter().any(|asset| asset.running.is_some());
        !recorded.is_empty() && !runs && world.rows(table).await.len() == rows
    })
    .await;
}

/// Why the asset was started, skipped or held, the oldest first.
pub(crate) async fn decisions(state: &State, asset: &str, kind: DecisionKind) -> Vec<String> {
    let mut log = state.schedule_decisions(1_000).await.unwrap();
    log.reverse();
    let of_asset = log.into_iter().filter(|logged| logged.asset.as_str() == asset && logged.kind == kind);
    of_asset.map(|logged| logged.because).collect()
}

pub(crate) async fn answered(state: &State, asset: &str, trigger: &Trigger) -> TimestampMicros {
    let recorded = state.scheduled_assets().await.unwrap();
    let asset = recorded.iter().find(|recorded| recorded.asset.as_str() == asset).unwrap();
    asset.triggers.iter().find(|recorded| recorded.trigger == *trigger).unwrap().answered
}

#[test]
fn a_due_tick_starts_its_step_and_what_reads_it_follows() {
    block_on(async {
        let world = world(HOURLY);
        let process = Process::start(&world, &Line::quiet()).await;
        let state = world.state().await;
        settled(&state, &world, "silver.events", 2).await;
        world.definition.script.put("events", "b", "id\n3");
        process.pass(&world, HOUR / 2);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(world.rows("silver.events").await.len(), 2, "nothing is due yet");
        process.pass(&world, HOUR / 2);
        settled(&state, &world, "silver.events", 3).await;
        let started = decisions(&state, "bronze.events", DecisionKind::Started).await;
        assert_eq!(started.last().unwrap(), "every 1h");
        let followed = decisions(&state, "silver.events", DecisionKind::Started).await;
        assert_eq!(followed.last().unwrap(), "new input: bronze.events");
        let runs = state.runs(9).await.unwrap();
        assert!(runs.iter().any(|run| run.command == "serve: bronze.events, every 1h"), "{runs:?}");
        process.stop().await;
    });
}

#[test]
fn ticks_that_come_while_a_step_runs_are_answered_by_one_afterwards() {
    block_on(async {
        // A lease that is over by the clock would be taken: the clock moves by less than it lasts.
        let world = world(&HOURLY.replace("1h", "1m"));
        let process = Process::start(&world, &Line::quiet()).await;
        let state = world.state().await;
        let every_minute = Trigger::Every("1m".parse().unwrap());
        settled(&state, &world, "silver.events", 2).await;
        let before = decisions(&state, "bronze.events", DecisionKind::Started).await.len();
        // Somebody else works on the asset, so that the step waits.
        let holder = Holder::this_process("maintain", TimestampMicros(0));
        let assets = [AssetId::new("bronze.events")];
        let now = world.clock.now();
        let request = LeaseRequest { assets: &assets, holder: &holder, now, length: LONG };
        let other = state.take_lease(&request).await.unwrap();
        world.definition.script.put("events", "b", "id\n3");
        for _ in 0..4 {
            process.pass(&world, 60);
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        let started = decisions(&state, "bronze.events", DecisionKind::Started).await;
        assert_eq!(started.len(), before + 1);
        state.end_lease(other).await.unwrap();
        settled(&state, &world, "silver.events", 3).await;
        until("the last tick is not answered", async || {
            answered(&state, "bronze.events", &every_minute).await == world.clock.now()
        })
        .await;
        settled(&state, &world, "silver.events", 3).await;
        let started = decisions(&state, "bronze.events", DecisionKind::Started).await;
        assert_eq!(started[before..], ["every 1m", "every 1m"]);
        let runs = world.runs().await;
        assert!(runs.iter().all(|outcome| outcome == "succeeded"), "{runs:?}");
        process.stop().await;
    });
}

#[test]
fn a_run_by_hand_is_heard_of_and_what_reads_it_follows() {
    block_on(async {
        let world = world(HOURLY);
        let process = Process::start(&world, &Line::quiet()).await;
        let state = world.state().await;
        settled(&state, &world, "silver.events", 2).await;
        world.definition.script.put("events", "b", "id\n3");
        let selection = vec!["bronze.events".to_owned()];
        let request = RunRequest { selection, ..RunRequest::default() };
        let events = process.engine.begin("run bronze.events");
        let run = process.engine.run(&request, Duration::ZERO, events, CancellationToken::new());
        assert!(Box::pin(run).await.unwrap().succeeded());
        settled(&state, &world, "silver.events", 3).await;
        process.stop().await;
    });
}

#[test]
fn a_project_that_is_loaded_again_runs_by_its_triggers_as_they_are_then() {
    block_on(async {
        let world = world(HOURLY);
        let process = Process::start(&world, &Line::quiet()).await;
        let state = world.state().await;
        settled(&state, &world, "silver.events", 2).await;
        let refused = process.scheduling.triggered("arrived").await.unwrap_err();
        assert!(
            matches!(refused, TriggerError::Unknown { ref known, .. } if known.is_empty()),
            "{refused:?}"
        );
        let changed = Definition::with_script_at(HOOKED, world.definition.script.clone(), &world.definition);
        process.scheduling.replace(process.engine.reloaded(changed.project).unwrap());
        settled(&state, &world, "silver.count", 1).await;
        world.definition.script.put("events", "b", "id\n3");
        process.pass(&world, HOUR);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(world.rows("silver.events").await.len(), 2, "the trigger is gone");
        let refused = process.scheduling.triggered("departed").await.unwrap_err();
        assert!(
            matches!(refused, TriggerError::Unknown { ref known, .. } if known == &["arrived"]),
            "{refused:?}"
        );
        let due = process.scheduling.triggered("arrived").await.unwrap();
        assert_eq!(due, [AssetId::new("bronze.events")]);
        settled(&state, &world, "silver.events", 3).await;
        process.stop().await;
    });
}

#[test]
fn a_step_that_is_cut_short_by_restarts_is_never_given_up() {
    block_on(async {
        let world = world(HOURLY);
        let process = Process::start(&world, &Line::quiet()).await;
        let state = world.state().await;
        settled(&state, &world, "silver.events", 2).await;
        let holder = Holder::this_process("maintain", TimestampMicros(0));
        let assets = [AssetId::new("bronze.events")];
        let request = LeaseRequest { assets: &assets, holder: &holder, now: world.clock.now(), length: LONG };
        let other = state.take_lease(&request).await.unwrap();
        world.definition.script.put("events", "b", "id\n3");
        process.pass(&world, HOUR);
        let started = async || decisions(&state, "bronze.events", DecisionKind::Started).await;
        until("the tick starts nothing", async || {
            started().await.last().is_some_and(|last| last == "every 1h")
        })
        .await;
        process.stop().await;
        for restart in 0..3 {
            let before = started().await.len();
            let process = Process::start(&world, &Line::quiet()).await;
            until("the step does not start again", async || started().await.len() > before).await;
            process.stop().await;
            assert_eq!(started().await.len(), before + 1, "restart {restart}");
        }
        state.end_lease(other).await.unwrap();
        let process = Process::start(&world, &Line::quiet()).await;
        settled(&state, &world, "silver.events", 3).await;
        assert!(decisions(&state, "bronze.events", DecisionKind::Skipped).await.is_empty());
        process.stop().await;
    });
}

#[test]
fn a_second_process_waits_and_takes_over() {
    block_on(async {
        let world = world(HOURLY);
        let first = Process::start(&world, &Line::quiet()).await;
        let state = world.state().await;
        settled(&state, &world, "silver.events", 2).await;
        let second = Process::start(&world, &Line::quiet()).await;
        assert!(first.scheduling.outlook(9).await.is_active);
        let waiting = second.scheduling.outlook(9).await;
        assert!(!waiting.is_active && waiting.upcoming.is_empty());
        first.kill().await;
        world.clock.pass(HOUR);
        world.definition.script.put("events", "b", "id\n3");
        settled(&state, &world, "silver.events", 3).await;
        let outlook = second.scheduling.outlook(3).await;
        assert!(outlook.is_active);
        let next: Vec<_> =
            outlook.upcoming.iter().map(|(asset, next)| format!("{asset} {}", next.trigger)).collect();
        assert_eq!(next, ["bronze.events every 1h"; 3]);
        second.stop().await;
    });
}

/// Somebody else works on the source's asset.
pub(crate) async fn occupied(state: &State, world: &World) -> LeaseToken {
    let holder = Holder::this_process("maintain", TimestampMicros(0));
    let (assets, now) = ([AssetId::new("bronze.events")], world.clock.now());
    let request = LeaseRequest { assets: &assets, holder: &holder, now, length: LONG };
    state.take_lease(&request).await.unwrap()
}

#[test]
fn a_state_store_that_is_away_for_a_while_cuts_no_step_short() {
    block_on(async {
        let world = world(&HOURLY.replace("1h", "1m"));
        let line = Line::quiet();
        let process = Process::start(&world, &line).await;
        let state = world.state().await;
        settled(&state, &world, "silver.events", 2).await;
        let started = async || decisions(&state, "bronze.events", DecisionKind::Started).await;
        let before = started().await.len();
        let other = occupied(&state, &world).await;
        world.definition.script.put("events", "b", "id\n3");
        process.pass(&world, 60);
        until("the tick starts nothing", async || started().await.len() > before).await;
        line.refuse(&["record the schedule", "read the versions of assets"]);
        // Long enough for the versions to be asked for, and with a tick that has to be recorded.
        tokio::time::sleep(Duration::from_millis(2_200)).await;
        process.pass(&world, 60);
        tokio::time::sleep(Duration::from_millis(300)).await;
        line.refuse(&[]);
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert!(process.scheduling.outlook(1).await.is_active);
        assert_eq!(started().await.len(), before + 1, "the step was cut short");
        state.end_lease(other).await.unwrap();
        until("the tick of the outage is lost", async || started().await.len() == before + 2).await;
        settled(&state, &world, "silver.events", 3).await;
        let runs = world.runs().await;
        assert!(runs.iter().all(|outcome| outcome == "succeeded"), "{runs:?}");
        process.stop().await;
    });
}

#[test]
fn a_source_that_does_not_answer_keeps_nothing_from_ending() {
    block_on(async {
        let world = world(HOURLY);
        world.definition.script.silence("events", true);
        let process = Process::start(&world, &Line::quiet()).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let (selection, cancel) = (vec!["bronze.events".to_owned()], CancellationToken::new());
        let request = RunRequest { selection, ..RunRequest::default() };
        let events = process.engine.begin("run bronze.events");
        let run = process.engine.run(&request, Duration::ZERO, events, cancel.clone());
        let (ran, ()) = tokio::join!(ended("the run does not end", run), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            cancel.cancel();
        });
        assert!(matches!(ran, Err(EngineError::Cancelled)), "{ran:?}");
        ended("the loop does not end", process.stop()).await;
    });
}

#[test]
fn a_loop_that_met_a_defect_begins_again() {
    block_on(async {
        let world = world(HOURLY);
        let line = Line::quiet();
        let process = Process::start(&world, &line).await;
        let state = world.state().await;
        settled(&state, &world, "silver.events", 2).await;
        world.definition.script.put("events", "b", "id\n3");
        line.panic_at("record the schedule");
        process.pass(&world, HOUR);
        settled(&state, &world, "silver.events", 3).await;
        assert!(process.scheduling.outlook(1).await.is_active);
        process.stop().await;
    });
}

#[test]
fn a_step_of_others_is_not_over_because_events_were_missed() {
    block_on(async {
        let world = world(HOURLY);
        let process = Process::start(&world, &Line::quiet()).await;
        let state = world.state().await;
        settled(&state, &world, "silver.events", 2).await;
        let started = async || decisions(&state, "bronze.events", DecisionKind::Started).await.len();
        let before = started().await;
        let other = occupied(&state, &world).await;
        let events = process.engine.begin("run bronze.events");
        events.publish(Event::StepStarted { asset: AssetId::new("bronze.events"), reason: Reason::Forced });
        tokio::time::sleep(Duration::from_millis(100)).await;
        for _ in 0..20_000 {
            drop(process.engine.begin("maintain"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        process.pass(&world, HOUR);
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert_eq!(started().await, before, "the step of others still runs");
        // Its end is missed too, and found by its lease.
        state.end_lease(other).await.unwrap();
        until("the tick is lost", async || started().await > before).await;
        drop(events);
        process.stop().await;
    });
}

/// Lets a tick come, and waits until it is answered and everything has followed, or the process dies.
async fn live_through_a_tick(world: &World, line: &Arc<Line>) {
    let process = Process::start(world, line).await;
    let state = world.state().await;
    tokio::select! {
        () = line.died() => process.kill().await,
        () = settled(&state, world, "silver.events", 3) => {
            until("the tick is not answered", async || {
                answered(&state, "bronze.events", &every_hour()).await == world.clock.now()
            }).await;
            process.stop().await;
        }
    }
}

#[test]
fn a_table_that_the_lake_refused_is_taken_up_again_by_itself() {
    block_on(async {
        let origin = world(&HOURLY.replace("SELECT", "/*---\nset_aside_after: 1\n---*/\nSELECT"));
        let process = Process::start(&origin, &Line::quiet()).await;
        settled(&origin.state().await, &origin, "silver.events", 2).await;
        process.stop().await;
        origin.clock.pass(HOUR);
        origin.definition.script.put("events", "b", "id\n3");
        let line = Line::quiet();
        live_through_a_tick(&origin.fork(), &line).await;
        let commits = |what: &str| what.starts_with("lake: put lake/silver/events/_delta_log");
        let at = line.points().iter().position(|point| commits(&point.what)).unwrap();
        let world = origin.fork();
        let line = Line::harmed(Injection { at, moment: Moment::Before, harm: Harm::Lasting });
        let process = Process::start(&world, &line).await;
        let state = world.state().await;
        settled(&state, &world, "bronze.events", 3).await;
        until("the lake refuses nothing", async || line.struck()).await;
        // No tick comes, and no new input.
        until("it is not taken up again", async || {
            process.pass(&world, 5);
            tokio::time::sleep(Duration::from_millis(20)).await;
            world.rows("silver.events").await.len() == 3
        })
        .await;
        let started = decisions(&state, "silver.events", DecisionKind::Started).await;
        assert_eq!(started.last().unwrap(), "it was hindered before by what lies outside of it");
        assert!(process.engine.aside().await.unwrap().is_empty());
        process.stop().await;
    });
}

#[test]
fn a_process_that_is_killed_at_any_point_loses_no_tick_and_doubles_none() {
    block_on(async {
        let origin = world(HOURLY);
        let process = Process::start(&origin, &Line::quiet()).await;
        settled(&origin.state().await, &origin, "silver.events", 2).await;
        process.stop().await;
        origin.clock.pass(HOUR);
        origin.definition.script.put("events", "b", "id\n3");
        let line = Line::quiet();
        live_through_a_tick(&origin.fork(), &line).await;
        let points = line.points();
        let changing: Vec<usize> = (0..points.len()).filter(|at| points[*at].changes).collect();
        assert!(changing.len() > 10, "{points:?}");
        for at in changing {
            let world = origin.fork();
            let line = Line::harmed(Injection { at, moment: Moment::Before, harm: Harm::Death });
            live_through_a_tick(&world, &line).await;
            live_through_a_tick(&world, &Line::quiet()).await;
            let what = &points[at].what;
            assert_eq!(world.rows("bronze.events").await.len(), 3, "killed at {at}, {what}");
            assert_eq!(world.rows("silver.events").await.len(), 3, "killed at {at}, {what}");
            let recorded = world.state().await.scheduled_assets().await.unwrap();
            assert!(recorded.iter().all(|asset| asset.running.is_none()), "killed at {at}, {what}");
        }
    });
}
