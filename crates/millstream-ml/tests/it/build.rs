//! A small dataset by hand, and what odd rows become.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Date32Array, Float64Array, Int32Array, RecordBatch,
        TimestampMillisecondArray, TimestampSecondArray,
    },
    datatypes::{DataType, Float64Type},
};
use millstream_features::view::{
    FeatureSource, OnDemandDefinition, OnDemandInput, RequestValue, ServiceFeature,
};
use millstream_ml::dataset::{AsKnown, Manifest, Phase, Progress, Rows, Warning, build};
use millstream_types::TimestampMicros;

use crate::world::{
    DAY, World, batch, cut, events, floats, ints, lines, names, rows, service, texts, times, view,
};

fn shop() -> World {
    let orders = view("orders", DataType::Int64);
    let rows = events(
        &orders,
        ints([1, 2, 1, 1, 2].map(Some)),
        times([10, 20, 30, 40, 40].map(|day| Some(day * DAY))),
        floats([Some(1.0), Some(5.0), Some(2.0), None, Some(7.0)]),
    );
    let labels = batch(vec![
        ("customer_id", ints([Some(2), Some(1), Some(3), Some(1), None, Some(2), Some(1)])),
        ("note", texts([Some("b"), Some("a"), None, Some("a"), Some("x"), Some("b"), Some("a")])),
        (
            "as_of",
            times(
                [Some(41), Some(30), Some(99), Some(31), Some(31), None, Some(31)]
                    .map(|day| day.map(|day| day * DAY)),
            ),
        ),
        ("churned", ints([Some(0), Some(1), Some(0), Some(1), Some(0), Some(1), Some(1)])),
    ]);
    World::new(service(vec![orders]), labels, vec![rows])
}

#[test]
fn each_label_row_is_kept_in_its_place_with_what_was_seen_at_its_time() {
    let world = shop();
    let data = world.data();
    assert_eq!(
        names(&data),
        ["customer_id", "note", "as_of", "churned", "orders.amount", "orders.orders", "orders.spend_7d"]
    );
    let seen: Vec<_> = lines(&data.project(&[0, 1, 3, 4, 5, 6]).unwrap());
    assert_eq!(
        seen,
        [
            "2 | b | 0 | 7.0 | 2 | 7.0",
            // The event at the very time of the label is not seen, and day 10 is more than 7 days ago.
            "1 | a | 1 | 1.0 | 1 | -",
            // An entity without events.
            "3 | - | 0 | - | 0 | -",
            "1 | a | 1 | 2.0 | 2 | 2.0",
            // No key, then no time.
            "- | x | 0 | - | 0 | -",
            "2 | b | 1 | - | 0 | -",
            // The same key and time once more.
            "1 | a | 1 | 2.0 | 2 | 2.0",
        ]
    );
    assert!(world.left_over().is_empty(), "{:?}", world.left_over());
}

#[test]
fn label_columns_keep_their_types_and_only_the_wanted_ones_are_kept() {
    let mut world = shop();
    let days: ArrayRef = Arc::new(Date32Array::from(vec![41, 30, 99, 31, 31, 41, 31]));
    let small: ArrayRef = Arc::new(Int32Array::from(vec![7; 7]));
    let labels = batch(vec![
        ("small", small),
        ("as_of", days),
        ("customer_id", ints([2, 1, 3, 1, 1, 2, 1].map(Some))),
    ]);
    world.plan.labels.schema = labels.schema();
    world.plan.labels.keys = vec![vec![2]];
    world.plan.labels.time = 1;
    world.plan.labels.kept = vec![1, 0];
    world.plan.labels.targets = Vec::new();
    world.labels = vec![labels];
    world.plan.service.features.truncate(1);
    let data = world.data();
    let types: Vec<_> = data.columns().iter().map(|column| column.data_type().clone()).collect();
    assert_eq!(types, [DataType::Int32, DataType::Date32, DataType::Float64]);
    assert_eq!(lines(&data)[0], "7 | 1970-02-11 | 7.0");
}

#[test]
fn the_times_of_labels_may_be_dates_and_instants_of_any_zone_and_coarser_unit() {
    let days = [41_i64, 30, 99, 31, 31, 41, 31];
    let expected = shop_with_times(times(days.map(|day| Some(day * DAY))));
    let millis = TimestampMillisecondArray::from_iter_values(days.map(|day| day * 86_400_000));
    let seconds = TimestampSecondArray::from_iter_values(days.map(|day| day * 86_400));
    let dates = Date32Array::from_iter_values(days.map(|day| i32::try_from(day).unwrap()));
    let columns: [ArrayRef; 4] = [
        Arc::new(millis.clone()),
        Arc::new(millis.with_timezone("Asia/Tokyo")),
        Arc::new(seconds.with_timezone("+02:00")),
        Arc::new(dates),
    ];
    for column in columns {
        let data_type = column.data_type().clone();
        assert_eq!(shop_with_times(column), expected, "{data_type}");
    }
}

/// The features of the shop's labels at other times.
fn shop_with_times(times: ArrayRef) -> Vec<String> {
    let mut world = shop();
    let labels = batch(vec![("customer_id", ints([2, 1, 3, 1, 1, 2, 1].map(Some))), ("as_of", times)]);
    world.plan.labels.schema = labels.schema();
    (world.plan.labels.time, world.plan.labels.kept) = (1, vec![0]);
    world.plan.labels.targets = Vec::new();
    world.labels = vec![labels];
    lines(&world.data())
}

#[test]
fn a_cut_off_hides_what_was_known_later() {
    let mut world = shop();
    let known = times([10, 20, 90, 40, 40].map(|day| Some(day * DAY)));
    let rows = &world.events[0][0];
    let mut columns = rows.columns().to_vec();
    columns[2] = known;
    world.events[0] = vec![RecordBatch::try_new(rows.schema(), columns).unwrap()];
    let amounts = |world: &World| {
        let data = world.data();
        data.column_by_name("orders.amount").unwrap().as_primitive::<Float64Type>().value(3)
    };
    assert!((amounts(&world) - 2.0).abs() < 1e-9);
    world.plan.labels.as_known = Some(AsKnown::LabelTime);
    assert!((amounts(&world) - 1.0).abs() < 1e-9);
    world.plan.labels.as_known = Some(AsKnown::At(89 * DAY));
    assert!((amounts(&world) - 1.0).abs() < 1e-9);
    world.plan.labels.as_known = Some(AsKnown::At(90 * DAY));
    assert!((amounts(&world) - 2.0).abs() < 1e-9);
    world.plan.labels.as_known = Some(AsKnown::Column(2));
    assert!((amounts(&world) - 1.0).abs() < 1e-9);
}

#[test]
fn on_demand_features_see_label_columns_and_features_and_stand_where_the_service_has_them() {
    let mut world = shop();
    world.plan.service.on_demand = vec![OnDemandDefinition {
        name: "per_order".into(),
        sql: "churned + \"orders.amount\"".into(),
        inputs: vec![OnDemandInput {
            name: "orders.amount".into(),
            source: FeatureSource::View { view: 0, feature: 0 },
            data_type: DataType::Float64,
        }],
        request: vec![RequestValue { name: "churned".into(), data_type: DataType::Int64 }],
        data_type: DataType::Float64,
    }];
    let on_demand = ServiceFeature { name: "per_order".into(), source: FeatureSource::OnDemand(0) };
    // The feature that the on-demand feature reads is not in the output.
    world.plan.service.features.remove(0);
    world.plan.service.features.insert(1, on_demand);
    world
        .build_with(&mut |inputs| {
            assert_eq!(names(inputs), ["churned", "orders.amount"]);
            let churned = inputs.column(0).as_primitive::<arrow::datatypes::Int64Type>();
            let amount = inputs.column(1).as_primitive::<Float64Type>();
            let sum = churned.iter().zip(amount).map(|(churned, amount)| Some(churned? as f64 + amount?));
            Ok(vec![Arc::new(sum.collect::<Float64Array>())])
        })
        .unwrap();
    let data = crate::world::read(&world.plan.output);
    assert_eq!(names(&data)[4..], ["orders.orders", "per_order", "orders.spend_7d"]);
    assert_eq!(lines(&data.project(&[5]).unwrap()), ["7.0", "2.0", "-", "3.0", "-", "-", "3.0"]);
}

#[test]
fn odd_rows_are_kept_and_reported() {
    let mut world = shop();
    world.plan.now = TimestampMicros(41 * DAY);
    let built = world.build().unwrap();
    let expected = [
        Warning::WithoutTime { rows: 1 },
        Warning::WithoutKey { view: "orders".into(), rows: 1 },
        Warning::InFuture { rows: 1 },
    ];
    assert_eq!(built.warnings, expected);
    // A label in the future today is in the past later, so that the manifest does not have this warning.
    assert_eq!(built.manifest.warnings, expected[..2]);
}

#[test]
fn a_view_without_events_gives_nulls_and_zero_counts() {
    let mut world = shop();
    let schema = world.events[0][0].schema();
    for nothing in [Vec::new(), vec![RecordBatch::new_empty(schema)]] {
        world.events[0] = nothing;
        let built = world.build().unwrap();
        assert!(built.warnings.contains(&Warning::EmptyView { view: "orders".into() }));
        assert!(built.warnings.contains(&Warning::AllNull { column: "orders.amount".into() }));
        let data = crate::world::read(&world.plan.output);
        assert_eq!(lines(&data.project(&[4, 5, 6]).unwrap()), vec!["- | 0 | -"; 7]);
    }
}

#[test]
fn a_dataset_without_labels_is_a_file_without_rows() {
    let mut world = shop();
    world.labels = Vec::new();
    let built = world.build().unwrap();
    assert_eq!(built.warnings, [Warning::NoLabels]);
    assert_eq!(built.manifest.data.rows, 0);
    assert_eq!(crate::world::read(&world.plan.output).num_rows(), 0);
}

#[test]
fn views_that_no_feature_needs_are_not_read() {
    let mut world = shop();
    world.plan.service.features.clear();
    let mut events = |_: usize| -> Result<Rows<'_>, millstream_ml::Cause> { Err("it was read".into()) };
    build(&world.plan, rows(&world.labels), &mut events, &mut |_| Ok(Vec::new()), &|_| {}).unwrap();
    assert_eq!(crate::world::read(&world.plan.output).num_rows(), 7);
}

#[test]
fn the_manifest_is_beside_the_data_and_reads_back() {
    let world = shop();
    let built = world.build().unwrap();
    let path = world.folder.path().join("out/churn.parquet.manifest.json");
    assert_eq!(built.manifest_path, path);
    let read_back = Manifest::read(&path).unwrap();
    assert_eq!(read_back.definition, built.manifest.definition);
    assert_eq!(read_back.data, built.manifest.data);
    assert_eq!(read_back.columns.len(), 7);
    // JSON may cost a figure its last digit, and no more than once.
    let again: Manifest = serde_json::from_slice(&serde_json::to_vec(&built.manifest).unwrap()).unwrap();
    assert_eq!(read_back, again);
    let data = std::fs::read(&world.plan.output).unwrap();
    assert_eq!(built.manifest.data.bytes, data.len() as u64);
    assert_eq!(built.manifest.data.blake3, blake3::hash(&data).to_hex().to_string());
    assert_eq!(built.manifest.identity, Some(vec!["customer_id".into(), "as_of".into()]));
    assert_eq!(std::fs::read_dir(world.folder.path().join("out")).unwrap().count(), 2);
}

#[test]
fn progress_names_each_phase_and_ends_with_all_rows() {
    let mut world = shop();
    let labels = world.labels.remove(0);
    world.labels = cut(&labels, &[2]);
    let seen = std::cell::RefCell::new(Vec::new());
    let report = |progress: Progress<'_>| {
        seen.borrow_mut().push((
            progress.phase,
            progress.view.map(str::to_owned),
            progress.rows,
            progress.total,
        ));
    };
    let mut events =
        |view: usize| -> Result<Rows<'_>, millstream_ml::Cause> { Ok(rows(&world.events[view])) };
    build(&world.plan, rows(&world.labels), &mut events, &mut |_| Ok(Vec::new()), &report).unwrap();
    let seen = seen.into_inner();
    let last = |phase: Phase| seen.iter().rfind(|seen| seen.0 == phase).unwrap().clone();
    assert_eq!(last(Phase::Labels), (Phase::Labels, None, 7, None));
    assert_eq!(last(Phase::Events), (Phase::Events, Some("orders".into()), 5, None));
    assert_eq!(last(Phase::Join), (Phase::Join, Some("orders".into()), 7, Some(7)));
    assert_eq!(last(Phase::Write), (Phase::Write, None, 7, Some(7)));
}

/// A manifest that version 1 wrote; whoever changes the form keeps reading it.
#[test]
fn a_manifest_of_version_1_is_still_read() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/manifest_v1.json");
    let manifest = Manifest::read(&path).unwrap();
    assert_eq!(manifest.format, 1);
    assert_eq!(manifest.definition.name, "churn");
    assert_eq!(manifest.columns.len(), 8);
    assert_eq!(manifest.sides.unwrap().train, 6);
    let fitted: Vec<_> = manifest.fitted.iter().map(|fitted| fitted.fitted[0].name()).collect();
    assert_eq!(fitted, ["one_hot", "standardise"]);
}
