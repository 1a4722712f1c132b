//! What was found when a log was opened, for people and for tests.

use std::path::PathBuf;

use crate::{Damage, Place};

/// What was found when a log was opened, besides what was expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// What was cut off behind the last record: appends that were never acknowledged, as far as anything says.
    pub truncated: Vec<Truncated>,
    /// Records that cannot be read.
    pub damage: Vec<Damage>,
    /// Files that were worked out anew because they were missing or wrong.
    pub rebuilt: Vec<Rebuilt>,
}

/// Bytes that were cut off behind the last record of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncated {
    pub place: Place,
    /// The offset of the next record.
    pub offset: u64,
    pub bytes: u64,
}

/// A file that was worked out anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    pub place: Place,
    pub path: PathBuf,
}

impl Recovery {
    pub(super) fn tell(&self) {
        for Truncated { place, offset, bytes } in &self.truncated {
            tracing::warn!(%place, offset, bytes, "the event log had an unfinished end, which was cut off");
        }
        for damage in &self.damage {
            tracing::error!(%damage, proven = damage.proven, "records of the event log cannot be read");
        }
        for Rebuilt { place, path } in &self.rebuilt {
            tracing::info!(%place, path = %path.display(), "a file of the event log was worked out anew");
        }
    }
}
