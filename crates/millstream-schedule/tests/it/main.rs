//! Behaviour of the scheduler at its boundary, in simulated time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation)]

mod cron;
mod simulation;
mod time;
mod trigger;
