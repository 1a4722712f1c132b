//! Backfills over HTTP, carried out by the engine.

use std::{num::NonZeroUsize, time::Duration};

use async_trait::async_trait;
use millstream_api::backfills::{BackfillBody, BackfillInfo, BackfillPlan, PartitionsDocument};
use millstream_engine::{BackfillReport, BackfillRequest, BackfillWish, Engine, EngineError, PartitionGrain};
use millstream_server::{ApiError, BackfillBackend, BackfillEnd, ErrorKind, JobReporter};

use super::{Backend, catalog::told, errors::api_error, progress};
use crate::{project::table_named, wire::Of};

#[async_trait]
impl BackfillBackend for Backend {
    async fn preview_backfill(&self, request: BackfillBody) -> Result<BackfillPlan, ApiError> {
        let live = self.live();
        let request = asked(&live.engine, request, None)?;
        let preview = live.engine.preview_backfill(&request).await.map_err(refused)?;
        Ok(BackfillPlan::of(&preview))
    }

    async fn backfill(&self, request: BackfillBody, job: JobReporter) -> Result<BackfillEnd, ApiError> {
        let live = self.live();
        let request = asked(&live.engine, request, Some(job.principal().to_owned()))?;
        let cancel = job.cancelled().clone();
        let events = progress::begin(&live.engine, &request.command, job);
        let report = live.engine.backfill(&request, Duration::ZERO, events, cancel).await.map_err(refused)?;
        Ok(BackfillEnd { failure: failure(&report), info: BackfillInfo::of(&report.backfill) })
    }

    async fn backfills(&self, limit: usize) -> Result<Vec<BackfillInfo>, ApiError> {
        let backfills = self.live().engine.backfills(limit).await.map_err(api_error)?;
        Ok(backfills.iter().map(BackfillInfo::of).collect())
    }

    async fn cancel_backfill(&self, id: &str) -> Result<BackfillInfo, ApiError> {
        let live = self.live();
        live.engine.cancel_backfill(id).await.map_err(refused)?;
        Ok(BackfillInfo::of(&live.engine.backfill_record(id).await.map_err(refused)?))
    }

    async fn partitions(&self, asset: &str) -> Result<PartitionsDocument, ApiError> {
        let live = self.live();
        let table = table_named(live.engine.project(), asset).map_err(told)?;
        match live.engine.partitions(&table).await.map_err(api_error)? {
            Some(overview) => Ok(PartitionsDocument::of(&overview)),
            None => {
                let error = ApiError::new(ErrorKind::UnknownAsset, format!("`{table}` has no partitions"));
                Err(error.with_hint("a table has some when its header says `partition`"))
            }
        }
    }
}

/// The request as the engine takes it.
fn asked(
    engine: &Engine,
    body: BackfillBody,
    principal: Option<String>,
) -> Result<BackfillRequest, ApiError> {
    let invalid = |field: &str, message: &str| ApiError::new(ErrorKind::Invalid, message).with_field(field);
    let asset = table_named(engine.project(), &body.asset).map_err(told)?.to_string();
    let by = match &body.by {
        None => None,
        Some(word) => {
            let found = PartitionGrain::named(word);
            Some(found.ok_or_else(|| invalid("by", "`by` is `hour`, `day`, `week`, `month` or `year`"))?)
        }
    };
    let parallel = match body.parallel.map(NonZeroUsize::new) {
        Some(None) => return Err(invalid("parallel", "`parallel` has to be at least 1")),
        Some(some) => some,
        None => None,
    };
    let mut words = vec!["backfill".to_owned(), asset.clone()];
    words.extend(body.from.iter().map(|from| format!("--from {from}")));
    words.extend(body.to.iter().map(|to| format!("--to {to}")));
    words.extend(body.only.iter().map(|only| format!("--only {only}")));
    words.extend(body.set.iter().map(|(name, value)| format!("--set {name}={value}")));
    let wish = match (body.from, body.to, body.only.is_empty()) {
        (Some(_), _, false) => return Err(invalid("only", "`only` and `from` exclude each other")),
        (None, Some(_), _) => return Err(invalid("to", "`to` needs `from`")),
        (Some(from), to, true) => BackfillWish::Between { from, to },
        (None, None, false) => BackfillWish::Named(body.only),
        (None, None, true) => BackfillWish::Open,
    };
    let (set, force) = (body.set, body.force);
    Ok(BackfillRequest { asset, wish, by, set, parallel, force, command: words.join(" "), principal })
}

/// What the engine refuses of a backfill is the client's to mend.
fn refused(error: EngineError) -> ApiError {
    match &error {
        EngineError::Partitions { .. } | EngineError::UnknownBackfill { .. } => {
            let told = ApiError::new(ErrorKind::Invalid, error.to_string()).with_code(error.code());
            match error.hint() {
                Some(hint) => told.with_hint(hint),
                None => told,
            }
        }
        _ => api_error(error),
    }
}

/// Why not every partition was built.
fn failure(report: &BackfillReport) -> Option<ApiError> {
    if report.run.cancelled {
        return Some(ApiError::new(ErrorKind::Cancelled, "the backfill was told to end"));
    }
    if report.succeeded() {
        return None;
    }
    let (done, wanted) = (report.backfill.done.len(), report.backfill.wanted.len());
    Some(ApiError::new(ErrorKind::RunFailed, format!("{done} of {wanted} partitions are built")))
}
