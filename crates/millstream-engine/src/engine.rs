//! The engine: a checked project with its lake, its state store and its connectors.

use std::{
    collections::BTreeMap,
    fmt,
    num::NonZeroUsize,
    ops::Deref,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use futures::future::BoxFuture;
use millstream_connector::{BuildContext, Connections, Connector, Intake};
use millstream_lake::Snapshot;
use millstream_plan::{AssetFacts, PlanError, Reason, RunPlan, Selection};
use millstream_project::{SourceSpec, StepsSpec};
use millstream_sql::{SessionOptions, SqlSession, incremental::Strategy};
use millstream_state::{LogLevel, RunStart};
use millstream_types::{AssetId, RunId, SourceName, TableName, TimestampMicros};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    Clock, EngineError, Project, Random, Stores,
    assets::{self, StepRunner, source::landing::Discoveries, table::upkeep, table_of},
    event::{Event, EventBus, Publisher, RunReport},
    lease::Lease,
    measure::Measures,
    observe::observe,
    process::{Process, same_stores},
    resolver::LakeResolver,
    run::{ExecuteOptions, RetryPolicy, RunRequest, StepExecutor, execute},
    source_rows::SourceRows,
    step_log::{RunLogs, log_line},
    telemetry::ToldRun,
};

/// How an engine is opened.
#[derive(Debug)]
pub struct EngineOptions {
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    /// Bytes that queries may hold in memory before they spill to disk.
    pub memory_bytes: usize,
    /// Threads that decode, check and write at once.
    pub parallelism: NonZeroUsize,
    pub retry: RetryPolicy,
    /// The most partitions of a table that are built in one go, and that one backfill builds.
    pub partitions_max: u64,
}

/// Runs, asks and maintains one project in one environment.
#[derive(Clone, Debug)]
pub struct Engine {
    world: Arc<World>,
}

/// A project at work, and what every step may use. What lives longer than the project is the process's.
pub(crate) struct World {
    pub process: Arc<Process>,
    pub project: Arc<Project>,
    /// What reads and takes the project's features, while somebody holds it.
    pub features: Mutex<Weak<crate::features::Inner>>,
    pub connectors: BTreeMap<SourceName, Arc<dyn Connector>>,
    /// How the steps of each asset go.
    pub steps: BTreeMap<AssetId, StepsSpec>,
    /// The circuit of each source.
    pub source_circuits: BTreeMap<AssetId, String>,
    /// What the present run found at its sources.
    pub discoveries: Discoveries,
    /// The rows of streaming sources, while somebody reads them.
    pub source_rows: tokio::sync::Mutex<BTreeMap<SourceName, Weak<SourceRows>>>,
    /// The sources that take events in and have been asked for.
    pub intakes: crate::intake::Intakes,
    /// Over the newest versions; bounded memory shared by everything that runs.
    pub sql: SqlSession,
}

impl Deref for World {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("project", &self.project.spec.name).finish_non_exhaustive()
    }
}

/// One step of one run, as the code that carries it out sees it.
#[derive(Clone)]
pub(crate) struct StepContext {
    pub world: Arc<World>,
    pub run: RunId,
    /// The right to write the asset.
    pub lease: Arc<Lease>,
    pub asset: AssetId,
    pub reason: Reason,
    pub full_refresh: bool,
    /// Whether a full refresh may forget the rows of parts that are gone.
    pub forget_gone: bool,
    /// Whether the command asks for the step although nothing else does.
    pub forced: bool,
    pub events: Publisher,
    pub cancel: CancellationToken,
}

impl StepContext {
    pub(crate) fn facts(&self) -> Result<&AssetFacts, EngineError> {
        let unknown = || EngineError::UnknownAsset { name: self.asset.to_string(), nearest: None };
        self.world.project.graph.get(&self.asset).ok_or_else(unknown)
    }

    pub(crate) fn note(&self, note: impl Into<String>) {
        let note = note.into();
        log_line(self.run.as_str(), self.asset.as_str(), LogLevel::Info, &note);
        self.events.publish(Event::StepNote { asset: self.asset.clone(), note });
    }

    /// Does what may be dropped where it stands when the step is told to end.
    pub(crate) async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(EngineError::Cancelled),
            done = work => done,
        }
    }

    pub(crate) fn check_cancelled(&self) -> Result<(), EngineError> {
        if self.cancel.is_cancelled() { Err(EngineError::Cancelled) } else { Ok(()) }
    }
}

impl Engine {
    /// Opens the stores of the project's environment and builds the connectors; reads no data.
    pub fn open(
        project: Arc<Project>,
        options: EngineOptions,
    ) -> BoxFuture<'static, Result<Self, EngineError>> {
        Box::pin(async move {
            let stores = Stores::of(&project.spec).await?;
            Self::with_stores(project, stores, options)
        })
    }

    /// An engine on stores that are open already; builds the connectors and reads no data.
    pub fn with_stores(
        project: Arc<Project>,
        stores: Stores,
        options: EngineOptions,
    ) -> Result<Self, EngineError> {
        let session = |process: &Process| SessionOptions {
            memory_bytes: process.options.memory_bytes,
            spill_dir: process.spill_dir(),
            target_partitions: process.options.parallelism.get(),
        };
        let process = Arc::new(Process::new(stores, options));
        let resolver = Arc::new(LakeResolver::new(process.lake.clone(), project.clone()));
        let sql = SqlSession::open(session(&process), resolver).map_err(EngineError::Query)?;
        process.lake.register(sql.runtime().session().runtime_env())?;
        Self::over(process, project, sql)
    }

    /// An engine of another state of the project in the same process: over the same stores, with the same bounds, and telling
    /// on the same bus. Work that this engine has begun goes on as it began.
    ///
    /// # Errors
    ///
    /// The project keeps its data elsewhere now, or a connector cannot be built.
    pub fn reloaded(&self, project: Arc<Project>) -> Result<Self, EngineError> {
        same_stores(&self.world.project.spec, &project.spec)?;
        let process = self.world.process.clone();
        let resolver = Arc::new(LakeResolver::new(process.lake.clone(), project.clone()));
        Self::over(process, project, self.world.sql.with_resolver(resolver))
    }

    fn over(process: Arc<Process>, project: Arc<Project>, sql: SqlSession) -> Result<Self, EngineError> {
        let connections = Arc::new(Connections::new(project.connections.clone()));
        let mut context = BuildContext {
            connections,
            log: Some(process.clone()),
            ..BuildContext::new(project.spec.root.clone())
        };
        let mut connectors = BTreeMap::new();
        for (name, config) in &project.connectors {
            context.source = Some(name.clone());
            let connector = config
                .build(&context)
                .map_err(|source| EngineError::Source { name: name.clone(), source })?;
            connectors.insert(name.clone(), connector);
        }
        let (features, discoveries) = (Mutex::default(), Discoveries::default());
        let steps = project.spec.steps().map(|(asset, steps)| (asset, steps.clone())).collect();
        let source_circuits = project.spec.circuits().collect();
        let world = World {
            process,
            project,
            features,
            connectors,
            steps,
            source_circuits,
            discoveries,
            intakes: Mutex::default(),
            source_rows: tokio::sync::Mutex::default(),
            sql,
        };
        Ok(Self { world: Arc::new(world) })
    }

    pub(crate) fn world(&self) -> &Arc<World> {
        &self.world
    }

    #[must_use]
    pub fn project(&self) -> &Arc<Project> {
        &self.world.project
    }

    /// The bus on which all work of the process is told.
    #[must_use]
    pub fn events(&self) -> &EventBus {
        &self.world.events
    }

    /// Announces a piece of work that `command` asks for, and gives what tells of it.
    #[must_use]
    pub fn begin(&self, command: &str) -> Publisher {
        self.world.events.begin(command)
    }

    /// What a run would do, and why.
    pub fn plan<'a>(&'a self, request: &'a RunRequest) -> BoxFuture<'a, Result<RunPlan, EngineError>> {
        Box::pin(async move { observe(&self.world, request, None).await })
    }

    /// How an incremental table or a history is kept up to date, and why it is not cheaper; `None` for other assets.
    pub fn upkeep<'a>(&'a self, asset: &'a AssetId) -> BoxFuture<'a, Option<Strategy>> {
        Box::pin(async move {
            let spec = self.project().table(&table_of(asset).ok()?)?;
            if spec.materialize.applies_changes() { upkeep(&self.world, spec).await } else { None }
        })
    }

    /// Carries the plan out. `wait`: how long to wait for others to be done with the selected assets before refusing.
    pub fn run<'a>(
        &'a self,
        request: &'a RunRequest,
        wait: Duration,
        events: Publisher,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<RunReport, EngineError>> {
        Box::pin(async move {
            let selection =
                Selection::parse(&request.selection, &request.exclude).map_err(PlanError::from)?;
            let selected = selection.resolve(&self.world.project.graph).map_err(PlanError::from)?;
            let named = selection.named(&self.world.project.graph).map_err(PlanError::from)?;
            // A SQL view has nothing that could be written, and what runs by hand does not unless it is named.
            let is_written = |id: &AssetId| {
                self.world.project.graph.get(id).is_some_and(|asset| {
                    // The step of what a pipeline keeps up to date takes its own lease, which the pipeline may have.
                    let is_leased = !asset.passes_through && !asset.follows_events;
                    is_leased && (!asset.schedule.is_by_hand() || named.contains(id))
                })
            };
            let assets: Vec<AssetId> = selected.into_iter().filter(is_written).collect();
            let telling = events.clone();
            let planned = observe(&self.world, request, Some(&telling));
            let executor = |runner| Arc::new(runner) as Arc<dyn StepExecutor>;
            self.run_with(request, &assets, wait, events, cancel, planned, executor).await
        })
    }

    /// Runs on record, as the only one that writes `assets`. `planned` is awaited once they are leased.
    #[allow(clippy::too_many_arguments, reason = "what a run needs, each thing once")]
    pub(crate) async fn run_with(
        &self,
        request: &RunRequest,
        assets: &[AssetId],
        wait: Duration,
        events: Publisher,
        cancel: CancellationToken,
        planned: impl Future<Output = Result<RunPlan, EngineError>>,
        executor: impl FnOnce(StepRunner) -> Arc<dyn StepExecutor>,
    ) -> Result<RunReport, EngineError> {
        let asked = request.due.unwrap_or_else(|| self.world.options.clock.now());
        let lease = self.world.lease(&request.command, assets, wait, &events, &cancel).await?;
        let planned = async { planned.await.map(Some) };
        let done = self.run_under((asked, lease), request, assets, events, planned, executor).await?;
        done.ok_or(EngineError::Worker { doing: "running a plan" })
    }

    /// Runs on record under the lease of `assets`, which ends with that; it was asked for at the instant beside it. `planned` is
    /// awaited first; where it finds nothing to do there is no run.
    pub(crate) async fn run_under(
        &self,
        (asked, lease): (TimestampMicros, Arc<Lease>),
        request: &RunRequest,
        assets: &[AssetId],
        events: Publisher,
        planned: impl Future<Output = Result<Option<RunPlan>, EngineError>>,
        executor: impl FnOnce(StepRunner) -> Arc<dyn StepExecutor>,
    ) -> Result<Option<RunReport>, EngineError> {
        let done = self.run_leased(request, assets, (asked, lease.clone()), events, planned, executor).await;
        // What a failed or cancelled step wrote is nobody's. Without a run nothing was written.
        let written = if matches!(done, Ok(None)) { &[] } else { assets };
        for facts in written.iter().filter_map(|asset| self.world.project.graph.get(asset)) {
            assets::kind_of(facts)?.abandon(&self.world, &facts.id).await;
        }
        lease.end().await;
        done
    }

    async fn run_leased(
        &self,
        request: &RunRequest,
        assets: &[AssetId],
        (asked, lease): (TimestampMicros, Arc<Lease>),
        events: Publisher,
        planned: impl Future<Output = Result<Option<RunPlan>, EngineError>>,
        executor: impl FnOnce(StepRunner) -> Arc<dyn StepExecutor>,
    ) -> Result<Option<RunReport>, EngineError> {
        let world = &self.world;
        let cancel = lease.cancel.clone();
        // A source that does not answer must not keep the run from ending.
        let plan = tokio::select! {
            plan = planned => plan?,
            reason = lease.over() => return Err(reason),
        };
        let Some(plan) = plan else { return Ok(None) };
        world.clean_spill();
        let concurrency = world.concurrency(request.concurrency);
        let began = world.options.clock.now();
        let run = world.begin_run(&request.command, request.principal.as_deref(), asked, &lease).await?;
        let runner = StepRunner {
            world: world.clone(),
            run: run.clone(),
            lease: lease.clone(),
            full_refresh: request.full_refresh,
            forget_gone: request.forget_gone,
            relands: request.full_refresh && !request.selection.is_empty(),
            named: request.selection.clone(),
            forced: request.force,
            events: events.clone(),
            cancel: cancel.clone(),
            measures: Measures::new(began),
            logs: RunLogs::new(run.clone(), world.state.clone(), world.options.clock.clone()),
            features: OnceCell::new(),
        };
        let span = tracing::error_span!("run", run = %run);
        let retry = world.options.retry.clone();
        let seed = world.options.random.next();
        let options = ExecuteOptions { run, concurrency, retry, seed };
        let executor = executor(runner);
        let is_whole_when_cut_short = executor.is_whole_when_cut_short();
        let (report, broke) = execute(plan, executor, options, events.clone(), cancel).instrument(span).await;
        // What is newer than the set before belongs together once every step has ended well.
        let is_whole = report.is_whole() || (is_whole_when_cut_short && report.is_cut_short());
        world.end_run(report, broke, is_whole.then_some(assets), &lease, &events).await.map(Some)
    }

    /// Ends the event log of the process, if it was opened: what waits is answered, and another process can open it.
    pub fn close_log(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(self.world.log.close())
    }

    /// A session for queries over the project's tables.
    #[must_use]
    pub fn session(&self) -> &SqlSession {
        &self.world.sql
    }
}

impl World {
    /// The number of steps that run at once: what a command `asked` for, what the environment says, or as many as there are
    /// threads.
    pub(crate) fn concurrency(&self, asked: Option<NonZeroUsize>) -> NonZeroUsize {
        let said = || NonZeroUsize::new(self.project.spec.environment.concurrency?);
        asked.or_else(said).unwrap_or(self.options.parallelism)
    }

    /// Records that work has begun under a lease, for which somebody `asked` at that time, and names it.
    pub(crate) async fn begin_run(
        &self,
        command: &str,
        principal: Option<&str>,
        asked: TimestampMicros,
        lease: &Lease,
    ) -> Result<RunId, EngineError> {
        let start = RunStart {
            run: self.new_run(),
            command: command.to_owned(),
            principal: principal.map(str::to_owned),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            asked: Some(asked),
            started: self.options.clock.now(),
            lease: Some(lease.token),
        };
        self.state.begin_run(&start).await?;
        let told = ToldRun { run: &start.run, command, asked, started: start.started };
        self.tell_run_begun(told).await?;
        Ok(start.run)
    }

    /// An id that sorts by the time at which its run began.
    pub(crate) fn new_run(&self) -> RunId {
        let millis = u64::try_from(self.options.clock.now().as_ms()).unwrap_or(0);
        let random = [self.options.random.next(), self.options.random.next()].map(u64::to_be_bytes);
        let mut bytes = [0; 10];
        for (place, byte) in bytes.iter_mut().zip(random.as_flattened()) {
            *place = *byte;
        }
        RunId::new(&uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid().to_string())
    }

    /// A session in which `pinned` tables stay at their versions, whatever is committed meanwhile.
    pub(crate) fn pinned_session(&self, pinned: BTreeMap<TableName, Arc<Snapshot>>) -> SqlSession {
        let resolver = LakeResolver::new(self.lake.clone(), self.project.clone()).pinned(pinned);
        self.sql.with_resolver(Arc::new(resolver))
    }

    /// How a source takes events in; `None` for a source that is only read.
    pub(crate) fn intake(&self, source: &SourceName) -> Option<&Intake> {
        self.project.connectors.get(source).and_then(|config| config.intake())
    }

    pub(crate) fn connector(&self, source: &SourceSpec) -> Result<&Arc<dyn Connector>, EngineError> {
        self.connectors.get(&source.name).ok_or(EngineError::Worker { doing: "looking for a connector" })
    }
}
