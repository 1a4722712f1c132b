//! Records that were read lately, as they are: finding one among the sorted ones costs more than all else that a read does
//! with it.
//!
//! A record that is here is what the store holds. Whoever reads one that is not here reserves its place first and reads then;
//! whoever changes one changes the store first and empties the place then, reserved or not, before the change is answered.
//! So what was read before a change never comes to stand here after it. While a change is not answered, one reader may see it
//! and the next one not yet.

use std::{fmt, time::Duration};

use bytes::Bytes;
use quick_cache::{
    Weighter,
    sync::{Cache, GuardResult},
};

use crate::store::EntityKey;

/// The approximate number of bytes that a cached record takes beside its own and its key's.
const OVERHEAD_BYTES: u64 = 160;

/// A usual record with its key and [`OVERHEAD_BYTES`]. How many shards there are, and how many places that gave way are
/// remembered, depend on it.
const RECORD_BYTES: u64 = 320;

pub(super) struct RecordCache(Cache<Place, Bytes, Weight>);

/// The place of a record: the key under which the cache keeps it.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The number of the keyspace, which is another one when a dropped space is made again.
    pub(super) keyspace: u64,
    pub(super) entity: EntityKey,
}

/// A clone copies the entity's bytes: those of a look-up may be a slice of all keys of a read, and the cache would keep all of
/// them in memory.
impl Clone for Place {
    fn clone(&self) -> Self {
        let entity = EntityKey::new(Bytes::copy_from_slice(self.entity.as_bytes()));
        Self { keyspace: self.keyspace, entity }
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Place, Bytes> for Weight {
    fn weight(&self, place: &Place, record: &Bytes) -> u64 {
        OVERHEAD_BYTES + (place.entity.as_bytes().len() + record.len()) as u64
    }
}

impl fmt::Debug for RecordCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordCache").field("records", &self.0.len()).finish_non_exhaustive()
    }
}

impl RecordCache {
    pub(super) fn new(bytes: u64) -> Self {
        let records = usize::try_from(bytes / RECORD_BYTES).unwrap_or(usize::MAX);
        Self(Cache::with_weighter(records, bytes, Weight))
    }

    /// The record that is here, or else what `read` gives.
    pub(super) fn get_or<E>(
        &self,
        place: &Place,
        read: impl FnOnce() -> Result<Option<Bytes>, E>,
    ) -> Result<Option<Bytes>, E> {
        match self.0.get_value_or_guard(place, Some(Duration::ZERO)) {
            GuardResult::Value(record) => Ok(Some(record)),
            GuardResult::Guard(reserved) => {
                let record = read()?;
                if let Some(record) = &record {
                    // The cache refuses the record if the place was emptied during the read: the record may have changed.
                    let _ = reserved.insert(record.clone());
                }
                Ok(record)
            }
            // Another caller reads this record right now and has reserved its place.
            GuardResult::Timeout => read(),
        }
    }

    /// To be called after each change of the record in the store, and before the change is answered.
    pub(super) fn forget(&self, place: &Place) {
        self.0.remove(place);
    }

    /// Empties all places, after a change of many records.
    pub(super) fn forget_all(&self) {
        self.0.clear();
    }
}
