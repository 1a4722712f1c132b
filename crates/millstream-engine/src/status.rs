//! `millstream status`: the last run, and where each asset stands.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;
use millstream_lake::{CommitRecord, LakeError};
use millstream_plan::{AssetKind, Recorded};
use millstream_project::{CheckKind, CheckSpec};
use millstream_quality::MALFORMED;
use millstream_schedule::RecordedAside;
use millstream_state::{
    BreakerRecord, CheckResult, FailedReload, HeldLease, Pulse, RepairRecord, RunOutcome, RunRecord,
    SchemaVersion, State, StepRecord,
};
use millstream_types::{AssetId, AssetVersion, CheckId, RunId, TableName, TimestampMicros};

use crate::{
    ConnectionStatus, Engine, EngineError, HousekeepingStatus, IntakeStatus, PipelineSeen, Stale, Unreadable,
    assets::{check_result, table_of},
    audit,
    event::READABLE,
    freshness, housekeeping,
    staleness::Looked,
};

/// The beginnings of the names of checks that a contract makes by itself.
const MADE_CHECKS: [&str; 2] = ["type(", "future("];

/// The check of events that hold more than the contract's columns.
const COLUMNS_CHECK: &str = "columns";

/// The project as the state store knows it.
#[derive(Clone, Debug)]
pub struct Status {
    pub now: TimestampMicros,
    /// The newest run; housekeeping, which is on record too, is none.
    pub last_run: Option<RunRecord>,
    /// How housekeeping goes, where a server does it.
    pub housekeeping: Option<HousekeepingStatus>,
    /// How a server failed to load the project again, if it goes on with what it had loaded before.
    pub failed_reload: Option<FailedReload>,
    /// The places whose circuits are not closed.
    pub held: Vec<ConnectionStatus>,
    /// The assets that are set aside, and since when.
    pub aside: BTreeMap<AssetId, RecordedAside>,
    /// What is damaged and not made again yet, or left to a person.
    pub repairs: Vec<RepairRecord>,
    /// How the pipelines were when the process that keeps them last told.
    pub pipelines: Vec<PipelineSeen>,
    /// How far the sources of events are; empty where this process does not have the event log open.
    pub intakes: Vec<IntakeStatus>,
    /// The streaming sources of which nothing lands, because too many of their events were rejected.
    pub breakers: Vec<BreakerRecord>,
    /// All assets in the order of the graph: an asset comes after those that it reads.
    pub assets: Vec<AssetStatus>,
}

/// The present state of one asset.
#[derive(Clone, Debug)]
pub struct AssetStatus {
    pub asset: AssetId,
    pub kind: AssetKind,
    /// Whether the asset is stored. A SQL view is not: it is computed whenever it is read.
    pub is_stored: bool,
    /// The record of the last build; `None` if the asset was never built, and for every view.
    pub recorded: Option<Recorded>,
    pub last_step: Option<StepRecord>,
    /// The version that readers take; `None` where no run has published one, or the published one is gone.
    pub published: Option<AssetVersion>,
    /// The last known result of each check of the asset.
    pub checks: Vec<CheckResult>,
    /// The text about the parts that the last run could not read, for a source that landed all others.
    pub left_out: Option<String>,
    /// Why the asset is not what it should be; `None` while it is fresh, or was never built.
    pub stale: Option<Stale>,
    /// The error with which a read of the asset's newest version would end, no matter how the last step ended.
    pub unreadable: Option<Unreadable>,
    /// The lease under which somebody may write the asset at this moment.
    pub lease: Option<Arc<HeldLease>>,
}

impl Engine {
    /// Reads the state store, and opens the newest version of each table that was built, so that a damaged log is reported here
    /// and not only by the next step. This does not wait for processes that write.
    pub fn status<'a>(&'a self) -> BoxFuture<'a, Result<Status, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            let now = world.options.clock.now();
            let mut leases = leases(&world.state, now).await?;
            let mut recorded = world.state.recorded().await?;
            let mut steps = world.state.latest_steps().await?;
            let mut assets = Vec::new();
            let mut published = world.state.published().await?;
            let last_run = world.state.last_run_but(housekeeping::COMMAND).await?;
            // A run that succeeded has read everything.
            let all_read = last_run.as_ref().is_none_or(|run| run.outcome == Some(RunOutcome::Succeeded));
            let mut looked = Looked { unreadable: world.unreadable(None).await?, ..Looked::default() };
            let mut checked = Vec::new();
            for facts in world.project.graph.topological() {
                let mut checks = self.checks_now(&facts.id).await?;
                checks.retain(|check| !(all_read && check.check.as_str() == READABLE));
                let too_old = self.too_old(&facts.id, &checks);
                looked.too_old.extend(too_old.map(|check| (facts.id.clone(), check)));
                checked.push((facts, checks));
            }
            let stale = world.judge(&looked).await?;
            for (facts, checks) in checked {
                let last_step = steps
                    .iter()
                    .position(|step| step.asset == facts.id)
                    .map(|place| steps.swap_remove(place));
                let left_out = checks.iter().find(|check| check.check.as_str() == READABLE && !check.passed);
                let published = published.remove(&facts.id);
                let recorded = recorded.remove(&facts.id).filter(Recorded::was_built);
                let is_lost = recorded.is_some() && published.is_some_and(AssetVersion::is_lost);
                let lost = table_of(&facts.id).ok().filter(|_| is_lost);
                let lost = lost.map(|table| Unreadable::of(&LakeError::VersionLost { table }.into()));
                assets.push(AssetStatus {
                    left_out: left_out.map(|check| check.observed.clone().unwrap_or_default()),
                    stale: stale.get(&facts.id).cloned(),
                    asset: facts.id.clone(),
                    kind: facts.kind,
                    is_stored: !facts.passes_through,
                    recorded,
                    last_step,
                    published: published.filter(|version| !version.is_lost()),
                    checks,
                    unreadable: looked.unreadable.remove(&facts.id).or(lost),
                    lease: leases.remove(&facts.id),
                });
            }
            let failed_reload = world.state.failed_reload(now).await?;
            let housekeeping = self.housekeeping().await?;
            let mut held = self.connections().await?;
            held.retain(|connection| connection.since.is_some());
            let aside = self.aside().await?;
            let repairs = world.state.open_repairs().await?;
            let pipelines = self.pipelines_seen().await?;
            let (intakes, breakers) = (self.intakes().await?, self.open_breakers().await?);
            Ok(Status {
                now,
                last_run,
                housekeeping,
                failed_reload,
                held,
                aside,
                repairs,
                pipelines,
                intakes,
                breakers,
                assets,
            })
        })
    }

    /// The first check on the age of the asset's rows that does not hold at this moment.
    fn too_old(&self, asset: &AssetId, known: &[CheckResult]) -> Option<CheckId> {
        let table = table_of(asset).ok()?;
        let failed = |check: &CheckSpec| known.iter().any(|known| known.check == check.id && !known.passed);
        let mut clocked = self.project().checks(&table).iter();
        let check =
            clocked.find(|check| matches!(check.kind, CheckKind::Freshness { .. }) && failed(check))?;
        Some(check.id.clone())
    }

    /// The last known results of the checks that the asset has now; freshness is judged at this moment.
    async fn checks_now(&self, asset: &AssetId) -> Result<Vec<CheckResult>, EngineError> {
        let world = self.world();
        // Only tables have checks.
        let Ok(table) = table_of(asset) else { return Ok(Vec::new()) };
        let defined = world.project.checks(&table);
        let is_defined = |result: &CheckResult| {
            let id = result.check.as_str();
            let is_made = [MALFORMED, READABLE, COLUMNS_CHECK].contains(&id)
                || MADE_CHECKS.iter().any(|start| id.starts_with(start));
            is_made || defined.iter().any(|check| check.id == result.check)
        };
        let mut results = world.state.known_checks(asset).await?;
        results.retain(is_defined);
        // A table that cannot be read keeps its last results; its next step reports why.
        for outcome in freshness::outcomes(world, &table).await.unwrap_or_default() {
            let found = check_result(&audit::report(outcome));
            match results.iter_mut().find(|result| result.check == found.check) {
                Some(known) => *known = found,
                None => results.push(found),
            }
        }
        Ok(results)
    }

    /// A cheap sign of whether anything happened that [`Engine::status`] shows.
    pub fn pulse(&self) -> BoxFuture<'_, Result<Pulse, EngineError>> {
        Box::pin(async move { Ok(self.world().state.pulse().await?) })
    }

    /// The newest commits of a table that its log still holds, newest first.
    pub fn history<'a>(
        &'a self,
        table: &'a TableName,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<CommitRecord>, EngineError>> {
        Box::pin(async move { Ok(self.world().lake.history(table, Some(limit)).await?) })
    }

    /// The present time, by the clock that runs and their records use.
    #[must_use]
    pub fn now(&self) -> TimestampMicros {
        self.world().options.clock.now()
    }

    /// The record of a run, given its id, which is all that the record of a step has of it.
    pub fn run_record<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<Option<RunRecord>, EngineError>> {
        Box::pin(async move { Ok(self.world().state.run(run).await?) })
    }

    /// The schema versions of a source's table that the catalog knows, the oldest first.
    pub fn schema_versions<'a>(
        &'a self,
        table: &'a TableName,
    ) -> BoxFuture<'a, Result<Vec<SchemaVersion>, EngineError>> {
        Box::pin(async move { Ok(self.world().state.schema_versions(table).await?) })
    }
}

/// The leases that keep others away, by the assets that they are for.
async fn leases(
    state: &State,
    now: TimestampMicros,
) -> Result<BTreeMap<AssetId, Arc<HeldLease>>, EngineError> {
    let mut held = BTreeMap::new();
    for lease in state.leases(now).await? {
        let lease = Arc::new(lease);
        held.extend(lease.assets.iter().map(|asset| (asset.clone(), lease.clone())));
    }
    Ok(held)
}
