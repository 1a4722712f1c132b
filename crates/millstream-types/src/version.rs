//! Versions of assets.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A version of an asset, greater than all versions before it. What it counts is the affair of the asset's kind: the commits of
/// a table, the materialisations of a feature view, the definitions of a service. Everybody else only compares versions of one
/// asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AssetVersion(i64);

impl AssetVersion {
    /// Stands for a version that was read and is gone. No asset has it, so that a version which comes in its place counts as
    /// another one, even under the old number.
    pub const LOST: Self = Self(-1);

    /// The version that an asset's kind gives this number.
    #[must_use]
    pub const fn numbered(number: i64) -> Self {
        Self(number)
    }

    /// The number that the asset's kind gave it.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    #[must_use]
    pub fn is_lost(self) -> bool {
        self < Self::numbered(0)
    }
}

impl fmt::Display for AssetVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
