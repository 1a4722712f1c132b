//! Views over the random worlds: definitions, batches of events, records and reads.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::DataType;
use millstream_features::{
    view::{
        Chunk, ColumnDefinition, Edit, EntityEvents, FeatureDefinition, FeatureValue, KeyDefinition,
        OnlineView, Position, Reading, RowDefinition, ViewDefinition,
    },
    window::{Feature, Layout},
};
use millstream_types::Span;

use crate::world::{Event, World};

/// A known time or sequence that is null in the batch.
pub(crate) const NULL: i64 = -1;

/// A definition with a newest-row feature for each column, if wanted, and these windowed features.
pub(crate) fn definition(features: &[Feature], newest: bool, ttl: Option<Span>) -> ViewDefinition {
    let types = World::random(1, 1, 0).types();
    let outputs = Layout::new(features, &types).unwrap().output_types();
    let same = features.first().is_some_and(|feature| feature.window.include_same_instant);
    let feature = |name: String, value: FeatureValue, data_type: DataType| FeatureDefinition {
        name,
        value,
        data_type,
        default: None,
    };
    let newest_features = types.iter().enumerate().filter(|_| newest);
    let newest_features = newest_features.map(|(column, data_type)| {
        feature(format!("newest_{column}"), FeatureValue::Newest(column), data_type.clone())
    });
    let windowed = features.iter().zip(outputs).enumerate().map(|(number, (windowed, output))| {
        let (measure, window) = (windowed.measure.clone(), windowed.window.length);
        feature(format!("window_{number}"), FeatureValue::Window { measure, window }, output)
    });
    let key = |name: &str, data_type: DataType| KeyDefinition { name: name.into(), data_type };
    ViewDefinition {
        name: "orders".into(),
        entity: "customer".into(),
        keys: vec![key("customer", DataType::Int64), key("region", DataType::Utf8)],
        query: "SELECT …".into(),
        ttl,
        include_same_instant: same,
        columns: types
            .iter()
            .enumerate()
            .map(|(column, data_type)| ColumnDefinition {
                sql: format!("c{column}"),
                data_type: data_type.clone(),
            })
            .collect(),
        features: newest_features.chain(windowed).collect(),
        rows: RowDefinition::default(),
    }
}

pub(crate) fn online_view(features: &[Feature]) -> OnlineView {
    OnlineView::new(definition(features, false, None)).unwrap()
}

/// The key columns of entities.
pub(crate) fn key_columns(entities: &[u32]) -> Vec<ArrayRef> {
    vec![
        Arc::new(entities.iter().map(|entity| Some(i64::from(*entity / 2))).collect::<Int64Array>()),
        Arc::new(
            entities
                .iter()
                .map(|entity| Some(["north", "south"][*entity as usize % 2]))
                .collect::<StringArray>(),
        ),
    ]
}

/// Events as a batch of the view's shape.
pub(crate) fn batch(definition: &ViewDefinition, events: &[Event]) -> RecordBatch {
    let or_null = |value: i64| (value != NULL).then_some(value);
    let instants = |values: Vec<Option<i64>>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
    };
    let mut columns = key_columns(&events.iter().map(|event| event.entity).collect::<Vec<_>>());
    columns.push(instants(events.iter().map(|event| Some(event.order.event)).collect()));
    columns.push(instants(events.iter().map(|event| or_null(event.order.known)).collect()));
    columns.push(Arc::new(events.iter().map(|event| or_null(event.order.sequence)).collect::<Int64Array>()));
    columns.extend(World { events: events.to_vec(), ..World::default() }.columns());
    let schema = definition.event_schema();
    // The items of the test's vectors have a name of their own.
    let columns = columns
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| arrow::compute::cast(column, field.data_type()).unwrap())
        .collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

/// What the edit leaves.
pub(crate) fn edited(record: Option<&[u8]>, edit: Edit) -> Option<Vec<u8>> {
    match edit {
        Edit::Keep => record.map(<[u8]>::to_vec),
        Edit::Put(bytes) => Some(bytes),
        Edit::Delete => None,
    }
}

pub(crate) fn chunk(epoch: u64) -> Chunk {
    Chunk { position: Position { epoch, chunk: 0 }, ..Chunk::default() }
}

/// The record after the events, which are all of one entity.
pub(crate) fn applied(
    view: &OnlineView,
    record: Option<&[u8]>,
    events: &[Event],
    epoch: u64,
    now: i64,
) -> Option<Vec<u8>> {
    let events = EntityEvents::new(view, &batch(view.definition(), events)).unwrap();
    edited(record, view.apply(record, &events, 0, &chunk(epoch), now).unwrap())
}

pub(crate) fn read(view: &OnlineView, record: Option<&[u8]>, at: i64) -> Reading {
    let mut reading = Reading::default();
    view.read(record, at, &view.plan_read_of_all(), &mut reading).unwrap();
    reading
}
