//! Why events were not taken in.

use millstream_log::{Fault, LogError};

use super::events::EventFault;
use crate::EngineError;

/// Why events were not taken in. Unless it says otherwise, none of them is in the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntakeError {
    #[error("no source is named `{name}`")]
    UnknownSource { name: String, nearest: Option<String> },
    /// The source is read where it is, or takes events of another kind.
    #[error("the source `{name}` {reason}")]
    NotTaking { name: String, reason: String, hint: Option<String> },
    #[error("{}", named(*count, "cannot be taken as an event", "cannot be taken as events"))]
    NoEvents {
        count: u64,
        /// The first of them.
        faults: Vec<EventFault>,
    },
    #[error("{}", named(*count, "is larger than an event may be", "are larger than an event may be"))]
    TooLarge { count: u64, faults: Vec<EventFault> },
    #[error("there are more than {most} events")]
    TooMany { most: usize },
    #[error("the body is no Arrow stream that can be taken: {reason}")]
    NotArrow { reason: String },
    /// Too many bytes wait for the disk.
    #[error("{bytes} bytes of events for `{name}` wait to be written, as many as may")]
    Busy { name: String, bytes: usize },
    /// The same idempotency key came with other events.
    #[error("the idempotency key was used for other events of `{name}`")]
    KeyReused { name: String },
    /// Some partitions have their events.
    #[error("{taken} of {count} events were taken, the others were not")]
    Partly {
        taken: u64,
        count: u64,
        #[source]
        source: LogError,
    },
    #[error("the events are not in the log of `{name}`")]
    Log {
        name: String,
        #[source]
        source: LogError,
    },
    #[error(transparent)]
    Engine(Box<EngineError>),
}

/// Whether the same events may be taken later, and how sure it is that they are not there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntakeFailure {
    /// The events or the call are wrong.
    Refused,
    /// There is no room for them now.
    Full,
    /// The log cannot take anything now.
    Away,
}

impl IntakeError {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownSource { .. } => "MS-1250",
            Self::NotTaking { .. } => "MS-1251",
            Self::NoEvents { .. } | Self::NotArrow { .. } => "MS-1252",
            Self::Busy { .. } => "MS-1253",
            Self::TooLarge { .. } | Self::TooMany { .. } => "MS-1256",
            Self::KeyReused { .. } => "MS-1257",
            Self::Partly { .. } => "MS-1258",
            Self::Log { source, .. } => source.code(),
            Self::Engine(error) => error.code(),
        }
    }

    /// What the sender can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownSource { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::UnknownSource { nearest: None, .. } => {
                "a file in `sources/` with a connector of type `http` makes one".into()
            }
            Self::NotTaking { hint, .. } => return hint.clone(),
            Self::NoEvents { .. } => "an event is one JSON object; none of the events was taken".into(),
            Self::NotArrow { .. } => return None,
            Self::TooLarge { .. } => "`max_event_bytes` of the source's connector is the bound; none of the events was taken".into(),
            Self::TooMany { .. } => "send them in smaller batches; none of them was taken".into(),
            Self::Busy { .. } => "send them again in a moment; none of them was taken".into(),
            Self::KeyReused { .. } => "give each request a key of its own, and repeat a request with all of its events".into(),
            Self::Partly { .. } => {
                "send all of them again with the same `Idempotency-Key`: those that were taken are not doubled".into()
            }
            Self::Log { source, .. } => return source.hint(),
            Self::Engine(error) => return error.hint(),
        })
    }

    /// The events at fault, by their place in the body.
    #[must_use]
    pub fn faults(&self) -> &[EventFault] {
        match self {
            Self::NoEvents { faults, .. } | Self::TooLarge { faults, .. } => faults,
            _ => &[],
        }
    }

    #[must_use]
    pub fn failure(&self) -> IntakeFailure {
        match self {
            Self::Busy { .. } | Self::Log { source: LogError::OverBound { .. }, .. } => IntakeFailure::Full,
            Self::Partly { .. } | Self::Engine(_) => IntakeFailure::Away,
            Self::Log { source: LogError::TooLarge { .. } | LogError::Request { .. }, .. } => {
                IntakeFailure::Refused
            }
            Self::Log { .. } => IntakeFailure::Away,
            _ => IntakeFailure::Refused,
        }
    }

    /// Whether the disk under the log has no room left.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Log { source, .. } | Self::Partly { source, .. } if source.fault() == Some(Fault::Full))
    }
}

impl From<EngineError> for IntakeError {
    fn from(error: EngineError) -> Self {
        Self::Engine(Box::new(error))
    }
}

/// So many events, and what is with one or several of them.
fn named(count: u64, one: &str, several: &str) -> String {
    if count == 1 {
        format!("1 row of the body {one}")
    } else {
        format!("{count} rows of the body {several}")
    }
}
