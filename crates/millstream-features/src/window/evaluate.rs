//! Features of many labels at once: events are grouped by entity and put in order once, then each feature reads
//! contiguous ranges of them. Entities are spread over threads; no value depends on how.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::ScopedJoinHandle,
};

use arrow::{
    array::{Array, ArrayRef, Int64Array, TimestampMicrosecondArray, UInt32Array},
    compute::{concat, take},
    datatypes::DataType,
};

use super::{
    definition::{Feature, Window},
    entity_group::EntityGroup,
    events::{Grouped, Reads, Sorted, split},
    kernel::Computed,
    layout::Layout,
};
use crate::{
    FeatureError,
    aggregate::{Column, build},
    timeline::{NO_ENTITY, Timelines},
};

/// The entities and times for which features are computed. A row with a null in either gets nulls in all features.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    /// The number of entities; ordinals are below it.
    pub entities: u32,
    pub entity: &'a UInt32Array,
    pub time: &'a TimestampMicrosecondArray,
}

/// The events that happened to entities. Rows without entity or event time, and rows of entities beyond the labels', are
/// seen by no label. Rows may come in any order.
#[derive(Debug, Clone, Copy)]
pub struct Events<'a> {
    pub entity: &'a UInt32Array,
    pub event_time: &'a TimestampMicrosecondArray,
    /// The known time breaks ties of event time; a null counts as 0.
    pub known_time: &'a TimestampMicrosecondArray,
    /// The sequence breaks ties of known time; a null counts as 0.
    pub sequence: &'a Int64Array,
    /// The columns that features name by number.
    pub columns: &'a [ArrayRef],
}

/// The values of a feature for all labels.
#[derive(Debug, Clone)]
pub struct WindowValues {
    /// The value of each label, in the labels' order.
    pub values: ArrayRef,
    /// The labels, ascending, of which there is more than the feature can hold; null in `values`.
    pub outgrown: Vec<u32>,
}

/// The values of each feature for the labels. In an empty window counts are 0 and other values null.
///
/// # Errors
///
/// A feature does not fit the columns, arrays differ in length, or there are more than 2^32 − 2 rows.
pub fn evaluate(
    labels: Labels<'_>,
    events: Events<'_>,
    features: &[Feature],
    threads: NonZeroUsize,
) -> Result<Vec<WindowValues>, FeatureError> {
    let types: Vec<DataType> = events.columns.iter().map(|column| column.data_type().clone()).collect();
    let layout = Layout::new(features, &types)?;
    check_lengths(labels, events)?;
    let columns = used_columns(&layout, events.columns)?;
    let entities: Vec<u32> = read_entities(labels);
    let (ordinals, counts) = seen_ordinals(labels, events, &entities, features);
    let rank = |row: u32| {
        let Events { known_time, sequence, .. } = events;
        let row = row as usize;
        let known = if known_time.is_valid(row) { known_time.value(row) } else { 0 };
        (known, if sequence.is_valid(row) { sequence.value(row) } else { 0 })
    };
    let lines = Timelines::new(&ordinals, events.event_time.values().iter(), &counts, &rank, threads);
    let sorted = Sorted { lines: &lines, known: None, columns: &columns };
    let reads = Reads { entities: &entities, times: labels.time.values(), cuts: None };
    let without_events = |row: usize| {
        let is_label = labels.entity.is_valid(row) && labels.time.is_valid(row);
        if is_label { Blank::EmptyWindow } else { Blank::Null }
    };
    read(sorted, reads, &layout, without_events, threads)
}

/// The values that a label gets that has no place among the entities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blank {
    Null,
    EmptyWindow,
}

/// The values of the layout's features for each read, in the order of the reads.
pub(crate) fn read(
    events: Sorted<'_>,
    reads: Reads<'_>,
    layout: &Layout,
    blank: impl Fn(usize) -> Blank,
    threads: NonZeroUsize,
) -> Result<Vec<WindowValues>, FeatureError> {
    let labels = Grouped::new(reads.entities, events.lines.len());
    let ranges = split(events.lines, &labels, threads);
    let next = AtomicUsize::new(0);
    let compute = || {
        let mut groups = Vec::new();
        while let Some(range) = ranges.get(next.fetch_add(1, Ordering::Relaxed)) {
            groups.push(EntityGroup::new(events, reads, &labels, range.clone(), layout)?.features(layout)?);
        }
        Ok(groups)
    };
    let groups: Vec<Result<Vec<GroupValues>, FeatureError>> = std::thread::scope(|scope| {
        let spawned: Vec<_> = (1..threads.get().min(ranges.len())).map(|_| scope.spawn(compute)).collect();
        let own = compute();
        let join = |thread: ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        [own].into_iter().chain(spawned.into_iter().map(join)).collect()
    });
    let groups: Vec<GroupValues> =
        groups.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    gather(reads.entities.len(), layout, &groups, blank)
}

/// The values of one group, in the group's order of labels, and the rows of these labels.
pub(super) struct GroupValues {
    pub(super) label_rows: Vec<u32>,
    pub(super) features: Vec<Computed>,
}

fn gather(
    rows: usize,
    layout: &Layout,
    groups: &[GroupValues],
    blank: impl Fn(usize) -> Blank,
) -> Result<Vec<WindowValues>, FeatureError> {
    let mut positions: Vec<Option<u32>> = vec![None; rows];
    let mut computed = 0;
    for row in groups.iter().flat_map(|group| &group.label_rows) {
        if let Some(position) = positions.get_mut(*row as usize) {
            *position = Some(computed);
        }
        computed += 1;
    }
    // The value of an empty window stands behind the computed ones.
    let absent = |row: usize| (blank(row) == Blank::EmptyWindow).then_some(computed);
    let indices: UInt32Array =
        positions.into_iter().enumerate().map(|(row, position)| position.or_else(|| absent(row))).collect();
    let states = layout.identities();
    let mut gathered = Vec::with_capacity(layout.features.len());
    for (at, feature) in layout.features.iter().enumerate() {
        let empty = build(&[feature.value_of_none(&states)], &feature.output_type())?;
        let arrays: Vec<&dyn Array> = groups
            .iter()
            .filter_map(|group| group.features.get(at))
            .map(|computed| &computed.values)
            .chain([&empty])
            .map(AsRef::as_ref)
            .collect();
        let values = concat(&arrays).map_err(FeatureError::arrow("put the parts together"))?;
        let taken = take(&values, &indices, None);
        let values = taken.map_err(FeatureError::arrow("bring values to the labels' order"))?;
        gathered.push(WindowValues { values, outgrown: outgrown_rows(groups, at) });
    }
    Ok(gathered)
}

/// The rows of the labels, ascending, of which there is more than a feature can hold.
fn outgrown_rows(groups: &[GroupValues], feature: usize) -> Vec<u32> {
    let rows = |group: &GroupValues| {
        let labels = group.features.get(feature).map_or(&[][..], |computed| &computed.outgrown);
        labels.iter().filter_map(|label| group.label_rows.get(*label as usize).copied()).collect::<Vec<_>>()
    };
    let mut outgrown: Vec<u32> = groups.iter().flat_map(rows).collect();
    outgrown.sort_unstable();
    outgrown
}

/// The columns that the layout's features name.
pub(crate) fn used_columns(
    layout: &Layout,
    columns: &[ArrayRef],
) -> Result<Vec<Option<Arc<Column>>>, FeatureError> {
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

/// The entity of each label that has one and a time.
fn read_entities(labels: Labels<'_>) -> Vec<u32> {
    let Labels { entity, time, .. } = labels;
    let is_label = |row: usize| entity.is_valid(row) && time.is_valid(row);
    let entities = entity.values().iter().enumerate();
    entities.map(|(row, entity)| if is_label(row) { *entity } else { NO_ENTITY }).collect()
}

/// The entity of each event that some label may see, and how many such events each entity has.
fn seen_ordinals(
    labels: Labels<'_>,
    events: Events<'_>,
    entities: &[u32],
    features: &[Feature],
) -> (Vec<u32>, Vec<u32>) {
    let mut is_wanted = vec![false; labels.entities as usize];
    for entity in entities {
        if let Some(wanted) = is_wanted.get_mut(*entity as usize) {
            *wanted = true;
        }
    }
    let (start, end) = seen_times(labels, features);
    let Events { entity, event_time, .. } = events;
    let is_whole = entity.null_count() == 0 && event_time.null_count() == 0;
    let mut counts = vec![0_u32; is_wanted.len()];
    let each = entity.values().iter().zip(event_time.values()).enumerate();
    let ordinals = each.map(|(row, (ordinal, time))| {
        let is_seen = *time >= start
            && *time < end
            && is_wanted.get(*ordinal as usize) == Some(&true)
            && (is_whole || (entity.is_valid(row) && event_time.is_valid(row)));
        match counts.get_mut(*ordinal as usize).filter(|_| is_seen) {
            Some(count) => {
                *count += 1;
                *ordinal
            }
            None => NO_ENTITY,
        }
    });
    let ordinals = ordinals.collect();
    (ordinals, counts)
}

/// The times of the first event that any label can see, and of the first that none can.
fn seen_times(labels: Labels<'_>, features: &[Feature]) -> (i64, i64) {
    let times = labels.time.values();
    let min = times.iter().copied().min().unwrap_or(0);
    let max = times.iter().copied().max().unwrap_or(0);
    let windows = || features.iter().flat_map(Feature::windows);
    let start = windows().map(|window: Window| window.start(min)).min().unwrap_or(i64::MAX);
    let end = windows().map(|window: Window| window.end(max)).max().unwrap_or(i64::MIN);
    (start, end)
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
