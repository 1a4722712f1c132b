//! Delta tables of files that others wrote: one file a version, in the table's own folder.

use std::{fs::File, path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, UInt32Array},
    datatypes::DataType,
};
use millstream_lake::{FileTable, LakeError};
use millstream_types::{TableName, TimestampMicros};
use parquet::arrow::ArrowWriter;

const NOW: TimestampMicros = TimestampMicros(1_700_000_000_000_000);

fn name() -> TableName {
    "dataset.churn".parse().unwrap()
}

fn write(folder: &Path, file: &str, columns: Vec<(&str, ArrayRef)>) {
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(folder.join(file)).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

fn ids(ids: &[i64]) -> (&'static str, ArrayRef) {
    ("id", Arc::new(Int64Array::from(ids.to_vec())))
}

async fn publish(folder: &Path, file: &str) -> Result<i64, LakeError> {
    FileTable::open(folder, &name(), "shop/churn".into()).await?.publish(file, &["share"], NOW).await
}

/// The log's actions of one kind in one version.
fn actions(folder: &Path, version: i64, kind: &str) -> Vec<serde_json::Value> {
    let log = std::fs::read_to_string(folder.join(format!("_delta_log/{version:020}.json"))).unwrap();
    let actions = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    actions.filter_map(|action| action.get(kind).cloned()).collect()
}

#[tokio::test]
async fn each_file_becomes_a_version_and_the_newest_one_is_not_written_twice() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "one.parquet", vec![ids(&[1, 2])]);
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0, f64::NAN]));
    let sums: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0]));
    write(folder, "two.parquet", vec![ids(&[3, 4]), ("share", floats), ("sum", sums)]);
    for (file, version) in [("one", 0), ("one", 0), ("two", 1), ("two", 1), ("one", 2)] {
        assert_eq!(publish(folder, &format!("{file}.parquet")).await.unwrap(), version, "{file}");
    }
    let files = |version, kind| -> Vec<String> {
        let paths = actions(folder, version, kind);
        paths.iter().map(|action| action["path"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (files(1, "add"), files(1, "remove")),
        (vec!["two.parquet".into()], vec!["one.parquet".into()])
    );
    assert_eq!(
        (files(2, "add"), files(2, "remove")),
        (vec!["one.parquet".into()], vec!["two.parquet".into()])
    );
    let stats = actions(folder, 1, "add")[0]["stats"].as_str().unwrap().to_owned();
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    assert_eq!((&stats["numRecords"], &stats["maxValues"]["id"]), (&2.into(), &4.into()));
    assert_eq!(stats["maxValues"]["sum"], 2.0);
    assert!(stats["maxValues"]["share"].is_null(), "a column with a NaN has no known largest value: {stats}");
}

#[tokio::test]
async fn a_table_that_others_wrote_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "one.parquet", vec![ids(&[1])]);
    publish(folder.path(), "one.parquet").await.unwrap();
    let error = FileTable::open(folder.path(), &name(), "desk/churn".into()).await.unwrap_err();
    assert!(matches!(error, LakeError::InvalidChange { .. }), "{error}");
}

#[tokio::test]
async fn columns_that_delta_has_no_type_for_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let numbers: ArrayRef = Arc::new(UInt32Array::from(vec![u32::MAX]));
    write(folder.path(), "one.parquet", vec![ids(&[1]), ("number", numbers)]);
    let error = publish(folder.path(), "one.parquet").await.unwrap_err();
    let expected = format!("Delta has no type for column `number`, which is {}", DataType::UInt32);
    assert!(error.to_string().contains(&expected), "{error}");
    assert!(!folder.path().join("_delta_log").join("00000000000000000000.json").exists());
}

#[tokio::test]
async fn a_file_that_is_not_there_is_no_version() {
    let folder = tempfile::tempdir().unwrap();
    let error = publish(folder.path(), "one.parquet").await.unwrap_err();
    assert!(error.to_string().contains("one.parquet"), "{error}");
}

#[tokio::test]
async fn publications_at_once_follow_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<String> = (0..4).map(|number| format!("{number}.parquet")).collect();
    for file in &files {
        write(folder.path(), file, vec![ids(&[1])]);
    }
    let published = futures::future::join_all(files.iter().map(|file| publish(folder.path(), file))).await;
    let mut versions: Vec<i64> = published.into_iter().map(Result::unwrap).collect();
    versions.sort_unstable();
    assert_eq!(versions, [0, 1, 2, 3]);
}
