//! The hops of one entity as they are stored for reads at request time: 5-minute, hourly and daily parts of the events
//! before a mark, and one part of all time. Events from the mark on are kept one by one by the record around them.
//!
//! Stored hops are columns: for each size of hop the starts, then for each state one column of numbers that all have
//! the same width. A window is a range of each column, which is added up where it lies; nothing is decoded into maps.
//! What does not fit a column of numbers is stored as the aggregation's own state; either way the bits of a value are
//! those of the states.

mod column;
mod compact;
mod packed;
mod plan;
mod read;
mod store;
mod whole;

pub(crate) use compact::CompactState;
pub(crate) use plan::Plan;
pub(crate) use read::fold;
pub(crate) use store::Hops;
