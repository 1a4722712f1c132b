//! Features of many labels at once: events are grouped by entity and put in order once, then each feature reads
//! contiguous ranges of them. Entities are spread over threads; no value depends on how.

use std::{num::NonZeroUsize, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, Int64Array, TimestampMicrosecondArray, UInt32Array},
    compute::{concat, take},
    datatypes::DataType,
};

use super::{
    definition::{Feature, Window},
    events::{Grouping, split},
    layout::Layout,
    part::Part,
};
use crate::{FeatureError, aggregate::Column};

/// For which entity, and at what time, features are wanted. A row with a null in either gets nulls in all features.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    /// How many entities there are; ordinals are below.
    pub entities: u32,
    pub entity: &'a UInt32Array,
    pub time: &'a TimestampMicrosecondArray,
}

/// What happened to which entity. Rows without entity or event time, and rows of entities beyond the labels', are seen
/// by no label. Rows may come in any order.
#[derive(Debug, Clone, Copy)]
pub struct Events<'a> {
    pub entity: &'a UInt32Array,
    pub event_time: &'a TimestampMicrosecondArray,
    /// Breaks ties of event time; a null counts as 0.
    pub known_time: &'a TimestampMicrosecondArray,
    /// Breaks ties of known time; a null counts as 0.
    pub sequence: &'a Int64Array,
    /// The columns that features name by number.
    pub columns: &'a [ArrayRef],
}

/// One array for each feature, with one value for each label, in the labels' order. In an empty window counts are 0 and
/// other values null.
///
/// # Errors
///
/// A feature does not fit the columns, arrays differ in length, or there are more than 2^32 − 2 rows.
pub fn evaluate(
    labels: Labels<'_>,
    events: Events<'_>,
    features: &[Feature],
    threads: NonZeroUsize,
) -> Result<Vec<ArrayRef>, FeatureError> {
    let types: Vec<DataType> = events.columns.iter().map(|column| column.data_type().clone()).collect();
    let layout = Layout::new(features, &types)?;
    check_lengths(labels, events)?;
    let used = used_columns(&layout, events.columns)?;
    let bounds = seen_times(labels, features);
    let grouping = Grouping::new(labels, events, bounds);
    let ranges = split(&grouping, threads);
    let parts: Vec<_> = std::thread::scope(|scope| {
        let compute = |range| Part::new(&grouping, range, &used)?.features(&layout);
        let spawned: Vec<_> = ranges.into_iter().map(|range| scope.spawn(move || compute(range))).collect();
        spawned.into_iter().map(|thread| thread.join().map_err(|_| FeatureError::Thread)?).collect()
    });
    let parts = parts.into_iter().collect::<Result<Vec<_>, FeatureError>>()?;
    gather(labels, &layout, &parts)
}

/// Values of one part, in the part's order of labels, and which rows these labels are.
pub(super) struct PartValues {
    pub(super) label_rows: Vec<u32>,
    pub(super) features: Vec<ArrayRef>,
}

fn gather(labels: Labels<'_>, layout: &Layout, parts: &[PartValues]) -> Result<Vec<ArrayRef>, FeatureError> {
    const UNSEEN: u32 = u32::MAX;
    let mut positions = vec![UNSEEN; labels.entity.len()];
    for (next, row) in (0_u32..).zip(parts.iter().flat_map(|part| &part.label_rows)) {
        if let Some(position) = positions.get_mut(*row as usize) {
            *position = next;
        }
    }
    let indices: UInt32Array = if positions.contains(&UNSEEN) {
        positions.into_iter().map(|position| (position != UNSEEN).then_some(position)).collect()
    } else {
        positions.into()
    };
    let mut gathered = Vec::with_capacity(layout.features.len());
    for (at, feature) in layout.features.iter().enumerate() {
        let arrays: Vec<&dyn Array> =
            parts.iter().filter_map(|part| part.features.get(at)).map(AsRef::as_ref).collect();
        let values = if arrays.is_empty() {
            arrow::array::new_empty_array(&feature.output_type())
        } else {
            concat(&arrays).map_err(FeatureError::arrow("put the parts together"))?
        };
        gathered.push(
            take(&values, &indices, None)
                .map_err(FeatureError::arrow("bring values to the labels' order"))?,
        );
    }
    Ok(gathered)
}

/// Times of the first event that any label can see, and of the first that none can.
fn seen_times(labels: Labels<'_>, features: &[Feature]) -> (i64, i64) {
    let times = labels.time.values();
    let min = times.iter().copied().min().unwrap_or(0);
    let max = times.iter().copied().max().unwrap_or(0);
    let windows = || features.iter().map(|feature: &Feature| feature.window);
    let start = windows().map(|window: Window| window.start(min)).min().unwrap_or(i64::MAX);
    let end = windows().map(|window: Window| window.end(max)).max().unwrap_or(i64::MIN);
    (start, end)
}

fn used_columns(layout: &Layout, columns: &[ArrayRef]) -> Result<Vec<Option<Arc<Column>>>, FeatureError> {
    let mut used = vec![None; columns.len()];
    for index in layout.slots.iter().flat_map(|slot| [slot.column, slot.filter]).flatten() {
        if let (Some(slot), Some(column)) = (used.get_mut(index), columns.get(index))
            && slot.is_none()
        {
            *slot = Some(Arc::new(Column::new(column)?));
        }
    }
    Ok(used)
}

fn check_lengths(labels: Labels<'_>, events: Events<'_>) -> Result<(), FeatureError> {
    let expect = |array: &'static str, rows: usize, expected: usize| {
        if rows == expected { Ok(()) } else { Err(FeatureError::Length { array, rows, expected }) }
    };
    let rows = events.entity.len();
    expect("label times", labels.time.len(), labels.entity.len())?;
    expect("event times", events.event_time.len(), rows)?;
    expect("known times", events.known_time.len(), rows)?;
    expect("sequences", events.sequence.len(), rows)?;
    for column in events.columns {
        expect("a column of events", column.len(), rows)?;
    }
    match rows.max(labels.entity.len()) {
        most if most >= u32::MAX as usize => Err(FeatureError::TooManyRows { rows: most }),
        _ => Ok(()),
    }
}
