//! Locks that keep two changes of one record from reading the same state.

use std::{collections::BTreeSet, sync::Arc};

use tokio::sync::{Mutex, OwnedMutexGuard};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::EntityKey;
use crate::error::{OnlineError, Result};

/// So many that a thousand concurrent changes of single records rarely wait for each other.
const STRIPES: usize = 1024;

/// One lock for many records. Locks are taken in order of their number, so that no two callers wait for each other.
#[derive(Debug)]
pub(crate) struct Stripes {
    locks: Vec<Arc<Mutex<()>>>,
}

/// The locks of an update, freed with this value.
#[derive(Debug, Default)]
pub(crate) struct Held {
    _guards: Vec<OwnedMutexGuard<()>>,
}

impl Stripes {
    pub(crate) fn new() -> Self {
        Self { locks: (0..STRIPES).map(|_| Arc::default()).collect() }
    }

    /// Waits for the records of these entities.
    ///
    /// # Errors
    ///
    /// An entity is named twice: its second change would not see the first.
    pub(crate) async fn lock<'a>(
        &self,
        space: u64,
        entities: impl ExactSizeIterator<Item = &'a EntityKey>,
    ) -> Result<Held> {
        let mut hashed: Vec<(u64, &EntityKey)> =
            entities.map(|entity| (xxh3_64_with_seed(entity.as_bytes(), space), entity)).collect();
        hashed.sort_unstable();
        for pair in hashed.windows(2) {
            if let [first, second] = pair
                && first == second
            {
                let reason = format!("{:?} is named twice", first.1);
                return Err(OnlineError::Request { reason });
            }
        }
        let stripes: BTreeSet<u64> = hashed.iter().map(|(hash, _)| hash % STRIPES as u64).collect();
        let mut guards = Vec::with_capacity(stripes.len());
        for stripe in stripes {
            let lock = usize::try_from(stripe).ok().and_then(|stripe| self.locks.get(stripe));
            if let Some(lock) = lock {
                guards.push(Arc::clone(lock).lock_owned().await);
            }
        }
        Ok(Held { _guards: guards })
    }

    /// Waits for all records of all spaces.
    pub(crate) async fn lock_all(&self) -> Held {
        let mut guards = Vec::with_capacity(self.locks.len());
        for lock in &self.locks {
            guards.push(Arc::clone(lock).lock_owned().await);
        }
        Held { _guards: guards }
    }
}
