//! Maintenance: what was done to tables.

use serde::Serialize;
use utoipa::ToSchema;

/// What was done to one table.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MaintainedTable {
    pub table: String,
    pub files_compacted: u64,
    pub files_written: u64,
    pub files_deleted: u64,
    pub bytes_freed: u64,
    /// The version of the checkpoint that was written, if one was.
    pub checkpoint: Option<i64>,
    /// Why something was left as it is.
    pub notes: Vec<String>,
}
