//! One world: its stores outlive every engine that works in it.

use std::{fs, num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use millstream_connector::Intake;
use millstream_engine::{
    Clock, Engine, EngineOptions, Log, Online, PARTITIONS_MAX, RetryPolicy, RunRequest, Stores,
};
use millstream_lake::{At, Lake};
use millstream_log::{Append, EmbeddedLog, EmbeddedOptions, EventLog, Message, Place};
use millstream_online::{OnlineStore, StoreOptions};
use millstream_state::{RunOutcome, State};
use millstream_types::SourceName;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::{
    act::{Act, Ended, Notes, chain, other_kinds},
    bucket::Bucket,
    contents,
    definition::{Definition, folder},
    hands::{Dice, Hands},
    line::Line,
    shelf::Shelf,
    wire::Wire,
};

const LAKE: &str = "memory:///lake";

/// A world: its stores, clock and sources. Engines come and go.
#[derive(Debug)]
pub(crate) struct World {
    pub definition: Definition,
    pub clock: Hands,
    pub shelf: Arc<Shelf>,
    pub notes: Notes,
    dice: Arc<Dice>,
    /// The number of steps that run at the same time.
    pub concurrency: NonZeroUsize,
    /// The most partitions of a table that are built in one go.
    pub partitions_max: u64,
    online: OnceCell<Arc<dyn OnlineStore>>,
    /// The event log, which outlives engines as if each of them had opened it.
    log: OnceCell<Arc<dyn EventLog>>,
    folder: TempDir,
}

impl World {
    pub(crate) fn new(definition: Definition) -> Self {
        let clock = Hands::new();
        Self {
            definition,
            shelf: Arc::new(Shelf::new(clock.clone())),
            clock,
            notes: Notes::default(),
            dice: Arc::new(Dice::new(1)),
            concurrency: NonZeroUsize::MIN,
            partitions_max: PARTITIONS_MAX,
            online: OnceCell::new(),
            log: OnceCell::new(),
            folder: folder(),
        }
    }

    /// A copy of the world, which changes on its own from here on. It can only be made while no engine is at work, and before
    /// the online store was opened.
    pub(crate) fn fork(&self) -> Self {
        assert!(!self.has_online(), "an open online store cannot be copied");
        let clock = self.clock.fork();
        let fork = Self {
            shelf: Arc::new(self.shelf.fork(clock.clone())),
            clock,
            folder: folder(),
            notes: Notes::default(),
            dice: Arc::new(Dice::new(2)),
            online: OnceCell::new(),
            log: OnceCell::new(),
            definition: self.definition.clone(),
            concurrency: self.concurrency,
            partitions_max: self.partitions_max,
        };
        for file in ["state.db", "state.db-wal"] {
            let from = self.folder.path().join(file);
            if from.exists() {
                fs::copy(from, fork.folder.path().join(file)).unwrap();
            }
        }
        fork
    }

    /// Changes the project; the sources stay.
    pub(crate) fn define(&mut self, text: &str) {
        self.definition = Definition::with_script(text, self.definition.script.clone());
    }

    pub(crate) fn lake(&self, line: &Arc<Line>) -> Lake {
        let bucket = Bucket { shelf: self.shelf.clone(), line: line.clone() };
        Lake::with_store(LAKE, Arc::new(bucket)).unwrap()
    }

    pub(crate) fn state_path(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    /// The state store as a bystander reads it.
    pub(crate) async fn state(&self) -> State {
        State::open(&self.state_path()).await.unwrap()
    }

    /// Deletes the state store, as after the loss of a disk.
    pub(crate) fn lose_state(&self) {
        for file in ["state.db", "state.db-wal", "state.db-shm"] {
            // SQLite removes its own files at its end, so they may be missing.
            let _ = fs::remove_file(self.folder.path().join(file));
        }
    }

    /// Deletes the files of a dataset's versions, as somebody may do by hand.
    pub(crate) fn lose_dataset(&self, name: &str) {
        fs::remove_dir_all(self.folder.path().join("datasets").join(name)).unwrap();
    }

    pub(crate) fn has_online(&self) -> bool {
        self.online.initialized()
    }

    /// The online store, opened if it is not.
    pub(crate) async fn online(&self, line: &Arc<Line>) -> Online {
        let location = format!("embedded:{}", self.folder.path().join("online").display());
        let open = || async { millstream_online::open(&location, &StoreOptions::default()).await.unwrap() };
        let store = self.online.get_or_init(open).await.clone();
        Online::Opened(Arc::new(Wire { store, line: line.clone() }))
    }

    /// The event log, opened if it is not.
    pub(crate) async fn log(&self) -> Arc<dyn EventLog> {
        let open = || async {
            let clock = self.clock.clone();
            let options =
                EmbeddedOptions::new(&self.folder.path().join("log"), Arc::new(move || clock.now()));
            EmbeddedLog::open(options).await.unwrap() as Arc<dyn EventLog>
        };
        self.log.get_or_init(open).await.clone()
    }

    /// Sends events to a source: the lines of one partition.
    pub(crate) async fn send(&self, source: &str, partition: u32, lines: &[String]) {
        let log = self.log().await;
        let source = SourceName::new(source).unwrap();
        let intake = self.definition.project.connectors[&source].intake().unwrap();
        intake.open_topic(log.as_ref(), &source).await.unwrap();
        let place = Place::new(&Intake::topic(&source).unwrap(), partition);
        let message = |line: &String| Message { value: Some(line.clone().into()), ..Message::default() };
        log.append(Append::messages(&place, lines.iter().map(message).collect())).await.unwrap();
    }

    /// An engine on this world, behind a line of its own.
    pub(crate) async fn engine(&self, line: &Arc<Line>) -> Engine {
        let online = match self.has_online() {
            true => self.online(line).await,
            false => Online::At { location: "embedded:nowhere".to_owned(), options: StoreOptions::default() },
        };
        let state = State::open(&self.state_path()).await.unwrap().watched(line.clone());
        let stores = Stores {
            lake: self.lake(line),
            state: Arc::new(state),
            online,
            log: match self.log.get() {
                Some(log) => Log::Opened(log.clone()),
                None => Log::At(self.folder.path().join("log")),
            },
            folder: self.folder.path().to_owned(),
        };
        let options = EngineOptions {
            clock: Arc::new(self.clock.clone()),
            random: self.dice.clone(),
            memory_bytes: 64 << 20,
            parallelism: NonZeroUsize::MIN,
            retry: RetryPolicy { retries_max: 3, first_wait: Duration::ZERO, wait_max: Duration::ZERO },
            partitions_max: self.partitions_max,
        };
        self.definition.script.connect(line);
        Engine::with_stores(self.definition.project.clone(), stores, options).unwrap()
    }

    /// Lets a new engine do the act on an undisturbed line.
    pub(crate) async fn act(&self, act: &Act) -> Ended {
        self.act_on(act, &Line::quiet()).await
    }

    /// Lets a new engine do the act; ends as soon as the line dies.
    pub(crate) async fn act_on(&self, act: &Act, line: &Arc<Line>) -> Ended {
        let cancel = CancellationToken::new();
        let work = async {
            if matches!(act, Act::Materialize(_) | Act::RunAll(_)) {
                self.online(line).await;
            }
            let engine = self.engine(line).await;
            act.perform(self.concurrency, &self.notes, &engine, cancel.clone()).await
        };
        let ended = tokio::select! {
            biased;
            () = line.died() => {
                cancel.cancel();
                Ended::Died
            }
            ended = Box::pin(work) => match ended {
                // The outcome that a dead process still computed reaches nobody.
                _ if line.is_dead() => Ended::Died,
                Ok(ended) => ended,
                Err(error) => Ended::Badly(chain(&error)),
            },
        };
        if ended == Ended::Died {
            self.let_go().await;
        }
        ended
    }

    /// Waits until the tasks of a dead process have ended and let go of their locks, as the operating system would make sure.
    pub(crate) async fn let_go(&self) {
        let is_locked = || {
            let files = fs::read_dir(self.folder.path().join("leases")).into_iter().flatten();
            files
                .filter_map(|file| fs::File::open(file.ok()?.path()).ok())
                .any(|file| file.try_lock().is_err())
        };
        while is_locked() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Runs all sources and tables, and returns the lines of the run, which has to succeed.
    pub(crate) async fn run(&self) -> String {
        match self.act(&Act::Run(RunRequest::default())).await {
            Ended::Well(text) => text,
            ended => panic!("{ended:?}"),
        }
    }

    /// The rows of a table, sorted, without the columns that say when and from where they came.
    pub(crate) async fn rows(&self, table: &str) -> Vec<String> {
        let lake = self.lake(&Line::quiet());
        let without = [
            "_ingested_at",
            "_sequence",
            "_source",
            "_position",
            "_run",
            "_rejected_at",
            "_epoch",
            "_columns",
        ];
        contents::rows(self, &lake, &table.parse().unwrap(), &without).await
    }

    /// The rows of a table at an earlier version, without the columns that depend on time and order.
    pub(crate) async fn rows_at(&self, table: &str, version: i64) -> Vec<String> {
        let lake = self.lake(&Line::quiet());
        let at = At::Version(version);
        contents::rows_at(self, &lake, &table.parse().unwrap(), at, &["_ingested_at", "_sequence"]).await
    }

    /// The rows of a table with the columns that say when and from where they came.
    pub(crate) async fn full_rows(&self, table: &str) -> Vec<String> {
        let lake = self.lake(&Line::quiet());
        contents::rows(self, &lake, &table.parse().unwrap(), &["_run", "_columns"]).await
    }

    /// Where the partitions of a table stand, and which of their checks do not hold.
    pub(crate) async fn partitions(&self, table: &str) -> Vec<String> {
        let engine = self.engine(&Line::quiet()).await;
        let overview = engine.partitions(&table.parse().unwrap()).await.unwrap().unwrap();
        let range = |range: &millstream_engine::PartitionRange| {
            let error = range.error.clone().unwrap_or_default();
            let named = format!("{}..{} {}", range.first, range.last, range.status);
            format!("{named} {}{error}", range.parameters).trim().to_owned()
        };
        let broken = |broken: &millstream_engine::BrokenPartition| {
            format!("{}: {} {}", broken.partition, broken.check, broken.failed)
        };
        overview.ranges.iter().map(range).chain(overview.broken.iter().map(broken)).collect()
    }

    /// The features of the customers 1 to 3.
    pub(crate) async fn features(&self) -> Vec<String> {
        contents::features(self, 1..4).await
    }

    pub(crate) async fn dataset(&self, name: &str) -> Vec<String> {
        contents::dataset(self, name).await
    }

    pub(crate) async fn schemas(&self, source: &str) -> Vec<String> {
        contents::schemas(self, source).await
    }

    /// How the runs ended, the newest first.
    pub(crate) async fn runs(&self) -> Vec<String> {
        let runs = self.state().await.runs(99).await.unwrap();
        runs.iter().map(|run| run.outcome.map_or("no end", RunOutcome::as_str).to_owned()).collect()
    }

    pub(crate) async fn positions(&self, source: &str) -> Vec<String> {
        contents::positions(self, source).await
    }

    /// The recorded datasets, and the versions of tables that are pinned for them.
    pub(crate) async fn datasets(&self) -> Vec<String> {
        let state = self.state().await;
        let built = contents::datasets(&state).await;
        let built = built.iter().map(|built| format!("{} v{}", built.name, built.version));
        let pins = state.pins().await.unwrap();
        let pins = pins.iter().map(|pin| format!("pinned: {} at {}", pin.table, pin.version));
        built.chain(pins).collect()
    }

    /// The rejected rows of a table, as people are shown them.
    pub(crate) async fn rejected(&self, table: &str) -> Vec<String> {
        let engine = self.engine(&Line::quiet()).await;
        let groups = match engine.rejected(&table.parse().unwrap(), 9).await {
            Ok(groups) => groups,
            Err(error) => return vec![format!("! {}", chain(&error))],
        };
        let told = groups.iter().flat_map(|group| {
            let examples =
                group.examples.iter().map(|example| format!("{}: {}", example.reason, example.row));
            let head = format!("{}: {} rows, {} of them halted", group.check, group.rows, group.halted);
            std::iter::once(head).chain(examples)
        });
        told.collect()
    }

    /// The known results of a table's checks, and when it was built.
    pub(crate) async fn checks(&self, table: &str) -> Vec<String> {
        let engine = self.engine(&Line::quiet()).await;
        let status = engine.status().await.unwrap();
        let asset = status.assets.iter().find(|asset| asset.asset.as_str() == table).unwrap();
        let built = asset.recorded.as_ref().map(|recorded| status.now.0 - recorded.built_at.0);
        let head = format!("built {} s ago", built.unwrap_or_default() / 1_000_000);
        let checks = asset.checks.iter().map(|check| {
            let found = check.observed.clone().unwrap_or_else(|| check.failed.to_string());
            format!("{} {}: {found}", check.check, if check.passed { "passed" } else { "failed" })
        });
        std::iter::once(head).chain(checks).collect()
    }

    /// Which tables cannot be read, and why.
    pub(crate) async fn unreadable(&self) -> Vec<String> {
        let engine = self.engine(&Line::quiet()).await;
        let status = engine.status().await.unwrap();
        let found = status.assets.iter().filter_map(|asset| Some((&asset.asset, asset.unreadable.as_ref()?)));
        found.map(|(asset, found)| format!("{asset}: {} {}", found.code, found.error)).collect()
    }

    /// What is wrong with housekeeping, as `status` tells it.
    pub(crate) async fn alarms(&self) -> Vec<String> {
        let engine = self.engine(&Line::quiet()).await;
        let status = engine.status().await.unwrap().housekeeping;
        status.into_iter().flat_map(|status| status.alarms).map(|alarm| alarm.message).collect()
    }

    /// The steps of a further run, with their reasons. Planning takes commits that are not recorded from the lake.
    pub(crate) async fn plan(&self) -> Vec<String> {
        let engine = self.engine(&Line::quiet()).await;
        let request = RunRequest { exclude: other_kinds(&engine), ..RunRequest::default() };
        let plan = Box::pin(engine.plan(&request)).await.unwrap();
        plan.steps.iter().map(|step| format!("{}: {}", step.asset, step.reason)).collect()
    }

    /// The steps of a run of every kind of asset, and the assets that it leaves to commands that name them.
    pub(crate) async fn plan_all(&self) -> Vec<String> {
        let engine = self.engine(&Line::quiet()).await;
        let plan = Box::pin(engine.plan(&RunRequest::default())).await.unwrap();
        let steps = plan.steps.iter().map(|step| format!("{}: {}", step.asset, step.reason));
        let by_hand = plan.by_hand.iter().map(|one| format!("by hand {}: {}", one.asset, one.reason));
        steps.chain(by_hand).collect()
    }
}

/// Runs a case on one thread, so that its steps follow each other the same way every time. Threads that a dead engine left
/// waiting are not waited for.
pub(crate) fn block_on<T>(case: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let done = runtime.block_on(case);
    runtime.shutdown_background();
    done
}
