//! The room of features at its boundary: aggregations, windows, the point-in-time join.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation
)]

mod aggregate;
mod asof;
mod asof_columns;
mod encode;
mod naive;
mod online;
mod online_world;
mod view;
mod view_edges;
mod window;
mod world;
