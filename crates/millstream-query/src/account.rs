//! What plans use, charged to the account of the work that they are executed for: the tasks that the engine of plans spawns
//! go on for the account of whoever spawned them, and memory is charged to the account that reserved it.

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use datafusion::{
    common::{
        Result,
        runtime::{JoinSetTracer, set_join_set_tracer},
    },
    execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation},
};
use futures::{FutureExt, future::BoxFuture};
use millstream_usage::{Account, charged};

/// Charges spawned work to the account of whoever spawned it.
struct Spawned;

impl JoinSetTracer for Spawned {
    fn trace_future(
        &self,
        work: BoxFuture<'static, Box<dyn Any + Send>>,
    ) -> BoxFuture<'static, Box<dyn Any + Send>> {
        match Account::current() {
            Some(account) => account.charge(work).boxed(),
            None => work,
        }
    }

    fn trace_block(
        &self,
        work: Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>,
    ) -> Box<dyn FnOnce() -> Box<dyn Any + Send> + Send> {
        Box::new(charged(work))
    }
}

/// Lets what is spawned within this process be charged. The first call decides; all are the same.
pub(crate) fn follow_spawned() {
    let _ = set_join_set_tracer(&Spawned);
}

/// A pool of memory that charges reservations to accounts.
#[derive(Debug)]
pub struct AccountedPool<P> {
    pool: P,
    /// The accounts of the consumers that were registered for one, by the consumer's id.
    accounts: RwLock<HashMap<usize, Account>>,
    /// The number of `accounts`, by which work without one finds out at no cost that there is none.
    count: AtomicUsize,
}

impl<P> AccountedPool<P> {
    /// The same pool, charging from now on.
    pub fn new(pool: P) -> Self {
        Self { pool, accounts: RwLock::default(), count: AtomicUsize::new(0) }
    }

    fn charge(&self, reservation: &MemoryReservation, charge: impl FnOnce(&Account)) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(&reservation.consumer().id()) {
            charge(account);
        }
    }
}

impl<P: MemoryPool> MemoryPool for AccountedPool<P> {
    fn name(&self) -> &str {
        self.pool.name()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.pool.register(consumer);
        let Some(account) = Account::current() else { return };
        account.count_memory();
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        accounts.insert(consumer.id(), account);
        self.count.store(accounts.len(), Ordering::Relaxed);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.pool.unregister(consumer);
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        accounts.remove(&consumer.id());
        self.count.store(accounts.len(), Ordering::Relaxed);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.pool.grow(reservation, additional);
        self.charge(reservation, |account| account.grow(additional as u64));
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.pool.shrink(reservation, shrink);
        self.charge(reservation, |account| account.shrink(shrink as u64));
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.pool.try_grow(reservation, additional)?;
        self.charge(reservation, |account| account.grow(additional as u64));
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.pool.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.pool.memory_limit()
    }
}

impl<P: MemoryPool> fmt::Display for AccountedPool<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.pool, f)
    }
}
