//! The state store and the run lock at their boundary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

mod features;
mod format;
mod landing;
mod lock;
mod memory;
mod speed;
mod watch;
mod world;
