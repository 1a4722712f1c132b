//! Where an asset stands, in the one word that both people and machines get, and what else is known of it.

use std::time::Duration;

use millstream_engine::{AssetStatus, Stale};
use millstream_lake::CommitRecord;
use millstream_plan::AssetStatus as Recorded;
use millstream_state::{RunRecord, SchemaVersion, StepOutcome};
use millstream_types::TimestampMicros;

/// Where an asset stands after all that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing<'a> {
    /// The asset is never stored, so nothing can be wrong with what is stored.
    View,
    /// Nothing is recorded of the asset, and its last step, if there was one, neither halted nor failed.
    NeverBuilt,
    Built,
    /// Built, and yet not what it should be.
    Stale(&'a Stale),
    /// Built without the parts that could not be read.
    Incomplete(Trouble<'a>),
    Halted(Trouble<'a>),
    Failed(Trouble<'a>),
    /// Built, and what is there can no longer be read.
    Unreadable(Trouble<'a>),
}

/// Why the last attempt left nothing new, or a read would fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble<'a> {
    pub(crate) reason: &'a str,
    pub(crate) code: Option<&'a str>,
    pub(crate) hint: Option<&'a str>,
}

/// What is known of a table.
pub(crate) struct TableStatus<'a> {
    pub(crate) asset: &'a AssetStatus,
    /// The run of the table's last step, unless it is forgotten.
    pub(crate) run: Option<RunRecord>,
    /// The versions of the table's schema, oldest first.
    pub(crate) schemas: Vec<SchemaVersion>,
    /// The commits of the table, newest first.
    pub(crate) versions: Vec<CommitRecord>,
}

impl<'a> Standing<'a> {
    pub(crate) fn of(asset: &'a AssetStatus) -> Self {
        if let Some(unreadable) = &asset.unreadable {
            let (reason, hint) = (unreadable.error.as_str(), unreadable.hint.as_deref());
            return Self::Unreadable(Trouble { reason, code: Some(unreadable.code), hint });
        }
        let last = asset.last_step.as_ref().map(|step| &step.outcome);
        let hint = match last {
            Some(StepOutcome::Halted { hint, .. } | StepOutcome::Failed { hint, .. }) => hint.as_deref(),
            _ => None,
        };
        match (asset.recorded.as_ref().map(|recorded| &recorded.status), last) {
            (Some(Recorded::Halted { reason }), _) | (None, Some(StepOutcome::Halted { reason, .. })) => {
                Self::Halted(Trouble { reason, code: None, hint })
            }
            (Some(Recorded::Failed { code, error }), _)
            | (None, Some(StepOutcome::Failed { code, error, .. })) => {
                Self::Failed(Trouble { reason: error, code: Some(code), hint })
            }
            (Some(Recorded::Built), _) => match &asset.left_out {
                Some(parts) => Self::Incomplete(Trouble { reason: parts, code: None, hint: None }),
                None => asset.stale.as_ref().map_or(Self::Built, Self::Stale),
            },
            (None, _) if !asset.is_stored => asset.stale.as_ref().map_or(Self::View, Self::Stale),
            (None, _) => Self::NeverBuilt,
        }
    }

    /// What went wrong, with the word for how.
    pub(crate) fn trouble(self) -> Option<(&'static str, Trouble<'a>)> {
        match self {
            Self::Halted(trouble) => Some(("halted", trouble)),
            Self::Failed(trouble) => Some(("failed", trouble)),
            Self::Unreadable(trouble) => Some(("unreadable", trouble)),
            Self::Incomplete(trouble) => Some(("landed without", trouble)),
            Self::View | Self::NeverBuilt | Self::Built | Self::Stale(_) => None,
        }
    }
}

impl std::fmt::Display for Trouble<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.code {
            Some(code) => write!(f, "{} ({code})", self.reason),
            None => f.write_str(self.reason),
        }
    }
}

/// The time between two instants; zero when the clock went back.
pub(crate) fn between(from: TimestampMicros, to: TimestampMicros) -> Duration {
    Duration::from_micros(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0))
}
