//! Behaviour at the room's boundary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod conformance;
mod damage;
mod feature;
mod feed;
mod full_disk;
mod kills;
mod model;
mod place;
#[cfg(feature = "redis")]
mod redis_faults;
mod samples;
mod sharing;
