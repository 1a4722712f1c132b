//! A continuous table against the deaths and faults of its stores: whatever happens, it ends as one that nobody disturbed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod attacks;
mod cases;
mod scripted;

// The world in memory of the room's other tests.
#[allow(dead_code, reason = "only some of it is needed here")]
#[path = "../../../../tests/it/harness/bucket.rs"]
mod bucket;
#[allow(dead_code, reason = "only some of it is needed here")]
#[path = "../../../../tests/it/harness/hands.rs"]
mod hands;
#[allow(dead_code, reason = "only some of it is needed here")]
#[path = "../../../../tests/it/harness/line.rs"]
mod line;
#[allow(dead_code, reason = "only some of it is needed here")]
#[path = "../../../../tests/it/harness/shelf.rs"]
mod shelf;
#[allow(dead_code, reason = "only some of it is needed here")]
#[path = "../../../../tests/it/harness/tamper.rs"]
mod tamper;
#[allow(dead_code, reason = "only some of it is needed here")]
#[path = "../../../../tests/it/harness/wound.rs"]
mod wound;

use std::{fs, num::NonZeroUsize, path::Path, sync::Arc, time::Duration};

use arrow::{array::RecordBatch, util::display::array_value_to_string};
use futures::TryStreamExt;
use millstream_lake::{At, Lake, Snapshot};
use millstream_project::{LoadOptions, Materialize, StreamSpec, TableSpec};
use millstream_state::State;
use millstream_types::{Span, TableName};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Continuous, ContinuousTable, Stint};
use crate::{
    Engine, EngineError, EngineOptions, Log, Online, RetryPolicy, Stores,
    pipelines::PipelineMeter,
    resolver::{LakeResolver, provider},
    stored,
};
use bucket::Bucket;
use hands::{Dice, Hands};
use line::Line;
use scripted::Scripted;
use shelf::Shelf;

const LAKE: &str = "memory:///lake";

/// Stores that outlive every engine.
struct World {
    folder: TempDir,
    project: TempDir,
    clock: Hands,
    shelf: Arc<Shelf>,
    header: &'static str,
}

impl World {
    fn new(header: &'static str) -> Self {
        let folder = || tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let (folder, project, clock) = (folder(), folder(), Hands::new());
        fs::write(project.path().join("millstream.yaml"), "name: world\n").unwrap();
        let tables = project.path().join("tables/silver");
        fs::create_dir_all(&tables).unwrap();
        let sql = format!(
            "/*---\nmaterialize: table\n{header}\n---*/\nSELECT CAST('2026-01-01' AS TIMESTAMP) AS at, 'a' AS name, 1 AS value\n"
        );
        fs::write(tables.join("t.sql"), sql).unwrap();
        Self { folder, project, shelf: Arc::new(Shelf::new(clock.clone())), clock, header }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    async fn engine(&self, line: &Arc<Line>) -> Engine {
        let options = LoadOptions { environment: None, variables: &|_| None };
        let checked = crate::check(self.project.path(), &options, &[]);
        let project = checked.project.unwrap_or_else(|| panic!("{}: {:?}", self.header, checked.diagnostics));
        let bucket = Bucket { shelf: self.shelf.clone(), line: line.clone() };
        let state = State::open(&self.path().join("state.db")).await.unwrap();
        let stores = Stores {
            lake: Lake::with_store(LAKE, Arc::new(bucket)).unwrap(),
            state: Arc::new(state),
            online: Online::At { location: "embedded:nowhere".into(), options: Default::default() },
            log: Log::At(self.path().join("log")),
            folder: self.path().to_owned(),
        };
        let options = EngineOptions {
            clock: Arc::new(self.clock.clone()),
            random: Arc::new(Dice::new(1)),
            memory_bytes: 64 << 20,
            parallelism: NonZeroUsize::MIN,
            retry: RetryPolicy::default(),
            partitions_max: crate::PARTITIONS_MAX,
        };
        Engine::with_stores(Arc::new(project), stores, options).unwrap()
    }

    /// Lets a process take in what there is, as far as the line lets it.
    async fn catch_up(&self, flow: &Arc<Scripted>, line: &Arc<Line>) -> Result<(), EngineError> {
        self.work(flow, line, false).await
    }

    async fn refresh(&self, flow: &Arc<Scripted>) -> Result<(), EngineError> {
        self.work(flow, &Line::quiet(), true).await
    }

    /// The rows that a query sees in the midst of the work, when all events were taken in, and those that are committed once it has ended.
    async fn seen_and_committed(&self, flow: &Arc<Scripted>) -> (Vec<String>, Vec<String>) {
        let engine = self.engine(&Line::quiet()).await;
        let world = engine.world();
        let table = ContinuousTable::new(world, &spec(&engine, flow), flow.clone()).unwrap();
        let events = world.events.begin("test");
        let cancel = CancellationToken::new();
        let asset = [table_name().asset_id()];
        let lease = world.lease("test", &asset, Duration::from_secs(20), &events, &cancel).await.unwrap();
        let meter = Arc::new(PipelineMeter::new(asset[0].clone(), world.options.clock.clone()));
        let stop = CancellationToken::new();
        let stint = Stint { lease: lease.clone(), stop: stop.clone(), meter: meter.clone(), events };
        let look = async {
            while meter.status().rows_in < flow.events.len() as u64 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let resolver = LakeResolver::new(world.lake.clone(), world.project.clone()).live(world);
            let session = engine.session().with_resolver(Arc::new(resolver));
            let rows = session.query("SELECT * FROM silver.t", None).await.unwrap();
            let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
            stop.cancel();
            let mut rows: Vec<String> = batches.iter().flat_map(texts).collect();
            rows.sort();
            rows
        };
        let (worked, seen) = tokio::join!(table.work(&stint), look);
        worked.unwrap();
        lease.end().await;
        let version = world.lake.snapshot(&table_name(), At::Latest).await.unwrap().unwrap();
        (seen, self.rows_of(&engine, &version, &[]).await)
    }

    async fn work(&self, flow: &Arc<Scripted>, line: &Arc<Line>, anew: bool) -> Result<(), EngineError> {
        let engine = self.engine(line).await;
        let world = engine.world();
        let spec = spec(&engine, flow);
        let table = ContinuousTable::new(world, &spec, flow.clone()).unwrap();
        let events = world.events.begin("test");
        let cancel = CancellationToken::new();
        let asset = [spec.name.asset_id()];
        let lease = world.lease("test", &asset, Duration::from_secs(20), &events, &cancel).await?;
        let meter = Arc::new(PipelineMeter::new(asset[0].clone(), world.options.clock.clone()));
        let stint = Stint { lease: lease.clone(), stop: CancellationToken::new(), meter, events };
        let done = tokio::select! {
            biased;
            () = line.died() => Err(EngineError::Cancelled),
            done = async {
                match anew {
                    true => table.refresh(&stint, false).await,
                    false => table.catch_up(&stint).await,
                }
            } => done,
        };
        if !line.is_dead() {
            lease.end().await;
        }
        done
    }

    /// The rows of a table, each as a text, sorted; `None` where there is no such table.
    async fn rows(&self, table: &TableName, but: &[&str]) -> Option<Vec<String>> {
        let engine = self.engine(&Line::quiet()).await;
        let snapshot = engine.world().lake.snapshot(table, At::Latest).await.unwrap()?;
        Some(self.rows_of(&engine, &snapshot, but).await)
    }

    async fn rows_of(&self, engine: &Engine, snapshot: &Snapshot, but: &[&str]) -> Vec<String> {
        let world = engine.world();
        let schema = snapshot.schema();
        let columns: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let columns: Vec<String> = columns.into_iter().filter(|name| !but.contains(&name.as_str())).collect();
        let rows = provider(&world.lake, snapshot).unwrap();
        let rows = stored::scan(world, snapshot.table(), rows, &columns, None).await.unwrap();
        let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
        let mut texts: Vec<String> = batches.iter().flat_map(texts).collect();
        texts.sort();
        texts
    }

    /// What is there in the end: the rows of the table, and those that were rejected or late.
    async fn contents(&self) -> [Option<Vec<String>>; 3] {
        let table = table_name();
        let made = ["_rejected_at", "_run", "_epoch"];
        let position = ["_rejected_at", "_run", "_epoch", "_position"];
        [
            self.rows(&table, &[]).await,
            self.rows(&table.rejected(), &position).await,
            self.rows(&table.late(), &made).await,
        ]
    }
}

fn table_name() -> TableName {
    TableName::new("silver", "t").unwrap()
}

fn spec(engine: &Engine, flow: &Scripted) -> TableSpec {
    let mut spec = engine.project().table(&table_name()).unwrap().clone();
    spec.materialize = Materialize::Stream(StreamSpec {
        key: Vec::new(),
        disorder: Span::from_ms(0),
        lateness: Span::from_ms(0),
        idle_after: None,
        deduplicate: None,
        commit_every: Span::from_ms(10_000),
        commit_rows: flow.commit_rows.try_into().unwrap(),
    });
    spec
}

fn texts(batch: &RecordBatch) -> Vec<String> {
    let row = |row: usize| {
        let cells = batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap());
        cells.collect::<Vec<_>>().join(" | ")
    };
    (0..batch.num_rows()).map(row).collect()
}
