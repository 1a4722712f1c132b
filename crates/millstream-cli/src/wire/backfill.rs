//! `backfill --json`, and `status --partitions --json`.

use std::collections::BTreeMap;

use millstream_api::backfills::{
    BackfillInfo, BackfillPlan, PartitionCheck, PartitionState, PartitionsDocument,
};
use millstream_api::figures::Cost;
use millstream_engine::{BackfillPreview, BackfillRecord, PartitionOverview};

use super::{Of, instant};

impl Of<&BackfillPreview> for BackfillPlan {
    fn of(preview: &BackfillPreview) -> Self {
        let (first, last) = preview.bounds.clone().unzip();
        Self {
            asset: preview.asset.to_string(),
            partitions: preview.partitions,
            first,
            last,
            skipped: preview.skipped,
            chunks: preview.chunks,
            parallel: preview.parallel,
            rows: preview.rows,
            cost: preview.cost.as_ref().map(Cost::of),
            takes_ms: preview.takes.map(|takes| u64::try_from(takes.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

impl Of<&BackfillRecord> for BackfillInfo {
    fn of(record: &BackfillRecord) -> Self {
        Self {
            backfill: record.id.clone(),
            asset: record.asset.to_string(),
            status: record.status.as_str(),
            wanted: record.wanted.len(),
            done: record.done.len(),
            failed: record.failed.len(),
            set: values(&record.parameters),
            parallel: record.parallel,
            started: instant(record.started),
            finished: record.finished.map(instant),
        }
    }
}

impl Of<&PartitionOverview> for PartitionsDocument {
    fn of(overview: &PartitionOverview) -> Self {
        let range = |range: &millstream_engine::PartitionRange| PartitionState {
            first: range.first.clone(),
            last: range.last.clone(),
            partitions: range.count,
            status: range.status,
            error: range.error.clone(),
            set: values(&range.parameters),
        };
        let check = |broken: &millstream_engine::BrokenPartition| PartitionCheck {
            partition: broken.partition.clone(),
            check: broken.check.clone(),
            severity: broken.severity,
            failed: broken.failed,
            observed: broken.observed.clone(),
        };
        Self {
            asset: overview.table.to_string(),
            by: overview.by.clone(),
            column: overview.column.clone(),
            built: overview.built,
            stale: overview.stale,
            failed: overview.failed,
            missing: overview.missing,
            ranges: overview.ranges.iter().map(range).collect(),
            checks: overview.broken.iter().map(check).collect(),
        }
    }
}

/// The values of parameters that are kept as JSON.
fn values(parameters: &str) -> BTreeMap<String, String> {
    serde_json::from_str(parameters).unwrap_or_default()
}
