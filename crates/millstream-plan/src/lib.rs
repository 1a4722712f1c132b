//! Spec and recorded state to what runs and why. Pure: facts in, a decision out.
//!
//! May touch: types and project. Must not: do IO, read a clock, or know how a step is executed.

mod reason;

pub use reason::Reason;
