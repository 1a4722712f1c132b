//! Why a source could not be read, and whether trying again may help.

use std::time::Duration;

/// A fault of a source. `Display` says what happened; the cause is in `source()`.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// The place does not answer, or answers with a fault that may pass.
    #[error("cannot reach `{place}`")]
    Unavailable {
        place: String,
        /// The wait before the next try that the place itself asks for.
        retry_after: Option<Duration>,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The place refuses: it does not exist, or the credentials do not open it.
    #[error("`{place}` cannot be read")]
    Refused {
        place: String,
        hint: Option<String>,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The content is broken as a whole.
    #[error("`{part}` is broken: {reason}")]
    Broken { part: String, reason: String },
    /// The content is written in a way that this version cannot read, although it may be right.
    #[error("`{part}` cannot be read: {reason}")]
    Unsupported { part: String, reason: String, hint: Option<String> },
    /// The content changed while it was read; the next run takes the new content.
    #[error("`{part}` changed while it was read")]
    Changed { part: String },
    /// The position up to which the part was read is not there any more, as after a log was cut off behind it. What came between
    /// cannot be read one by one.
    #[error("the position up to which `{part}` was read is gone: {reason}")]
    PositionLost { part: String, reason: String },
    /// The options cannot work in this place.
    #[error("{message}")]
    Options { message: String, hint: Option<String> },
}

/// Whether the same call may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    Never,
    After(Option<Duration>),
}

impl ConnectorError {
    /// A stable name for this kind of fault.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "MS-0301",
            Self::Refused { .. } => "MS-0302",
            Self::Broken { .. } => "MS-0303",
            Self::Changed { .. } => "MS-0304",
            Self::Options { .. } => "MS-0305",
            Self::Unsupported { .. } => "MS-0306",
            Self::PositionLost { .. } => "MS-0307",
        }
    }

    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Unavailable { retry_after, .. } => Retry::After(*retry_after),
            Self::Changed { .. } => Retry::After(None),
            Self::Refused { .. }
            | Self::Broken { .. }
            | Self::Unsupported { .. }
            | Self::PositionLost { .. }
            | Self::Options { .. } => Retry::Never,
        }
    }

    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused { hint, .. } | Self::Unsupported { hint, .. } | Self::Options { hint, .. } => {
                hint.as_deref()
            }
            Self::PositionLost { .. } => Some(
                "say `on_lost_position: resync` in the file of the source, and what its place has now takes the place of what \
                 landed; or land it anew with `--full-refresh`",
            ),
            Self::Unavailable { .. } | Self::Broken { .. } | Self::Changed { .. } => None,
        }
    }
}
