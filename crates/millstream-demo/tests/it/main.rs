//! The generated data, as its files show it.
#![allow(clippy::unwrap_used)]

mod bytes;
mod live;
