//! What the endpoints of backfills ask of the rest of Millstream.

use async_trait::async_trait;
use millstream_api::backfills::{BackfillBody, BackfillInfo, BackfillPlan, PartitionsDocument};

use crate::{error::ApiError, jobs::JobReporter};

/// Partitions, and backfills that fill them.
#[async_trait]
pub trait BackfillBackend: Send + Sync + 'static {
    /// What a backfill would do.
    async fn preview_backfill(&self, request: BackfillBody) -> Result<BackfillPlan, ApiError>;

    /// Fills partitions, telling its events, and ends soon after `job` is cancelled.
    ///
    /// # Errors
    ///
    /// What was refused before it began; [`crate::ErrorKind::AlreadyRunning`] when others work on the table.
    async fn backfill(&self, request: BackfillBody, job: JobReporter) -> Result<BackfillEnd, ApiError>;

    /// The newest backfills first.
    async fn backfills(&self, limit: usize) -> Result<Vec<BackfillInfo>, ApiError>;

    /// Ends a backfill after the chunk that is being committed.
    async fn cancel_backfill(&self, id: &str) -> Result<BackfillInfo, ApiError>;

    /// Where the partitions of a table stand.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::UnknownAsset`], also of an asset without partitions.
    async fn partitions(&self, asset: &str) -> Result<PartitionsDocument, ApiError>;
}

/// The end of a backfill that began.
#[derive(Debug)]
pub struct BackfillEnd {
    pub info: BackfillInfo,
    /// Why not every partition was built; none if all were.
    pub failure: Option<ApiError>,
}
