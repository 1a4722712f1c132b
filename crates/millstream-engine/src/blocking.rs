//! Where asynchronous code meets code that blocks its thread.

use futures::{Stream, StreamExt};
use tokio::runtime::{Handle, RuntimeFlavor};

/// Calls `work`, which may wait for the disk, while other threads take over the other tasks of this one. What `work` allocates is
/// of this thread, so that the tasks that follow use its memory again: the allocator keeps the memory of each thread apart.
pub(crate) fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        // A runtime of one thread has nobody who could take tasks over.
        _ => work(),
    }
}

/// A stream as an iterator. Only for threads that may block.
pub(crate) struct Blocking<S> {
    stream: S,
    runtime: Handle,
}

impl<S> Blocking<S> {
    /// Makes the iterator. This has to be called within the runtime that drives the stream.
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, runtime: Handle::current() }
    }
}

impl<S: Stream + Unpin> Iterator for Blocking<S> {
    type Item = S::Item;

    fn next(&mut self) -> Option<S::Item> {
        self.runtime.block_on(self.stream.next())
    }
}
