//! What becomes of failures: their classes, and what a process learns from them about the places that its steps ask.

mod circuits;
mod class;
mod known;
mod retries;

pub(crate) use circuits::Circuits;
pub use class::ErrorClass;
pub use known::{ConnectionStatus, PromiseStatus, RetriesStatus};
pub(crate) use retries::PROJECT;
