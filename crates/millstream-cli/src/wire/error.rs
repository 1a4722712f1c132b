//! `--json` of a command that failed before it had a result.

use serde::Serialize;

use crate::ErrorReport;

/// `{"error": {…}}`
#[derive(Clone, Debug, Serialize)]
pub struct ErrorDocument {
    pub error: ErrorBody,
}

/// The same words that people see.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorBody {
    pub code: &'static str,
    pub message: String,
    /// The causes, from the nearest to the deepest.
    pub causes: Vec<String>,
    pub hint: Option<String>,
}

impl From<&ErrorReport> for ErrorDocument {
    fn from(report: &ErrorReport) -> Self {
        Self {
            error: ErrorBody {
                code: report.code,
                message: report.message.clone(),
                causes: report.causes.clone(),
                hint: report.hint.clone(),
            },
        }
    }
}
