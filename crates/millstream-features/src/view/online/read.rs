//! A record read where it lies: what training would give for the time of the read.

use super::{
    OnlineView, OnlineViewError, ValueSource,
    record::{Event, Record},
};
use crate::{
    FeatureError,
    aggregate::{Order, Value, ValueRef},
    view::Status,
    window::{CompactState, fold},
};

/// The values of all features of one entity at one time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The values of the features. Defaults stand where a value would be null, except where there is more than the
    /// feature can hold.
    pub values: Vec<Value>,
    pub statuses: Vec<Status>,
    /// The event time of the newest visible event in microseconds.
    pub event_time: Option<i64>,
}

/// A plan to read some features of a view: what has to be looked at for them.
#[derive(Debug, Clone)]
pub struct ReadPlan {
    pub(super) features: Vec<usize>,
    /// The cells of the view's hops that the features need are set.
    cells: Vec<bool>,
    windows: bool,
}

/// The row of the newest visible event.
#[derive(Clone, Copy)]
pub(super) enum Newest<'a> {
    /// The row has only the columns that features name of the newest event.
    Newest(&'a [u8]),
    /// The row has all columns.
    Event(&'a [u8]),
}

impl OnlineView {
    /// Prepares reads of the given features, in their order.
    ///
    /// # Errors
    ///
    /// The view has no such feature.
    pub fn plan_read(&self, features: &[usize]) -> Result<ReadPlan, OnlineViewError> {
        let missing = |index: &&usize| **index >= self.0.sources.len();
        if let Some(index) = features.iter().find(missing) {
            let view = self.definition().name.clone();
            return Err(OnlineViewError::NoSuchFeature { view, index: *index });
        }
        let window = |feature: &usize| match self.0.sources.get(*feature) {
            Some(ValueSource::Window(window)) => Some(*window),
            _ => None,
        };
        let windows = features.iter().filter_map(window);
        let cells = self.0.plan.wanted(windows.clone());
        Ok(ReadPlan { features: features.to_vec(), cells, windows: windows.count() > 0 })
    }

    /// Prepares reads of all features.
    #[must_use]
    pub fn plan_read_of_all(&self) -> ReadPlan {
        let windows = self.0.plan.features();
        ReadPlan {
            features: (0..self.0.sources.len()).collect(),
            cells: self.0.plan.wanted(0..windows),
            windows: windows > 0,
        }
    }

    /// Reads the plan's features of one entity at time `at` (microseconds) into `reading`; `record` is none for an entity
    /// that has none.
    ///
    /// # Errors
    ///
    /// The bytes are no record of this view; `reading` is then of no use.
    pub fn read(
        &self,
        record: Option<&[u8]>,
        at: i64,
        plan: &ReadPlan,
        reading: &mut Reading,
    ) -> Result<(), OnlineViewError> {
        let Reading { values, statuses, event_time } = reading;
        values.clear();
        statuses.clear();
        let mut states = Vec::new();
        *event_time = self
            .visit(record, at, plan, &mut states, |value, status| {
                values.push(value.to_value());
                statuses.push(status);
            })
            .map_err(|source| self.state_error(source))?;
        Ok(())
    }

    fn default(&self, feature: usize) -> Option<&Value> {
        self.definition().features.get(feature).and_then(|feature| feature.default.as_ref())
    }

    /// Calls `sink` with value and status of each of the plan's features, in their order; defaults stand where a value
    /// would be null, but not where there is more than the feature can hold. Gives the event time of the newest visible
    /// event. `states` is only there to be used again.
    pub(super) fn visit(
        &self,
        record: Option<&[u8]>,
        at: i64,
        plan: &ReadPlan,
        states: &mut Vec<CompactState>,
        mut sink: impl FnMut(ValueRef<'_>, Status),
    ) -> Result<Option<i64>, FeatureError> {
        let record = match record {
            Some(bytes) => Record::read(bytes, &self.0.newest_row)?,
            None => Record::EMPTY,
        };
        // Before the mark only whole hops and one event are left. That event still is the newest if it is visible.
        let folded = record.newest.map(|(order, _)| order.event);
        let before_mark = at < record.mark && folded.is_some();
        let hides_newer = before_mark && folded.is_some_and(|event| !self.is_visible(event, at));
        let newest = self.newest(&record, at, hides_newer)?;
        let event_time = newest.map(|(order, _)| order.event);
        let overall = match (event_time, self.0.ttl) {
            _ if hides_newer => Some(Status::Degraded),
            (None, _) => Some(Status::Missing),
            (Some(event), Some(ttl)) if at.saturating_sub(event) > ttl => Some(Status::Expired),
            _ => None,
        };
        let of_windows = if before_mark { Some(Status::Degraded) } else { overall };
        let at = if before_mark { record.mark } else { at };
        states.clear();
        if plan.windows && overall != Some(Status::Expired) {
            states.extend_from_slice(&self.0.empty);
            self.windows(&record, at, plan, states)?;
        }
        let mut list = Value::Null;
        for feature in &plan.features {
            let owned;
            let (value, status) = match self.0.sources.get(*feature) {
                _ if overall == Some(Status::Expired) => (ValueRef::Null, overall),
                Some(ValueSource::Newest { in_newest, in_event }) => {
                    let value = match newest {
                        None => ValueRef::Null,
                        Some((_, Newest::Newest(row))) => {
                            self.0.newest_row.value(row, *in_newest, &mut list)?
                        }
                        Some((_, Newest::Event(row))) => self.0.event_row.value(row, *in_event, &mut list)?,
                    };
                    (value, overall)
                }
                Some(ValueSource::Window(window)) => {
                    let Ok(value) = self.0.plan.value(*window, states, at) else {
                        sink(ValueRef::Null, Status::Degraded);
                        continue;
                    };
                    owned = value;
                    (owned.borrowed(), of_windows)
                }
                None => (ValueRef::Null, overall),
            };
            let own = if value.is_null() { Status::Null } else { Status::Present };
            let default = self.default(*feature).filter(|_| value.is_null());
            sink(default.map_or(value, Value::borrowed), status.unwrap_or(own));
        }
        Ok(event_time)
    }

    /// The newest visible event.
    fn newest<'a>(
        &self,
        record: &Record<'a>,
        at: i64,
        degraded: bool,
    ) -> Result<Option<(Order, Newest<'a>)>, FeatureError> {
        let mut newest = record
            .newest
            .filter(|(order, _)| degraded || self.is_visible(order.event, at))
            .map(|(order, row)| (order, Newest::Newest(row)));
        for events in [record.recent, record.pushed, record.provisional] {
            for event in events.iter(&self.0.event_row) {
                let Event { order, row, .. } = event?;
                if self.is_visible(order.event, at) && self.is_newer(order, Newest::Event(row), newest)? {
                    newest = Some((order, Newest::Event(row)));
                }
            }
        }
        Ok(newest)
    }

    /// Adds up the windows of the plan's cells.
    fn windows(
        &self,
        record: &Record<'_>,
        at: i64,
        plan: &ReadPlan,
        states: &mut [CompactState],
    ) -> Result<(), FeatureError> {
        let ReadPlan { cells, .. } = plan;
        if !record.hops.is_empty() {
            fold(&self.0.plan, record.hops, (record.mark, at), cells, states)?;
        }
        let columns = self.definition().columns.len();
        let mut lists = Vec::new();
        let mut add = |event: Event<'_>| -> Result<(), FeatureError> {
            let values = self.0.event_row.values(event.row, columns, &mut lists)?;
            self.0.plan.add(states, cells, at, event.order, &values);
            Ok(())
        };
        for event in record.recent.iter(&self.0.event_row).chain(record.pushed.iter(&self.0.event_row)) {
            add(event?)?;
        }
        for event in record.provisional.iter(&self.0.event_row) {
            let event = event?;
            if event.order.event > record.watermark {
                add(event)?;
            }
        }
        Ok(())
    }
}
