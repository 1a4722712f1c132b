//! Rows of labels and features, and the comparison of what training sees with what is served.

use std::{collections::BTreeMap, fs::File, path::Path, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray, UInt32Array},
    compute::{concat_batches, take_record_batch},
    datatypes::TimestampMicrosecondType,
    json::{WriterBuilder, writer::LineDelimited},
    util::display::{ArrayFormatter, FormatOptions},
};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};
use serde_json::{Map, Value, json};

use crate::{harness::Folder, serve_process::Server};

/// The time column of labels, which is no part of an entity's key.
const TIME: &str = "at";

pub(crate) fn instants(micros: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    let instants: TimestampMicrosecondArray = micros.into_iter().collect();
    Arc::new(instants.with_timezone("UTC"))
}

/// The instant as RFC 3339 with every microsecond.
pub(crate) fn rfc3339(micros: i64) -> String {
    let instants = instants([Some(micros)]);
    texts(&instants).remove(0).unwrap()
}

pub(crate) fn write_parquet(path: &Path, rows: &RecordBatch) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}

pub(crate) fn read_parquet(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader.build().unwrap().collect::<Result<_, _>>().unwrap();
    concat_batches(&schema, &batches).unwrap()
}

/// Builds a dataset of the folder's project and reads it.
pub(crate) fn built(folder: &Folder, dataset: &str) -> RecordBatch {
    let built = folder.json(&["dataset", "build", dataset, "--json"]);
    let path = built["path"].as_str().unwrap_or_else(|| panic!("{built}"));
    read_parquet(Path::new(path))
}

/// Every value as a text that is equal for equal bits only (but for the payloads of NaNs); `None` for null.
pub(crate) fn texts(values: &ArrayRef) -> Vec<Option<String>> {
    let options = FormatOptions::default().with_null("null");
    let formatter = ArrayFormatter::try_new(values, &options).unwrap();
    (0..values.len()).map(|row| values.is_valid(row).then(|| formatter.value(row).to_string())).collect()
}

pub(crate) fn column(rows: &RecordBatch, name: &str) -> ArrayRef {
    let names = || rows.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    rows.column_by_name(name).unwrap_or_else(|| panic!("no `{name}` in {:?}", names())).clone()
}

/// Columns as a request's body has them.
pub(crate) fn columns_json(rows: &RecordBatch, names: &[&str]) -> Value {
    let indices: Vec<usize> = names.iter().map(|name| rows.schema().index_of(name).unwrap()).collect();
    let mut bytes = Vec::new();
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut bytes);
    writer.write(&rows.project(&indices).unwrap()).unwrap();
    writer.finish().unwrap();
    let mut columns: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!([]))).collect();
    for line in serde_json::Deserializer::from_slice(&bytes).into_iter::<Map<String, Value>>() {
        for (name, value) in line.unwrap() {
            columns[&name].as_array_mut().unwrap().push(value);
        }
    }
    Value::Object(columns)
}

/// What a comparison needs to know of the labels.
pub(crate) struct Labels<'a> {
    /// The key columns.
    pub(crate) keys: &'a [&'a str],
    /// Label columns that on-demand features need.
    pub(crate) request: &'a [&'a str],
    /// What is read: `{"service": …}` or `{"features": […]}`.
    pub(crate) target: Value,
}

/// Asserts that every feature of every row of a dataset equals the value that is served for the row's entity at the row's
/// time, in type and in bits. Gives the number of values that were compared.
pub(crate) fn assert_served_as_trained(
    server: &Server,
    labels: &Labels<'_>,
    dataset: &RecordBatch,
    when: &str,
) -> usize {
    let times = column(dataset, TIME);
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let mut groups: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    for row in 0..times.len() {
        groups.entry(times.value(row)).or_default().push(u32::try_from(row).unwrap());
    }
    let mut compared = 0;
    for (at, rows) in groups {
        let trained = take_record_batch(dataset, &UInt32Array::from(rows)).unwrap();
        compared += assert_served_at(server, labels, &trained, at, when);
    }
    compared
}

/// Asserts the same for rows that all have the time `at`.
pub(crate) fn assert_served_at(
    server: &Server,
    labels: &Labels<'_>,
    trained: &RecordBatch,
    at: i64,
    when: &str,
) -> usize {
    let served = read_at(server, labels, trained, at);
    compare(labels, trained, &served, &rfc3339(at), when)
}

/// The features that are served at a time for the entities of these rows.
pub(crate) fn read_at(server: &Server, labels: &Labels<'_>, rows: &RecordBatch, at: i64) -> RecordBatch {
    let (entities, request) = (columns_json(rows, labels.keys), columns_json(rows, labels.request));
    server.read(&labels.target, &entities, &request, Some(&rfc3339(at)))
}

/// Compares rows of a dataset with the served ones.
pub(crate) fn compare(
    labels: &Labels<'_>,
    trained: &RecordBatch,
    served: &RecordBatch,
    at: &str,
    when: &str,
) -> usize {
    let mut differences = Vec::new();
    let mut compared = 0;
    for field in served.schema().fields() {
        let name = field.name();
        if name.ends_with("__status") || name.ends_with("__event_time") {
            continue;
        }
        let (trained_values, served_values) = (column(trained, name), column(served, name));
        assert_eq!(trained_values.data_type(), served_values.data_type(), "{name} {when}");
        let statuses = texts(&column(served, &format!("{name}__status")));
        let pairs = texts(&trained_values).into_iter().zip(texts(&served_values)).enumerate();
        for (row, (trained_value, served_value)) in pairs {
            compared += 1;
            let status = statuses[row].as_deref().unwrap();
            if trained_value != served_value || status == "degraded" {
                let entity = columns_json(&trained.slice(row, 1), labels.keys);
                differences.push(format!(
                    "{name} of {entity} at {at}: trained {trained_value:?}, served {served_value:?} ({status})"
                ));
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{when}: {} of {compared} values differ\n{}",
        differences.len(),
        differences[..differences.len().min(8)].join("\n")
    );
    assert!(compared > 0, "{when}: nothing was compared");
    compared
}
