//! `plan --json`, `run --dry-run --json`, and the reasons that run events carry.

use millstream_api::runs::{Cause, PlannedStep};
use millstream_plan::{ByHand, Reason};

use super::Of;

impl Of<&ByHand> for PlannedStep {
    fn of(asset: &ByHand) -> Self {
        Self { asset: asset.asset.to_string(), cause: Cause::of(&asset.reason), upkeep: None }
    }
}

impl Of<&Reason> for Cause {
    fn of(reason: &Reason) -> Self {
        let because_of = match reason {
            Reason::NewInput { from } => from.clone(),
            Reason::Unreadable { because } | Reason::Repair { because } => vec![because.clone()],
            _ => Vec::new(),
        };
        Self { reason: reason.as_str(), because_of, last_attempt: None }
    }
}
