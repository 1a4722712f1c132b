//! What a process tells of its pipelines through the state store, for whoever asks in another process.

use futures::future::BoxFuture;
use millstream_state::PipelineRecord;
use millstream_types::{AssetId, TimestampMicros};

use super::PipelineStatus;
use crate::{Engine, EngineError, engine::World};

/// How a pipeline was at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineSeen {
    pub status: PipelineStatus,
    pub at: TimestampMicros,
}

impl Engine {
    /// How the pipelines were when the process that keeps them last told, which it does every few seconds. Those of assets that the project no longer has are
    /// left out.
    pub fn pipelines_seen(&self) -> BoxFuture<'_, Result<Vec<PipelineSeen>, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            let records = world.state.pipelines().await?;
            let is_there = |record: &PipelineRecord| world.project.graph.get(&record.asset).is_some();
            // What a later version of Millstream tells may be read by that one alone.
            let read = |record: PipelineRecord| {
                let status = serde_json::from_str(&record.figures).ok()?;
                Some(PipelineSeen { status, at: record.at })
            };
            Ok(records.into_iter().filter(is_there).filter_map(read).collect())
        })
    }
}

/// Records how pipelines are, and forgets those that are gone.
pub(super) async fn record(
    world: &World,
    status: &[PipelineStatus],
    gone: &[AssetId],
) -> Result<(), EngineError> {
    let at = world.options.clock.now();
    let record = |status: &PipelineStatus| {
        let figures = serde_json::to_string(status).map_err(|source| EngineError::CommitInfo { source })?;
        Ok(PipelineRecord { asset: status.asset.clone(), at, figures })
    };
    let records = status.iter().map(record).collect::<Result<Vec<_>, EngineError>>()?;
    Ok(world.state.record_pipelines(&records, gone).await?)
}
