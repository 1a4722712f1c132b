//! What a world holds, as texts that can be compared: rows of all tables, positions, records, datasets, online values.
//!
//! Rows are read from the files of the newest version, not through the engine, so that a fault of its reader does not hide
//! one of its writer.

use std::{collections::BTreeMap, fs, ops::Range, path::PathBuf, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, Int64Array, RecordBatch},
    util::display::{ArrayFormatter, FormatOptions},
};
use indexmap::IndexMap;
use millstream_engine::{FeatureServer, ReadableName};
use millstream_lake::{At, Lake};
use millstream_plan::AssetKind;
use millstream_state::{Artifact, State};
use millstream_types::{SourceName, TableName};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{line::Line, world::World};

/// Lines by what they describe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents(pub BTreeMap<String, Vec<String>>);

impl Contents {
    /// Everything but these columns.
    pub(crate) async fn of(world: &World, without: &[&str]) -> Self {
        let mut contents = BTreeMap::new();
        let lake = world.lake(&Line::quiet());
        for table in lake.tables().await.unwrap() {
            contents.insert(table.to_string(), rows(world, &lake, &table, without).await);
        }
        let state = world.state().await;
        for source in &world.definition.project.spec.sources {
            let landing = state.landing(&source.name).await.unwrap();
            contents.insert(format!("landing of {}", source.name.as_str()), vec![format!("{landing:?}")]);
        }
        for (asset, recorded) in state.recorded().await.unwrap() {
            let record = format!("{:?} rows, {:?}", recorded.rows, recorded.status);
            contents.insert(format!("record of {asset}"), vec![record]);
        }
        for pin in state.pins().await.unwrap() {
            let pinned = rows_at(world, &lake, &pin.table, At::Version(pin.version), without).await;
            contents.insert(format!("{} at {} for {}", pin.table, pin.version, pin.pinned_by), pinned);
        }
        for built in datasets(&state).await {
            let hash = blake3::hash(&fs::read(dataset_file(world, &built)).unwrap_or_default());
            let name = format!("dataset {} v{}", built.name, built.version);
            contents.insert(name, vec![format!("{} {}", built.hash, hash.to_hex())]);
        }
        if world.has_online() {
            contents.insert("features".to_owned(), features(world, 1..10).await);
            contents.insert("materialized".to_owned(), materialized(world).await);
        }
        Self(contents)
    }

    /// What is different, in a few lines; nothing when all is equal.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        let mut found = Vec::new();
        let names = self.0.keys().chain(other.0.keys().filter(|name| !self.0.contains_key(*name)));
        for name in names {
            let none = Vec::new();
            let (ours, theirs) = (self.0.get(name).unwrap_or(&none), other.0.get(name).unwrap_or(&none));
            if ours != theirs {
                let only = |these: &[String], those: &[String]| -> Vec<String> {
                    these.iter().filter(|line| !those.contains(line)).take(5).cloned().collect()
                };
                found.push(format!(
                    "{name}: {} lines and {}\n  undisturbed only: {:#?}\n  disturbed only: {:#?}",
                    ours.len(),
                    theirs.len(),
                    only(ours, theirs),
                    only(theirs, ours)
                ));
            }
        }
        (!found.is_empty()).then(|| found.join("\n"))
    }
}

/// The rows of a table's newest version, sorted; empty when there is no table. Nulls are left out.
pub(super) async fn rows(world: &World, lake: &Lake, table: &TableName, without: &[&str]) -> Vec<String> {
    rows_at(world, lake, table, At::Latest, without).await
}

/// As [`rows`], of another version, which has to be readable.
pub(super) async fn rows_at(
    world: &World,
    lake: &Lake,
    table: &TableName,
    at: At,
    without: &[&str],
) -> Vec<String> {
    let Some(snapshot) = lake.snapshot(table, at).await.unwrap() else { return Vec::new() };
    let mut rows = Vec::new();
    for file in snapshot.files() {
        let path = format!("lake/{}/{}/{}", table.schema(), table.name(), file.path());
        let bytes = world.shelf.read(&path).await;
        let batches = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        for batch in batches {
            rows.extend(texts(&batch.unwrap(), without));
        }
    }
    rows.sort();
    rows
}

/// Each row as `name: value, …`, nulls left out.
pub(super) fn texts(batch: &RecordBatch, without: &[&str]) -> Vec<String> {
    let options = FormatOptions::default();
    let schema = batch.schema();
    let columns: Vec<_> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .filter(|(field, _)| !without.contains(&field.name().as_str()))
        .map(|(field, array)| {
            (field.name(), array, ArrayFormatter::try_new(array.as_ref(), &options).unwrap())
        })
        .collect();
    let text = |row: usize| {
        let values = columns.iter().filter(|(_, array, _)| array.is_valid(row));
        values.map(|(name, _, text)| format!("{name}: {}", text.value(row))).collect::<Vec<_>>().join(", ")
    };
    (0..batch.num_rows()).map(text).collect()
}

/// Every feature of every service for these customers, as a request reads them now.
pub(super) async fn features(world: &World, customers: Range<i64>) -> Vec<String> {
    let engine = world.engine(&Line::quiet()).await;
    let server = FeatureServer::open(&engine, 0.0).await.unwrap();
    let ids: Vec<i64> = customers.collect();
    let keys: ArrayRef = Arc::new(Int64Array::from(ids.clone()));
    let columns = IndexMap::from([("customer_id".to_owned(), keys)]);
    let mut lines = Vec::new();
    for service in server.services() {
        let named = ReadableName::Service { name: &service.name, version: Some(service.version) };
        let readable = server.readable(named).unwrap();
        for column in server.read(&readable, &columns, ids.len(), None, None).await.unwrap() {
            let options = FormatOptions::default().with_null("-");
            let values = ArrayFormatter::try_new(column.values.as_ref(), &options).unwrap();
            let values: Vec<_> = (0..ids.len())
                .map(|row| format!("{} {:?}", values.value(row), column.statuses[row]))
                .collect();
            lines.push(format!("{}.{}: {}", service.name, column.name, values.join(", ")));
        }
    }
    lines
}

/// What the online store says it has of each view.
async fn materialized(world: &World) -> Vec<String> {
    let engine = world.engine(&Line::quiet()).await;
    let views = engine.features().await.unwrap().views;
    let told = views.iter().map(|view| match &view.materialized {
        Some(done) => {
            let (begun, until) = (done.under_way.is_some(), done.watermark);
            format!(
                "{}: {} rows of {:?} until {until:?}, begun: {begun}",
                view.name, done.rows, done.versions
            )
        }
        None => format!("{}: never", view.name),
    });
    told.collect()
}

/// The file of a recorded dataset.
fn dataset_file(world: &World, built: &Artifact) -> PathBuf {
    world.definition.project.spec.root.join(built.location.as_ref().unwrap())
}

/// What is recorded of datasets, by name and version.
pub(super) async fn datasets(state: &State) -> Vec<Artifact> {
    state.artifacts(AssetKind::new("dataset")).await.unwrap()
}

/// The rows of the newest version of a dataset, in their order. Nulls are left out.
pub(super) async fn dataset(world: &World, name: &str) -> Vec<String> {
    let built = datasets(&world.state().await).await;
    let Some(newest) = built.iter().rfind(|built| built.name == name) else { return Vec::new() };
    let file = fs::File::open(dataset_file(world, newest)).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    batches.flat_map(|batch| texts(&batch.unwrap(), &[])).collect()
}

/// The recorded schemas of a source's table.
pub(super) async fn schemas(world: &World, source: &str) -> Vec<String> {
    let table = TableName::new("bronze", source).unwrap();
    let versions = world.state().await.schema_versions(&table).await.unwrap();
    versions.iter().map(|version| format!("schema {}: {}", version.version, version.change)).collect()
}

/// How far a source was landed, for messages and cases.
pub(super) async fn positions(world: &World, source: &str) -> Vec<String> {
    let source = SourceName::new(source).unwrap();
    let landing = world.state().await.landing(&source).await.unwrap();
    landing.parts.iter().map(|part| format!("{} up to {}", part.id, part.position)).collect()
}
