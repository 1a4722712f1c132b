//! `housekeeping`: when a server tidies up, and what it keeps.

use millstream_schedule::{CronLine, Trigger};
use millstream_types::Span;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// The policy of housekeeping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HousekeepingSpec {
    /// `every …` or a cron line; `None` where the project has turned housekeeping off.
    pub schedule: Option<Trigger>,
    /// How long old versions of tables stay readable, where nothing pins them.
    pub files: Span,
    /// How long runs are remembered, with all that belongs to them.
    pub runs: Span,
    /// How long the figures of assets are remembered.
    pub metrics: Span,
    /// How long the sample of served values is kept in the lake.
    pub served: Span,
    /// How long one housekeeping turns to further tables.
    pub at_most: Span,
}

impl HousekeepingSpec {
    /// The line of a project that says nothing.
    const DAILY: &str = "0 3 * * *";
}

impl Default for HousekeepingSpec {
    fn default() -> Self {
        Self {
            schedule: Self::DAILY.parse::<CronLine>().ok().map(Trigger::Cron),
            files: Span::from_ms(7 * DAY_MS),
            runs: Span::from_ms(90 * DAY_MS),
            metrics: Span::from_ms(400 * DAY_MS),
            served: Span::from_ms(30 * DAY_MS),
            at_most: Span::from_ms(DAY_MS / 12),
        }
    }
}
