//! What happens when a check fails.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a failed check does to the rows and to the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The rows pass; the figure is recorded and shown.
    Warn,
    /// The rows go to the table of rejected rows, the rest passes.
    Quarantine,
    /// Nothing is committed; the last good version stays, downstream is skipped.
    Halt,
}

impl Severity {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Quarantine => "quarantine",
            Self::Halt => "halt",
        }
    }
}
