//! A watcher that is asked at each call to the store: with it a test lets a process die there, or a disk fail.

use std::fmt::Debug;

/// When a watcher is asked about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The call begins: nothing was read or changed.
    Before,
    /// The change is committed. Reads are not asked about again.
    After,
}

/// Allows the calls of a [`State`](crate::State), or refuses them.
pub trait Watch: Send + Sync + Debug {
    /// Whether the call goes on. A refused call fails as it does when the disk does, and what was committed stays.
    fn allows(&self, doing: &'static str, moment: Moment) -> bool;
}
