//! `maintain --json`.

use millstream_engine::MaintenanceReport;
use serde::Serialize;

/// The tables that were maintained.
#[derive(Clone, Debug, Serialize)]
pub struct MaintainDocument {
    pub tables: Vec<MaintainedTable>,
}

/// What was done to one table.
#[derive(Clone, Debug, Serialize)]
pub struct MaintainedTable {
    pub table: String,
    pub files_compacted: u64,
    pub files_written: u64,
    pub files_deleted: u64,
    pub bytes_freed: u64,
    pub checkpoint: Option<i64>,
    pub notes: Vec<String>,
}

impl From<&MaintenanceReport> for MaintainedTable {
    fn from(report: &MaintenanceReport) -> Self {
        Self {
            table: report.table.to_string(),
            files_compacted: report.files_compacted,
            files_written: report.files_written,
            files_deleted: report.files_deleted,
            bytes_freed: report.bytes_freed,
            checkpoint: report.checkpoint,
            notes: report.notes.clone(),
        }
    }
}
