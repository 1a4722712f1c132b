//! What the plan knows of an asset: its definition now, and what was recorded of it.

use std::collections::BTreeMap;

use millstream_types::{AssetId, Fingerprint, Span, TimestampMicros};

/// An asset as the project defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetFacts {
    pub id: AssetId,
    pub kind: AssetKind,
    pub tags: Vec<String>,
    pub fingerprint: Fingerprint,
    /// The tables that it reads, as its SQL names them; tables of rejected rows (`bronze.orders__rejected`)
    /// are made by the step of the table that they belong to.
    pub inputs: Vec<AssetId>,
    /// Tables that its checks look into (`relationship`). They finish first where they run too, but their
    /// changes do not make this asset run, and their failure does not skip it.
    pub checked_against: Vec<AssetId>,
    /// Built longer ago than this, it is stale.
    pub refresh: Option<Span>,
}

/// What an asset is, as far as the plan cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AssetKind {
    Source,
    View,
    Table,
    Incremental,
    History,
}

impl AssetKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::View => "view",
            Self::Table => "table",
            Self::Incremental => "incremental",
            Self::History => "history",
        }
    }
}

/// What the state store holds of an asset.
///
/// `fingerprint`, `input_versions`, `version`, `rows` and `built_at` belong to the last attempt that was built;
/// where none ever was, `version` is `None` and the rest is of the last attempt. `status` is always the last attempt's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub fingerprint: Fingerprint,
    /// The version of each stored input that was read; see [`crate::Graph::stored_inputs`]. A number below 0 stands for a
    /// version that is lost, which is none that the input has or will have.
    pub input_versions: BTreeMap<AssetId, i64>,
    /// The table's version after the step.
    pub version: Option<i64>,
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
