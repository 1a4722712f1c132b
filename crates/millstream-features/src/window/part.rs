//! The entities of one thread: their events in the total order, their labels in the order of time, and what features
//! share between them.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, Float64Array, Int64Array, UInt32Array},
    buffer::BooleanBuffer,
    compute::take,
};
use hashbrown::HashMap;

use super::{
    definition::Window,
    evaluate::{Events, PartValues},
    events::Grouping,
    kernel::{self, Prefix},
    layout::{Layout, Planned, Read},
};
use crate::{
    FeatureError,
    aggregate::{Column, Data, Order, Value, ValueRef, ratio},
};

/// A column and a filter, each by number.
type Input = (Option<usize>, Option<usize>);

/// Rows of one thread's entities.
pub(super) struct Part<'a> {
    /// Ranges of labels and events of each entity that has labels.
    pub(super) entities: Vec<(Range<usize>, Range<usize>)>,
    pub(super) label_rows: Vec<u32>,
    pub(super) label_times: Vec<i64>,
    pub(super) times: Vec<i64>,
    events: Events<'a>,
    event_rows: UInt32Array,
    /// Whether two events are equal in the whole order, so that only their values can tell them apart.
    pub(super) has_equal_orders: bool,
    columns: Vec<Option<Column>>,
    bounds: HashMap<Window, Arc<Vec<(u32, u32)>>>,
    masks: HashMap<Input, Option<Arc<BooleanBuffer>>>,
    counts: HashMap<Input, Arc<Vec<u32>>>,
    prefixes: HashMap<Input, Option<Arc<Prefix>>>,
}

impl<'a> Part<'a> {
    pub(super) fn new(
        grouping: &Grouping<'a>,
        range: Range<usize>,
        columns: &[Option<Arc<Column>>],
    ) -> Result<Self, FeatureError> {
        let (mut label_rows, label_offsets) = scatter(&grouping.label_counts, &range, |visit| {
            grouping.each_label(visit);
        });
        let (mut event_rows, event_offsets) = scatter(&grouping.event_counts, &range, |visit| {
            grouping.each_event(visit);
        });
        let label_time = grouping.labels.time.values();
        let event_time = grouping.events.event_time.values();
        let mut times = gathered(event_time, &event_rows);
        let order = |row: u32| order_of(&grouping.events, row as usize);
        let mut entities = Vec::new();
        let mut has_equal_orders = false;
        for pair in label_offsets.windows(2).zip(event_offsets.windows(2)) {
            let ([label_start, label_end], [event_start, event_end]) = pair else { continue };
            if label_start == label_end {
                continue;
            }
            let (labels, events) = (*label_start..*label_end, *event_start..*event_end);
            if let Some(rows) = label_rows.get_mut(labels.clone()) {
                rows.sort_by_key(|row| label_time.get(*row as usize));
            }
            if let (Some(rows), Some(times)) =
                (event_rows.get_mut(events.clone()), times.get_mut(events.clone()))
            {
                has_equal_orders |= sort_events(rows, times, order);
            }
            entities.push((labels, events));
        }
        let label_times = gathered(label_time, &label_rows);
        let indices = UInt32Array::from(event_rows);
        let taken = |column: &Option<Arc<Column>>| {
            column.as_ref().map(|column| take_column(column, &indices)).transpose()
        };
        let columns = columns.iter().map(taken).collect::<Result<_, _>>()?;
        Ok(Self {
            entities,
            label_rows,
            label_times,
            times,
            events: grouping.events,
            has_equal_orders,
            event_rows: indices,
            columns,
            bounds: HashMap::new(),
            masks: HashMap::new(),
            counts: HashMap::new(),
            prefixes: HashMap::new(),
        })
    }

    /// The values of all features.
    pub(super) fn features(mut self, layout: &Layout) -> Result<PartValues, FeatureError> {
        let mut features = Vec::with_capacity(layout.features.len());
        for feature in &layout.features {
            features.push(self.feature(layout, feature)?);
        }
        Ok(PartValues { label_rows: self.label_rows, features })
    }

    fn feature(&mut self, layout: &Layout, feature: &Planned) -> Result<ArrayRef, FeatureError> {
        let bounds = self.bounds(feature.window);
        let numerator = kernel::operand(self, layout, &feature.numerator, &bounds)?;
        let Some(denominator) = &feature.denominator else { return Ok(numerator) };
        let below = kernel::operand(self, layout, denominator, &bounds)?;
        let (numerator, below) = (side(&numerator)?, side(&below)?);
        let scale = |read: &Read| read.value_scale();
        let scales = [scale(&feature.numerator), scale(denominator)];
        let ratios: Float64Array =
            (0..numerator.len()).map(|row| ratio(numerator.value(row), below.value(row), scales)).collect();
        Ok(Arc::new(ratios))
    }

    /// For each label the range of its entity's events in the window.
    fn bounds(&mut self, window: Window) -> Arc<Vec<(u32, u32)>> {
        if let Some(bounds) = self.bounds.get(&window) {
            return Arc::clone(bounds);
        }
        let mut bounds = Vec::with_capacity(self.label_times.len());
        for (labels, events) in &self.entities {
            let times = self.times.get(events.clone()).unwrap_or(&[]);
            let (mut low, mut high) = (0, 0);
            for time in self.label_times.get(labels.clone()).unwrap_or(&[]) {
                low = advance(times, low, window.start(*time));
                high = advance(times, high.max(low), window.end(*time));
                bounds.push((narrow(events.start + low), narrow(events.start + high)));
            }
        }
        let bounds = Arc::new(bounds);
        self.bounds.insert(window, Arc::clone(&bounds));
        bounds
    }

    pub(super) fn column(&self, column: Option<usize>) -> Option<&Column> {
        self.columns.get(column?)?.as_ref()
    }

    pub(super) fn order(&self, row: usize) -> Order {
        order_of(&self.events, self.event_rows.value(row) as usize)
    }

    /// Which events have a value and pass the filter; none when all do.
    pub(super) fn mask(
        &mut self,
        column: Option<usize>,
        filter: Option<usize>,
    ) -> Option<Arc<BooleanBuffer>> {
        if let Some(mask) = self.masks.get(&(column, filter)) {
            return mask.clone();
        }
        let valid = self
            .column(column)
            .and_then(Column::nulls)
            .filter(|nulls| nulls.null_count() > 0)
            .map(|nulls| nulls.inner().clone());
        let passing = self.column(filter).and_then(|column| match &column.data {
            Data::Bool(flags) => Some(kernel::only_true(flags)),
            _ => None,
        });
        let mask = match (valid, passing) {
            (Some(valid), Some(passing)) => Some(&valid & &passing),
            (valid, passing) => valid.or(passing),
        };
        let mask = mask.map(Arc::new);
        self.masks.insert((column, filter), mask.clone());
        mask
    }

    /// How many events up to each one have a value and pass the filter.
    pub(super) fn counts(&mut self, column: Option<usize>, filter: Option<usize>) -> Option<Arc<Vec<u32>>> {
        let mask = self.mask(column, filter)?;
        let make = || Arc::new(kernel::running_count(&mask));
        Some(Arc::clone(self.counts.entry((column, filter)).or_insert_with(make)))
    }

    /// Running sums of a column of numbers; none when they do not fit.
    pub(super) fn prefix(&mut self, column: Option<usize>, filter: Option<usize>) -> Option<Arc<Prefix>> {
        if let Some(prefix) = self.prefixes.get(&(column, filter)) {
            return prefix.clone();
        }
        let mask = self.mask(column, filter);
        let prefix =
            self.column(column).and_then(|column| Prefix::new(column, mask.as_deref())).map(Arc::new);
        self.prefixes.insert((column, filter), prefix.clone());
        prefix
    }
}

fn side(array: &ArrayRef) -> Result<Column, FeatureError> {
    Column::new(array)
}

fn order_of(events: &Events<'_>, row: usize) -> Order {
    let Events { event_time, known_time, sequence, .. } = events;
    Order {
        event: event_time.value(row),
        known: if known_time.is_valid(row) { known_time.value(row) } else { 0 },
        sequence: if sequence.is_valid(row) { sequence.value(row) } else { 0 },
    }
}

pub(super) fn narrow(index: usize) -> u32 {
    // Rows are fewer than 2^32: `evaluate` checks it.
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn gathered(values: &[i64], rows: &[u32]) -> Vec<i64> {
    rows.iter().map(|row| values.get(*row as usize).copied().unwrap_or(0)).collect()
}

/// Rows by entity, in their order, and where each entity's start.
fn scatter(
    counts: &[u32],
    range: &Range<usize>,
    each: impl FnOnce(&mut dyn FnMut(usize, usize)),
) -> (Vec<u32>, Vec<usize>) {
    let counts = counts.get(range.clone()).unwrap_or(&[]);
    let mut offsets = Vec::with_capacity(counts.len() + 1);
    let mut total = 0;
    offsets.push(total);
    for count in counts {
        total += *count as usize;
        offsets.push(total);
    }
    let mut rows = vec![0; total];
    // An entity without count has rows that nobody needs.
    let mut next: Vec<usize> = offsets.clone();
    each(&mut |row, entity| {
        let Some(entity) = entity.checked_sub(range.start) else { return };
        let (Some(position), Some(end)) = (next.get_mut(entity), offsets.get(entity + 1)) else { return };
        if *position < *end
            && let Some(slot) = rows.get_mut(*position)
        {
            *slot = narrow(row);
            *position += 1;
        }
    });
    (rows, offsets)
}

/// Sorts rows and their times by the total order and says whether two are equal in it.
fn sort_events(rows: &mut [u32], times: &mut [i64], order: impl Fn(u32) -> Order) -> bool {
    // Mostly events come in order: then known time and sequence are looked at for equal times only.
    let ordered = |at: usize, pair: &[i64]| match pair {
        [left, right] if left < right => true,
        [left, right] if left == right => {
            matches!(rows.get(at..at + 2), Some([left, right]) if order(*left) < order(*right))
        }
        _ => false,
    };
    if times.windows(2).enumerate().all(|(at, pair)| ordered(at, pair)) {
        return false;
    }
    let mut keyed: Vec<_> = rows.iter().map(|row| (order(*row), *row)).collect();
    keyed.sort_unstable();
    for ((row, time), (order, sorted)) in rows.iter_mut().zip(times).zip(&keyed) {
        (*row, *time) = (*sorted, order.event);
    }
    keyed.windows(2).any(|pair| matches!(pair, [left, right] if left.0 == right.0))
}

/// First position from `from` on whose time is not before `time`; looks near `from` first.
fn advance(times: &[i64], from: usize, time: i64) -> usize {
    let (mut low, mut step) = (from, 1);
    while times.get(low + step - 1).is_some_and(|at| *at < time) {
        low += step;
        step *= 2;
    }
    let high = (low + step).min(times.len());
    low + times.get(low..high).map_or(0, |near| near.partition_point(|at| *at < time))
}

fn take_column(column: &Column, indices: &UInt32Array) -> Result<Column, FeatureError> {
    let action = "bring events to their order";
    macro_rules! taken {
        ($kind:ident, $array:expr, $type:ty) => {{
            let array = take($array, indices, None).map_err(FeatureError::arrow(action))?;
            match array.as_any().downcast_ref::<$type>() {
                Some(array) => Data::$kind(array.clone()),
                None => return Err(FeatureError::Mismatch),
            }
        }};
    }
    let data = match &column.data {
        Data::Int(array) => taken!(Int, array, Int64Array),
        Data::Float(array) => taken!(Float, array, Float64Array),
        Data::Decimal(array) => taken!(Decimal, array, arrow::array::Decimal128Array),
        Data::Bool(array) => taken!(Bool, array, arrow::array::BooleanArray),
        Data::Text(array) => taken!(Text, array, arrow::array::StringArray),
        Data::Bytes(array) => taken!(Bytes, array, arrow::array::BinaryArray),
        Data::Vector { values, size, nulls } => {
            let mut flat = Vec::with_capacity(indices.len() * size);
            for row in indices.values() {
                let row = *row as usize;
                flat.extend_from_slice(values.values().get(row * size..(row + 1) * size).unwrap_or(&[]));
            }
            let nulls = nulls
                .as_ref()
                .map(|nulls| indices.values().iter().map(|row| nulls.is_valid(*row as usize)).collect());
            Data::Vector { values: flat.into(), size: *size, nulls }
        }
    };
    Ok(Column { data_type: column.data_type.clone(), data })
}

impl Part<'_> {
    /// Calls `visit` with the time and range of each label, entity by entity; `next` is called before each entity.
    pub(super) fn each_range(
        &self,
        bounds: &[(u32, u32)],
        mut visit: impl FnMut(bool, i64, usize, usize) -> Result<Value, FeatureError>,
    ) -> Result<Vec<Value>, FeatureError> {
        let mut values = Vec::with_capacity(bounds.len());
        for (labels, _) in &self.entities {
            let times = self.label_times.get(labels.clone()).unwrap_or(&[]);
            let ranges = bounds.get(labels.clone()).unwrap_or(&[]);
            for (at, (time, (low, high))) in times.iter().zip(ranges).enumerate() {
                values.push(visit(at == 0, *time, *low as usize, *high as usize)?);
            }
        }
        Ok(values)
    }

    /// The value of an event, or `true` for a row.
    pub(super) fn value(&self, column: Option<usize>, row: usize) -> ValueRef<'_> {
        match column {
            None => ValueRef::Bool(true),
            Some(_) => self.column(column).map_or(ValueRef::Null, |column| column.value(row)),
        }
    }
}
