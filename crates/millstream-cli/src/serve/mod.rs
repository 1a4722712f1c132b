//! The engine behind the HTTP server's interfaces, one file for each area, and the server's bounds.

mod answers;
mod backend;
mod catalog;
mod datasets;
mod describe;
mod errors;
mod features;
mod fresh;
pub(crate) mod limits;
mod query;
mod runs;
pub(crate) mod tokens;

pub(crate) use backend::Backend;
pub(crate) use fresh::keep_fresh;
