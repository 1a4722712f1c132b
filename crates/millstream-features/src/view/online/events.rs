//! Rows of events by entity: what records are changed with.

use std::ops::Range;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray},
    datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType},
};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::{OnlineView, OnlineViewError};
use crate::{
    aggregate::{Column, Data, Order, Value, ValueRef},
    view::{
        FeatureValue,
        key::{EntityKey, KeyRows},
    },
};

/// The events of a batch by entity, each entity's in their total order. Rows without a key or an event time are left out.
#[derive(Debug)]
pub struct EntityEvents {
    entities: Vec<EntityKey>,
    /// The places in `rows` where the events of each entity start, and the end.
    starts: Vec<usize>,
    rows: Vec<(Order, u32)>,
    columns: Vec<EventValues>,
    skipped: usize,
    newest: Option<i64>,
}

/// The values of a column of events. A column that no aggregation knows is turned into values at once.
#[derive(Debug)]
enum EventValues {
    Column(Column),
    Values(Vec<Value>),
}

impl EntityEvents {
    /// # Errors
    ///
    /// The batch has not the shape of the view's events.
    pub fn new(view: &OnlineView, events: &RecordBatch) -> Result<Self, OnlineViewError> {
        let definition = view.definition();
        let keys = definition.keys.len();
        let (expected, found) = (keys + 3 + definition.columns.len(), events.num_columns());
        let name = || definition.name.clone();
        if expected != found {
            return Err(OnlineViewError::EventColumns { view: name(), expected, found });
        }
        let (key_columns, rest) = events.columns().split_at(keys);
        let [time, known, sequence, columns @ ..] = rest else {
            return Err(OnlineViewError::EventColumns { view: name(), expected, found });
        };
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let (time, known) = (micros(view, time, &instant)?, micros(view, known, &instant)?);
        expect(view, "_sequence", sequence, &DataType::Int64)?;
        let sequence = sequence.as_primitive::<Int64Type>();
        let key_rows = KeyRows::new(&definition.entity, &definition.keys, key_columns)?;
        let columns = columns.iter().enumerate().map(|(at, column)| EventValues::new(view, at, column));
        let columns = columns.collect::<Result<_, _>>()?;
        let or_zero = |valid: bool, value: i64| if valid { value } else { 0 };
        let order = |row: usize| Order {
            event: time.value(row),
            known: or_zero(known.is_valid(row), known.value(row)),
            sequence: or_zero(sequence.is_valid(row), sequence.value(row)),
        };
        let (entities, ordinals) = ordinals(&key_rows, |row| time.is_valid(row));
        let (starts, rows) = grouped(&ordinals, entities.len(), order);
        let skipped = key_rows.len() - rows.len();
        let newest = rows.iter().map(|(order, _)| order.event).max();
        let entities = entities.iter().map(|key| EntityKey::from_bytes(key.to_vec().into())).collect();
        Ok(Self { entities, starts, rows, columns, skipped, newest })
    }

    /// The different entities, in the order of their first rows.
    #[must_use]
    pub fn entities(&self) -> &[EntityKey] {
        &self.entities
    }

    /// The number of events that have a key and an event time.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The number of rows that were left out.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// The newest event time in microseconds.
    #[must_use]
    pub fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// The row numbers of an entity's events in their order.
    pub fn rows_of(&self, entity: usize) -> impl Iterator<Item = usize> {
        self.events_of(entity).map(|(_, row)| row)
    }

    /// The order and the row number of an entity's events, oldest first.
    pub(super) fn events_of(&self, entity: usize) -> impl ExactSizeIterator<Item = (Order, usize)> {
        let bound = |at: usize| self.starts.get(at).copied().unwrap_or(0);
        let range: Range<usize> = bound(entity)..bound(entity + 1);
        self.rows.get(range).unwrap_or(&[]).iter().map(|(order, row)| (*order, *row as usize))
    }

    /// The values of one row, by number of the view's column.
    pub(super) fn values<'a>(&'a self, row: usize, values: &mut Vec<ValueRef<'a>>) {
        values.clear();
        values.extend(self.columns.iter().map(|column| column.value(row)));
    }
}

impl EventValues {
    fn new(view: &OnlineView, at: usize, column: &ArrayRef) -> Result<Self, OnlineViewError> {
        let definition = view.definition();
        if let Some(known) = definition.columns.get(at) {
            expect(view, &known.sql, column, &known.data_type)?;
        }
        let whole = definition.features.iter().any(|feature| feature.value == FeatureValue::Newest(at));
        match Column::new(column) {
            // A window leaves a vector with a null element out; the newest event shows it as it is.
            Ok(Column { data: Data::Vector { .. }, .. }) if whole => Ok(Self::Values(lists(view, column)?)),
            Ok(known) => Ok(Self::Column(known)),
            Err(_) => Ok(Self::Values(lists(view, column)?)),
        }
    }

    fn value(&self, row: usize) -> ValueRef<'_> {
        match self {
            Self::Column(column) => column.value(row),
            Self::Values(values) => values.get(row).map_or(ValueRef::Null, Value::borrowed),
        }
    }
}

/// Reads rows of lists as values.
fn lists(view: &OnlineView, column: &ArrayRef) -> Result<Vec<Value>, OnlineViewError> {
    let items = |list: ArrayRef| -> Result<Value, OnlineViewError> {
        if matches!(list.data_type(), DataType::List(_) | DataType::FixedSizeList(..)) {
            return Ok(Value::List(lists(view, &list)?));
        }
        let column = Column::new(&list).map_err(|source| view.state_error(source))?;
        Ok(Value::List((0..list.len()).map(|row| column.value(row).to_value()).collect()))
    };
    let value = |row: usize| match column.data_type() {
        _ if column.is_null(row) => Ok(Value::Null),
        DataType::List(_) => items(column.as_list::<i32>().value(row)),
        DataType::FixedSizeList(..) => items(column.as_fixed_size_list().value(row)),
        other => {
            let (view, data_type) = (view.definition().name.clone(), other.clone());
            Err(OnlineViewError::NotStorable { view, data_type })
        }
    };
    (0..column.len()).map(value).collect()
}

fn expect(
    view: &OnlineView,
    column: &str,
    found: &ArrayRef,
    expected: &DataType,
) -> Result<(), OnlineViewError> {
    if found.data_type() == expected {
        return Ok(());
    }
    Err(OnlineViewError::EventColumn {
        view: view.definition().name.clone(),
        column: column.to_owned(),
        expected: expected.clone(),
        found: found.data_type().clone(),
    })
}

fn micros<'a>(
    view: &OnlineView,
    column: &'a ArrayRef,
    expected: &DataType,
) -> Result<&'a TimestampMicrosecondArray, OnlineViewError> {
    let array = column.as_primitive_opt::<TimestampMicrosecondType>();
    match array {
        Some(array) => Ok(array),
        None => Err(expect(view, "an instant", column, expected)
            .err()
            .unwrap_or(OnlineViewError::Lengths { expected: 0, found: 0 })),
    }
}

const NO_ENTITY: u32 = u32::MAX;

/// The different keys, and for each row which of them it has.
fn ordinals(keys: &KeyRows, has_time: impl Fn(usize) -> bool) -> (Vec<&[u8]>, Vec<u32>) {
    let mut entities: Vec<&[u8]> = Vec::new();
    let mut table: HashTable<(u64, u32)> = HashTable::new();
    let mut ordinals = Vec::with_capacity(keys.len());
    for row in 0..keys.len() {
        let Some(key) = keys.get(row).filter(|_| has_time(row)) else {
            ordinals.push(NO_ENTITY);
            continue;
        };
        let hash = xxh3_64(key);
        let same = |(known, at): &(u64, u32)| {
            *known == hash && entities.get(*at as usize).is_some_and(|known| *known == key)
        };
        let ordinal = match table.find(hash, same) {
            Some((_, ordinal)) => *ordinal,
            None => {
                let ordinal = u32::try_from(entities.len()).unwrap_or(NO_ENTITY);
                table.insert_unique(hash, (hash, ordinal), |(hash, _)| *hash);
                entities.push(key);
                ordinal
            }
        };
        ordinals.push(ordinal);
    }
    (entities, ordinals)
}

/// Groups rows by entity, each entity's in their order.
fn grouped(
    ordinals: &[u32],
    entities: usize,
    order: impl Fn(usize) -> Order,
) -> (Vec<usize>, Vec<(Order, u32)>) {
    let mut starts = vec![0_usize; entities + 1];
    for ordinal in ordinals {
        if let Some(count) = starts.get_mut(*ordinal as usize + 1) {
            *count += 1;
        }
    }
    let mut total = 0;
    for start in &mut starts {
        total += *start;
        *start = total;
    }
    let mut next = starts.clone();
    let mut rows = vec![(Order::default(), 0_u32); total];
    for (row, ordinal) in ordinals.iter().enumerate() {
        if let Some(at) = next.get_mut(*ordinal as usize).filter(|_| *ordinal != NO_ENTITY) {
            if let Some(slot) = rows.get_mut(*at) {
                *slot = (order(row), u32::try_from(row).unwrap_or(u32::MAX));
            }
            *at += 1;
        }
    }
    for bounds in starts.windows(2) {
        if let [start, end] = bounds
            && let Some(rows) = rows.get_mut(*start..*end)
            && !rows.is_sorted_by_key(|(order, _)| *order)
        {
            rows.sort_by_key(|(order, _)| *order);
        }
    }
    (starts, rows)
}
