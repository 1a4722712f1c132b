//! A lake in a temporary folder, and rows of `(id, name)`.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::{
    execution::{memory_pool::GreedyMemoryPool, runtime_env::RuntimeEnvBuilder},
    prelude::{SessionConfig, SessionContext},
};
use millstream_lake::{
    At, DataFile, Lake, LakeError, LakeTable, Operation, Snapshot, StagedFile, TableChange, WriteOptions,
};
use millstream_query::LocalRuntime;
use millstream_types::TableName;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) fn table() -> TableName {
    "silver.orders".parse().unwrap()
}

pub(crate) fn local() -> (tempfile::TempDir, Lake) {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(&folder);
    (folder, lake)
}

/// A lake that shares nothing with another of the same folder but the files.
pub(crate) fn open(folder: &tempfile::TempDir) -> Lake {
    Lake::open(folder.path().to_str().unwrap(), &BTreeMap::new()).unwrap()
}

pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
    ]))
}

pub(crate) fn rows(ids: &[i64]) -> RecordBatch {
    let names: Vec<String> = ids.iter().map(|id| format!("name {id}")).collect();
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(ids.to_vec())), Arc::new(StringArray::from(names))];
    RecordBatch::try_new(schema(), columns).unwrap()
}

pub(crate) async fn stage_batch(lake: &Lake, batch: &RecordBatch) -> Vec<StagedFile> {
    let mut writer = lake.writer(&table(), batch.schema(), WriteOptions::default());
    writer.write(batch).unwrap();
    writer.finish().await.unwrap()
}

pub(crate) async fn stage(lake: &Lake, ids: &[i64]) -> Vec<StagedFile> {
    stage_batch(lake, &rows(ids)).await
}

pub(crate) async fn latest(lake: &Lake) -> Arc<Snapshot> {
    lake.snapshot(&table(), At::Latest).await.unwrap().unwrap()
}

pub(crate) async fn create(lake: &Lake, ids: &[i64]) -> i64 {
    let add = if ids.is_empty() { Vec::new() } else { stage(lake, ids).await };
    let change = TableChange { add, schema: Some(schema()), ..TableChange::default() };
    lake.commit(&table(), None, change).await.unwrap()
}

pub(crate) async fn append(lake: &Lake, ids: &[i64]) -> i64 {
    let base = latest(lake).await;
    let change = TableChange { add: stage(lake, ids).await, ..TableChange::default() };
    lake.commit(&table(), Some(&base), change).await.unwrap()
}

pub(crate) async fn append_txn(
    lake: &Lake,
    base: &Snapshot,
    ids: &[i64],
    txn: i64,
) -> Result<i64, LakeError> {
    let txns = vec![("landing".to_owned(), txn)];
    let change = TableChange { add: stage(lake, ids).await, txns, ..TableChange::default() };
    lake.commit(&table(), Some(base), change).await
}

/// Replaces all rows.
pub(crate) async fn overwrite(lake: &Lake, ids: &[i64]) -> i64 {
    let base = latest(lake).await;
    let change = TableChange {
        add: stage(lake, ids).await,
        remove: base.files().to_vec(),
        operation: Operation::Overwrite,
        ..TableChange::default()
    };
    lake.commit(&table(), Some(&base), change).await.unwrap()
}

/// What maintenance reads with: a runtime whose queries have taken all of the memory that they share.
pub(crate) fn runtime(lake: &Lake) -> LocalRuntime {
    let nothing_left = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(GreedyMemoryPool::new(0)));
    let context = SessionContext::new_with_config_rt(SessionConfig::new(), nothing_left.build_arc().unwrap());
    lake.register(&context.runtime_env()).unwrap();
    LocalRuntime::new(context.state(), Vec::new())
}

pub(crate) fn session(lake: &Lake) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(2);
    let context = SessionContext::new_with_config(config);
    lake.register(&context.runtime_env()).unwrap();
    context
}

/// The sorted ids of some files.
pub(crate) async fn ids_of(lake: &Lake, schema: SchemaRef, files: &[DataFile]) -> Vec<i64> {
    let provider = LakeTable::new(lake, schema, files.to_vec()).unwrap();
    let batches = session(lake).read_table(provider).unwrap().collect().await.unwrap();
    let mut ids: Vec<i64> = batches
        .iter()
        .flat_map(|batch| {
            let ids = batch.column_by_name("id").unwrap();
            ids.as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec()
        })
        .collect();
    ids.sort_unstable();
    ids
}

pub(crate) async fn ids(lake: &Lake, at: At) -> Vec<i64> {
    let snapshot = lake.snapshot(&table(), at).await.unwrap().unwrap();
    ids_of(lake, snapshot.schema(), snapshot.files()).await
}

/// The folder of the table, which others write to in some tests.
pub(crate) fn table_folder(folder: &TempDir) -> PathBuf {
    folder.path().join("silver/orders")
}

pub(crate) fn commit_file(folder: &TempDir, version: i64) -> PathBuf {
    table_folder(folder).join(format!("_delta_log/{version:020}.json"))
}

/// A commit of another writer, as it stands in the log: one action a line.
pub(crate) fn write_commit(folder: &TempDir, version: i64, actions: &[Value]) {
    let path = commit_file(folder, version);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let lines: Vec<String> = actions.iter().map(Value::to_string).collect();
    fs::write(path, lines.join("\n")).unwrap();
}

/// The actions of one kind in one commit.
pub(crate) fn actions(folder: &TempDir, version: i64, kind: &str) -> Vec<Value> {
    let log = fs::read_to_string(commit_file(folder, version)).unwrap();
    let actions = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    actions.filter_map(|action| action.get(kind).cloned()).collect()
}

pub(crate) fn protocol() -> Value {
    json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}})
}

/// One field of a schema string.
pub(crate) fn field(name: &str, kind: &str) -> Value {
    json!({"name": name, "type": kind, "nullable": true, "metadata": {}})
}

/// A table's identity with these fields and settings.
pub(crate) fn metadata(fields: &[Value], configuration: Value) -> Value {
    let schema = json!({"type": "struct", "fields": fields});
    json!({"metaData": {
        "id": "5fba94ed-9794-4965-ba6e-6ee3c0d22af9",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": schema.to_string(),
        "partitionColumns": [],
        "configuration": configuration,
    }})
}

/// Protocol and identity of a table of `(id, name)`.
pub(crate) fn definition() -> Vec<Value> {
    vec![protocol(), metadata(&[field("id", "long"), field("name", "string")], json!({}))]
}

/// Writes a file as another writer would, and returns its `add` with such statistics.
pub(crate) fn add_batch(folder: &TempDir, name: &str, batch: &RecordBatch, stats: &Value) -> Value {
    let path = table_folder(folder).join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    json!({"add": {
        "path": name,
        "partitionValues": {},
        "size": fs::metadata(&path).unwrap().len(),
        "modificationTime": 1_700_000_000_000i64,
        "dataChange": true,
        "stats": stats.to_string(),
    }})
}

pub(crate) fn add(folder: &TempDir, name: &str, ids: &[i64]) -> Value {
    add_batch(folder, name, &rows(ids), &json!({"numRecords": ids.len()}))
}

/// The `remove` that takes away what `add` says.
pub(crate) fn remove(add: &Value) -> Value {
    json!({"remove": {"path": add["add"]["path"], "deletionTimestamp": 1_700_000_000_000i64, "dataChange": true}})
}

/// Makes a file as old as if it had been written at that instant.
pub(crate) fn written_at(path: &std::path::Path, ms: i64) {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(ms.try_into().unwrap());
    fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}
