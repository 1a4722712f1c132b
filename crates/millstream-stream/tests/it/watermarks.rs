//! How far a stream has come, and what does not move it.

use millstream_stream::{
    Output, PipelineBuilder, RefusedReason, SourceDefinition, StreamError, TIME_MAX, TIME_MIN,
};
use millstream_types::Span;

use crate::{
    pipelines::{NONE, hopping, session, source, tumbling, window, windowed},
    world::{Row, SECOND, Step, World, batch, row, seconds},
};

fn push(partition: u32, rows: &[Row]) -> Step {
    Step::Push { source: 0, partition, rows: rows.to_vec() }
}

fn world(definition: &SourceDefinition) -> World {
    let mut builder = PipelineBuilder::new();
    let rows = builder.source(definition).unwrap();
    builder.window(rows, &window(tumbling(10), NONE)).unwrap();
    World::new(builder.build().unwrap(), &[rows], 3)
}

fn rows_after(world: &mut World, step: &Step) -> usize {
    world.step(step);
    world.told.rows.len()
}

#[test]
fn the_slowest_partition_decides() {
    let mut world = windowed(2, NONE, tumbling(10), NONE);
    assert_eq!(rows_after(&mut world, &push(0, &[row(0, 1, 1), row(100 * SECOND, 1, 1)])), 0);
    assert_eq!(
        rows_after(&mut world, &push(1, &[row(5 * SECOND, 2, 1)])),
        0,
        "the other one has not come so far"
    );
    assert_eq!(rows_after(&mut world, &push(1, &[row(10 * SECOND, 2, 1)])), 2);
}

#[test]
fn a_partition_that_ends_holds_up_nobody() {
    let mut world = windowed(2, NONE, tumbling(10), NONE);
    world.step(&push(0, &[row(0, 1, 1), row(100 * SECOND, 1, 1)]));
    assert_eq!(world.told.rows.len(), 0);
    world.pipeline.end_partition(world.sources[0], 1).unwrap();
    world.drain();
    assert_eq!(world.told.rows.len(), 1);
    let refused = world.pipeline.push(world.sources[0], 1, 0, batch(&[row(0, 1, 1)]));
    assert!(matches!(refused, Err(StreamError::Ended { partition: 1, .. })));
    let refused = world.pipeline.push(world.sources[0], 2, 0, batch(&[row(0, 1, 1)]));
    assert!(matches!(refused, Err(StreamError::NoSuchPartition { partition: 2, partitions: 2, .. })));
}

#[test]
fn an_idle_partition_holds_up_nobody_until_it_goes_on() {
    let definition = SourceDefinition { idle_after: Some(seconds(30)), ..source("rows", 2, NONE) };
    let mut world = world(&definition);
    assert_eq!(rows_after(&mut world, &Step::Idle(0)), 0);
    assert_eq!(rows_after(&mut world, &push(0, &[row(0, 1, 1), row(100 * SECOND, 1, 1)])), 0);
    assert_eq!(rows_after(&mut world, &Step::Idle(29 * SECOND)), 0);
    assert_eq!(rows_after(&mut world, &Step::Idle(30 * SECOND)), 1, "the other partition never gave a row");
    assert_eq!(rows_after(&mut world, &push(1, &[row(50 * SECOND, 2, 1)])), 1);
    assert_eq!(world.told.refused.len(), 1, "what it brings is late where the stream went on");
    assert_eq!(rows_after(&mut world, &push(1, &[row(105 * SECOND, 2, 1)])), 1);
    assert_eq!(
        rows_after(&mut world, &push(0, &[row(200 * SECOND, 2, 1)])),
        1,
        "it holds up the stream again"
    );
}

#[test]
fn when_all_are_idle_the_furthest_counts_whatever_the_order() {
    for first in [0, 1] {
        let definition = SourceDefinition { idle_after: Some(seconds(30)), ..source("rows", 2, NONE) };
        let mut builder = PipelineBuilder::new();
        let rows = builder.source(&definition).unwrap();
        let mut pipeline = builder.build().unwrap();
        for partition in [first, 1 - first] {
            let at = if partition == 0 { 50 } else { 90 };
            let known = if partition == first { 0 } else { 10 * SECOND };
            pipeline.push(rows, partition, known, batch(&[row(at * SECOND, 1, 1)])).unwrap();
            while pipeline.next_output().unwrap().is_some() {}
        }
        for now in [30, 40] {
            pipeline.idle(now * SECOND).unwrap();
            while pipeline.next_output().unwrap().is_some() {}
        }
        assert_eq!(pipeline.figures().stages[0].watermark, 90 * SECOND);
    }
}

#[test]
fn a_row_from_the_future_moves_nothing() {
    let definition = SourceDefinition { future: Some(seconds(60)), ..source("rows", 1, NONE) };
    let mut world = world(&definition);
    // The rows are learned of at the instant zero.
    let steps = push(0, &[row(0, 1, 1), row(61 * SECOND, 1, 2), row(SECOND, 1, 4), row(60 * SECOND, 1, 8)]);
    assert_eq!(rows_after(&mut world, &steps), 1);
    let [(RefusedReason::Future, line)] = world.told.refused.as_slice() else { panic!("{:?}", world.told) };
    assert!(line.starts_with("61000000|"));
    assert_eq!(world.told.watermark, 60 * SECOND);
}

#[test]
fn rows_without_a_usable_time_are_refused() {
    let mut world = windowed(1, NONE, tumbling(10), NONE);
    let without = Row { at: None, ..row(0, 1, 1) };
    let rows = [without, row(i64::MAX, 1, 1), row(i64::MIN, 1, 1), row(TIME_MAX + 1, 1, 1), row(5, 1, 1)];
    world.step(&push(0, &rows));
    world.step(&Step::End);
    let reasons: Vec<RefusedReason> = world.told.refused.iter().map(|(reason, _)| *reason).collect();
    let out = RefusedReason::TimeOutOfRange;
    assert_eq!(reasons, [RefusedReason::NoTime, out, out, out]);
    assert_eq!(world.told.rows.len(), 1);
}

/// The largest lengths at the ends of time overflow nothing.
#[test]
fn extreme_times_and_lengths() {
    let longest = Span::from_ms(570_000_000_000_000);
    let kinds = [
        tumbling(1),
        hopping(7, 3, 1),
        session(1),
        millstream_stream::Window::Tumbling { size: longest, offset: longest },
        millstream_stream::Window::Session { gap: longest },
    ];
    for kind in kinds {
        for (disorder, lateness) in [(NONE, NONE), (longest, NONE), (longest, longest)] {
            let rows =
                [row(TIME_MIN, 1, 1), row(-1, 1, 1), row(0, 1, 1), row(TIME_MAX, 1, 1), row(TIME_MIN, 1, 1)];
            let mut world = windowed(1, disorder, kind, lateness);
            rows.iter().for_each(|row| world.step(&push(0, std::slice::from_ref(row))));
            world.step(&Step::End);
            let counted: usize = world
                .told
                .table
                .values()
                .map(|line| line.split('|').nth(3).unwrap().parse::<usize>().unwrap())
                .sum();
            let overlapping = matches!(kind, millstream_stream::Window::Hopping { .. });
            assert!(
                overlapping || counted + world.told.refused.len() == rows.len(),
                "{kind:?} {:?}",
                world.told
            );
        }
    }
}

#[test]
fn watermarks_of_results_hold_for_their_rows() {
    for kind in [tumbling(10), hopping(10, 5, 0), session(2)] {
        let mut builder = PipelineBuilder::new();
        let rows = builder.source(&source("rows", 1, seconds(3))).unwrap();
        builder.window(rows, &window(kind, NONE)).unwrap();
        let mut pipeline = builder.build().unwrap();
        let mut watermark = i64::MIN;
        for second in 0..200_i64 {
            let at = (second + second * 7 % 4) * SECOND;
            pipeline.push(rows, 0, 0, batch(&[row(at, second % 3, 1)])).unwrap();
            while let Some(output) = pipeline.next_output().unwrap() {
                match output {
                    Output::Watermark(next) => watermark = next,
                    Output::Rows(rows) => {
                        let starts =
                            arrow::compute::cast(rows.column(1), &arrow::datatypes::DataType::Int64).unwrap();
                        let starts =
                            arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&starts);
                        assert!(starts.values().iter().all(|start| *start >= watermark), "{kind:?}");
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(watermark > 150 * SECOND, "{kind:?}: {watermark}");
    }
}

#[test]
fn a_watermark_at_the_very_end_of_a_window_is_passed_on() {
    for kind in [tumbling(10), hopping(10, 5, 0), session(10)] {
        let mut world = windowed(1, NONE, kind, NONE);
        world.step(&push(0, &[row(0, 1, 1), row(10 * SECOND, 2, 1)]));
        let told = world.told.rows.len();
        assert!(told > 0, "{kind:?}");
        assert!(world.told.watermark > -10 * SECOND, "{kind:?}");
        let snapshot = world.pipeline.snapshot().unwrap();
        let mut restored = windowed(1, NONE, kind, NONE);
        restored.pipeline.restore(&snapshot).unwrap();
        restored.step(&Step::End);
        world.step(&Step::End);
        assert_eq!(restored.told.rows, world.told.rows[told..], "{kind:?}");
    }
}
