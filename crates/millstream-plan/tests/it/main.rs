//! Behaviour of the plan at its boundary: facts in, decisions out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation)]

mod decide;
mod fingerprint;
mod graph;
mod partition;
mod plan;
mod scheduled;
mod selection;
mod world;
