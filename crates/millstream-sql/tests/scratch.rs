#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]
#[path = "it/incremental/mod.rs"]
mod incremental;
