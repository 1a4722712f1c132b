//! `millstream status`: the last run, and where each asset stands.

use futures::future::BoxFuture;
use millstream_lake::CommitRecord;
use millstream_plan::{AssetKind, Recorded};
use millstream_state::{CheckResult, RunRecord, SchemaVersion, StepRecord};
use millstream_types::{AssetId, RunId, TableName, TimestampMicros};

use crate::{Engine, EngineError};

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
    /// Results of the last step that ran.
    pub checks: Vec<CheckResult>,
}

impl Engine {
    /// Reads the state store only; no table is opened.
    pub fn status(&self) -> Result<Status, EngineError> {
        let world = self.world();
        let mut recorded = world.state.recorded()?;
        let mut steps = world.state.latest_steps()?;
        let mut assets = Vec::new();
        for facts in world.project.graph.topological() {
            let last_step =
                steps.iter().position(|step| step.asset == facts.id).map(|place| steps.swap_remove(place));
            let checks = match &last_step {
                Some(step) => world.state.check_results(&step.run, &facts.id)?,
                None => Vec::new(),
            };
            assets.push(AssetStatus {
                asset: facts.id.clone(),
                kind: facts.kind,
                recorded: recorded.remove(&facts.id).filter(Recorded::was_built),
                last_step,
                checks,
            });
        }
        Ok(Status { now: world.options.clock.now(), last_run: world.state.last_run()?, assets })
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
