//! What a piece of work uses while it goes on: processor time, memory, bytes read and written, calls to the outside.
//!
//! A piece of work has an [`Account`]. Whatever is done for it, on whichever thread, is charged to the account: a future by
//! [`Account::charge`], a closure on another thread by [`charged`]. Rooms that move bytes say so with [`read`] and
//! [`wrote`], without knowing for whom.
//!
//! May touch: the clock of the thread's processor time. Must not: know rows, tables, steps or runs.
//!
//! Processor time is measured around each poll of a charged future and around each charged closure, by the operating system's
//! clock of the thread. Work that a library does on threads of its own is not covered; what is not charged is in no account.

mod account;
mod charge;

pub use account::{Account, Usage};
pub use charge::{Charged, charged, following};

/// Charges bytes that were read to the account of the present work, if there is one.
pub fn read(bytes: u64) {
    charge::with_current(|account| account.add_read(bytes));
}

/// Charges bytes that were written to the account of the present work, if there is one.
pub fn wrote(bytes: u64) {
    charge::with_current(|account| account.add_written(bytes));
}

/// Says that whoever works now counts what it reads and writes, though it may do neither.
pub fn counts_bytes() {
    read(0);
    wrote(0);
}

/// Charges one call to an outside system to the account of the present work, if there is one.
pub fn called() {
    charge::with_current(Account::add_call);
}
