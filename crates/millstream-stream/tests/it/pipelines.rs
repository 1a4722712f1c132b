//! The pipelines that the tests run: one for each kind of stage, and chains of them.

use std::sync::Arc;

use arrow::{
    array::AsArray,
    compute::{filter_record_batch, kernels::cmp::gt_eq},
    datatypes::Int64Type,
};
use millstream_stream::{
    Aggregate, DeduplicateDefinition, Distance, Function, JoinDefinition, JoinKind, MapDefinition,
    PipelineBuilder, SourceDefinition, StageId, Ties, Window, WindowDefinition,
};
use millstream_types::{Aggregation, Span};

use crate::world::{World, schema, seconds};

pub(crate) const NONE: Span = Span::from_ms(0);

pub(crate) fn source(name: &str, partitions: u32, disorder: Span) -> SourceDefinition {
    SourceDefinition { partitions, disorder, ..SourceDefinition::new(name, schema(), "at") }
}

/// One aggregate of each kind.
pub(crate) fn aggregates() -> Vec<Aggregate> {
    let ties = || Ties { known: None, sequence: Some("sequence".into()) };
    let feature =
        |aggregation, over: &str| Function::Feature { aggregation, over: Some(over.into()), ties: ties() };
    vec![
        Aggregate::new("rows", Function::Count),
        Aggregate::new("words", Function::CountOf("word".into())),
        Aggregate::new("amount", Function::Sum("amount".into())),
        Aggregate::new("price", Function::Sum("price".into())),
        Aggregate::new("cents", Function::Sum("cents".into())),
        Aggregate::new("mean", Function::Average("cents".into())),
        Aggregate::new("least", Function::Min("price".into())),
        Aggregate::new("most", Function::Max("price".into())),
        Aggregate::new("least_word", Function::Min("word".into())),
        Aggregate::new("most_word", Function::Max("word".into())),
        Aggregate::first("first", "amount", ties()),
        Aggregate::last("last", "amount", ties()),
        Aggregate::new("different", feature(Aggregation::Distinct { bound: 1_000 }, "word")),
        Aggregate::new("about_different", feature(Aggregation::ApproxDistinct, "word")),
    ]
}

pub(crate) fn window(window: Window, lateness: Span) -> WindowDefinition {
    WindowDefinition {
        name: "windows".into(),
        window,
        keys: vec!["key".into()],
        aggregates: aggregates(),
        lateness,
    }
}

pub(crate) fn tumbling(size: u64) -> Window {
    Window::Tumbling { size: seconds(size), offset: NONE }
}

pub(crate) fn hopping(size: u64, hop: u64, offset: u64) -> Window {
    Window::Hopping { size: seconds(size), hop: seconds(hop), offset: seconds(offset) }
}

pub(crate) fn session(gap: u64) -> Window {
    Window::Session { gap: seconds(gap) }
}

/// One source and a window.
pub(crate) fn windowed(partitions: u32, disorder: Span, kind: Window, lateness: Span) -> World {
    let mut builder = PipelineBuilder::new();
    let rows = builder.source(&source("rows", partitions, disorder)).unwrap();
    builder.window(rows, &window(kind, lateness)).unwrap();
    World::new(builder.build().unwrap(), &[rows], 3)
}

pub(crate) fn deduplicated(partitions: u32, disorder: Span, within: u64) -> World {
    let mut builder = PipelineBuilder::new();
    let rows = builder.source(&source("rows", partitions, disorder)).unwrap();
    builder.deduplicate(rows, &deduplicate(within)).unwrap();
    World::new(builder.build().unwrap(), &[rows], 0)
}

pub(crate) fn deduplicate(within: u64) -> DeduplicateDefinition {
    DeduplicateDefinition { name: "once".into(), keys: vec!["key".into()], within: seconds(within) }
}

pub(crate) fn join_definition(kind: JoinKind, from: Distance, until: Distance) -> JoinDefinition {
    let on = vec![("key".into(), "key".into())];
    JoinDefinition { name: "pairs".into(), kind, on, from, until, right_prefix: "right_".into() }
}

pub(crate) fn joined(partitions: u32, disorder: Span, definition: &JoinDefinition) -> World {
    let mut builder = PipelineBuilder::new();
    let left = builder.source(&source("left", partitions, disorder)).unwrap();
    let right = builder.source(&source("right", partitions, disorder)).unwrap();
    builder.join(left, right, definition).unwrap();
    World::new(builder.build().unwrap(), &[left, right], 0)
}

/// Rows with an amount of at least zero.
pub(crate) fn filtered(builder: &mut PipelineBuilder, input: StageId) -> StageId {
    let (schema, time) = (schema(), "at".into());
    let definition = MapDefinition { name: "at_least_zero".into(), schema, time, text: "amount >= 0".into() };
    let zero = arrow::array::Int64Array::new_scalar(0);
    let expression = Box::new(move |rows: &arrow::array::RecordBatch| {
        let wanted = gt_eq(rows.column(2).as_primitive::<Int64Type>(), &zero)?;
        Ok(filter_record_batch(rows, &wanted)?)
    });
    builder.map(input, &definition, expression).unwrap()
}

/// A filter, no duplicates, sums of ten seconds and their sums of a minute.
pub(crate) fn chained(partitions: u32, disorder: Span) -> World {
    let mut builder = PipelineBuilder::new();
    let rows = builder.source(&source("rows", partitions, disorder)).unwrap();
    let positive = filtered(&mut builder, rows);
    let once = builder.deduplicate(positive, &deduplicate(2)).unwrap();
    let sums = WindowDefinition {
        name: "ten_seconds".into(),
        aggregates: vec![
            Aggregate::new("rows", Function::Count),
            Aggregate::new("amount", Function::Sum("amount".into())),
        ],
        ..window(tumbling(10), NONE)
    };
    let sums = builder.window(once, &sums).unwrap();
    let minutes = WindowDefinition {
        name: "minutes".into(),
        window: tumbling(60),
        keys: vec!["key".into()],
        aggregates: vec![
            Aggregate::new("rows", Function::Sum("rows".into())),
            Aggregate::new("amount", Function::Sum("amount".into())),
        ],
        lateness: NONE,
    };
    // The first window names its own bounds, which the second one would name too.
    let schema = Arc::new(arrow::datatypes::Schema::new(vec![
        arrow::datatypes::Field::new("key", arrow::datatypes::DataType::Int64, true),
        arrow::datatypes::Field::new("at", schema().field(0).data_type().clone(), false),
        arrow::datatypes::Field::new("rows", arrow::datatypes::DataType::Int64, false),
        arrow::datatypes::Field::new("amount", arrow::datatypes::DataType::Int64, true),
    ]));
    let definition = MapDefinition {
        name: "renamed".into(),
        schema: Arc::clone(&schema),
        time: "at".into(),
        text: "window_start as at".into(),
    };
    let expression = Box::new(move |rows: &arrow::array::RecordBatch| {
        let columns = rows.project(&[0, 1, 3, 4])?.columns().to_vec();
        Ok(arrow::array::RecordBatch::try_new(Arc::clone(&schema), columns)?)
    });
    let renamed = builder.map(sums, &definition, expression).unwrap();
    builder.window(renamed, &minutes).unwrap();
    World::new(builder.build().unwrap(), &[rows], 3)
}

/// A pair of sources whose rows meet, and sums of the pairs.
pub(crate) fn joined_and_summed(disorder: Span) -> World {
    let mut builder = PipelineBuilder::new();
    let left = builder.source(&source("left", 1, disorder)).unwrap();
    let right = builder.source(&source("right", 1, disorder)).unwrap();
    let (from, until) = (Distance::Earlier(seconds(3)), Distance::Later(seconds(5)));
    let pairs = builder.join(left, right, &join_definition(JoinKind::Left, from, until)).unwrap();
    let sums = WindowDefinition {
        aggregates: vec![
            Aggregate::new("rows", Function::Count),
            Aggregate::new("amount", Function::Sum("amount".into())),
            Aggregate::new("right_amount", Function::Sum("right_amount".into())),
        ],
        ..window(tumbling(10), NONE)
    };
    builder.window(pairs, &sums).unwrap();
    World::new(builder.build().unwrap(), &[left, right], 3)
}
