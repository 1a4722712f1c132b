//! How the Redis store lays out its keys, each behind the project's prefix.
//!
//! | key | type | holds |
//! |---|---|---|
//! | `:e:{entity}` | hash | per space (8 bytes) the entity's record, so that all views of an entity are one look-up |
//! | `:m:{space}` | hash | per name a mark |
//! | `:l:{log}` | stream | entries, with their position as the first part of the id |
//! | `:p:{log}` | integer | the last position given to an entry |
//! | `:n:{log}` | integer | the last number given to a caller |
//! | `:spaces` | set | the spaces with records |
//! | `:format` | string | [`FORMAT`] |
//!
//! What stands in braces decides a key's place in a cluster: everything one command or script touches is in one place.
//!
//! A record is stored behind a version byte and the hash of its bytes. The hash finds damage, and tells a change whether
//! the record is still the one that it was worked out from: equal bytes are the same state, whoever wrote them.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::store::EntityKey;

/// Version of this layout.
pub(super) const FORMAT: u8 = 1;

/// Version of a record's header.
const RECORD_VERSION: u8 = 1;

/// What stands before a record's bytes: version and hash.
pub(super) const STAMP_BYTES: usize = 9;

/// The header of a record; `None` for no record.
pub(super) type Stamp = Option<[u8; STAMP_BYTES]>;

/// The keys of one project.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    pub(super) fn entity(&self, entity: &EntityKey) -> Vec<u8> {
        [self.prefix.as_bytes(), b":e:{", entity.as_bytes(), b"}"].concat()
    }

    /// Matches the keys of all entities. The prefix has no character that a pattern gives a meaning.
    pub(super) fn entities(&self) -> String {
        format!("{}:e:{{*}}", self.prefix)
    }

    /// The entity of a key made by [`Keys::entity`].
    pub(super) fn entity_of(&self, key: &[u8]) -> Option<EntityKey> {
        let entity = key.strip_prefix(self.prefix.as_bytes())?.strip_prefix(b":e:{")?.strip_suffix(b"}")?;
        Some(EntityKey::new(Bytes::copy_from_slice(entity)))
    }

    pub(super) fn marks(&self, space: u64) -> String {
        format!("{}:m:{{{space:016x}}}", self.prefix)
    }

    pub(super) fn log(&self, log: &str) -> String {
        format!("{}:l:{{{log}}}", self.prefix)
    }

    pub(super) fn position(&self, log: &str) -> String {
        format!("{}:p:{{{log}}}", self.prefix)
    }

    pub(super) fn number(&self, log: &str) -> String {
        format!("{}:n:{{{log}}}", self.prefix)
    }

    pub(super) fn spaces(&self) -> String {
        format!("{}:spaces", self.prefix)
    }

    pub(super) fn format(&self) -> String {
        format!("{}:format", self.prefix)
    }
}

/// A record as it is stored.
pub(super) fn stamped(record: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(STAMP_BYTES + record.len());
    stored.push(RECORD_VERSION);
    stored.extend(xxh3_64(record).to_be_bytes());
    stored.extend(record);
    stored
}

/// The header of stored bytes.
pub(super) fn stamp(stored: &[u8]) -> Stamp {
    stored.first_chunk().copied()
}

/// The record in stored bytes; none if they are damaged or of another version.
pub(super) fn record(stored: Bytes) -> Option<Bytes> {
    let [version, hash @ ..] = stamp(&stored)?;
    let record = stored.slice(STAMP_BYTES..);
    (version == RECORD_VERSION && xxh3_64(&record) == u64::from_be_bytes(hash)).then_some(record)
}
