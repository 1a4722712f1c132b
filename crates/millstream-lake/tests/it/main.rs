//! The lake at its boundary: what is written is read, at any version, exactly once, whatever fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation)]
// Tests are the edge of their own world.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod checkpoints;
mod commits;
mod crash;
mod damage;
mod faults;
mod file_table;
mod foreign;
mod maintenance;
mod model;
mod open;
mod s3;
mod scan;
mod support;
mod types;
mod uploads;
mod versions;
