//! Partitions of assets: sets of them, and where each stands. Pure: what is to be built is decided from what is known.

mod set;
mod states;

pub use set::PartitionSet;
pub use states::{NULL_PARTITION, PartitionSpan, PartitionStanding, PartitionStates, PartitionStatus};
