//! What is refused, in which words, and that nothing is left behind.

use arrow::{array::RecordBatch, datatypes::DataType};
use millstream_ml::{
    CODES, Cause, DatasetError,
    dataset::{AsKnown, Manifest, Rows, Shares, SplitBy, SplitPlan, build},
};

use crate::world::{DAY, World, batch, events, floats, ints, rows, service, texts, times, view};

fn world() -> World {
    let orders = view("orders", DataType::Int64);
    let rows = events(
        &orders,
        ints((0..100).map(|_| Some(1))),
        times((0..100).map(|day| Some(day * DAY))),
        floats((0..100).map(|_| Some(1.0))),
    );
    let labels = batch(vec![
        ("customer_id", ints([1, 2].map(Some))),
        ("as_of", times([Some(DAY), Some(200 * DAY)])),
        ("churned", ints([0, 1].map(Some))),
    ]);
    World::new(service(vec![orders]), labels, vec![rows])
}

/// Code and message, after checking that the code is known and that nothing was written.
fn refused(world: &World) -> String {
    let error = world.build().unwrap_err();
    check_nothing_left(world, &error);
    format!("{}: {error}", error.code())
}

fn check_nothing_left(world: &World, error: &DatasetError) {
    assert!(CODES.iter().any(|(code, ..)| *code == error.code()));
    assert!(!world.plan.output.exists());
    assert!(world.left_over().is_empty(), "{:?}", world.left_over());
    if let Some(folder) = world.plan.output.parent().filter(|folder| folder.exists()) {
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
    }
}

#[test]
fn a_key_of_another_type_names_table_column_and_both_types() {
    let mut world = world();
    let labels = batch(vec![
        ("customer_id", texts([Some("1"), Some("2")])),
        ("as_of", times([Some(DAY), Some(DAY)])),
        ("churned", ints([0, 1].map(Some))),
    ]);
    world.plan.labels.schema = labels.schema();
    world.labels = vec![labels];
    insta::assert_snapshot!(refused(&world), @"MS-1103: the column `customer_id` of gold.labels has type Utf8, the key `customer_id` of the view `orders` has type Int64");
    insta::assert_snapshot!(world.build().unwrap_err().hint().unwrap(), @"cast `customer_id` to Int64 in the labels' query, or the key in the view's table");
}

#[test]
fn two_columns_of_one_name_are_refused() {
    let mut world = world();
    world.plan.service.features[0].name = "churned".into();
    insta::assert_snapshot!(refused(&world), @"MS-1101: the dataset would have two columns `churned`: a column of gold.labels and a feature of the view `orders`");
}

#[test]
fn plans_that_make_no_sense_are_refused() {
    let mut plan = world();
    plan.plan.labels.kept.push(3);
    insta::assert_snapshot!(refused(&plan), @"MS-1102: the dataset `churn` cannot be planned: gold.labels has 3 columns, number 3 is asked for");
    let mut plan = world();
    plan.plan.labels.keys.clear();
    insta::assert_snapshot!(refused(&plan), @"MS-1102: the dataset `churn` cannot be planned: there are keys for 0 views, the service has 1");
    let mut plan = world();
    let shares = Shares { train: 0.7, validation: 0.1, test: 0.1 };
    plan.plan.split = Some(SplitPlan { by: SplitBy::Random { seed: 1 }, shares });
    insta::assert_snapshot!(refused(&plan), @"MS-1102: the dataset `churn` cannot be planned: the shares of the split are [0.7, 0.1, 0.1], which is not the whole");
    let mut plan = world();
    plan.plan.labels.time = 0;
    insta::assert_snapshot!(refused(&plan), @"MS-1104: the time `customer_id` of gold.labels has type Int64, which is no time");
    let mut plan = world();
    plan.plan.labels.as_known = Some(AsKnown::Column(2));
    insta::assert_snapshot!(refused(&plan), @"MS-1104: the known-time cut-off `churned` of gold.labels has type Int64, which is no time");
    let mut plan = world();
    plan.plan.labels.keys[0].push(1);
    insta::assert_snapshot!(refused(&plan), @"MS-1102: the dataset `churn` cannot be planned: the labels bring 2 key columns, the view's entity has 1 (view `orders`)");
}

#[test]
fn rows_of_another_shape_are_refused() {
    let mut labels = world();
    labels.labels[0] = labels.labels[0].project(&[1, 0, 2]).unwrap();
    insta::assert_snapshot!(refused(&labels), @r#"MS-1105: rows of gold.labels have the columns [as_of Timestamp(µs, "UTC"), customer_id Int64, churned Int64], not [customer_id Int64, as_of Timestamp(µs, "UTC"), churned Int64]"#);
    let mut events = world();
    events.events[0][0] = events.events[0][0].project(&[0, 1, 2, 3]).unwrap();
    insta::assert_snapshot!(refused(&events), @r#"MS-1105: rows of the view `orders` have the columns [customer_id Int64, _time Timestamp(µs, "UTC"), _known Timestamp(µs, "UTC"), _sequence Int64], not [customer_id Int64, _time Timestamp(µs, "UTC"), _known Timestamp(µs, "UTC"), _sequence Int64, c0 Float64]"#);
}

#[test]
fn an_entity_larger_than_memory_says_what_to_do() {
    let mut world = world();
    world.plan.resources.memory_bytes = 4 << 10;
    insta::assert_snapshot!(refused(&world), @"MS-1109: one entity of the view `orders` has 100 events, which need 16000 bytes to be joined; 2048 are free for that");
    insta::assert_snapshot!(world.build().unwrap_err().hint().unwrap(), @"give the build more memory, or thin out or leave out the events of that entity in the `sql` of `orders`");
}

#[test]
fn rows_that_cannot_be_read_stop_the_build() {
    let world = world();
    let failing = || -> Rows<'_> {
        let first = world.labels[0].clone();
        Box::new([Ok(first), Err::<RecordBatch, Cause>("the disk is gone".into())].into_iter())
    };
    let mut no_events = |_: usize| -> Result<Rows<'_>, Cause> { Err("no such table".into()) };
    let error = build(&world.plan, failing(), &mut no_events, &mut |_| Ok(Vec::new()), &|_| {}).unwrap_err();
    check_nothing_left(&world, &error);
    insta::assert_snapshot!(format!("{}: {error}", error.code()), @"MS-1106: cannot read the rows of gold.labels");
    let labels = rows(&world.labels);
    let error = build(&world.plan, labels, &mut no_events, &mut |_| Ok(Vec::new()), &|_| {}).unwrap_err();
    check_nothing_left(&world, &error);
    insta::assert_snapshot!(format!("{}: {error}", error.code()), @"MS-1106: cannot read the rows of the view `orders`");
}

#[test]
fn on_demand_values_of_another_shape_are_refused() {
    let mut world = world();
    world.plan.service.on_demand = vec![millstream_features::view::OnDemandDefinition {
        name: "twice".into(),
        sql: "2 * churned".into(),
        inputs: Vec::new(),
        request: Vec::new(),
        data_type: DataType::Float64,
    }];
    insta::assert_snapshot!(refused(&world), @"MS-1105: rows of the on-demand features have the columns [], not [twice Float64]");
    let error =
        world.build_with(&mut |batch| Ok(vec![ints((0..batch.num_rows()).map(|_| Some(1)))])).unwrap_err();
    insta::assert_snapshot!(error.to_string(), @"rows of the on-demand features have the columns [2 rows of Int64], not [twice Float64]");
    let error = world.build_with(&mut |_| Err("division by zero".into())).unwrap_err();
    insta::assert_snapshot!(format!("{}: {error}", error.code()), @"MS-1107: the on-demand features cannot be computed");
}

#[test]
fn a_spill_folder_or_output_that_cannot_be_written_is_named() {
    let mut spill = world();
    spill.plan.resources.spill = spill.folder.path().join("not/there");
    let error = spill.build().unwrap_err();
    assert_eq!(error.code(), "MS-1110");
    assert!(error.to_string().contains("not/there"));
    let mut output = world();
    std::fs::write(output.folder.path().join("file"), "").unwrap();
    output.plan.output = output.folder.path().join("file/churn.parquet");
    let error = output.build().unwrap_err();
    assert_eq!(error.code(), "MS-1111");
}

#[test]
fn a_manifest_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.json");
    for text in ["", "{}", "[1]", r#"{"format": 999, "name": 3}"#] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(Manifest::read(&path).unwrap_err().code(), "MS-1113", "{text}");
    }
    assert_eq!(Manifest::read(&folder.path().join("none")).unwrap_err().code(), "MS-1113");
}

#[test]
fn every_code_is_listed_once_and_in_order() {
    let codes: Vec<_> = CODES.iter().map(|(code, ..)| *code).collect();
    assert!(codes.is_sorted() && codes.iter().all(|code| code.starts_with("MS-11")));
}

/// The fault of a full disk is known as it comes from the system, and as the Parquet writer passes it on.
#[test]
fn a_full_disk_is_told_from_a_folder_that_cannot_be_written() {
    let hint = |source: Cause| {
        DatasetError::Output { action: "write", path: "d.parquet".into(), source }.hint().unwrap_or_default()
    };
    let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
    let passed_on = parquet::errors::ParquetError::External(full().into());
    for source in [Cause::from(full()), passed_on.into()] {
        assert!(hint(source).starts_with("free some space"));
    }
    assert!(hint("permission denied".into()).contains("can be written to"));
}
