//! What the plan knows of an asset: its definition now, and what was recorded of it.

use std::collections::{BTreeMap, BTreeSet};

use millstream_schedule::Schedule;
use millstream_types::{AssetId, AssetVersion, CheckId, Fingerprint, TimestampMicros};

/// An asset as the project defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetFacts {
    pub id: AssetId,
    pub kind: AssetKind,
    /// The file that defines the asset, from the project's folder on.
    pub path: String,
    pub tags: Vec<String>,
    pub fingerprint: Fingerprint,
    /// The tables that the asset reads, as its SQL names them; tables of rejected rows (`bronze.orders__rejected`)
    /// are made by the step of the table that they belong to.
    pub inputs: Vec<AssetId>,
    /// The assets that belong to this asset's definition. A change of what they hold does not make this asset run, and their
    /// failure does not skip it.
    pub defined_by: Vec<AssetId>,
    /// The tables that the asset's checks read (`relationship`). They finish first where they run too, but their
    /// changes do not make this asset run, and their failure does not skip it.
    pub checked_against: Vec<AssetId>,
    /// Of some inputs, the checks that keep this asset from being built when they halt the input; of the others all do.
    pub needs: BTreeMap<AssetId, BTreeSet<CheckId>>,
    /// Whether nothing of the asset is stored, so that its inputs count as the inputs of whoever reads it.
    pub passes_through: bool,
    /// Whether the asset's rows come from outside of the lake, where they may not be found a second time.
    pub reads_outside: bool,
    /// Whether the asset is kept up to date from events as they arrive: new versions of what it reads are no reason to run, and nothing but a command or its
    /// own pipeline makes it.
    pub follows_events: bool,
    pub schedule: Schedule,
}

/// The word for what an asset is: `source`, `view`, `table`, `feature_view`. The engine has a folder for each family of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AssetKind(&'static str);

impl AssetKind {
    #[must_use]
    pub const fn new(word: &'static str) -> Self {
        Self(word)
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

/// What the state store holds of an asset.
///
/// `fingerprint`, `input_versions`, `version`, `rows` and `built_at` belong to the last attempt that was built;
/// where none ever was, `version` is `None` and the rest is of the last attempt. `status` is always the last attempt's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub fingerprint: Fingerprint,
    /// The version of each stored input that was read, or that it is lost; see [`crate::Graph::stored_inputs`].
    pub input_versions: BTreeMap<AssetId, AssetVersion>,
    /// The asset's version after the step.
    pub version: Option<AssetVersion>,
    pub rows: Option<u64>,
    pub built_at: TimestampMicros,
    pub status: AssetStatus,
}

impl Recorded {
    /// Whether some attempt ever left something to read.
    #[must_use]
    pub fn was_built(&self) -> bool {
        self.version.is_some() || self.status == AssetStatus::Built
    }
}

/// How the last attempt at an asset ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssetStatus {
    Built,
    /// A check, the breaker or a refused schema change kept the new version back.
    Halted {
        reason: String,
    },
    Failed {
        code: String,
        error: String,
    },
}
