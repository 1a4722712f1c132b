//! Partitions of tables, and backfills that fill them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::figures::Cost;

/// What is to be filled.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackfillBody {
    /// The table, as in `silver.orders`.
    pub asset: String,
    /// The first partition, as in `2024-01-01`. Without it, and without `only`, the partitions are meant that are missing, stale or failed.
    pub from: Option<String>,
    /// The partition before which to end; up to now without it.
    pub to: Option<String>,
    /// The partitions by name, as in `2024-01-01` or `north`.
    pub only: Vec<String>,
    /// How many partitions are built together: those of an `hour`, `day`, `week`, `month` or `year`.
    pub by: Option<String>,
    /// Values of the table's parameters, as text, by name.
    pub set: BTreeMap<String, String>,
    /// How many chunks are computed at once.
    pub parallel: Option<usize>,
    /// Whether partitions are built again that are built already.
    pub force: bool,
}

/// What a backfill would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BackfillPlan {
    pub asset: String,
    /// The partitions that would be built.
    pub partitions: u64,
    pub first: Option<String>,
    /// The last of them, which is one of them.
    pub last: Option<String>,
    /// Partitions that are meant and built already.
    pub skipped: u64,
    pub chunks: u64,
    pub parallel: usize,
    /// About how many rows will be written; none before any partition was built.
    pub rows: Option<u64>,
    /// About how long it takes, in milliseconds; none before any partition was built.
    pub takes_ms: Option<u64>,
    /// About what it costs, by what the table's last steps used for each row; none where the project names no prices, or where no
    /// step was measured yet.
    pub cost: Option<Cost>,
}

/// A backfill on record.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BackfillInfo {
    pub backfill: String,
    pub asset: String,
    /// `open`, `finished`, `failed` or `cancelled`.
    pub status: &'static str,
    /// The partitions that were asked for.
    pub wanted: u64,
    pub done: u64,
    pub failed: u64,
    /// Values of parameters that were set, by name.
    pub set: BTreeMap<String, String>,
    pub parallel: u64,
    /// RFC 3339.
    pub started: String,
    /// RFC 3339; none for one that is open.
    pub finished: Option<String>,
}

/// Backfills, the newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BackfillsAnswer {
    pub backfills: Vec<BackfillInfo>,
}

/// What a backfill would do, and what it did.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BackfillDocument {
    /// What was previewed, for each table.
    pub plans: Vec<BackfillPlan>,
    /// The backfills that were done; none for a preview.
    pub backfills: Vec<BackfillInfo>,
}

/// Where the partitions of a table stand.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PartitionsDocument {
    pub asset: String,
    /// What parts the rows: `day`, `day Europe/Berlin`, `value`.
    pub by: String,
    pub column: String,
    pub built: u64,
    pub stale: u64,
    pub failed: u64,
    pub missing: u64,
    /// Partitions in a row that stand equally, in order.
    pub ranges: Vec<PartitionState>,
    /// The checks that do not hold, the worst first.
    pub checks: Vec<PartitionCheck>,
}

/// Partitions in a row that stand equally.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PartitionState {
    pub first: String,
    /// The last of them, which is one of them.
    pub last: String,
    pub partitions: u64,
    /// `built`, `stale`, `failed` or `missing`.
    pub status: &'static str,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// Values of parameters that a backfill has set, by name.
    pub set: BTreeMap<String, String>,
}

/// A check that does not hold in one partition.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PartitionCheck {
    pub partition: String,
    pub check: String,
    /// `warn`, `quarantine` or `halt`.
    pub severity: &'static str,
    /// Rows that broke a row check; 1 for a check of the whole partition.
    pub failed: u64,
    /// The figure that was compared.
    pub observed: Option<String>,
}
