//! `plan --json`, `run --dry-run --json`, and the reasons that run events carry.

use millstream_api::runs::Cause;
use millstream_plan::Reason;

use super::Of;

impl Of<&Reason> for Cause {
    fn of(reason: &Reason) -> Self {
        let because_of = match reason {
            Reason::NewInput { from } => from.clone(),
            Reason::UpstreamFailed { because } => vec![because.to_string()],
            Reason::Unreadable { because } => vec![because.clone()],
            _ => Vec::new(),
        };
        Self { reason: reason.as_str(), because_of, last_attempt: None }
    }
}
