//! Sawtooth windows over events: `[floor(t − W, hop(W)), t)`, with hops of 5 minutes below 12 hours, of an hour below
//! 12 days, of a day from there on. The head is exact, the tail moves in hops, and an event at `t` itself is not
//! seen, unless the window says so.
//!
//! `evaluate` computes features for many labels at once; `hops` keeps the hops of one entity for reads at request time.
//! Both read the same states, and those do not depend on how events were grouped.

mod definition;
mod entity_group;
mod evaluate;
mod events;
mod hops;
mod kernel;
mod layout;
mod seen;
mod slide;
mod tree;

pub use definition::{DAY, Feature, HOPS, HOUR, MINUTES_5, Measure, Operand, Window};
pub use evaluate::{Events, Labels, WindowValues, evaluate};
pub use layout::Layout;

pub(crate) use evaluate::{Blank, read, used_columns};
pub(crate) use events::{Reads, Sorted};
pub(crate) use hops::{CompactState, Hops, Plan, fold};
