//! Rows that come after their window was told.

use std::collections::BTreeMap;

use arrow::{
    array::{AsArray, Int64Array, RecordBatch},
    compute::{filter_record_batch, kernels::cmp::gt},
    datatypes::Int64Type,
};
use millstream_stream::{MapDefinition, PipelineBuilder, RefusedReason, WINDOW_END, WINDOW_START, Window};
use proptest::prelude::*;

use crate::{
    naive,
    pipelines::{NONE, hopping, session, source, tumbling, window, windowed},
    world::{Row, SECOND, Step, Told, World, arrival, row, rows, seconds},
};

fn push(rows: &[Row]) -> Step {
    Step::Push { source: 0, partition: 0, rows: rows.to_vec() }
}

fn table(lines: &[String]) -> BTreeMap<String, String> {
    let key = |line: &String| line.split('|').take(3).collect::<Vec<_>>().join("|");
    lines.iter().map(|line| (key(line), line.clone())).collect()
}

fn run(kind: Window, lateness: u64, steps: &[Step]) -> Told {
    windowed(1, NONE, kind, seconds(lateness)).run(steps)
}

/// The table of windows with more than one row, from a pipeline that filters them.
fn several_of(kind: Window, steps: &[Step]) -> BTreeMap<String, String> {
    let build = || {
        let mut builder = PipelineBuilder::new();
        let rows = builder.source(&source("rows", 1, NONE)).unwrap();
        let windows = builder.window(rows, &window(kind, seconds(20))).unwrap();
        (builder, rows, windows)
    };
    let schema = build().0.build().unwrap().schema();
    let (mut builder, rows, windows) = build();
    let definition =
        MapDefinition { name: "several".into(), schema, time: WINDOW_START.into(), text: "rows > 1".into() };
    let one = Int64Array::new_scalar(1);
    let expression = Box::new(move |rows: &RecordBatch| {
        let wanted = gt(rows.column(3).as_primitive::<Int64Type>(), &one)?;
        Ok(filter_record_batch(rows, &wanted)?)
    });
    let keys = ["key", WINDOW_START, WINDOW_END].map(|name| (name.to_owned(), name.to_owned()));
    builder.map_corrected(windows, &definition, expression, &keys).unwrap();
    let mut world = World::new(builder.build().unwrap(), &[rows], 3);
    world.deletes_unknown = true;
    world.run(steps).table
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Rows that are out of order by less than the lateness make the same table as all rows in order.
    #[test]
    fn rows_within_the_lateness_correct_the_table(
        (rows, arrival) in rows(0..60, 60, 3).prop_flat_map(|rows| {
            let count = rows.len();
            (Just(rows), arrival(count, 1, 20 * SECOND))
        }),
        size in 1..15_i64,
        hop in 1..15_i64,
    ) {
        let hop = hop.min(size);
        let mut steps = arrival.steps(0, &rows);
        steps.push(Step::End);
        let cases = [
            (tumbling(size as u64), naive::hopping(&rows, size, size, 0)),
            (hopping(size as u64, hop as u64, 0), naive::hopping(&rows, size, hop, 0)),
            (session(size as u64), naive::sessions(&rows, size)),
        ];
        for (kind, expected) in cases {
            let told = run(kind, 20, &steps);
            prop_assert_eq!(&told.refused, &[]);
            prop_assert_eq!(told.table, table(&expected));
        }
    }

    /// A filter behind a window that corrects its rows gives the rows of the corrected table that it lets through.
    #[test]
    fn a_filter_follows_the_corrections(
        (rows, arrival) in rows(0..60, 60, 3).prop_flat_map(|rows| {
            let count = rows.len();
            (Just(rows), arrival(count, 1, 20 * SECOND))
        }),
        size in 1..15_u64,
    ) {
        let mut steps = arrival.steps(0, &rows);
        steps.push(Step::End);
        for kind in [tumbling(size), session(size)] {
            let all = run(kind, 20, &steps);
            let count = |line: &String| line.split('|').nth(3).unwrap().parse::<i64>().unwrap();
            let several = all.table.into_iter().filter(|(_, line)| count(line) > 1);
            prop_assert_eq!(several_of(kind, &steps), several.collect::<BTreeMap<_, _>>());
        }
    }

    /// No row goes without a word: each is counted in a window, or refused.
    #[test]
    fn each_row_is_counted_or_refused(
        (rows, arrival) in rows(0..60, 60, 3).prop_flat_map(|rows| {
            let count = rows.len();
            (Just(rows), arrival(count, 3, 40 * SECOND))
        }),
        lateness in 0..10_u64,
        size in 1..15_u64,
    ) {
        let mut steps = arrival.steps(0, &rows);
        steps.push(Step::End);
        for kind in [tumbling(size), session(size)] {
            let told = windowed(3, seconds(2), kind, seconds(lateness)).run(&steps);
            let counted: usize = told.table.values().map(|line| line.split('|').nth(3).unwrap().parse::<usize>().unwrap()).sum();
            prop_assert_eq!(counted + told.refused.len(), rows.len());
            prop_assert!(told.refused.iter().all(|(reason, _)| *reason == RefusedReason::Late));
        }
    }
}

#[test]
fn late_rows_come_out_with_their_reason() {
    let told = run(
        tumbling(10),
        0,
        &[
            push(&[row(0, 1, 1), row(25 * SECOND, 1, 2)]),
            push(&[row(9 * SECOND, 1, 4)]),
            push(&[row(21 * SECOND, 1, 8)]),
            Step::End,
        ],
    );
    assert_eq!(told.rows.len(), 2);
    let [(RefusedReason::Late, late)] = told.refused.as_slice() else { panic!("{told:?}") };
    assert!(late.starts_with("9000000|1|4|"), "{late}");
}

#[test]
fn a_late_row_corrects_its_window_until_the_lateness_is_over() {
    let mut world = windowed(1, NONE, tumbling(10), seconds(5));
    let mut told = |rows: &[Row]| {
        world.step(&push(rows));
        (world.told.rows.len(), world.told.merges, world.told.refused.len())
    };
    assert_eq!(told(&[row(0, 1, 1), row(12 * SECOND, 1, 1)]), (1, 0, 0));
    assert_eq!(told(&[row(SECOND, 1, 1), row(SECOND, 2, 1)]), (1, 2, 0), "one row is corrected, one is new");
    assert_eq!(told(&[row(15 * SECOND, 1, 1)]), (1, 2, 0));
    assert_eq!(
        told(&[row(9 * SECOND, 1, 1)]),
        (1, 2, 1),
        "the window is forgotten five seconds after its end"
    );
}

#[test]
fn a_late_row_that_joins_told_sessions_takes_their_rows_back() {
    let told = run(
        session(5),
        60,
        &[
            push(&[row(0, 1, 1), row(8 * SECOND, 1, 2), row(30 * SECOND, 1, 4)]),
            push(&[row(4 * SECOND, 1, 8)]),
            Step::End,
        ],
    );
    let rows = [row(0, 1, 1), row(8 * SECOND, 1, 2), row(30 * SECOND, 1, 4), row(4 * SECOND, 1, 8)];
    assert_eq!(told.table, table(&naive::sessions(&rows, 5)));
    assert_eq!((told.deletes, told.merges), (2, 1));
}

#[test]
fn a_late_row_can_open_a_told_session_again() {
    let told = run(
        session(10),
        60,
        &[push(&[row(0, 1, 1), row(10 * SECOND, 2, 2)]), push(&[row(9 * SECOND, 1, 8)]), Step::End],
    );
    let rows = [row(0, 1, 1), row(10 * SECOND, 2, 2), row(9 * SECOND, 1, 8)];
    assert_eq!(told.table, table(&naive::sessions(&rows, 10)));
    assert_eq!(told.deletes, 1);
}
