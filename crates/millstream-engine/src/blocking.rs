//! Streams for code that computes on threads of its own.

use futures::{Stream, StreamExt};
use tokio::runtime::Handle;

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
