//! Columns that give the target away, and rows that should not be where they are.

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::DataType,
};
use millstream_ml::dataset::{Finding, Leak, Scalar, Shares, SplitBy, SplitPlan};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::world::{DAY, World, batch, events, floats, ints, service, texts, times, view};

const ROWS: i64 = 200;

/// Labels with a random target, and columns made from it.
fn world(columns: impl Fn(&[i64]) -> Vec<(&'static str, ArrayRef)>) -> World {
    let mut random = SmallRng::seed_from_u64(11);
    let churned: Vec<i64> = (0..ROWS).map(|_| random.random_range(0..2)).collect();
    let orders = view("orders", DataType::Int64);
    let nothing = events(&orders, ints([]), times([]), floats([]));
    let mut all = vec![
        ("customer_id", ints((0..ROWS).map(Some))),
        ("as_of", times((0..ROWS).map(|day| Some(day * DAY)))),
        ("churned", ints(churned.iter().copied().map(Some))),
    ];
    all.extend(columns(&churned));
    World::new(service(vec![orders]), batch(all), vec![nothing])
}

fn findings(world: &World) -> Vec<Finding> {
    world.build().unwrap().manifest.leakage
}

fn check(columns: impl Fn(&[i64]) -> Vec<(&'static str, ArrayRef)>, expected: &[(&str, &str)]) {
    let found: Vec<_> = findings(&world(columns))
        .into_iter()
        .map(|finding| {
            let leak = match finding.leak {
                Leak::EqualsTarget { .. } => "equals",
                Leak::Correlates { .. } => "correlates",
                Leak::Determines { .. } => "determines",
                Leak::SameInstant => "instant",
                Leak::SharedEntities { .. } => "shared",
            };
            (finding.name, leak)
        })
        .collect();
    let found: Vec<_> = found.iter().map(|(name, leak)| (name.as_str(), *leak)).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_column_that_equals_the_target_is_found() {
    check(|churned| vec![("again", ints(churned.iter().copied().map(Some)))], &[("again", "equals")]);
    // The column is found too where some of its rows are null.
    let some = |(at, value): (usize, &i64)| (at % 3 > 0).then_some(*value);
    check(|churned| vec![("again", ints(churned.iter().enumerate().map(some)))], &[("again", "equals")]);
}

#[test]
fn a_column_that_moves_with_the_target_is_found() {
    let inverse = |value: &i64| Some(10.0 - 3.0 * *value as f64);
    check(|churned| vec![("inverse", floats(churned.iter().map(inverse)))], &[("inverse", "correlates")]);
    // One row in four tells nothing.
    let noise = |(at, value): (usize, &i64)| Some(if at % 4 == 0 { 0.0 } else { *value as f64 });
    check(|churned| vec![("noise", floats(churned.iter().enumerate().map(noise)))], &[]);
}

#[test]
fn a_category_that_determines_the_target_is_found() {
    let plan = |(at, value): (usize, &i64)| match (*value, at % 2) {
        (0, 0) => Some("free"),
        (0, _) => Some("trial"),
        _ => Some("cancelled"),
    };
    check(|churned| vec![("plan", texts(churned.iter().enumerate().map(plan)))], &[("plan", "determines")]);
    // A column of ids determines everything and proves nothing.
    check(|_| vec![("id", ints((0..ROWS).map(|id| Some(id * 7 % 1_000))))], &[]);
}

#[test]
fn a_constant_target_or_column_is_no_leak() {
    check(|_| vec![("one", ints((0..ROWS).map(|_| Some(1)))), ("none", ints((0..ROWS).map(|_| None)))], &[]);
    let mut world = world(|_| vec![]);
    let labels = &world.labels[0];
    let ones = ints((0..ROWS).map(|_| Some(1)));
    let columns = vec![labels.column(0).clone(), labels.column(1).clone(), ones.clone()];
    world.labels = vec![RecordBatch::try_new(labels.schema(), columns).unwrap()];
    assert_eq!(findings(&world), []);
}

#[test]
fn only_the_training_side_counts() {
    // Equal on the training side alone, that is in the first half.
    let early = |(at, value): (usize, &i64)| Some(if at < 100 { *value } else { 1 - *value });
    let mut world = world(|churned| vec![("early", ints(churned.iter().enumerate().map(early)))]);
    assert_eq!(findings(&world), []);
    world.plan.split = Some(SplitPlan {
        by: SplitBy::Time { embargo: None },
        shares: Shares { train: 0.5, validation: 0.0, test: 0.5 },
    });
    let found = findings(&world);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].leak, Leak::EqualsTarget { target: "churned".into() });
    assert_eq!(found[0].count, 100);
    let example = found[0].example.as_ref().unwrap();
    assert_eq!(example.row, 0);
    assert!(matches!(example.value, Some(Scalar::Int(_))) && example.value == example.target);
}

#[test]
fn features_of_the_labels_own_instant_are_reported() {
    let mut world = world(|_| vec![]);
    let same: Vec<i64> = (0..ROWS).filter(|row| row % 2 == 1).collect();
    let rows = |view: &_| {
        events(
            view,
            ints(same.iter().copied().map(Some)),
            times(same.iter().map(|day| Some(day * DAY))),
            floats(same.iter().map(|_| Some(0.5))),
        )
    };
    let view = world.plan.service.views[0].clone();
    world.events[0] = vec![rows(&view)];
    assert_eq!(findings(&world), []);
    world.plan.service.views[0].include_same_instant = true;
    let found: Vec<_> =
        findings(&world).into_iter().filter(|finding| finding.leak == Leak::SameInstant).collect();
    let names: Vec<_> = found.iter().map(|finding| finding.name.as_str()).collect();
    assert_eq!(names, ["orders.amount", "orders.orders", "orders.spend_7d"]);
    assert_eq!(found[0].count, 100);
    assert_eq!(found[0].example.as_ref().unwrap().row, 1);
}

#[test]
fn entities_on_two_sides_are_counted() {
    let mut world = world(|_| vec![]);
    let labels = &world.labels[0];
    // Customers 0 to 99 twice, the second time half a year later.
    let mut columns = labels.columns().to_vec();
    columns[0] = ints((0..ROWS).map(|row| Some(row % 100)));
    world.labels = vec![RecordBatch::try_new(labels.schema(), columns).unwrap()];
    let shares = Shares { train: 0.6, validation: 0.0, test: 0.4 };
    world.plan.split = Some(SplitPlan { by: SplitBy::Time { embargo: None }, shares });
    let found = findings(&world);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].name, "customer");
    // 120 rows train: customers 20 to 99 have their second row on the other side.
    assert_eq!((found[0].count, &found[0].leak), (80, &Leak::SharedEntities { exact: true }));
    assert_eq!(found[0].example.as_ref().unwrap().value, Some(Scalar::Text("20".into())));
    world.plan.split = Some(SplitPlan { by: SplitBy::Hash { columns: vec![0], seed: 1 }, shares });
    assert_eq!(findings(&world), []);
}
