//! A range of entities: their events in the total order, their labels in the order of time, and what features
//! share between them.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{Array, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array},
    array::{StringArray, UInt32Array},
    buffer::BooleanBuffer,
    compute::take,
};
use hashbrown::HashMap;

use super::{
    definition::Window,
    evaluate::GroupValues,
    events::{Grouped, Reads, Sorted, events_of},
    kernel::{self, Chosen, Computed, Input, Prefix},
    layout::{Layout, Planned},
    seen::{self, Seen},
    slide::CutOffs,
};
use crate::{
    FeatureError,
    aggregate::{Column, Data, Value, ValueRef},
    asof::KnownTimes,
};

/// The places of an entity's labels and events in its group.
pub(super) struct EntityRows {
    pub(super) labels: Range<usize>,
    pub(super) events: Range<usize>,
    /// The entry of the lines that the first of these events is.
    pub(super) first_entry: usize,
}

/// A group of neighbouring entities, with their labels and events.
pub(super) struct EntityGroup<'a> {
    /// The entities of the group that have labels.
    pub(super) entities: Vec<EntityRows>,
    pub(super) label_rows: Vec<u32>,
    pub(super) label_times: Vec<i64>,
    pub(super) times: Vec<i64>,
    /// The cut-offs of the labels; empty when they have none.
    label_cuts: Vec<i64>,
    /// The latest known time among an entity's events up to each event; empty without cut-offs.
    latest_known: Vec<i64>,
    known: Option<&'a KnownTimes>,
    /// The known time of each event; empty without cut-offs.
    known_times: Vec<i64>,
    /// The events that equal the one before in the whole order, so that only values can tell them apart.
    pub(super) ties: Option<BooleanBuffer>,
    columns: Vec<Option<Column>>,
    seen: HashMap<Window, Arc<Seen>>,
    masks: HashMap<Input, Option<Arc<BooleanBuffer>>>,
    counts: HashMap<Input, Arc<Vec<u32>>>,
    prefixes: HashMap<Input, Option<Arc<Prefix>>>,
    chosen: HashMap<Input, Arc<Chosen>>,
}

impl<'a> EntityGroup<'a> {
    pub(super) fn new(
        source: Sorted<'a>,
        reads: Reads<'_>,
        labels: &Grouped,
        range: Range<usize>,
        layout: &Layout,
    ) -> Result<Self, FeatureError> {
        let mut group = Self {
            entities: Vec::new(),
            label_rows: Vec::new(),
            label_times: Vec::new(),
            times: Vec::new(),
            label_cuts: Vec::new(),
            latest_known: Vec::new(),
            known: source.known.filter(|_| reads.cuts.is_some()),
            known_times: Vec::new(),
            ties: None,
            columns: Vec::new(),
            seen: HashMap::new(),
            masks: HashMap::new(),
            counts: HashMap::new(),
            prefixes: HashMap::new(),
            chosen: HashMap::new(),
        };
        let windows = distinct_windows(layout);
        let (mut event_rows, mut ties) = (Vec::new(), Vec::new());
        for entity in range {
            let rows = labels.of(entity);
            if !rows.is_empty() {
                group.add_labels(rows, reads);
                group.add_events(source, entity, rows.len(), &windows, (&mut event_rows, &mut ties));
            }
        }
        group.ties = ties.contains(&true).then(|| BooleanBuffer::from(ties));
        let indices = UInt32Array::from(event_rows);
        let taken = |column: &Option<Arc<Column>>| {
            column.as_ref().map(|column| take_column(column, &indices)).transpose()
        };
        group.columns = source.columns.iter().map(taken).collect::<Result<_, _>>()?;
        Ok(group)
    }

    /// Appends an entity's labels in the order of time.
    fn add_labels(&mut self, rows: &[u32], reads: Reads<'_>) {
        let at = |values: &[i64], row: u32| values.get(row as usize).copied().unwrap_or(0);
        let first = self.label_rows.len();
        self.label_rows.extend_from_slice(rows);
        let rows = self.label_rows.get_mut(first..).unwrap_or_default();
        rows.sort_unstable_by_key(|row| (at(reads.times, *row), reads.cuts.map(|cuts| at(cuts, *row)), *row));
        self.label_times.extend(rows.iter().map(|row| at(reads.times, *row)));
        if let Some(cuts) = reads.cuts {
            self.label_cuts.extend(rows.iter().map(|row| at(cuts, *row)));
        }
    }

    /// Appends those events of an entity that the `labels` labels appended last can see in any of the windows.
    fn add_events(
        &mut self,
        source: Sorted<'_>,
        entity: usize,
        labels: usize,
        windows: &[Window],
        (event_rows, ties): (&mut Vec<u32>, &mut Vec<bool>),
    ) {
        let labels = self.label_times.len() - labels..self.label_times.len();
        let times = self.label_times.get(labels.clone()).unwrap_or(&[]);
        let (Some(oldest), Some(newest)) = (times.first(), times.last()) else { return };
        let start = windows.iter().map(|window| window.start(*oldest)).min().unwrap_or(i64::MAX);
        let end = windows.iter().map(|window| window.end(*newest)).max().unwrap_or(i64::MIN);
        let entries = events_of(source.lines, entity);
        let of_entity = source.lines.entries().get(entries.clone()).unwrap_or(&[]);
        let low = of_entity.partition_point(|entry| entry.time < start);
        let high = of_entity.partition_point(|entry| entry.time < end).max(low);
        let seen = of_entity.get(low..high).unwrap_or(&[]);
        let first_entry = entries.start + low;
        let first = self.times.len();
        self.times.extend(seen.iter().map(|entry| entry.time));
        event_rows.extend(seen.iter().map(|entry| entry.row));
        if source.lines.has_ties() {
            ties.extend((0..seen.len()).map(|at| at > 0 && source.lines.is_tie(first_entry + at)));
        }
        if let Some(known) = self.known {
            let times = known.times().get(first_entry..first_entry + seen.len()).unwrap_or(&[]);
            self.known_times.extend_from_slice(times);
            let mut latest = i64::MIN;
            self.latest_known.extend(times.iter().map(|time| {
                latest = latest.max(*time);
                latest
            }));
        }
        self.entities.push(EntityRows { labels, events: first..self.times.len(), first_entry });
    }

    /// The values of all features.
    pub(super) fn features(mut self, layout: &Layout) -> Result<GroupValues, FeatureError> {
        let mut features = Vec::with_capacity(layout.features.len());
        for feature in &layout.features {
            features.push(self.feature(layout, feature)?);
        }
        Ok(GroupValues { label_rows: self.label_rows, features })
    }

    fn feature(&mut self, layout: &Layout, feature: &Planned) -> Result<Computed, FeatureError> {
        let seen = self.seen(feature.window);
        let numerator = kernel::operand(self, layout, &feature.numerator, &seen)?;
        let Some(second) = &feature.second else { return Ok(numerator) };
        let seen = self.seen(second.window);
        let below = kernel::operand(self, layout, &second.read, &seen)?;
        // There is no value where one of the two is more than can be held.
        let mut outgrown = [numerator.outgrown, below.outgrown].concat();
        outgrown.sort_unstable();
        outgrown.dedup();
        let (numerator, below) = (Column::new(&numerator.values)?, Column::new(&below.values)?);
        let is_outgrown =
            |row: usize| u32::try_from(row).is_ok_and(|row| outgrown.binary_search(&row).is_ok());
        let joined = |row: usize| match is_outgrown(row) {
            true => None,
            false => feature.joined(second, numerator.value(row), below.value(row)),
        };
        let values: Float64Array = (0..numerator.len()).map(joined).collect();
        Ok(Computed { values: Arc::new(values), outgrown })
    }

    fn seen(&mut self, window: Window) -> Arc<Seen> {
        if let Some(seen) = self.seen.get(&window) {
            return Arc::clone(seen);
        }
        let seen = seen::runs(self, window);
        self.seen.insert(window, Arc::clone(&seen));
        seen
    }

    /// The label's cut-off when it may hide an event before position `end`.
    pub(super) fn hiding_cut(&self, label: usize, end: usize) -> Option<(i64, &'a KnownTimes)> {
        let cut = *self.label_cuts.get(label)?;
        // Of an entity without events up to there, this is another entity's: then there is nothing to hide.
        let latest = *self.latest_known.get(end.checked_sub(1)?)?;
        self.known.filter(|_| latest > cut || latest == i64::MAX).map(|known| (cut, known))
    }

    /// The cut-offs of some labels, if any label has one.
    pub(super) fn cut_offs(&self, labels: Range<usize>) -> Option<CutOffs<'_>> {
        let cuts = self.label_cuts.get(labels).filter(|cuts| !cuts.is_empty())?;
        Some(CutOffs { known: &self.known_times, cuts })
    }

    pub(super) fn column(&self, column: Option<usize>) -> Option<&Column> {
        self.columns.get(column?)?.as_ref()
    }

    /// The value of an event, or `true` for a row.
    pub(super) fn value(&self, column: Option<usize>, row: usize) -> ValueRef<'_> {
        match column {
            None => ValueRef::Bool(true),
            Some(_) => self.column(column).map_or(ValueRef::Null, |column| column.value(row)),
        }
    }

    /// The events that have a value and pass the filter are set; none when all do.
    pub(super) fn mask(&mut self, input: Input) -> Option<Arc<BooleanBuffer>> {
        if let Some(mask) = self.masks.get(&input) {
            return mask.clone();
        }
        let (column, filter) = input;
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
        self.masks.insert(input, mask.clone());
        mask
    }

    /// The number of events up to each one that have a value and pass the filter; none when all do.
    pub(super) fn counts(&mut self, input: Input) -> Option<Arc<Vec<u32>>> {
        let mask = self.mask(input)?;
        let make = || Arc::new(kernel::running_count(&mask));
        Some(Arc::clone(self.counts.entry(input).or_insert_with(make)))
    }

    /// The running sums of a column of numbers; none when they do not fit.
    pub(super) fn prefix(&mut self, input: Input) -> Option<Arc<Prefix>> {
        if let Some(prefix) = self.prefixes.get(&input) {
            return prefix.clone();
        }
        let mask = self.mask(input);
        let prefix =
            self.column(input.0).and_then(|column| Prefix::new(column, mask.as_deref())).map(Arc::new);
        self.prefixes.insert(input, prefix.clone());
        prefix
    }

    /// The events among which first and last ones are chosen.
    pub(super) fn chosen(&mut self, input: Input) -> Arc<Chosen> {
        if let Some(chosen) = self.chosen.get(&input) {
            return Arc::clone(chosen);
        }
        let mask = self.mask(input);
        let chosen = Arc::new(Chosen::new(self, input.0, mask.as_deref()));
        self.chosen.insert(input, Arc::clone(&chosen));
        chosen
    }
}

fn distinct_windows(layout: &Layout) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for feature in &layout.features {
        for window in
            [Some(feature.window), feature.second.as_ref().map(|second| second.window)].into_iter().flatten()
        {
            if !windows.contains(&window) {
                windows.push(window);
            }
        }
    }
    windows
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
        Data::Decimal(array) => taken!(Decimal, array, Decimal128Array),
        Data::Bool(array) => taken!(Bool, array, BooleanArray),
        Data::Text(array) => taken!(Text, array, StringArray),
        Data::Bytes(array) => taken!(Bytes, array, BinaryArray),
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
        Data::Nested { values, nulls } => {
            let rows = indices.values().iter().map(|row| *row as usize);
            let taken = rows.clone().map(|row| values.get(row).cloned().unwrap_or(Value::Null));
            let nulls = nulls.as_ref().map(|nulls| rows.clone().map(|row| nulls.is_valid(row)).collect());
            Data::Nested { values: taken.collect(), nulls }
        }
    };
    Ok(Column { data_type: column.data_type.clone(), data })
}
