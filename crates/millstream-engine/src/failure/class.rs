//! The classes of errors. An error is classed once, here; whatever has to be decided about it goes by its class.

use std::io;

use millstream_connector::ConnectorError;
use millstream_lake::{LakeError, StorageFault};
use millstream_log::LogError;
use millstream_online::{Fault, OnlineError};
use millstream_state::StateError;

use crate::EngineError;

/// What kind of fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// The same attempt may succeed a little later.
    Transient,
    /// The other side answers, and asks for a wait.
    Throttled,
    /// The other side could not be reached.
    Unavailable,
    /// One of the environment's own stores, or a disk, has no room or may not be written. Nothing of that lies in the asset, and it passes
    /// once somebody has helped.
    Store,
    /// What was read or computed cannot be right; only other data changes that.
    Data,
    /// What the project or a command asks for cannot work; only a person changes that.
    Definition,
    /// The fault is Millstream's own.
    Bug,
    /// Somebody asked for the end.
    Cancelled,
}

impl ErrorClass {
    /// The stable word for machines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Store => "store",
            Self::Data => "data",
            Self::Definition => "definition",
            Self::Bug => "bug",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the same attempt may succeed later.
    #[must_use]
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Transient | Self::Throttled | Self::Unavailable)
    }
}

impl EngineError {
    /// The class of the error.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self.retry() {
            Some(Some(_)) => ErrorClass::Throttled,
            Some(None) if self.is_unreachable() => ErrorClass::Unavailable,
            Some(None) => ErrorClass::Transient,
            None if self.is_refused_by_store() => ErrorClass::Store,
            None => self.lasting_class(),
        }
    }

    /// Whether a store that all steps use refused to do its work.
    fn is_refused_by_store(&self) -> bool {
        match self {
            Self::State(error) => matches!(
                error,
                StateError::Open { .. }
                    | StateError::Folder { .. }
                    | StateError::Unreachable { .. }
                    | StateError::Query { .. }
                    | StateError::LockFile { .. }
            ),
            Self::Online(OnlineError::Storage { fault, .. }) => {
                matches!(fault, Fault::Full | Fault::Permission)
            }
            Self::Online(OnlineError::Stopped) => true,
            Self::Log(error) => matches!(
                error,
                LogError::Storage { .. } | LogError::Unsynced { .. } | LogError::Poisoned { .. }
            ),
            Self::Materialize { source, .. } => source.is_refused_by_store(),
            // What a source refuses is its own matter, and its place has a circuit.
            Self::Source { .. } => false,
            _ => is_refused_by_lake(self) || has_no_room(self),
        }
    }

    /// Whether a source could not be reached. The stores of the environment have no circuit: without them nothing runs.
    fn is_unreachable(&self) -> bool {
        match self {
            Self::Source { source, .. } => matches!(source, ConnectorError::Unavailable { .. }),
            Self::Materialize { source, .. } => source.is_unreachable(),
            _ => false,
        }
    }

    /// Whether the place that was asked has answered, although with a fault.
    pub(crate) fn is_answer(&self) -> bool {
        let Self::Source { source, .. } = self else { return false };
        !matches!(source, ConnectorError::Unavailable { .. } | ConnectorError::Options { .. })
    }

    /// The class of an error that does not pass by itself.
    fn lasting_class(&self) -> ErrorClass {
        match self {
            Self::Cancelled | Self::State(StateError::LeaseLost) => ErrorClass::Cancelled,
            Self::Source {
                source: ConnectorError::Broken { .. } | ConnectorError::Unsupported { .. },
                ..
            } => ErrorClass::Data,
            Self::Source { .. } => ErrorClass::Definition,
            Self::Materialize { source, .. } => source.class(),
            Self::Lake(_)
            | Self::Quality { .. }
            | Self::PipelineHalted { .. }
            | Self::Pipeline { .. }
            | Self::Sql { .. }
            | Self::Incremental { .. }
            | Self::Query(_)
            | Self::Compute { .. }
            | Self::NeverBuilt { .. }
            | Self::View { .. }
            | Self::OnlineView(_)
            | Self::EntityKey { .. }
            | Self::Dataset { .. }
            | Self::DatasetFile { .. }
            | Self::LabelFile { .. }
            | Self::LabelColumn { .. }
            | Self::Arrow { .. } => ErrorClass::Data,
            Self::CutOff => ErrorClass::Store,
            Self::CommitInfo { .. } | Self::Definition { .. } | Self::Worker { .. } => ErrorClass::Bug,
            _ => ErrorClass::Definition,
        }
    }
}

/// Whether the store of the lake refused, whoever asked it.
fn is_refused_by_lake(error: &EngineError) -> bool {
    let fault = LakeError::behind(error);
    matches!(fault, Some(LakeError::Storage { fault: StorageFault::DiskFull | StorageFault::Permission, .. }))
}

/// Whether a disk that was written to is full, such as the one on which queries spill.
fn has_no_room(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if kind.is_some_and(|kind| {
            matches!(
                kind,
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem
            )
        }) {
            return true;
        }
        cause = error.source();
    }
    false
}
