//! Spec and recorded state to what runs and why. Pure: facts in, a decision out.
//!
//! May touch: types and project. Must not: do IO, read a clock, or know how a step is executed.
//!
//! The way through: [`AssetFacts`] of all assets → [`Graph`] → [`Selection`] → [`plan`], which asks [`decide`]
//! for the one reason of each selected asset. What the scheduler is told of the same graph is [`scheduled`]. SQL views are never steps: nothing of them is stored, so their
//! inputs count as the inputs of whoever reads them. What the kinds of assets differ in stands in their facts.

mod asset;
mod codes;
mod decide;
mod error;
mod fingerprint;
mod graph;
mod partition;
mod plan;
mod reason;
mod scheduled;
mod selection;

pub use asset::{AssetFacts, AssetKind, AssetStatus, Recorded};
pub use codes::CODES;
pub use decide::{InputNow, Now, decide};
pub use error::PlanError;
pub use fingerprint::{dataset_fingerprint, fingerprint, source_fingerprint, table_fingerprint};
pub use graph::Graph;
pub use partition::{
    NULL_PARTITION, PartitionSet, PartitionSpan, PartitionStanding, PartitionStates, PartitionStatus,
};
pub use plan::{ByHand, Observed, PlannedStep, Request, RunPlan, plan};
pub use reason::Reason;
pub use scheduled::{AssetTicks, limits, scheduled, upcoming};
pub use selection::{Selection, SelectionError};
