//! Checkpoints of others are read, and nothing they hold is lost in ours.
//!
//! `samples/checkpoint_of_another_writer` was written by delta-rs 1.6.6 (Python): rows 1 to 4, each with a txn of
//! `landing`; row 2 deleted; a checkpoint at version 4; row 9. Its commits 0 to 3 are gone.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{Array, AsArray, RecordBatch, StructArray},
    datatypes::{DataType, Field, Schema},
    json::ReaderBuilder,
};
use datafusion::scalar::ScalarValue;
use millstream_lake::{At, Lake, MaintainOptions};
use millstream_types::TimestampMicros;
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};
use tempfile::TempDir;

use crate::support::{append, ids, latest, local, open, overwrite, runtime, table};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/samples/checkpoint_of_another_writer");
/// When row 2 of the sample was deleted.
const DELETED_MS: i64 = 1_795_946_763_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn sample() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(Path::new(SAMPLE), folder.path());
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn log(folder: &TempDir) -> PathBuf {
    folder.path().join("silver/orders/_delta_log")
}

fn checkpoint(folder: &TempDir, version: i64) -> PathBuf {
    log(folder).join(format!("{version:020}.checkpoint.parquet"))
}

fn rows(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// How many actions of a kind a checkpoint holds.
fn count(rows: &RecordBatch, kind: &str) -> usize {
    let column = rows.column_by_name(kind).unwrap();
    column.len() - column.null_count()
}

fn at_ms(ms: i64) -> MaintainOptions {
    MaintainOptions::at(TimestampMicros::from_ms(ms))
}

#[tokio::test]
async fn the_checkpoint_of_another_writer_is_read() {
    let folder = sample();
    let lake = open(&folder);
    let snapshot = latest(&lake).await;
    assert_eq!((snapshot.version(), snapshot.rows(), snapshot.txn("landing")), (5, Some(4), Some(4)));
    assert_eq!(ids(&lake, At::Latest).await, [1, 3, 4, 9]);
    assert_eq!(ids(&lake, At::Version(4)).await, [1, 3, 4]);
    assert_eq!(snapshot.schema(), crate::support::schema());
}

#[tokio::test]
async fn what_a_checkpoint_holds_comes_into_the_next_one() {
    for (age_days, tombstones) in [(6, 1), (8, 0)] {
        let folder = sample();
        let lake = open(&folder);
        for id in 10..20 {
            append(&lake, &[id]).await;
        }
        let options = MaintainOptions { target_bytes: 1, ..at_ms(DELETED_MS + age_days * DAY_MS) };
        let done = lake.maintain(&runtime(&lake), &table(), &options).await.unwrap().unwrap();
        assert_eq!((done.compacted, done.checkpoint), (None, Some(15)));
        let rows = rows(&checkpoint(&folder, 15));
        let kinds = ["protocol", "metaData", "txn", "add", "remove"].map(|kind| count(&rows, kind));
        assert_eq!(kinds, [1, 1, 1, 14, tombstones], "{age_days} days after the deletion");
        let newest = fs::read_to_string(log(&folder).join("_last_checkpoint")).unwrap();
        let newest: serde_json::Value = serde_json::from_str(&newest).unwrap();
        assert_eq!(newest["version"], 15);
        assert_eq!(newest["size"], rows.num_rows());
        assert_eq!(newest["numOfAddFiles"], 14);
        let expected: Vec<i64> = [1, 3, 4, 9].into_iter().chain(10..20).collect();
        assert_eq!(ids(&open(&folder), At::Version(15)).await, expected);
        assert_eq!(latest(&open(&folder)).await.txn("landing"), Some(4));
    }
}

#[tokio::test]
async fn a_checkpoint_in_several_files_is_read_and_cleaned() {
    let folder = sample();
    let whole = checkpoint(&folder, 4);
    let all = rows(&whole);
    let half = all.num_rows() / 2;
    for (part, rows) in [all.slice(0, half), all.slice(half, all.num_rows() - half)].iter().enumerate() {
        let name = format!("{:020}.checkpoint.{:010}.{:010}.parquet", 4, part + 1, 2);
        let file = File::create(log(&folder).join(name)).unwrap();
        let mut writer = ArrowWriter::try_new(file, rows.schema(), None).unwrap();
        writer.write(rows).unwrap();
        writer.close().unwrap();
    }
    fs::remove_file(&whole).unwrap();
    // There are as many names as parts, but one of them stands for no part, so there is no complete checkpoint.
    let [second, stray] =
        [2, 3].map(|part| log(&folder).join(format!("{:020}.checkpoint.{part:010}.{:010}.parquet", 4, 2)));
    fs::rename(&second, &stray).unwrap();
    let error = open(&folder).snapshot(&table(), At::Latest).await.unwrap_err();
    assert_eq!(error.to_string(), "the log of silver.orders cannot be read at version 0");
    fs::rename(&stray, &second).unwrap();
    let lake = open(&folder);
    assert_eq!(ids(&lake, At::Latest).await, [1, 3, 4, 9]);
    for id in 10..20 {
        overwrite(&lake, &[id]).await;
    }
    let now = latest(&lake).await.committed_at().as_ms();
    lake.maintain(&runtime(&lake), &table(), &at_ms(now + 8 * DAY_MS)).await.unwrap();
    let left: Vec<_> = fs::read_dir(log(&folder)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_str().unwrap().contains("checkpoint.0000")), "{left:?}");
    assert_eq!(ids(&open(&folder), At::Latest).await, [19]);
}

#[tokio::test]
async fn a_damaged_checkpoint_is_an_error_that_names_it() {
    let folder = sample();
    fs::write(checkpoint(&folder, 4), b"PAR1 no more").unwrap();
    let error = open(&folder).snapshot(&table(), At::Latest).await.unwrap_err();
    assert_eq!(error.code(), "MS-0414");
    assert_eq!(error.to_string(), "the log of silver.orders cannot be read at version 4");
}

#[tokio::test]
async fn a_damaged_checkpoint_is_passed_over_while_the_commits_are_there() {
    for bytes in [&b""[..], b"PAR1 no more"] {
        let (folder, lake) = local();
        crate::support::create(&lake, &[0]).await;
        for id in 1..=12 {
            append(&lake, &[id]).await;
        }
        let options = |ms| MaintainOptions { target_bytes: 1, ..at_ms(ms) };
        let now = latest(&lake).await.committed_at().as_ms();
        let done = lake.maintain(&runtime(&lake), &table(), &options(now)).await.unwrap().unwrap();
        assert_eq!(done.checkpoint, Some(12));
        fs::write(checkpoint(&folder, 12), bytes).unwrap();
        let expected: Vec<i64> = (0..=12).collect();
        assert_eq!(ids(&open(&folder), At::Latest).await, expected);
        // Nothing that only the damaged checkpoint would replace is deleted.
        let done =
            lake.maintain(&runtime(&lake), &table(), &options(now + 30 * DAY_MS)).await.unwrap().unwrap();
        assert_eq!((done.log_files_deleted, done.earliest), (0, 0));
        for id in 13..=22 {
            append(&lake, &[id]).await;
        }
        let done = lake.maintain(&runtime(&lake), &table(), &options(now)).await.unwrap().unwrap();
        assert_eq!(done.checkpoint, Some(22));
        assert_eq!(ids(&open(&folder), At::Latest).await, (0..=22).collect::<Vec<i64>>());
        let left = fs::read_dir(log(&folder)).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains("tmp")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn paths_in_the_log_are_decoded() {
    let (folder, lake) = local();
    crate::support::create(&lake, &[7]).await;
    let data = folder.path().join("silver/orders");
    let snapshot = latest(&lake).await;
    let path = snapshot.files()[0].path().to_owned();
    fs::rename(data.join(&path), data.join("a part #1, 50%.parquet")).unwrap();
    let commit = log(&folder).join(format!("{:020}.json", 0));
    let text = fs::read_to_string(&commit).unwrap();
    fs::write(&commit, text.replace(&path, "a%20part%20%231,%2050%25.parquet")).unwrap();
    assert_eq!(ids(&open(&folder), At::Latest).await, [7]);
}

/// Rewrites a checkpoint as tables with `delta.checkpoint.writeStatsAsJson=false` have it: statistics in their types.
fn parse_stats(path: &Path) {
    let rows = rows(path);
    let index = rows.schema().index_of("add").unwrap();
    let add = rows.column(index).as_struct();
    let long = |name: &str| Field::new(name, DataType::Int64, true);
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let object = |name: &str, fields: Vec<Field>| Field::new(name, DataType::Struct(fields.into()), true);
    let schema = Schema::new(vec![
        long("numRecords"),
        object("minValues", vec![long("id"), text("name")]),
        object("maxValues", vec![long("id"), text("name")]),
        object("nullCount", vec![long("id"), long("name")]),
    ]);
    let stats = add.column_by_name("stats").unwrap().as_string::<i32>();
    let lines: Vec<&str> = stats.iter().map(|stats| stats.unwrap_or("{}")).collect();
    let mut decoder = ReaderBuilder::new(Arc::new(schema)).build_decoder().unwrap();
    decoder.decode(lines.join("\n").as_bytes()).unwrap();
    let parsed = StructArray::from(decoder.flush().unwrap().unwrap());
    let (mut fields, mut columns): (Vec<_>, Vec<_>) = (add.fields().to_vec(), add.columns().to_vec());
    let text = add.fields().find("stats").unwrap().0;
    columns[text] = arrow::array::new_null_array(&DataType::Utf8, rows.num_rows());
    fields.push(Arc::new(Field::new("stats_parsed", parsed.data_type().clone(), true)));
    columns.push(Arc::new(parsed));
    let add = StructArray::new(fields.into(), columns, add.nulls().cloned());
    let mut columns = rows.columns().to_vec();
    columns[index] = Arc::new(add);
    let schema = rows.schema();
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let rows = RecordBatch::try_from_iter_with_nullable(
        names.zip(columns).map(|(name, column)| (name, column, true)),
    );
    let rows = rows.unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

#[tokio::test]
async fn statistics_in_their_types_are_kept_as_text() {
    let (folder, lake) = local();
    crate::support::create(&lake, &[0]).await;
    for id in 1..=22 {
        if id == 13 {
            maintain(&lake).await;
            parse_stats(&checkpoint(&folder, 12));
        }
        append(&open(&folder), &[id]).await;
    }
    maintain(&open(&folder)).await;
    for version in [12, 22] {
        let snapshot = open(&folder).snapshot(&table(), At::Version(version)).await.unwrap().unwrap();
        assert_eq!(snapshot.rows(), Some(version as u64 + 1));
        for file in snapshot.files() {
            let (id, name) = (file.column("id", &DataType::Int64), file.column("name", &DataType::Utf8));
            assert!(id.exact && id.min == id.max && id.nulls == Some(0), "{id:?}");
            let Some(ScalarValue::Int64(Some(id))) = id.min else { panic!("{id:?}") };
            assert_eq!(name.min, Some(ScalarValue::from(format!("name {id}").as_str())));
        }
    }
    let text = rows(&checkpoint(&folder, 22)).column_by_name("add").unwrap().as_struct().clone();
    assert_eq!(text.column_by_name("stats").unwrap().null_count(), text.null_count());
}

async fn maintain(lake: &Lake) {
    let now = latest(lake).await.committed_at().as_ms();
    let options = MaintainOptions { target_bytes: 1, ..at_ms(now) };
    assert!(lake.maintain(&runtime(lake), &table(), &options).await.unwrap().unwrap().checkpoint.is_some());
}
