//! Running: the order of steps, steps that are left out or tried again, and that nothing is done twice.

use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use millstream_engine::{Engine, Event, Observer, RunReport, RunRequest};
use millstream_state::RunOutcome;
use tokio_util::sync::CancellationToken;

use crate::{
    harness::{Act, Call, Definition, Ended, Harm, Line, Step, Step::*, World, block_on, check},
    shop::{SHOP, arrive, shop},
};

/// Two chains that share nothing: `a` and `b` with a table behind each, and one table behind both.
const CHAINS: &str = "
=== sources/a.yaml
connector: {type: scripted, place: a}
contract: {columns: {id: {type: int64, required: true}}}
=== sources/b.yaml
connector: {type: scripted, place: b}
contract: {columns: {id: {type: int64, required: true}}}
=== tables/silver/a.sql
SELECT id FROM bronze.a
=== tables/silver/b.sql
SELECT id FROM bronze.b
=== tables/gold/both.sql
SELECT a.id FROM silver.a AS a JOIN silver.b AS b ON b.id = a.id
";

const PARTS: [Step; 2] = [Put("a/x", "id\n1\n2"), Put("b/x", "id\n2\n3")];

#[test]
fn what_is_read_is_built_before() {
    check(
        CHAINS,
        &[&PARTS[..], &[Run, Notes, Rows("gold.both")]].concat(),
        "
        bronze.a built +2
        bronze.b built +2
        silver.a built +2
        silver.b built +2
        gold.both built +1
        bronze.a begins
        bronze.a ends
        bronze.b begins
        bronze.b ends
        silver.a begins
        silver.a ends
        silver.b begins
        silver.b ends
        gold.both begins
        gold.both ends
        gold.both:
        id: 2
    ",
    );
}

#[test]
fn steps_that_do_not_wait_for_each_other_run_at_once() {
    block_on(async {
        let mut world = World::new(Definition::of(CHAINS));
        world.concurrency = NonZeroUsize::MIN.saturating_add(1);
        for place in ["a", "b"] {
            world.definition.script.put(place, "x", "id\n1\n2");
        }
        world.run().await;
        let notes = world.notes.take();
        assert_eq!(notes[..2], ["bronze.a begins", "bronze.b begins"], "{notes:?}");
        let at = |note: &str| notes.iter().position(|found| found == note).unwrap();
        assert!(at("silver.a ends").max(at("silver.b ends")) < at("gold.both begins"), "{notes:?}");
    });
}

#[test]
fn no_more_steps_run_at_once_than_are_allowed() {
    block_on(async {
        let mut world = shop(0).await;
        world.concurrency = NonZeroUsize::MIN.saturating_add(1);
        world.run().await;
        let (mut running, mut most) = (0_i32, 0);
        for note in world.notes.take() {
            running += i32::from(note.ends_with(" begins")) - i32::from(note.ends_with(" ends"));
            most = most.max(running);
        }
        assert_eq!((most, running), (2, 0));
    });
}

#[test]
fn what_is_behind_a_halt_is_skipped_and_keeps_its_last_version() {
    let narrow = CHAINS.replacen("required: true}}}", "required: true}}, halt_above: 10%}", 1);
    let steps = [
        Run,
        Put("a/y", "id\n3\nno"),
        Append("b/x", "1"),
        Run,
        Rows("silver.a"),
        Rows("gold.both"),
        Put("a/y", "id\n3\n4"),
        Run,
        Rows("gold.both"),
        Run,
    ];
    check(
        &narrow,
        &[&PARTS[..], &steps].concat(),
        "
        bronze.a built +2
        bronze.b built +2
        silver.a built +2
        silver.b built +2
        gold.both built +1
        ! bronze.a halted: 1 of 2 rows were rejected, more than 10% allows (type(id) 1)
        ! silver.a skipped for bronze.a
        ! gold.both skipped for bronze.a
        ! bronze.b built +1
        ! silver.b built +3 -2
        silver.a:
        id: 1
        id: 2
        gold.both:
        id: 2
        bronze.a built +2
        silver.a built +4 -2
        gold.both built +3 -1
        gold.both:
        id: 1
        id: 2
        id: 3
        (nothing)
    ",
    );
}

/// `silver.a` needs `silver.b` only for its check.
#[test]
fn what_a_check_looks_into_is_awaited_and_may_fail() {
    let related = CHAINS.replace(
        "SELECT id FROM bronze.a",
        "/*---\nchecks:\n  - relationship: {column: id, to: silver.b.id}\n---*/\nSELECT id FROM bronze.a",
    );
    let related = related.split("=== tables/gold/both.sql").next().unwrap();
    let steps = [
        Run,
        Rows("silver.a"),
        Append("a/x", "3"),
        Append("b/x", "4"),
        Fail("b", Call::Read, Harm::Lasting, 1),
        Run,
        Rows("silver.a"),
    ];
    check(
        related,
        &[&PARTS[..], &steps].concat(),
        "
        bronze.a built +2
        bronze.b built +2
        silver.b built +2
        silver.a built +1, 1 rejected
        silver.a:
        id: 2
        ! bronze.a built +1
        ! bronze.b failed: MS-0302 source `b` cannot be read: the script says so
        ! silver.b skipped for bronze.b
        ! silver.a built +2 -1, 1 rejected
        silver.a:
        id: 2
        id: 3
    ",
    );
}

#[test]
fn a_table_whose_input_was_never_built_is_refused_before_anything_runs() {
    check(
        CHAINS,
        &[&PARTS[..], &[Force(&["silver.a"]), Rows("bronze.a"), Runs]].concat(),
        "
        ! `silver.a` reads `bronze.a`, which was never built and is not selected
        bronze.a:
        (nothing)
        (nothing)
    ",
    );
}

#[test]
fn what_is_behind_a_failure_is_skipped_and_the_rest_is_built() {
    let fails = [Fail("b", Call::Read, Harm::Lasting, 1), Run, Run, Rows("gold.both")];
    check(
        CHAINS,
        &[&PARTS[..], &fails].concat(),
        "
        ! bronze.a built +2
        ! bronze.b failed: MS-0302 source `b` cannot be read: the script says so
        ! silver.b skipped for bronze.b
        ! gold.both skipped for bronze.b
        ! silver.a built +2
        bronze.b built +2
        silver.b built +2
        gold.both built +1
        gold.both:
        id: 2
    ",
    );
}

#[test]
fn a_source_that_cannot_be_looked_at_stops_its_own_chain_only() {
    let fails = [Fail("b", Call::Discover, Harm::Lasting, 9), Run];
    check(
        CHAINS,
        &[&PARTS[..], &fails].concat(),
        "
        ! bronze.a built +2
        ! bronze.b failed: MS-0302 source `b` cannot be read: the script says so
        ! silver.b skipped for bronze.b
        ! gold.both skipped for bronze.b
        ! silver.a built +2
    ",
    );
}

#[test]
fn what_is_up_to_date_is_left_unless_it_is_forced() {
    check(
        CHAINS,
        &[&PARTS[..], &[Run, Run, Force(&["silver.a"]), Force(&["bronze.a"]), Run]].concat(),
        "
        bronze.a built +2
        bronze.b built +2
        silver.a built +2
        silver.b built +2
        gold.both built +1
        (nothing)
        silver.a built +2 -2
        bronze.a unchanged
        gold.both built +1 -1
    ",
    );
}

#[test]
fn only_what_reads_a_change_runs() {
    check(
        CHAINS,
        &[&PARTS[..], &[Run, Append("b/x", "1"), Run, Rows("gold.both")]].concat(),
        "
        bronze.a built +2
        bronze.b built +2
        silver.a built +2
        silver.b built +2
        gold.both built +1
        bronze.b built +1
        silver.b built +3 -2
        gold.both built +2 -1
        gold.both:
        id: 1
        id: 2
    ",
    );
}

#[test]
fn a_run_that_is_up_to_date_changes_nothing_but_its_own_record_and_lease() {
    block_on(async {
        let world = shop(0).await;
        world.run().await;
        let line = Line::quiet();
        assert_eq!(world.act_on(&run(), &line).await, Ended::Well(String::new()));
        let points = line.points();
        let changes = points.iter().filter(|point| point.changes).map(|point| point.what.as_str());
        assert_eq!(
            changes.collect::<Vec<_>>(),
            [
                "state: take the lease",
                "state: record the start of the run",
                "state: record the end of the run",
                "state: end the lease"
            ]
        );
        let reads = points.iter().filter(|point| point.what.starts_with("lake")).count();
        println!("up to date: {} points, {reads} of them at the lake", points.len());
    });
}

#[test]
fn a_second_run_at_the_same_time_is_refused() {
    block_on(async {
        let world = shop(0).await;
        let line = Line::quiet();
        let engine = world.engine(&line).await;
        let observer = Arc::new(Second { engine: world.engine(&line).await, told: Default::default() });
        let exclude = ["view:*", "service:*", "dataset:*"].map(str::to_owned).to_vec();
        let request = RunRequest { exclude, ..RunRequest::default() };
        let first = engine.run(
            &request,
            Duration::ZERO,
            engine.begin("test").observed_by(observer.clone()),
            CancellationToken::new(),
        );
        assert!(Box::pin(first).await.unwrap().succeeded());
        let told = observer.told.lock().unwrap().clone();
        assert_eq!(told, "another run is under way");
    });
}

/// Tries to run in the midst of another run.
struct Second {
    engine: Engine,
    told: std::sync::Mutex<String>,
}

impl Observer for Second {
    fn event(&self, event: &Event) {
        if let Event::RunStarted { .. } = event {
            let request = RunRequest::default();
            let run = self.engine.run(
                &request,
                Duration::ZERO,
                self.engine.begin("test"),
                CancellationToken::new(),
            );
            let refused = futures::FutureExt::now_or_never(Box::pin(run));
            *self.told.lock().unwrap() = refused.unwrap().unwrap_err().to_string();
        }
    }
}

/// Cancels when the first step has ended.
struct Impatient(CancellationToken);

impl Observer for Impatient {
    fn event(&self, event: &Event) {
        if let Event::StepFinished(_) = event {
            self.0.cancel();
        }
    }
}

#[test]
fn a_run_that_is_cancelled_keeps_what_has_ended_and_the_next_one_goes_on() {
    block_on(async {
        let world = World::new(Definition::of(CHAINS));
        world.definition.script.put("a", "x", "id\n1\n2");
        world.definition.script.put("b", "x", "id\n2\n3");
        let engine = world.engine(&Line::quiet()).await;
        let cancel = CancellationToken::new();
        let request = RunRequest { concurrency: Some(NonZeroUsize::MIN), ..RunRequest::default() };
        let observer = Arc::new(Impatient(cancel.clone()));
        let report: RunReport = Box::pin(engine.run(
            &request,
            Duration::ZERO,
            engine.begin("test").observed_by(observer),
            cancel,
        ))
        .await
        .unwrap();
        assert!(report.cancelled && !report.succeeded());
        let ends: Vec<_> =
            report.steps.iter().map(|step| format!("{} {:?}", step.asset, step.outcome)).collect();
        assert_eq!(ends.iter().filter(|end| end.ends_with("Cancelled")).count(), 4, "{ends:?}");
        drop(engine);
        let last = world.state().await.last_run().await.unwrap().unwrap();
        assert_eq!(last.outcome, Some(RunOutcome::Cancelled));
        assert_eq!(world.run().await.lines().count(), 4);
        assert_eq!(world.rows("gold.both").await, ["id: 2"]);
    });
}

/// Cancels as soon as a step has begun, and keeps what is told.
struct Hasty {
    cancel: CancellationToken,
    told: std::sync::Mutex<Vec<String>>,
}

impl Observer for Hasty {
    fn event(&self, event: &Event) {
        let told = match event {
            Event::StepStarted { asset, .. } => {
                self.cancel.cancel();
                format!("{asset} begins")
            }
            Event::StepFinished(step) => format!("{} {}", step.asset, step.outcome.as_str()),
            _ => return,
        };
        self.told.lock().unwrap().push(told);
    }
}

/// Whether it waits for a step that was cancelled, or would have been next.
#[test]
fn what_never_began_in_a_run_that_is_cancelled_is_told_once_and_as_cancelled() {
    block_on(async {
        let world = World::new(Definition::of(CHAINS));
        world.definition.script.put("a", "x", "id\n1\n2");
        world.definition.script.put("b", "x", "id\n2\n3");
        let engine = world.engine(&Line::quiet()).await;
        let cancel = CancellationToken::new();
        let request = RunRequest { concurrency: Some(NonZeroUsize::MIN), ..RunRequest::default() };
        let observer = Arc::new(Hasty { cancel: cancel.clone(), told: Default::default() });
        let events = engine.begin("test").observed_by(observer.clone());
        let run = engine.run(&request, Duration::ZERO, events, cancel);
        let report: RunReport = Box::pin(run).await.unwrap();
        assert!(report.cancelled && report.steps.len() == 5);
        let mut told = observer.told.lock().unwrap().clone();
        assert_eq!(told.remove(0), "bronze.a begins");
        told.sort();
        let expected = [
            "bronze.a cancelled",
            "bronze.b cancelled",
            "gold.both cancelled",
            "silver.a cancelled",
            "silver.b cancelled",
        ];
        assert_eq!(told, expected);
    });
}

/// The most touches of stores and sources: to build ten assets, and to find them up to date.
const TOUCHES_MAX: (usize, usize) = (250, 60);

/// The time is told, and what is counted is the work: how often the stores and sources are touched.
#[test]
fn ten_assets_take_few_touches() {
    block_on(async {
        let definition = Definition::of(SHOP);
        arrive(&definition.script, 0);
        let (world, line) = (World::new(definition), Line::quiet());
        let started = Instant::now();
        let Ended::Well(first) = world.act_on(&run(), &line).await else { panic!("the run fails") };
        // A view has no step.
        assert_eq!(first.lines().count(), 9, "{first}");
        let (built, took) = (line.points().len(), started.elapsed());
        let started = Instant::now();
        assert_eq!(world.act_on(&run(), &line).await, Ended::Well(String::new()));
        let looked = line.points().len() - built;
        println!(
            "ten assets: {built} touches and {took:?}; up to date: {looked} and {:?}",
            started.elapsed()
        );
        assert!(built <= TOUCHES_MAX.0 && looked <= TOUCHES_MAX.1, "{built}, {looked}");
    });
}

fn run() -> Act {
    Act::Run(RunRequest::default())
}
