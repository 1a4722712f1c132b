//! The engine behind the HTTP server's interface.

mod answers;
mod backend;
mod describe;
mod errors;

pub(crate) use backend::Backend;
