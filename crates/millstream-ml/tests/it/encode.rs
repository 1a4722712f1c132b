//! Encodings, fitted on the training side only.

use arrow::datatypes::DataType;
use millstream_features::encode::{Encoding, apply_chain};
use millstream_ml::dataset::{ColumnEncoding, Manifest, Role, Shares, SplitBy, SplitPlan};

use crate::world::{
    DAY, World, batch, cut, events, floats, ints, lines, names, read, service, texts, times, view,
};

/// Ten rows: the first six train.
fn sample() -> World {
    let orders = view("orders", DataType::Int64);
    let rows = events(
        &orders,
        ints((0..10).map(Some)),
        times((0..10).map(|_| Some(0))),
        floats([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 100.0, 200.0, 300.0, 400.0].map(Some)),
    );
    let labels = batch(vec![
        ("customer_id", ints((0..10).map(Some))),
        ("as_of", times((1..11).map(|day| Some(day * DAY)))),
        ("plan", texts(["a", "b", "a", "a", "b", "a", "c", "c", "a", "b"].map(Some))),
        ("churned", ints([1, 0, 1, 0, 0, 0, 1, 1, 1, 1].map(Some))),
    ]);
    let mut world = World::new(service(vec![orders]), labels, vec![rows]);
    world.plan.service.features.truncate(1);
    world.plan.split = Some(SplitPlan {
        by: SplitBy::Time { embargo: None },
        shares: Shares { train: 0.6, validation: 0.0, test: 0.4 },
    });
    let encode = |column: &str, encodings: Vec<Encoding>, target: Option<&str>| ColumnEncoding {
        column: column.into(),
        encodings,
        target: target.map(str::to_owned),
    };
    world.plan.encodings = vec![
        encode("orders.amount", vec![Encoding::Standardise], None),
        encode("plan", vec![Encoding::OneHot { max_categories: 5 }], None),
    ];
    world
}

#[test]
fn encoded_columns_stand_in_the_place_of_their_source_and_know_the_training_side_only() {
    let world = sample();
    let built = world.build().unwrap();
    let data = read(&world.plan.output);
    assert_eq!(
        names(&data),
        ["customer_id", "as_of", "plan=a", "plan=b", "plan_other", "churned", "orders.amount", "split"]
    );
    let rows = lines(&data.project(&[2, 3, 4, 6]).unwrap());
    // Mean 3.5 and deviation 1.7078 are those of the first six rows.
    assert_eq!(rows[1], "0 | 1 | 0 | -0.8783100656536799");
    assert_eq!(rows[6], "0 | 0 | 1 | 56.504614223720075");
    let fitted: Vec<_> =
        built.manifest.fitted.iter().map(|fitted| (fitted.column.as_str(), fitted.columns.len())).collect();
    assert_eq!(fitted, [("plan", 3), ("orders.amount", 1)]);
    let amount = built.manifest.columns.iter().find(|column| column.name == "orders.amount").unwrap();
    assert_eq!(amount.role, Role::Feature { view: "orders".into() });
    assert_eq!(amount.statistics.statuses.unwrap().present, 10);
    assert_eq!(built.manifest.sides.unwrap().train, 6);
}

#[test]
fn what_the_manifest_keeps_encodes_requests_in_the_same_way() {
    let world = sample();
    let built = world.build().unwrap();
    let manifest = Manifest::read(&built.manifest_path).unwrap();
    let fitted = manifest.fitted.iter().find(|fitted| fitted.column == "orders.amount").unwrap();
    let encoded = apply_chain(&fitted.fitted, &floats([Some(2.0)])).unwrap();
    let data = read(&world.plan.output);
    assert_eq!(&encoded[0], &data.column_by_name("orders.amount").unwrap().slice(1, 1));
}

#[test]
fn a_target_encoding_reads_the_training_rows_target() {
    let mut world = sample();
    world.plan.encodings = vec![ColumnEncoding {
        column: "plan".into(),
        encodings: vec![Encoding::Target { smoothing: 0.0 }],
        target: Some("churned".into()),
    }];
    let data = world.data();
    let rows = lines(&data.project(&[2]).unwrap());
    // In training `a` churned in two of four rows and `b` in none; `c` was not seen.
    assert_eq!(rows[..2], ["0.5", "0.0"]);
    assert_eq!(rows[6], (2.0 / 6.0).to_string());
}

#[test]
fn batches_memory_and_threads_change_no_byte() {
    let mut world = sample();
    let both = |world: &World| {
        let built = world.build().unwrap();
        (std::fs::read(&world.plan.output).unwrap(), std::fs::read(built.manifest_path).unwrap())
    };
    let expected = both(&world);
    world.labels = cut(&world.labels[0], &[3]);
    world.plan.resources.memory_bytes = 2 << 10;
    world.plan.resources.threads = std::num::NonZeroUsize::new(4).unwrap();
    assert_eq!(both(&world), expected);
    assert!(world.build().unwrap().spilled_bytes > 0);
    assert!(world.left_over().is_empty());
}

#[test]
fn encodings_of_columns_that_are_not_there_are_refused() {
    let mut world = sample();
    world.plan.encodings[0].column = "nothing".into();
    assert_eq!(world.build().unwrap_err().code(), "MS-1102");
    let mut twice = sample();
    twice.plan.encodings[0].column = "plan".into();
    assert_eq!(twice.build().unwrap_err().code(), "MS-1102");
    let mut text = sample();
    text.plan.encodings[1].encodings = vec![Encoding::Standardise];
    let error = text.build().unwrap_err();
    assert_eq!(error.code(), "MS-1115");
    assert!(!text.plan.output.exists() && text.left_over().is_empty());
}
