//! Rows on sides.

use std::collections::HashMap;

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::DataType,
};
use millstream_ml::dataset::{Shares, Side, SideRows, SplitBy, SplitPlan, Warning};

use crate::world::{DAY, World, batch, cut, events, floats, ints, read, service, times, view};

const SHARES: Shares = Shares { train: 0.7, validation: 0.15, test: 0.15 };

/// Labels with these keys and days.
fn world(labels: &[(i64, Option<i64>)], by: SplitBy, shares: Shares) -> World {
    let orders = view("orders", DataType::Int64);
    let nothing = events(&orders, ints([]), times([]), floats([]));
    let labels = batch(vec![
        ("customer_id", ints(labels.iter().map(|(key, _)| Some(*key)))),
        ("as_of", times(labels.iter().map(|(_, day)| day.map(|day| day * DAY)))),
    ]);
    let mut world = World::new(service(vec![orders]), labels, vec![nothing]);
    world.plan.split = Some(SplitPlan { by, shares });
    world
}

/// The column `split`, with `-` for null.
fn sides(world: &World) -> (Vec<String>, SideRows) {
    let built = world.build().unwrap();
    (column(&read(&world.plan.output)), built.manifest.sides.unwrap())
}

fn column(data: &RecordBatch) -> Vec<String> {
    let column = data.column_by_name("split").unwrap().as_string::<i32>();
    column.iter().map(|side| side.unwrap_or("-").to_owned()).collect()
}

fn days(days: &[i64]) -> Vec<(i64, Option<i64>)> {
    days.iter().map(|day| (1, Some(*day))).collect()
}

fn check_time(labels: &[i64], shares: [f64; 3], embargo: Option<&str>, expected: &str) {
    let embargo = embargo.map(|span| span.parse().unwrap());
    let [train, validation, test] = shares;
    let shares = Shares { train, validation, test };
    let (sides, _) = sides(&world(&days(labels), SplitBy::Time { embargo }, shares));
    let letter = |side: &String| match side.as_str() {
        "train" => 'a',
        "validation" => 'v',
        "test" => 'z',
        _ => '-',
    };
    assert_eq!(sides.iter().map(letter).collect::<String>(), expected);
}

#[test]
fn by_time_the_oldest_rows_train_whatever_their_order() {
    check_time(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [0.6, 0.2, 0.2], None, "aaaaaavvzz");
    check_time(&[10, 1, 9, 2, 8, 3, 7, 4, 6, 5], [0.6, 0.2, 0.2], None, "zazavavaaa");
    check_time(&[1, 2, 3, 4], [0.5, 0.0, 0.5], None, "aazz");
    check_time(&[1, 2, 3, 4], [1.0, 0.0, 0.0], None, "aaaa");
    check_time(&[], [0.5, 0.25, 0.25], None, "");
}

#[test]
fn rows_of_one_time_are_on_one_side() {
    check_time(&[1, 2, 3, 3, 3, 3, 3, 8, 9, 10], [0.7, 0.0, 0.3], None, "aaaaaaazzz");
    check_time(&[1, 2, 3, 3, 3, 3, 3, 8, 9, 10], [0.3, 0.0, 0.7], None, "aazzzzzzzz");
    check_time(&[5, 5, 5, 5], [0.7, 0.0, 0.3], None, "aaaa");
}

#[test]
fn rows_in_the_embargo_before_a_side_are_on_none() {
    check_time(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [0.6, 0.2, 0.2], Some("1d"), "aaaaa-v-zz");
    check_time(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [0.6, 0.0, 0.4], Some("3d"), "aaa---zzzz");
    let embargo = Some("1d".parse().unwrap());
    let mut labels = days(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    labels.push((1, None));
    let shares = Shares { train: 0.6, validation: 0.2, test: 0.2 };
    let (sides, count) = sides(&world(&labels, SplitBy::Time { embargo }, shares));
    assert_eq!(sides[10], "-");
    assert_eq!(count, SideRows { train: 5, validation: 1, test: 2, embargoed: 2, without_time: 1 });
}

fn many() -> Vec<(i64, Option<i64>)> {
    (0..40_000).map(|row| (row % 5_000, Some(row))).collect()
}

#[test]
fn by_hash_an_entity_is_on_one_side_in_every_version() {
    let by = || SplitBy::Hash { columns: vec![0], seed: 7 };
    let labels = many();
    let (all, count) = sides(&world(&labels, by(), SHARES));
    let mut side_of: HashMap<i64, &str> = HashMap::new();
    for ((key, _), side) in labels.iter().zip(&all) {
        assert_eq!(*side_of.entry(*key).or_insert(side), side);
    }
    for (rows, share) in [(count.train, 0.7), (count.validation, 0.15), (count.test, 0.15)] {
        assert!((rows as f64 / 40_000.0 - share).abs() < 0.02, "{count:?}");
    }
    // Fewer rows, in another order, keep the sides of their entities.
    let fewer: Vec<_> = labels.iter().rev().step_by(3).copied().collect();
    let (part, _) = sides(&world(&fewer, by(), SHARES));
    for ((key, _), side) in fewer.iter().zip(&part) {
        assert_eq!(side_of[key], side);
    }
    let (other, _) = sides(&world(&labels, SplitBy::Hash { columns: vec![0], seed: 8 }, SHARES));
    assert_ne!(other, all);
}

#[test]
fn the_hash_of_an_entity_is_pinned() {
    let labels: Vec<_> = (0..12).map(|key| (key, Some(0))).collect();
    let (sides, _) = sides(&world(&labels, SplitBy::Hash { columns: vec![0], seed: 0 }, SHARES));
    insta::assert_snapshot!(sides.join(" "), @"validation train train test train train train train train train train train");
}

#[test]
fn by_chance_rows_are_spread_the_same_way_however_they_are_cut() {
    let by = || SplitBy::Random { seed: 7 };
    let mut world = world(&many(), by(), SHARES);
    let (all, count) = sides(&world);
    for (rows, share) in [(count.train, 0.7), (count.validation, 0.15), (count.test, 0.15)] {
        assert!((rows as f64 / 40_000.0 - share).abs() < 0.02, "{count:?}");
    }
    world.labels = cut(&world.labels[0], &[17, 4_000]);
    assert_eq!(sides(&world).0, all);
    world.plan.split.as_mut().unwrap().by = SplitBy::Random { seed: 8 };
    assert_ne!(sides(&world).0, all);
}

#[test]
fn a_side_without_rows_is_a_warning() {
    let world = world(&days(&[5, 5, 5]), SplitBy::Time { embargo: None }, SHARES);
    let warnings = world.build().unwrap().warnings;
    for side in [Side::Validation, Side::Test] {
        assert!(warnings.contains(&Warning::EmptySide { side }), "{warnings:?}");
    }
}
