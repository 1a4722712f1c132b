//! `maintain --json`.

use millstream_api::maintain::MaintainedTable;
use millstream_engine::MaintenanceReport;
use serde::Serialize;

use super::Of;

/// The tables that were maintained.
#[derive(Clone, Debug, Serialize)]
pub struct MaintainDocument {
    pub tables: Vec<MaintainedTable>,
    /// The runs that were forgotten because they are older than the project's policy keeps them.
    pub runs_forgotten: u64,
}

impl Of<&MaintenanceReport> for MaintainedTable {
    fn of(report: &MaintenanceReport) -> Self {
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
