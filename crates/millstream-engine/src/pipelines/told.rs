//! What pipelines tell on the bus of events.

use std::time::Duration;

use millstream_types::{AssetId, AssetVersion};

/// Something that happened in a pipeline.
#[derive(Clone, Debug)]
pub struct PipelineTold {
    pub asset: AssetId,
    pub change: PipelineChange,
}

/// What happened in a pipeline.
#[derive(Clone, Debug)]
pub enum PipelineChange {
    /// It has the asset's lease and begins with what is durable.
    Started,
    /// What it made became visible.
    Committed {
        /// The table's version; `None` for what is no table.
        version: Option<AssetVersion>,
        /// Rows that were added or took the place of others.
        rows: u64,
        rows_rejected: u64,
        rows_late: u64,
    },
    /// An error ended its work, which begins again after the wait.
    Failed { code: &'static str, error: String, hint: Option<String>, wait: Duration },
    /// It has failed too often in a row and works no more until somebody resumes it or changes the project.
    SetAside { code: &'static str, error: String, hint: Option<String> },
    /// It works no more, because the process ends or the project no longer has it.
    Ended,
}

impl PipelineChange {
    /// The stable word for machines.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Committed { .. } => "committed",
            Self::Failed { .. } => "failed",
            Self::SetAside { .. } => "set_aside",
            Self::Ended => "ended",
        }
    }
}
