//! Backfills that are told to end: each commit is on record, what is on record is published, and the next run says nothing else.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use millstream_engine::{
    BackfillReport, BackfillRequest, BackfillStatus, Clock, Event, Observer, RunReport, RunRequest,
};
use millstream_state::{State, StepOutcome};
use millstream_types::AssetId;
use tokio_util::sync::CancellationToken;

use crate::{
    harness::{Act, Definition, Ended, Line, Step::*, World, block_on, check},
    partitions::{DAYS, project, request},
};

/// Three days of one order each, built with the default rate.
async fn built() -> World {
    let header = format!("{DAYS}\nparameters: {{rate: {{type: int64, default: 1}}}}");
    let sql = "SELECT id, day, size * $rate AS size FROM bronze.orders";
    let world = World::new(Definition::of(&project(&header, sql)));
    world.definition.script.put("names", "a", "id,name\n1,one");
    let orders = "id,day,size\n1,2026-06-01T10:00:00Z,1\n2,2026-06-02T10:00:00Z,1\n3,2026-06-03T10:00:00Z,1";
    world.definition.script.put("orders", "a", orders);
    world.run().await;
    world
}

fn doubled() -> BackfillRequest {
    BackfillRequest {
        set: [("rate".to_owned(), "2".to_owned())].into(),
        ..request("2026-06-01", "2026-06-04")
    }
}

type Then = Box<dyn FnOnce() + Send>;

/// Does something once the first partition is done.
struct AfterTheFirst(Mutex<Option<Then>>);

impl AfterTheFirst {
    fn then(work: impl FnOnce() + Send + 'static) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(Box::new(work)))))
    }
}

impl Observer for AfterTheFirst {
    fn event(&self, event: &Event) {
        if let Event::StepNote { note, .. } = event
            && note.contains("1 of 3 partitions")
            && let Some(work) = self.0.lock().unwrap().take()
        {
            work();
        }
    }
}

async fn backfill(
    world: &World,
    line: &Arc<Line>,
    observer: Arc<AfterTheFirst>,
    cancel: CancellationToken,
) -> BackfillReport {
    let engine = world.engine(line).await;
    let events = engine.begin("test").observed_by(observer);
    engine.backfill(&doubled(), Duration::ZERO, events, cancel).await.unwrap()
}

async fn run(world: &World) -> RunReport {
    let engine = world.engine(&Line::quiet()).await;
    let cancel = CancellationToken::new();
    engine.run(&RunRequest::default(), Duration::ZERO, engine.begin("test"), cancel).await.unwrap()
}

/// Readers have the newest version, and nothing is left for a run to publish.
async fn is_published(world: &World) {
    let published = world.state().await.published().await.unwrap();
    let newest = world.lake(&Line::quiet()).probe(&"silver.t".parse().unwrap(), None).await.unwrap();
    assert_eq!(published[&AssetId::new("silver.t")].number(), newest.unwrap());
    assert!(world.engine(&Line::quiet()).await.stale().await.unwrap().is_empty());
    let next = run(world).await;
    assert!(next.steps.is_empty() && next.caught_up.is_empty(), "{next:?}");
}

#[test]
fn a_commit_that_is_being_made_when_the_command_is_cancelled_is_on_record_and_published() {
    block_on(async {
        let world = built().await;
        let (line, cancel) = (Line::quiet(), CancellationToken::new());
        let observer = AfterTheFirst::then({
            let (line, cancel) = (line.clone(), cancel.clone());
            // The next record is that of the second commit, which is in the lake by then.
            move || line.clone().once_at("record the partitions", move || cancel.cancel())
        });
        let report = backfill(&world, &line, observer, cancel).await;
        assert_eq!((report.backfill.done.len(), report.backfill.status), (2, BackfillStatus::Cancelled));
        let step = &report.run.steps[0];
        assert_eq!((&step.outcome, step.rows_written), (&StepOutcome::Cancelled, 2));
        assert!(step.figures.is_some());
        let partitions = ["2026-06-01..2026-06-01 built", "2026-06-02..2026-06-03 built {\"rate\":\"2\"}"];
        assert_eq!(world.partitions("silver.t").await, partitions);
        let sizes: Vec<bool> =
            world.rows("silver.t").await.iter().map(|row| row.ends_with("size: 2")).collect();
        assert_eq!(sizes, [false, true, true]);
        is_published(&world).await;
        // The same command builds what is left.
        let rest = world.act(&Act::Backfill(doubled())).await;
        assert_eq!(rest, Ended::Well("silver.t built +1 -1\nfinished, 1 of 1".to_owned()));
    });
}

#[test]
fn a_backfill_that_is_cancelled_from_elsewhere_is_published_as_far_as_it_has_come() {
    block_on(async {
        let world = built().await;
        let (state, now): (PathBuf, _) = (world.state_path(), world.clock.now());
        let observer = AfterTheFirst::then(move || {
            let end = async {
                let state = State::open(&state).await.unwrap();
                let open = state.backfills(1).await.unwrap().remove(0);
                state.end_backfill(&open.id, BackfillStatus::Cancelled, now).await.unwrap();
            };
            // An observer is not async, so another thread has to ask the state store.
            std::thread::scope(|scope| scope.spawn(|| block_on(end)).join().unwrap());
        });
        let report = backfill(&world, &Line::quiet(), observer, CancellationToken::new()).await;
        assert_eq!((report.backfill.done.len(), report.backfill.status), (1, BackfillStatus::Cancelled));
        assert_eq!(report.run.steps[0].outcome, StepOutcome::Cancelled);
        assert_eq!(report.run.steps[0].rows_written, 1);
        is_published(&world).await;
    });
}

#[test]
fn a_run_that_publishes_what_a_killed_backfill_has_left_says_so() {
    block_on(async {
        let world = built().await;
        let line = Line::quiet();
        let observer = AfterTheFirst::then({
            let line = line.clone();
            move || line.die()
        });
        let killed = async {
            let engine = world.engine(&line).await;
            let events = engine.begin("test").observed_by(observer);
            drop(engine.backfill(&doubled(), Duration::ZERO, events, CancellationToken::new()).await);
        };
        tokio::select! {
            biased;
            () = line.died() => {}
            () = killed => {}
        }
        assert!(line.is_dead());
        world.let_go().await;
        let stale = world.engine(&Line::quiet()).await.stale().await.unwrap();
        let withheld: Vec<_> =
            stale.iter().map(|(asset, stale)| (asset.as_str(), stale.cause.as_str())).collect();
        assert_eq!(withheld, [("silver.t", "withheld")]);
        let next = run(&world).await;
        assert!(next.steps.is_empty(), "{next:?}");
        let caught_up: Vec<&str> = next.caught_up.iter().map(|(asset, _)| asset.as_str()).collect();
        assert_eq!(caught_up, ["silver.t"]);
        is_published(&world).await;
    });
}

#[test]
fn a_partition_that_a_backfill_asks_for_in_vain_is_judged_and_is_none() {
    check(
        &project(&format!("{DAYS}\nchecks:\n  - row_count: {{min: 1}}"), "SELECT id, day, size FROM bronze.orders"),
        &[
            Put("names/a", "id,name\n1,one"),
            Put("orders/a", "id,day,size\n1,2026-06-01T10:00:00Z,5"),
            Run,
            BackfillOnly("silver.t", "2026-06-05"),
            Partitions("silver.t"),
            Run,
        ],
        "
        bronze.names built +1
        bronze.orders built +1
        silver.t built +1
        ! silver.t halted: 1 partition (2026-06-05): check row_count failed: the table has 0 rows: the minimum is 1
        ! failed, 0 of 1
        2026-06-01..2026-06-01 built
        silver.t unchanged
        ",
    );
}
