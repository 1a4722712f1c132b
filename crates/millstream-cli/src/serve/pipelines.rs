//! Pipelines while the project is served, and the rows of tables as they become visible.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use millstream_api::pipelines::{PipelineInfo, PipelinesAnswer};
use millstream_engine::{EngineError, FollowedRows, FollowedTable, Pipelines};
use millstream_lake::LakeError;
use millstream_server::{ApiError, CommittedRows, ErrorKind, PipelineBackend, RowPlace, TableFollower};
use millstream_telemetry::{Metrics, PipelineSeen};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Backend, errors::api_error};
use crate::wire::Of;

/// How often the figures of pipelines are brought up to date.
const MEASURED_EVERY: Duration = Duration::from_secs(1);

impl Backend {
    /// Keeps the project's pipelines at work from now on until `cancel`, on a task that ends when each has committed what is complete, or took longer than
    /// `drain` for it.
    pub(crate) fn keep_pipelines(&self, cancel: CancellationToken, drain: Duration) -> JoinHandle<()> {
        let (pipelines, kept) = self.live().engine.keep_pipelines(cancel, drain);
        *self.pipelines.lock().unwrap_or_else(PoisonError::into_inner) = Some(pipelines);
        tokio::spawn(kept)
    }

    /// Shows how the pipelines are in the figures of the process, until `cancel`.
    pub(crate) async fn measure_pipelines(self: Arc<Self>, metrics: Arc<Metrics>, cancel: CancellationToken) {
        while !cancel.is_cancelled() {
            let status = Self::pipelines(&self).map(|pipelines| pipelines.status()).unwrap_or_default();
            for seen in &status {
                metrics.pipeline(&PipelineSeen {
                    asset: seen.asset.as_str(),
                    lag_rows: seen.lag_rows,
                    lag_ms: u64::try_from(seen.lag.as_millis()).unwrap_or(u64::MAX),
                    rows_in: seen.rows_in,
                    rows_out: seen.rows_out,
                    rows_late: seen.rows_late,
                    rows_rejected: seen.rows_rejected,
                    commit_us: u64::try_from(seen.commit_p99.as_micros()).unwrap_or(u64::MAX),
                    state_bytes: seen.state_bytes,
                    failures: seen.failures,
                });
            }
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(MEASURED_EVERY) => {}
            }
        }
    }

    pub(super) fn pipelines(&self) -> Option<Pipelines> {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl PipelineBackend for Backend {
    async fn pipelines(&self) -> Result<PipelinesAnswer, ApiError> {
        let status = Backend::pipelines(self).map(|pipelines| pipelines.status()).unwrap_or_default();
        Ok(PipelinesAnswer { pipelines: status.iter().map(PipelineInfo::of).collect() })
    }

    async fn follow(&self, table: &str, after: Option<RowPlace>) -> Result<Box<dyn TableFollower>, ApiError> {
        let after = after.map(|RowPlace { version, row }| (version, row));
        let followed = self.live().engine.follow(table, after).await.map_err(failed)?;
        Ok(Box::new(Follower(followed)))
    }
}

struct Follower(FollowedTable);

#[async_trait]
impl TableFollower for Follower {
    async fn next(&mut self) -> Result<CommittedRows, ApiError> {
        let FollowedRows { version, first, rows } = self.0.next().await.map_err(failed)?;
        Ok(CommittedRows { first: RowPlace { version, row: first }, rows })
    }
}

/// What somebody is told who follows a table.
fn failed(error: EngineError) -> ApiError {
    match &error {
        EngineError::UnknownAsset { .. } | EngineError::NeverBuilt { .. } => {
            ApiError::new(ErrorKind::UnknownAsset, error.to_string())
        }
        EngineError::Lake(gone @ LakeError::ChangesUnavailable { .. }) => {
            ApiError::new(ErrorKind::DatasetGone, gone.to_string())
                .with_hint("read the table, and follow it from then on")
        }
        _ => api_error(error),
    }
}
