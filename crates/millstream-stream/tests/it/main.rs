//! The room of streams at its boundary: results against naive oracles, whatever the order, the cut or the interruption.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

mod aggregates;
mod chains;
mod cuts;
mod deduplicate;
mod definitions;
mod join;
mod lateness;
mod naive;
mod pipelines;
mod state;
mod watermarks;
mod windows;
mod world;
