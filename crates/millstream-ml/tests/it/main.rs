//! Behaviour at the room's boundary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]

mod build;
mod diff;
mod encode;
mod errors;
mod estimate;
mod kinds;
mod leakage;
mod naive;
mod sameness;
mod split;
mod statistics;
mod world;
