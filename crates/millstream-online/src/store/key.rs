//! What names a record.

use std::fmt;

use bytes::Bytes;

use crate::error::{OnlineError, Result};

/// Longest entity key, in bytes; both stores take it with room for what they add.
pub const ENTITY_BYTES_MAX: usize = 32 * 1024;

/// An entity as bytes: its name and its key's values. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityKey(Bytes);

impl EntityKey {
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The entity's bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self.0.len() {
            0 => Err(OnlineError::Request { reason: "an entity's key is empty".into() }),
            length if length > ENTITY_BYTES_MAX => Err(OnlineError::Request {
                reason: format!(
                    "an entity's key has {length} bytes, at most {ENTITY_BYTES_MAX} are possible"
                ),
            }),
            _ => Ok(()),
        }
    }
}

impl AsRef<[u8]> for EntityKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntityKey(\"{}\")", self.0.escape_ascii())
    }
}

/// The record of an entity in a space.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    pub space: u64,
    pub entity: EntityKey,
}
