//! Two versions of a dataset side by side.

use arrow::{array::RecordBatch, datatypes::DataType};
use millstream_features::view::ServiceDefinition;
use millstream_ml::dataset::{
    DatasetDiff, DatasetFile, InputVersion, MatchedRows, Shares, SplitBy, SplitPlan, diff,
};

use crate::world::{DAY, World, batch, events, floats, ints, service, texts, times, view};

const ROWS: i64 = 1_000;

fn labels() -> RecordBatch {
    batch(vec![
        ("customer_id", ints((0..ROWS).map(|row| Some(row % 100)))),
        ("as_of", times((0..ROWS).map(|row| Some(row / 200 * 10 * DAY)))),
        ("score", floats((0..ROWS).map(|row| Some((row * 37 % 1_000) as f64)))),
        ("plan", texts((0..ROWS).map(|row| Some(if row % 4 == 0 { "free" } else { "paid" })))),
    ])
}

fn shop() -> ServiceDefinition {
    service(vec![view("orders", DataType::Int64)])
}

fn world(labels: RecordBatch, service: ServiceDefinition) -> World {
    let rows = events(
        &service.views[0],
        ints((0..100).map(Some)),
        times((0..100).map(|_| Some(5 * DAY))),
        floats((0..100).map(|amount| Some(f64::from(amount)))),
    );
    World::new(service, labels, vec![rows])
}

fn compare(before: &World, after: &World) -> DatasetDiff {
    before.build().unwrap();
    after.build().unwrap();
    let open = |world: &World| DatasetFile::open(&world.plan.output).unwrap();
    diff(&open(before), &open(after)).unwrap()
}

#[test]
fn a_dataset_does_not_differ_from_itself() {
    let difference = compare(&world(labels(), shop()), &world(labels(), shop()));
    assert!(difference.is_empty(), "{difference:?}");
    assert_eq!(difference.before, difference.after);
}

#[test]
fn rows_are_matched_by_key_time_and_occurrence() {
    let base = labels();
    // Without the first 10 rows, 5 rows of a new day, and one value that changed. Each key and time is there twice.
    let mut columns: Vec<_> = base.slice(10, 990).columns().to_vec();
    let score = |row: i64| if row == 500 { -1.0 } else { (row * 37 % 1_000) as f64 };
    columns[2] = floats((10..ROWS).map(|row| Some(score(row))));
    let less = RecordBatch::try_new(base.schema(), columns).unwrap();
    let more = batch(vec![
        ("customer_id", ints((0..5).map(Some))),
        ("as_of", times((0..5).map(|_| Some(99 * DAY)))),
        ("score", floats((0..5).map(|_| Some(1.0)))),
        ("plan", texts((0..5).map(|_| Some("free")))),
    ]);
    let mut after = world(less, shop());
    after.labels.push(more);
    let difference = compare(&world(base, shop()), &after);
    // Of a pair with one key and time the later row moves up: its score is compared with that of the first.
    assert_eq!(difference.rows.matched, Some(MatchedRows { added: 5, removed: 10, changed: 11 }));
    assert_eq!((difference.rows.before, difference.rows.after), (1_000, 995));
}

#[test]
fn the_order_of_rows_and_columns_is_no_difference() {
    let base = labels();
    // Rows of one key and time keep their order.
    let reversed: Vec<_> = (0..5).rev().map(|part| base.slice(part * 200, 200)).collect();
    let mut after = world(base.clone(), shop());
    after.labels = reversed;
    let difference = compare(&world(base, shop()), &after);
    assert_eq!(difference.rows.matched, Some(MatchedRows::default()));
}

#[test]
fn datasets_without_their_keys_are_compared_by_count_alone() {
    let mut after = world(labels(), shop());
    after.plan.labels.kept = vec![1, 2];
    let difference = compare(&world(labels(), shop()), &after);
    assert_eq!(difference.rows.matched, None);
    assert_eq!(difference.columns.removed.len(), 2);
}

#[test]
fn columns_inputs_and_definitions_are_named() {
    let mut before = world(labels(), shop());
    before.plan.inputs = vec![
        InputVersion { table: "silver.orders".into(), version: 3 },
        InputVersion { table: "silver.old".into(), version: 1 },
    ];
    let mut changed = shop();
    changed.views[0].ttl = Some("30d".parse().unwrap());
    changed.features.remove(1);
    let mut after = world(labels(), changed);
    after.plan.inputs = vec![InputVersion { table: "silver.orders".into(), version: 4 }];
    after.plan.split = Some(SplitPlan {
        by: SplitBy::Random { seed: 1 },
        shares: Shares { train: 1.0, validation: 0.0, test: 0.0 },
    });
    let mut difference = compare(&before, &after);
    difference.before = "a".into();
    difference.after = "b".into();
    insta::assert_snapshot!(difference.to_string(), @r###"
versions  a -> b
rows      1000 -> 1000 (0 added, 0 removed, 200 changed)
column    + split Utf8
column    - orders.orders Int64
input     silver.old 1 -> none
input     silver.orders 3 -> 4
changed   split
changed   features
changed   view orders
values    orders.amount  psi 0.000  distance 0.000  mean shift 0.000  nulls 20.0% -> 40.0%
"###);
    let text = serde_json::to_string(&difference).unwrap();
    assert_eq!(serde_json::from_str::<DatasetDiff>(&text).unwrap(), difference);
}

#[test]
fn distributions_that_moved_have_figures() {
    let base = labels();
    let mut columns = base.columns().to_vec();
    columns[2] = floats((0..ROWS).map(|row| (row % 10 > 0).then_some((row * 37 % 1_000) as f64 + 500.0)));
    columns[3] = texts((0..ROWS).map(|row| Some(if row % 4 == 0 { "paid" } else { "free" })));
    let moved = RecordBatch::try_new(base.schema(), columns).unwrap();
    let difference = compare(&world(base, shop()), &world(moved, shop()));
    let shift = |name: &str| difference.distributions.iter().find(|shift| shift.name == name).unwrap();
    let score = shift("score");
    assert!((score.nulls[1] - 0.1).abs() < 1e-9);
    assert!((score.distance.unwrap() - 0.5).abs() < 0.01);
    assert!((score.mean_shift.unwrap() - 500.0 / 288.7).abs() < 0.01);
    assert!(score.psi.unwrap() > 0.25);
    let plan = shift("plan");
    assert!((plan.distance.unwrap() - 0.5).abs() < 1e-9);
    assert!((plan.psi.unwrap() - 3.0_f64.ln()).abs() < 1e-9);
    assert!(!shift("customer_id").is_moved());
}

#[test]
fn a_data_file_that_is_not_its_manifests_is_refused() {
    let world = world(labels(), shop());
    world.build().unwrap();
    let file = DatasetFile::open(&world.plan.output).unwrap();
    file.verify().unwrap();
    let mut bytes = std::fs::read(&world.plan.output).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&world.plan.output, bytes).unwrap();
    assert_eq!(file.verify().unwrap_err().code(), "MS-1113");
    std::fs::write(&world.plan.output, "other bytes").unwrap();
    assert_eq!(DatasetFile::open(&world.plan.output).unwrap_err().code(), "MS-1113");
}
