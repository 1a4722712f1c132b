//! Behaviour at the room's boundary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout
)]

mod bounds;
mod conformance;
mod crowds;
mod damage;
mod disk;
mod faults;
mod format;
mod key;
mod kills;
mod messages;
mod place;
mod sharing;
mod worlds;
