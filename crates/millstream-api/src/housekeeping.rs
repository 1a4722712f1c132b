//! How housekeeping goes.

use serde::Serialize;
use utoipa::ToSchema;

/// Housekeeping of a project that a server tidies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HousekeepingState {
    /// The last time at which it ended well.
    pub last: Option<String>,
    /// The next time at which it is due.
    pub next: Option<String>,
    /// What stays untidy: housekeeping that does not run, and tables that it failed to tidy several times in a row.
    pub alarms: Vec<HousekeepingAlarm>,
}

/// Something that stays untidy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HousekeepingAlarm {
    pub message: String,
    pub hint: String,
}
