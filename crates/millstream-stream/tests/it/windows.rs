//! Windows of every kind against the naive way, in any order within the disorder, any cut and any interleaving.

use millstream_stream::Window;
use millstream_types::Span;
use proptest::prelude::*;

use crate::{
    naive,
    pipelines::{NONE, hopping, session, tumbling, windowed},
    world::{Arrival, Row, SECOND, Step, arrival, row, rows, seconds},
};

const DISORDER: i64 = 7;

fn check(kind: Window, rows: &[Row], arrival: &Arrival, expected: &[String]) {
    let mut steps = arrival.steps(0, rows);
    steps.push(Step::End);
    let told = windowed(arrival.partitions, seconds(DISORDER as u64), kind, NONE).run(&steps);
    assert_eq!(told.refused, []);
    assert_eq!(told.rows, expected);
    assert_eq!(told.watermark, i64::MAX);
    assert_eq!((told.merges, told.deletes), (0, 0));
}

fn rows_and_arrival() -> impl Strategy<Value = (Vec<Row>, Arrival)> {
    rows(0..60, 60, 4).prop_flat_map(|rows| {
        let count = rows.len();
        (
            Just(rows),
            (1..4_u32).prop_flat_map(move |partitions| arrival(count, partitions, DISORDER * SECOND)),
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn tumbling_windows_are_those_of_order((rows, arrival) in rows_and_arrival(), size in 1..20_i64) {
        check(tumbling(size as u64), &rows, &arrival, &naive::hopping(&rows, size, size, 0));
    }

    #[test]
    fn hopping_windows_are_those_of_order(
        (rows, arrival) in rows_and_arrival(),
        size in 1..20_i64,
        hop in 1..20_i64,
        offset in 0..20_i64,
    ) {
        let hop = hop.min(size);
        let kind = hopping(size as u64, hop as u64, offset as u64);
        check(kind, &rows, &arrival, &naive::hopping(&rows, size, hop, offset));
    }

    #[test]
    fn sessions_are_those_of_order((rows, arrival) in rows_and_arrival(), gap in 1..9_i64) {
        check(session(gap as u64), &rows, &arrival, &naive::sessions(&rows, gap));
    }
}

#[test]
fn a_window_of_many_groups_comes_in_several_batches() {
    let rows: Vec<Row> = (0..20_000).map(|key| row(0, key, 1)).collect();
    let told = windowed(1, NONE, tumbling(10), NONE)
        .run(&[Step::Push { source: 0, partition: 0, rows: rows.clone() }, Step::End]);
    assert_eq!(told.rows, naive::hopping(&rows, 10, 10, 0));
}

#[test]
fn offsets_move_windows() {
    let kind = Window::Tumbling { size: seconds(10), offset: Span::from_ms(3_500) };
    let rows = [row(3 * SECOND, 1, 1), row(4 * SECOND, 1, 1), row(13 * SECOND, 1, 1)];
    let told = windowed(1, NONE, kind, NONE)
        .run(&[Step::Push { source: 0, partition: 0, rows: rows.to_vec() }, Step::End]);
    let starts: Vec<&str> = told.rows.iter().map(|line| line.split('|').nth(1).unwrap()).collect();
    assert_eq!(starts, ["-6500000", "3500000"]);
}

#[test]
fn a_row_at_the_end_of_a_session_begins_another() {
    let rows = [row(0, 1, 1), row(5 * SECOND, 1, 1), row(9 * SECOND, 1, 1)];
    let told = windowed(1, NONE, session(5), NONE)
        .run(&[Step::Push { source: 0, partition: 0, rows: rows.to_vec() }, Step::End]);
    assert_eq!(told.rows, naive::sessions(&rows, 5));
    assert_eq!(told.rows.len(), 2);
}

#[test]
fn a_row_joins_sessions_of_the_same_batch() {
    // The middle row comes last, and three sessions become one.
    let rows = [
        row(0, 1, 1),
        row(8 * SECOND, 1, 2),
        row(16 * SECOND, 1, 4),
        row(4 * SECOND, 1, 8),
        row(12 * SECOND, 1, 16),
    ];
    let told = windowed(1, seconds(20), session(5), NONE)
        .run(&[Step::Push { source: 0, partition: 0, rows: rows.to_vec() }, Step::End]);
    assert_eq!(told.rows, naive::sessions(&rows, 5));
    assert_eq!(told.rows.len(), 1);
}
