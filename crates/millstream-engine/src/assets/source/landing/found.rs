//! What a run found at its sources when it was planned, handed to the steps that land it: a look may list a bucket or ask
//! a database, and need not be had twice.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use millstream_connector::Discovery;
use millstream_types::SourceName;

/// The last look at each source, until its step takes it.
#[derive(Debug, Default)]
pub(crate) struct Discoveries(Mutex<BTreeMap<SourceName, Held>>);

/// A look, and what was known of the source at that time.
#[derive(Debug)]
struct Held {
    full: bool,
    epoch: i64,
    found: Discovery,
}

impl Discoveries {
    /// Forgets an earlier look, before the next one that may fail.
    pub(super) fn forget(&self, source: &SourceName) {
        self.held().remove(source);
    }

    /// Keeps the look of a run at a source that was landed up to `epoch`.
    pub(super) fn keep(&self, source: &SourceName, full: bool, epoch: i64, found: Discovery) {
        self.held().insert(source.clone(), Held { full, epoch, found });
    }

    /// Takes the look out, so that whoever tries again has to look again. `None` where the source was looked at in
    /// another state of its landing.
    pub(super) fn take(&self, source: &SourceName, full: bool, epoch: i64) -> Option<Discovery> {
        let held = self.held().remove(source)?;
        (held.full == full && held.epoch == epoch).then_some(held.found)
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<SourceName, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
