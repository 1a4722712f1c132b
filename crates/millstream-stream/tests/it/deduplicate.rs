//! Deduplication against the naive way.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::{
    pipelines::{NONE, deduplicated},
    world::{Row, SECOND, Step, arrival, batch, cells, row, rows, seconds},
};

/// In the order of events, each row whose key no kept row had less than `within` before.
pub(crate) fn kept(rows: &[Row], within: i64) -> Vec<Row> {
    let mut rows = rows.to_vec();
    // The order of rows is that of their columns, nulls first; no two rows agree in all of these.
    rows.sort_by_key(|row| (row.at, row.key, row.amount, row.sequence));
    let mut kept: BTreeMap<Option<i64>, i64> = BTreeMap::new();
    rows.retain(|row| {
        let at = row.at.unwrap();
        let fresh = kept.get(&row.key).is_none_or(|kept| at - kept >= within * SECOND);
        if fresh {
            kept.insert(row.key, at);
        }
        fresh
    });
    rows
}

fn naive(rows: &[Row], within: i64) -> Vec<String> {
    cells(&batch(&kept(rows, within))).iter().map(|cells| cells.join("|")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_stays_does_not_depend_on_arrival(
        (rows, arrival) in rows(0..60, 60, 3).prop_flat_map(|mut rows| {
            // Rows of one time and key are told apart by their amounts.
            rows.iter_mut().for_each(|row| row.amount = Some(row.sequence * 7 % 64));
            let count = rows.len();
            (Just(rows), (1..4_u32).prop_flat_map(move |partitions| arrival(count, partitions, 7 * SECOND)))
        }),
        within in 1..15_u64,
    ) {
        let mut steps = arrival.steps(0, &rows);
        steps.push(Step::End);
        let mut world = deduplicated(arrival.partitions, seconds(7), within);
        steps.iter().for_each(|step| world.step(step));
        prop_assert_eq!(&world.told.refused, &[]);
        prop_assert_eq!(&world.told.rows, &naive(&rows, within as i64));
        let figures = world.pipeline.figures();
        prop_assert_eq!(figures.stages[1].left_out as usize, rows.len() - world.told.rows.len());
        prop_assert_eq!(figures.stages[1].rows_in as usize, rows.len());
    }
}

#[test]
fn a_key_is_forgotten_when_nothing_can_repeat_it() {
    let mut world = deduplicated(1, seconds(1), 5);
    let mut held = Vec::new();
    for second in 0..2_000_i64 {
        world.step(&Step::Push { source: 0, partition: 0, rows: vec![row(second * SECOND, second, 1)] });
        held.push(world.pipeline.figures().state_bytes());
    }
    assert_eq!(world.told.rows.len(), 1_998, "the last rows wait for the watermark");
    // Hash tables grow and shrink by chance; a leak would be tenfold.
    let (early, late) = (held[100..200].iter().max(), held[1_000..].iter().max());
    assert!(late.unwrap() <= &(2 * early.unwrap()), "{early:?} {late:?}");
}

#[test]
fn many_rows_are_told_in_batches() {
    let rows: Vec<Row> = (0..30_000).map(|number| row(number, number % 20_000, 1)).collect();
    let told = deduplicated(1, NONE, 1).run(&[Step::Push { source: 0, partition: 0, rows }, Step::End]);
    assert_eq!(told.rows.len(), 20_000);
}
