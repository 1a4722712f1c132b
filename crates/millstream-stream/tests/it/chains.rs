//! Several stages: what comes out is what the batch would give over all rows at once.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::{
    deduplicate,
    pipelines::{NONE, chained, hopping, tumbling, windowed},
    world::{Row, SECOND, Step, arrival, row, rows, seconds},
};

/// Sums by minute and key of what a filter and the removal of duplicates leave over.
fn naive(rows: &[Row]) -> Vec<String> {
    let positive: Vec<Row> =
        rows.iter().filter(|row| row.amount.is_some_and(|amount| amount >= 0)).cloned().collect();
    let mut minutes: BTreeMap<(i64, Option<i64>), (i64, i64)> = BTreeMap::new();
    for row in deduplicate::kept(&positive, 2) {
        let start = row.at.unwrap().div_euclid(60 * SECOND) * 60 * SECOND;
        let (count, sum) = minutes.entry((start, row.key)).or_default();
        *count += 1;
        *sum += row.amount.unwrap();
    }
    let lines = minutes.into_iter().map(|((start, key), (count, sum))| {
        let key = key.map_or("null".into(), |key| key.to_string());
        format!("{key}|{start}|{}|{count}|{sum}", start + 60 * SECOND)
    });
    lines.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn windows_of_windows_are_those_of_the_batch(
        (rows, arrival) in rows(0..80, 300, 3).prop_flat_map(|mut rows| {
            // Rows of one time and key are told apart by their amounts.
            rows.iter_mut().for_each(|row| row.amount = row.amount.map(|amount| amount - amount % 100 + row.sequence));
            let count = rows.len();
            (Just(rows), (1..3_u32).prop_flat_map(move |partitions| arrival(count, partitions, 7 * SECOND)))
        }),
    ) {
        let mut steps = arrival.steps(0, &rows);
        steps.push(Step::End);
        let told = chained(arrival.partitions, seconds(7)).run(&steps);
        prop_assert_eq!(&told.refused, &[]);
        prop_assert_eq!(told.rows, naive(&rows));
    }
}

/// Each transfer is one row of the account that gives and one of the account that gets, in different partitions. In each window that is told
/// all accounts together have gained nothing.
#[test]
fn transfers_add_up_to_nothing_in_every_window() {
    for kind in [tumbling(10), hopping(10, 2, 0)] {
        let mut world = windowed(2, seconds(10), kind, NONE);
        for transfer in 0..600_i64 {
            let at = (transfer * 100 + transfer * 7_919 % 10_000) * 1_000;
            let (from, to, amount) = (transfer % 10, transfer * 3 % 10, transfer % 17);
            for (partition, row) in [(0, row(at, from, -amount)), (1, row(at, to, amount))] {
                world.step(&Step::Push { source: 0, partition, rows: vec![row] });
            }
            let mut windows: BTreeMap<String, i64> = BTreeMap::new();
            for line in &world.told.rows {
                let cells: Vec<&str> = line.split('|').collect();
                *windows.entry(cells[1].into()).or_default() += cells[5].parse::<i64>().unwrap();
            }
            assert!(windows.values().all(|sum| *sum == 0), "{windows:?}");
        }
        assert_eq!(world.told.refused, []);
        assert!(world.told.rows.len() > 40);
    }
}
