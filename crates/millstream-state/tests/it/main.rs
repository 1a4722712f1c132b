//! The state store at its boundary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

mod artifacts;
mod breakers;
mod failures;
mod figures;
mod forget;
mod format;
mod housekeeping;
mod landing;
mod leases;
mod memory;
mod offers;
mod outbox;
mod partitions;
mod pipelines;
mod place;
#[cfg(feature = "postgres")]
mod postgres;
mod pulse;
mod repairs;
mod runs;
mod schedule;
#[cfg(feature = "postgres")]
mod server;
mod sets;
mod speed;
mod step_log;
mod watch;
mod world;
