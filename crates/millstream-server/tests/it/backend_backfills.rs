//! The shop's backfills: what one does, the table's name says.

use async_trait::async_trait;
use millstream_api::{
    backfills::{BackfillBody, BackfillInfo, BackfillPlan, PartitionState, PartitionsDocument},
    runs::RunEvent,
};
use millstream_server::{ApiError, BackfillBackend, BackfillEnd, ErrorKind, JobReporter};

use crate::backend::Shop;

fn info(asset: &str, status: &'static str) -> BackfillInfo {
    BackfillInfo {
        backfill: "silver-orders-1".to_owned(),
        asset: asset.to_owned(),
        status,
        wanted: 2,
        done: 2,
        failed: 0,
        set: [].into(),
        parallel: 1,
        started: "2026-11-01T00:00:00Z".to_owned(),
        finished: None,
    }
}

#[async_trait]
impl BackfillBackend for Shop {
    async fn preview_backfill(&self, request: BackfillBody) -> Result<BackfillPlan, ApiError> {
        Ok(BackfillPlan {
            asset: request.asset,
            partitions: 2,
            first: request.from,
            last: request.to,
            skipped: 0,
            chunks: 2,
            parallel: 1,
            rows: Some(20),
            takes_ms: None,
            cost: None,
        })
    }

    async fn backfill(&self, request: BackfillBody, job: JobReporter) -> Result<BackfillEnd, ApiError> {
        if request.asset == "silver.whole" {
            let error = ApiError::new(ErrorKind::Invalid, "`silver.whole` has no partitions");
            return Err(error.with_code("MS-0755"));
        }
        job.event(&RunEvent::RunStarted { run: "0199-a".to_owned(), steps: Vec::new() });
        Ok(BackfillEnd { info: info(&request.asset, "finished"), failure: None })
    }

    async fn backfills(&self, limit: usize) -> Result<Vec<BackfillInfo>, ApiError> {
        Ok(vec![info("silver.orders", "open"); limit.min(2)])
    }

    async fn cancel_backfill(&self, id: &str) -> Result<BackfillInfo, ApiError> {
        Ok(BackfillInfo { backfill: id.to_owned(), ..info("silver.orders", "cancelled") })
    }

    async fn partitions(&self, asset: &str) -> Result<PartitionsDocument, ApiError> {
        if asset != "silver.orders" {
            return Err(ApiError::new(ErrorKind::UnknownAsset, format!("`{asset}` has no partitions")));
        }
        let state = PartitionState {
            first: "2024-01-01".to_owned(),
            last: "2024-01-02".to_owned(),
            partitions: 2,
            status: "built",
            error: None,
            set: [].into(),
        };
        Ok(PartitionsDocument {
            asset: asset.to_owned(),
            by: "day".to_owned(),
            column: "ordered_at".to_owned(),
            built: 2,
            stale: 0,
            failed: 0,
            missing: 0,
            ranges: vec![state],
            checks: Vec::new(),
        })
    }
}
