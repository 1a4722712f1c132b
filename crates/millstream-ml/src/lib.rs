//! Datasets: labels joined point-in-time with features, split, described, pinned.
//!
//! May touch: Arrow, Parquet files and a spill folder. Must not: know SQL, the lake or the state store, read a clock.

mod codes;
pub mod dataset;
mod error;

pub use codes::CODES;
pub use error::{Cause, DatasetError, EntityKey};
