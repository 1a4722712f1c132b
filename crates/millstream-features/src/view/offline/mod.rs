//! The offline side of a view: rows of events in, then for each label the features as they were at the label's time.
//!
//! What is seen: an event is visible to a label when its key is equal, its event time is earlier than the label's time
//! (or equal, if the view says so) and, with [`JoinOptions::as_known`] and a cut-off, its known time is not later than
//! the cut-off. The newest visible event in the total order (event time, known time, sequence; a null counts as 0)
//! gives the newest-row features. Events that are equal in all three are ordered by the values of the columns that the
//! view's newest-row features name, in the order of these columns, null first; `first` and `last` over windows by the
//! value of their own column. So no answer depends on the order or the batches of the events.
//!
//! What has a defined outcome: a label with a null in its key, its time or its cut-off sees nothing. A label that sees
//! nothing gets what an empty window gives (counts are 0, other values null), and status `missing`. When the newest
//! visible event is older than the time to live, every feature is null and `expired`; exactly as old still counts. A
//! default stands where a value would be null, and leaves the status as it is. What a feature cannot hold (a sum beyond
//! its type, more different values than its bound) is null and `degraded`, and no default stands for it, unless it is expired.

mod events;
mod join;
mod plan;
mod statuses;

pub use join::{JoinedView, ViewValues};
pub use statuses::Statuses;

use std::num::NonZeroUsize;

use arrow::array::RecordBatch;

use super::ViewDefinition;
use crate::{
    FeatureError,
    asof::{AsofBuilder, AsofOptions, FeatureRows},
};
use events::Kept;
use plan::Plan;

/// How a view is joined.
#[derive(Clone, Copy, Debug)]
pub struct JoinOptions {
    /// Whether labels may bring a known-time cut-off.
    pub as_known: bool,
    /// At most this many threads sort, search and compute.
    pub threads: NonZeroUsize,
}

/// Takes a view's rows of events.
#[derive(Debug)]
pub struct ViewJoin {
    plan: Plan,
    options: JoinOptions,
    index: AsofBuilder,
    kept: Kept,
}

impl ViewJoin {
    /// A join for these features, by their numbers in the definition, in any order; they come out in this order.
    ///
    /// # Errors
    ///
    /// The definition does not fit together: a number, a type or a default that cannot be, or a key of a nested type.
    pub fn new(
        definition: &ViewDefinition,
        features: &[usize],
        options: JoinOptions,
    ) -> Result<Self, FeatureError> {
        let plan = Plan::new(definition, features)?;
        let asof = AsofOptions {
            include_same_instant: definition.include_same_instant,
            ttl: definition.ttl,
            as_known: options.as_known,
            threads: options.threads,
        };
        let index = AsofBuilder::new(&plan.keys, asof)?;
        Ok(Self { kept: Kept::new(&plan), plan, options, index })
    }

    /// Adds events in the definition's [`ViewDefinition::event_schema`], in any order and any batches.
    ///
    /// # Errors
    ///
    /// The batch has other columns or types, or there are too many rows. The batch is then not added.
    pub fn push(&mut self, events: &RecordBatch) -> Result<(), FeatureError> {
        let rows = self.plan.split(events)?;
        self.index.push(&FeatureRows {
            keys: rows.keys,
            time: rows.time,
            known: Some(rows.known),
            sequence: Some(rows.sequence),
        })?;
        self.kept.push(&self.plan, rows.columns, events.num_rows())
    }

    /// Puts the events in order.
    ///
    /// # Errors
    ///
    /// The values of a column are more than one array can hold.
    pub fn build(self) -> Result<JoinedView, FeatureError> {
        let Self { plan, options, index, kept } = self;
        JoinedView::new(plan, options, index.build(), kept)
    }
}
