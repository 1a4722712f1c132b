//! The clock, passed in so that tests decide what time it is.

use std::fmt;

use millstream_types::TimestampMicros;

/// Tells the time of day.
pub trait Clock: Send + Sync + fmt::Debug {
    fn now(&self) -> TimestampMicros;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the edge where the machine's clock enters")]
    fn now(&self) -> TimestampMicros {
        TimestampMicros::from_system(std::time::SystemTime::now())
    }
}
