//! The account of one piece of work.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::charge;

/// What one piece of work has used so far. Clones are the same account; any thread may charge it.
#[derive(Clone, Debug, Default)]
pub struct Account(Arc<Totals>);

#[derive(Debug, Default)]
struct Totals {
    cpu_ns: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    calls: AtomicU64,
    memory: AtomicU64,
    memory_peak: AtomicU64,
    /// Whether anything that counts its memory worked for the account. Until then its memory is not known.
    counts_memory: AtomicBool,
    /// Whether anybody who counts what is read, and what is written, worked for the account.
    counts_read: AtomicBool,
    counts_written: AtomicBool,
}

/// The figures of an account at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub cpu: Duration,
    /// `None` where nobody who counts what is read was at work.
    pub bytes_read: Option<u64>,
    /// `None` where nobody who counts what is written was at work.
    pub bytes_written: Option<u64>,
    /// The number of calls to outside systems.
    pub calls: u64,
    /// The most bytes that were reserved at once; `None` where nothing that counts its memory was at work.
    pub memory_peak: Option<u64>,
}

impl Account {
    /// The account of what the calling thread works on now.
    #[must_use]
    pub fn current() -> Option<Self> {
        charge::current()
    }

    /// Whether both are the same account.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    #[must_use]
    pub fn usage(&self) -> Usage {
        let totals = &self.0;
        Usage {
            cpu: Duration::from_nanos(totals.cpu_ns.load(Relaxed)),
            bytes_read: totals.counts_read.load(Relaxed).then(|| totals.bytes_read.load(Relaxed)),
            bytes_written: totals.counts_written.load(Relaxed).then(|| totals.bytes_written.load(Relaxed)),
            calls: totals.calls.load(Relaxed),
            memory_peak: totals.counts_memory.load(Relaxed).then(|| totals.memory_peak.load(Relaxed)),
        }
    }

    /// Says that the work has something whose memory is counted, though it may hold none.
    pub fn count_memory(&self) {
        self.0.counts_memory.store(true, Relaxed);
    }

    /// Memory that was reserved.
    pub fn grow(&self, bytes: u64) {
        let now = self.0.memory.fetch_add(bytes, Relaxed).saturating_add(bytes);
        self.0.memory_peak.fetch_max(now, Relaxed);
    }

    /// Memory that was given back, at most what was reserved.
    pub fn shrink(&self, bytes: u64) {
        self.0.memory.fetch_sub(bytes, Relaxed);
    }

    pub(crate) fn add_cpu(&self, time: Duration) {
        self.0.cpu_ns.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn add_read(&self, bytes: u64) {
        self.0.counts_read.store(true, Relaxed);
        self.0.bytes_read.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn add_written(&self, bytes: u64) {
        self.0.counts_written.store(true, Relaxed);
        self.0.bytes_written.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn add_call(&self) {
        self.0.calls.fetch_add(1, Relaxed);
    }
}
