//! `plan --json`, `run --dry-run --json`, and the reasons that run events carry.

use millstream_plan::{ByHand, Reason};
use serde::Serialize;

/// What would run, in order.
#[derive(Clone, Debug, Serialize)]
pub struct PlanDocument {
    pub steps: Vec<PlannedStep>,
    /// Selected assets that need nothing.
    pub up_to_date: Vec<String>,
    /// Selected assets that would run if the command named them, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_hand: Vec<PlannedStep>,
}

/// One asset that runs.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedStep {
    pub asset: String,
    #[serde(flatten)]
    pub cause: Cause,
    /// In a plan, of an incremental table or a history: what a change of its inputs costs, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upkeep: Option<String>,
}

/// Why an asset runs: a stable word, and what it refers to.
#[derive(Clone, Debug, Serialize)]
pub struct Cause {
    /// `never_built`, `vanished`, `definition_changed`, `unreadable`, `new_input`, `stale`, `forced`, `retry`,
    /// `up_to_date`.
    pub reason: &'static str,
    /// The inputs or parts that are new, what cannot be read, or, in a plan, the option that forces it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because_of: Vec<String>,
    /// In a plan: how the last attempt at an asset ended that was never built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<String>,
}

impl From<&ByHand> for PlannedStep {
    fn from(asset: &ByHand) -> Self {
        Self { asset: asset.asset.to_string(), cause: Cause::from(&asset.reason), upkeep: None }
    }
}

impl From<&Reason> for Cause {
    fn from(reason: &Reason) -> Self {
        let because_of = match reason {
            Reason::NewInput { from } => from.clone(),
            Reason::Unreadable { because } => vec![because.clone()],
            _ => Vec::new(),
        };
        Self { reason: reason.as_str(), because_of, last_attempt: None }
    }
}
