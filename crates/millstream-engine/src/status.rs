//! `millstream status`: the last run, and where each asset stands.

use futures::future::BoxFuture;
use millstream_lake::CommitRecord;
use millstream_plan::{AssetKind, Recorded};
use millstream_quality::MALFORMED;
use millstream_state::{CheckResult, RunRecord, SchemaVersion, StepRecord};
use millstream_types::{AssetId, RunId, TableName, TimestampMicros};

use crate::{
    Engine, EngineError, audit, freshness,
    table::{check_result, table_of},
};

/// The checks that a contract makes of its columns' types begin so.
const TYPE_CHECK: &str = "type(";

/// The project as the state store knows it.
#[derive(Clone, Debug)]
pub struct Status {
    pub now: TimestampMicros,
    pub last_run: Option<RunRecord>,
    /// In the order of the graph: what is read before what reads it.
    pub assets: Vec<AssetStatus>,
}

/// Where one asset stands.
#[derive(Clone, Debug)]
pub struct AssetStatus {
    pub asset: AssetId,
    pub kind: AssetKind,
    /// What was built last, `None` if nothing ever was. Always `None` for a view.
    pub recorded: Option<Recorded>,
    pub last_step: Option<StepRecord>,
    /// What is known of its checks.
    pub checks: Vec<CheckResult>,
}

impl Engine {
    /// Reads the state store; of the tables, only those are opened whose freshness depends on the clock.
    pub fn status<'a>(&'a self) -> BoxFuture<'a, Result<Status, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            let mut recorded = world.state.recorded()?;
            let mut steps = world.state.latest_steps()?;
            let mut assets = Vec::new();
            let order: Vec<_> = world.project.graph.topological().collect();
            for facts in order {
                let last_step = steps
                    .iter()
                    .position(|step| step.asset == facts.id)
                    .map(|place| steps.swap_remove(place));
                assets.push(AssetStatus {
                    asset: facts.id.clone(),
                    kind: facts.kind,
                    recorded: recorded.remove(&facts.id).filter(Recorded::was_built),
                    last_step,
                    checks: self.checks_now(&facts.id).await?,
                });
            }
            Ok(Status { now: world.options.clock.now(), last_run: world.state.last_run()?, assets })
        })
    }

    /// What is known of the checks that the asset has now, freshness as it is at this moment.
    async fn checks_now(&self, asset: &AssetId) -> Result<Vec<CheckResult>, EngineError> {
        let world = self.world();
        let table = table_of(asset)?;
        let defined = world.project.checks(&table);
        let is_defined = |result: &CheckResult| {
            let id = result.check.as_str();
            let is_made = id == MALFORMED || id.starts_with(TYPE_CHECK);
            is_made || defined.iter().any(|check| check.id == result.check)
        };
        let mut results = world.state.known_checks(asset)?;
        results.retain(is_defined);
        // A table that cannot be read keeps what was found last; its next step says why.
        for outcome in freshness::outcomes(world, &table).await.unwrap_or_default() {
            let found = check_result(&audit::report(outcome));
            match results.iter_mut().find(|result| result.check == found.check) {
                Some(known) => *known = found,
                None => results.push(found),
            }
        }
        Ok(results)
    }

    /// The newest commits of a table that its log still holds, newest first.
    pub fn history<'a>(
        &'a self,
        table: &'a TableName,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<CommitRecord>, EngineError>> {
        Box::pin(async move { Ok(self.world().lake.history(table, Some(limit)).await?) })
    }

    /// A run of which a step remembers only the id.
    pub fn run_record(&self, run: &RunId) -> Result<Option<RunRecord>, EngineError> {
        Ok(self.world().state.run(run)?)
    }

    /// The schema versions of a source's table that the catalog knows, oldest first.
    pub fn schema_versions(&self, table: &TableName) -> Result<Vec<SchemaVersion>, EngineError> {
        Ok(self.world().state.schema_versions(table)?)
    }
}
