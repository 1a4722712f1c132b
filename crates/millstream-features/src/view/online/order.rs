//! Which of two events is the newer one. Events that are equal in event time, known time and sequence are told apart by
//! the values that newest-row features show of them, column by column, null first: so nothing depends on arrival.

use std::cmp::Ordering;

use super::{OnlineView, ValueSource, read::Newest};
use crate::{
    FeatureError,
    aggregate::{Order, Value, ValueRef},
};

impl OnlineView {
    /// Whether an event takes the place of the newest one so far.
    pub(super) fn is_newer(
        &self,
        order: Order,
        row: Newest<'_>,
        newest: Option<(Order, Newest<'_>)>,
    ) -> Result<bool, FeatureError> {
        let Some((newest, newest_row)) = newest else { return Ok(true) };
        match order.cmp(&newest) {
            Ordering::Equal => {
                let (left, right) = (self.shown(row)?, self.shown(newest_row)?);
                Ok(compare_lists(&left, &right).is_gt())
            }
            other => Ok(other.is_gt()),
        }
    }

    /// The values of the columns that newest-row features name, in the columns' order.
    fn shown(&self, row: Newest<'_>) -> Result<Vec<Value>, FeatureError> {
        let mut fields: Vec<(usize, usize)> = Vec::new();
        for source in &self.0.sources {
            if let ValueSource::Newest { in_newest, in_event } = source {
                fields.push((*in_newest, *in_event));
            }
        }
        // Places in the row of the newest event ascend with the columns.
        fields.sort_unstable();
        fields.dedup();
        let mut list = Value::Null;
        let value = |(in_newest, in_event)| {
            let value = match row {
                Newest::Newest(row) => self.0.newest_row.value(row, in_newest, &mut list)?,
                Newest::Event(row) => self.0.event_row.value(row, in_event, &mut list)?,
            };
            Ok(value.to_value())
        };
        fields.into_iter().map(value).collect()
    }
}

fn compare_lists(left: &[Value], right: &[Value]) -> Ordering {
    let elements = left.iter().zip(right).map(|(left, right)| compare(left.borrowed(), right.borrowed()));
    elements.fold(Ordering::Equal, Ordering::then).then(left.len().cmp(&right.len()))
}

fn compare(left: ValueRef<'_>, right: ValueRef<'_>) -> Ordering {
    match (left, right) {
        (ValueRef::List(left), ValueRef::List(right)) => compare_lists(left, right),
        (left, right) => left.compare(&right),
    }
}
