//! The engine behind the HTTP server's interface, and the server's bounds.

mod answers;
mod backend;
mod describe;
mod errors;
mod fresh;
pub(crate) mod limits;

pub(crate) use backend::Backend;
pub(crate) use fresh::keep_fresh;
