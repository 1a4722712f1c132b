//! What is promised of an asset, and whether it is kept: told the facts and the time, this says once when a promise is at risk,
//! once when it is broken, and once when it is kept again.
//!
//! [`Sla`] is what a project says. [`SlaWatch`] follows it through time. [`calendar`] makes days of what it found.

mod calendar;
mod deadline;
mod watch;

use std::fmt;

use millstream_types::{Span, TimestampMicros};

pub use calendar::{CalendarDay, DayState, calendar};
pub use deadline::{Deadline, DeadlineError, WeekDays};
pub use watch::{Breach, PromiseState, SlaChange, SlaFacts, SlaWatch, WatchedPromise};

/// The promises about an asset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sla {
    /// On each of its days, what the asset holds is of that day by then.
    pub fresh_by: Option<Deadline>,
    /// What the asset holds is never older than this.
    pub at_most: Option<Span>,
    /// No step of the asset takes longer than this.
    pub step_at_most: Option<Span>,
}

/// One kind of promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    FreshBy,
    AtMost,
    StepAtMost,
}

impl Promise {
    pub const ALL: [Self; 3] = [Self::FreshBy, Self::AtMost, Self::StepAtMost];

    /// The stable word for machines and for the state store, and the key in a project's files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FreshBy => "fresh_by",
            Self::AtMost => "at_most",
            Self::StepAtMost => "step_at_most",
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Sla {
    /// The promises that are made.
    pub fn promises(&self) -> impl Iterator<Item = Promise> {
        let made = [self.fresh_by.is_some(), self.at_most.is_some(), self.step_at_most.is_some()];
        Promise::ALL.into_iter().zip(made).filter(|(_, is_made)| *is_made).map(|(promise, _)| promise)
    }

    /// Since when the promise about how old an asset is does not hold at `now`, of which nobody has watched it; `None` while it does, and
    /// for the promise about steps. What the asset holds is as fresh as of `fresh_as_of`.
    #[must_use]
    pub fn broken_since(
        &self,
        promise: Promise,
        fresh_as_of: TimestampMicros,
        now: TimestampMicros,
    ) -> Option<TimestampMicros> {
        match promise {
            Promise::FreshBy => {
                let by = self.fresh_by.as_ref()?;
                by.last_until(now).filter(|last| fresh_as_of < by.day_start(*last))
            }
            Promise::AtMost => {
                let length = i64::try_from(self.at_most?.ms()).unwrap_or(i64::MAX).saturating_mul(1_000);
                let limit = TimestampMicros(fresh_as_of.0.saturating_add(length));
                Some(limit).filter(|limit| *limit < now)
            }
            Promise::StepAtMost => None,
        }
    }

    /// What the promise says, in words: `fresh by 09:00 Europe/Berlin`.
    #[must_use]
    pub fn words(&self, promise: Promise) -> String {
        match promise {
            Promise::FreshBy => self.fresh_by.as_ref().map(|by| format!("fresh by {by}")).unwrap_or_default(),
            Promise::AtMost => self.at_most.map(|span| format!("at most {span} old")).unwrap_or_default(),
            Promise::StepAtMost => {
                self.step_at_most.map(|span| format!("a step takes at most {span}")).unwrap_or_default()
            }
        }
    }
}
