//! The engine behind the HTTP server's interfaces, one file for each area, and the server's bounds.

mod answers;
mod backend;
mod backfills;
mod catalog;
mod datasets;
mod describe;
mod errors;
mod features;
mod fresh;
mod hangup;
pub(crate) mod limits;
mod log;
mod progress;
mod project;
mod query;
mod runs;
mod schedule;
pub(crate) mod tokens;

pub(crate) use backend::Backend;
pub(crate) use fresh::{KEEPING, keep_fresh};
pub(crate) use hangup::Hangups;
pub(crate) use log::log_steps;
