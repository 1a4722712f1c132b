//! The engine behind the HTTP server's interfaces, one file for each area, and the server's bounds.

mod answers;
mod backend;
mod catalog;
mod datasets;
mod describe;
mod errors;
mod features;
mod fresh;
mod hangup;
mod housekeeping;
pub(crate) mod limits;
mod living;
mod log;
mod notify;
mod metrics;
mod progress;
mod project;
mod query;
mod runs;
mod schedule;
mod serving;
mod telling;
pub(crate) mod tokens;
mod told;
mod watch;

pub(crate) use backend::Backend;
pub(crate) use fresh::{KEEPING, keep_fresh};
pub(crate) use hangup::Hangups;
pub(crate) use housekeeping::keep_house;
pub(crate) use living::Life;
pub(crate) use log::log_steps;
pub(crate) use notify::Notify;
pub(crate) use serving::{Serving, serve};
pub(crate) use watch::Watcher;
pub(crate) use metrics::Counting;
pub(crate) use telling::{drain, keep_telling};
