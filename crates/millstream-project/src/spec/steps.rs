//! How the steps of an asset go.

use std::num::NonZeroU32;

use millstream_schedule::{Retrying, Sla};
use millstream_types::Span;

/// How often a step is tried, how long it may take, and what is promised of the asset. What an asset leaves open is filled with
/// what the project says; what is open then is the engine's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepsSpec {
    pub retrying: Retrying,
    /// The longest time that one attempt at a step may take.
    pub timeout: Option<Span>,
    /// After so many failures in a row the asset runs by itself no more; `None` for never.
    pub set_aside_after: Option<NonZeroU32>,
    pub sla: Sla,
}
