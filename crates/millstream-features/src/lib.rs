//! Features: aggregations as mergeable states, windows over them, and the point-in-time join. The same kernels
//! serve a training set, a stream and a read at request time, which is why their values are equal.
//!
//! May touch: Arrow arrays. Must not: do IO, know SQL or a table, read a clock, or let a result depend on the
//! order or the partitioning of its input.

pub mod aggregate;
pub mod asof;
mod codes;
pub mod encode;
mod error;
mod timeline;
pub mod view;
pub mod window;

pub use codes::CODES;
pub use error::FeatureError;
