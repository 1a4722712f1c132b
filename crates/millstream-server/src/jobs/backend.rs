//! What jobs ask of the rest of Millstream.

/// The clock by which jobs say when they began and ended; this room reads none.
pub trait JobBackend: Send + Sync + 'static {
    /// The present time in microseconds since 1970.
    fn now(&self) -> i64;
}
