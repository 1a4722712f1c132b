//! What makes an asset run by itself, and the instants at which it does.

use std::{fmt, iter, str::FromStr};

use millstream_types::{AssetId, DurationError, Span, TimestampMicros};

use crate::{CronError, CronLine};

/// `every` counts from Monday, the 5th of January 1970, 00:00 UTC. Restarts and reloads therefore never shift it, `every 1d`
/// ticks at midnight UTC and `every 1w` on Mondays.
const ANCHOR: TimestampMicros = TimestampMicros(4 * 24 * 60 * 60 * 1_000_000);

/// What makes an asset run. An asset may have several triggers; without one it runs as with [`Self::Manual`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trigger {
    /// Only a command that names the asset makes it run.
    Manual,
    /// The asset runs when its definition, or the version of something that it reads, has changed.
    OnChange,
    /// The asset is due at each whole multiple of the span, counted from Monday, the 5th of January 1970, 00:00 UTC.
    Every(Span),
    /// The asset is due whenever the line ticks.
    Cron(CronLine),
    /// The asset is due when a run of that asset has ended well, whether or not it changed anything.
    After(AssetId),
    /// The asset is due when its source has new files. The source is listed this often, at whole multiples as with
    /// [`Self::Every`], unless somebody tells of the files before.
    NewFiles { poll: Span },
    /// The asset is due when its source has new events, which is looked for this often, at whole multiples as with [`Self::Every`],
    /// unless somebody tells of them before.
    Events { every: Span },
    /// The asset is due when the webhook of this name is called.
    Webhook(String),
    /// What the asset holds shall never be older than this; it runs at the latest instant at which that still holds.
    Freshness(Span),
}

impl Trigger {
    /// The first instant after `instant` that the trigger itself knows: a tick, or for those that [look](Self::looks) a look at the source.
    /// `None` for triggers that wait for something else to happen.
    #[must_use]
    pub fn next_after(&self, instant: TimestampMicros) -> Option<TimestampMicros> {
        match self {
            Self::Every(span) | Self::NewFiles { poll: span } | Self::Events { every: span } => {
                next_multiple(*span, instant)
            }
            Self::Cron(line) => line.next_after(instant),
            Self::Manual | Self::OnChange | Self::After(_) | Self::Webhook(_) | Self::Freshness(_) => None,
        }
    }

    /// The instants of [`Self::next_after`] after `after`, up to and including `until`, in order.
    pub fn ticks(
        &self,
        after: TimestampMicros,
        until: TimestampMicros,
    ) -> impl Iterator<Item = TimestampMicros> {
        iter::successors(self.next_after(after), |tick| self.next_after(*tick))
            .take_while(move |tick| *tick <= until)
    }

    /// Whether the trigger has ticks of its own that must be answered. Looks at a source have not: a missed one is made up for
    /// by the next.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        matches!(self, Self::Every(_) | Self::Cron(_))
    }

    /// Whether the trigger waits for something that is told to happen, and that is told once.
    pub(crate) fn is_event(&self) -> bool {
        matches!(self, Self::After(_) | Self::NewFiles { .. } | Self::Events { .. } | Self::Webhook(_))
    }

    /// Whether the source of the asset is looked at for it.
    #[must_use]
    pub fn looks(&self) -> bool {
        matches!(self, Self::NewFiles { .. } | Self::Events { .. })
    }

    /// The text by which a store keeps the trigger; [`str::parse`] reads it. It never changes for a trigger that is the same.
    #[must_use]
    pub fn stored(&self) -> String {
        match self {
            Self::Manual => "manual".to_owned(),
            Self::OnChange => "change".to_owned(),
            Self::Every(span) => format!("every {span}"),
            Self::Cron(line) => format!("cron {line}"),
            Self::After(asset) => format!("after {asset}"),
            Self::NewFiles { poll } => format!("files {poll}"),
            Self::Events { every } => format!("events {every}"),
            Self::Webhook(name) => format!("webhook {name}"),
            Self::Freshness(span) => format!("fresh {span}"),
        }
    }

    /// The last tick up to and including `until`. `first` is a tick that is not later.
    pub(crate) fn last_tick(&self, first: TimestampMicros, until: TimestampMicros) -> TimestampMicros {
        // Most often the next tick is the only one, and nothing has to be searched.
        let Some(second) = self.next_after(first).filter(|second| *second <= until) else { return first };
        match self {
            Self::Every(span) => {
                let before = TimestampMicros(until.0.saturating_sub(micros(*span)));
                next_multiple(*span, before).unwrap_or(second)
            }
            Self::Cron(line) => {
                const LOOK_BACK: i64 = 24 * 60 * 60 * 1_000_000;
                let near = line.near_before(until).map_or(second, |near| near.max(second));
                let from = TimestampMicros(near.0.saturating_sub(LOOK_BACK)).max(first);
                self.ticks(from, until).last().unwrap_or(second)
            }
            _ => second,
        }
    }

    /// An instant after which at most about `count` ticks lie before `until`; `after` when there are not more since then.
    pub(crate) fn back_from(
        &self,
        until: TimestampMicros,
        count: usize,
        after: TimestampMicros,
    ) -> TimestampMicros {
        if self.ticks(after, until).nth(count).is_none() {
            return after;
        }
        let mut cut = until;
        match self {
            Self::Every(span) => {
                let length = micros(*span).saturating_mul(i64::try_from(count).unwrap_or(i64::MAX));
                cut = TimestampMicros(until.0.saturating_sub(length));
            }
            Self::Cron(line) => {
                for _ in 0..count {
                    let Some(before) = line.near_before(TimestampMicros(cut.0 - 1)) else { break };
                    cut = before;
                }
            }
            _ => {}
        }
        cut.max(after)
    }
}

/// For people.
impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manual => f.write_str("by hand"),
            Self::OnChange => f.write_str("on change"),
            Self::Every(span) => write!(f, "every {span}"),
            Self::Cron(line) => write!(f, "cron {line}"),
            Self::After(asset) => write!(f, "after {asset}"),
            Self::NewFiles { poll } => write!(f, "new files, looked for every {poll}"),
            Self::Events { every } => write!(f, "new events, landed every {every}"),
            Self::Webhook(name) => write!(f, "webhook {name}"),
            Self::Freshness(span) => write!(f, "fresher than {span}"),
        }
    }
}

/// Reads what [`Trigger::stored`] gives.
impl FromStr for Trigger {
    type Err = TriggerError;

    fn from_str(text: &str) -> Result<Self, TriggerError> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let span = || rest.parse().map_err(|source| TriggerError::Span { text: text.to_owned(), source });
        match word {
            "manual" if rest.is_empty() => Ok(Self::Manual),
            "change" if rest.is_empty() => Ok(Self::OnChange),
            "every" => Ok(Self::Every(span()?)),
            "cron" => match rest.parse() {
                Ok(line) => Ok(Self::Cron(line)),
                Err(source) => Err(TriggerError::Cron { text: text.to_owned(), source }),
            },
            "after" if !rest.is_empty() => Ok(Self::After(AssetId::new(rest))),
            "files" => Ok(Self::NewFiles { poll: span()? }),
            "events" => Ok(Self::Events { every: span()? }),
            "webhook" if !rest.is_empty() => Ok(Self::Webhook(rest.to_owned())),
            "fresh" => Ok(Self::Freshness(span()?)),
            _ => Err(TriggerError::Unknown { text: text.to_owned() }),
        }
    }
}

/// A stored text that is no trigger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TriggerError {
    #[error("`{text}` is no trigger")]
    Unknown { text: String },
    #[error("the trigger `{text}` has no length of time")]
    Span { text: String, source: DurationError },
    #[error("the trigger `{text}` has no cron line")]
    Cron { text: String, source: CronError },
}

/// What happens to ticks that came while nobody looked: the process was down, the machine slept, the clock jumped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CatchUp {
    /// One run answers all missed ticks of a trigger.
    #[default]
    Latest,
    /// Each missed tick gets a run of its own, the oldest first, up to [`crate::CATCH_UP_MAX`] of a trigger; older ones are skipped.
    All,
    /// Missed ticks are skipped. One that is found within [`crate::LATE_MAX`] is not missed.
    None,
}

pub(crate) fn micros(span: Span) -> i64 {
    i64::try_from(span.ms()).unwrap_or(i64::MAX).saturating_mul(1_000)
}

fn next_multiple(span: Span, instant: TimestampMicros) -> Option<TimestampMicros> {
    let length = i128::from(micros(span).max(1));
    let since = i128::from(instant.0) - i128::from(ANCHOR.0);
    let next = (since.div_euclid(length) + 1) * length + i128::from(ANCHOR.0);
    i64::try_from(next).ok().map(TimestampMicros)
}
