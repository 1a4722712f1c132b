//! A continuous table: rows come in from the log, go through its pipeline, and what that tells becomes visible exactly once.
//!
//! Rows are taken in as fast as they are committed: what is told and not committed is bounded, and beyond that the log is the buffer. A commit is due after the
//! table's `commit_every` or `commit_rows`. How the state on disk and the table go forward together stands in [`state`].

mod buffer;
mod commit;
mod flow;
mod late;
mod live;
mod log_flow;
mod merge;
mod state;
mod step;
#[cfg(test)]
mod tests;
mod tidy;
mod waits;
mod work;

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use millstream_project::TableSpec;
use millstream_stream::StreamError;
use millstream_types::{AssetId, Fingerprint, TableName};

use super::{Continuous, Stint};
use crate::{EngineError, engine::World};

pub(crate) use flow::{Behind, Fed, Feed, Flow, Input, Offsets, Opened};

pub(crate) use live::LiveTables;

pub(crate) use step::attempt;
pub(crate) use waits::waits;

use log_flow::LogFlow;
use work::Work;

/// The continuous tables of a project.
pub(crate) fn continuous(world: &Arc<World>) -> Result<Vec<Arc<dyn Continuous>>, EngineError> {
    let tables = world.project.analysis.streams.keys().map(|name| {
        let spec = world.project.table(name).ok_or_else(|| world.project.unknown_table(name))?;
        Ok(Arc::new(ContinuousTable::new(world, spec, flow_of(world, name)?)?) as Arc<dyn Continuous>)
    });
    tables.collect()
}

/// What a continuous table's SQL makes of the event log.
pub(crate) fn flow_of(world: &Arc<World>, table: &TableName) -> Result<Arc<dyn Flow>, EngineError> {
    let plan = world.project.analysis.streams.get(table);
    let plan = plan.ok_or(EngineError::Worker { doing: "looking for a continuous table" })?;
    Ok(Arc::new(LogFlow::new(world, plan)?))
}

/// A table that is made of events as they arrive.
pub(crate) struct ContinuousTable {
    world: Arc<World>,
    asset: AssetId,
    spec: TableSpec,
    flow: Arc<dyn Flow>,
    fingerprint: Fingerprint,
}

impl fmt::Debug for ContinuousTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContinuousTable").field("asset", &self.asset).finish_non_exhaustive()
    }
}

impl ContinuousTable {
    /// The table of `spec`, which is in the world's project.
    pub(crate) fn new(
        world: &Arc<World>,
        spec: &TableSpec,
        flow: Arc<dyn Flow>,
    ) -> Result<Self, EngineError> {
        let asset = spec.name.asset_id();
        let facts = world.project.graph.get(&asset).ok_or_else(|| crate::assets::unknown(&asset))?;
        let fingerprint = facts.fingerprint;
        Ok(Self { world: world.clone(), asset, spec: spec.clone(), flow, fingerprint })
    }

    /// Takes in what there is, commits it and ends. Windows that are open stay open.
    pub(crate) async fn catch_up(&self, stint: &Stint) -> Result<(), EngineError> {
        self.begin(stint).await?.catch_up().await
    }

    /// Computes the table anew from its first events, and puts the result in the place of all its rows. The state is made beside the old one, and the commit
    /// switches to it. Where the log no longer has the first events that is refused, unless the rows of those `may_go`.
    pub(crate) async fn refresh(&self, stint: &Stint, may_go: bool) -> Result<(), EngineError> {
        if !may_go && !self.has_all_events().await? {
            return Err(EngineError::Refused {
                table: self.spec.name.clone(),
                message: "cannot be computed anew: the event log no longer has its first events".into(),
                hint: "`--forget-gone` computes it from the events that are left, and what the others gave is gone".into(),
            });
        }
        Work::begin_anew(self, stint).await?.catch_up().await
    }

    /// Begins with what is durable. What another definition has left is computed anew where the log has all events.
    async fn begin<'a>(&'a self, stint: &'a Stint) -> Result<Work<'a>, EngineError> {
        match Work::begin(self, stint).await {
            Err(EngineError::Pipeline { source: StreamError::OtherDefinition, .. })
                if self.has_all_events().await? =>
            {
                tracing::info!(table = %self.spec.name, "the definition is another one: the table is computed anew");
                self.refresh(stint, false).await?;
                Work::begin(self, stint).await
            }
            begun => begun,
        }
    }

    async fn has_all_events(&self) -> Result<bool, EngineError> {
        Ok(self.flow.begin().await?.values().flatten().all(|offset| *offset == 0))
    }
}

impl Continuous for ContinuousTable {
    fn asset(&self) -> &AssetId {
        &self.asset
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    fn work<'a>(&'a self, stint: &'a Stint) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move { self.begin(stint).await?.go_on().await })
    }

    fn retire(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(async move { self.flow.retire().await })
    }
}
