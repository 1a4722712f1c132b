//! Labels, views and plans for tests, and the dataset that came of them.

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, Float64Array, Int64Array, RecordBatch, RecordBatchReader, StringArray,
        TimestampMicrosecondArray,
    },
    compute::concat_batches,
    datatypes::{DataType, Field, Schema},
    util::display::array_value_to_string,
};
use millstream_features::{
    aggregate::Aggregation,
    view::{
        ColumnDefinition, EntityDefinition, FeatureDefinition, FeatureSource, FeatureValue, KeyDefinition,
        ServiceDefinition, ServiceFeature, ViewDefinition,
    },
    window::{Measure, Operand},
};
use millstream_ml::{
    Cause, DatasetError,
    dataset::{Built, DatasetPlan, LabelColumns, Resources, Rows, build},
};
use millstream_types::{Span, TimestampMicros};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const DAY: i64 = 86_400 * SECOND;

pub(crate) fn times(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

pub(crate) fn ints(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Int64Array>())
}

pub(crate) fn floats(values: impl IntoIterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Float64Array>())
}

pub(crate) fn texts<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<StringArray>())
}

pub(crate) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<_> =
        columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// A view of customers with a newest value (`amount`), a count of all events (`orders`) and a sum over 7 days
/// (`spend_7d`), from events of one float column.
pub(crate) fn view(name: &str, key: DataType) -> ViewDefinition {
    let window = |aggregation, column, window| FeatureValue::Window {
        measure: Measure::One(Operand::new(aggregation, column)),
        window,
    };
    let feature = |name: &str, value, data_type| FeatureDefinition {
        name: name.into(),
        value,
        data_type,
        default: None,
    };
    ViewDefinition {
        name: name.into(),
        entity: "customer".into(),
        keys: vec![KeyDefinition { name: "customer_id".into(), data_type: key }],
        query: format!("SELECT * FROM silver.{name}"),
        ttl: None,
        include_same_instant: false,
        columns: vec![ColumnDefinition { sql: "amount".into(), data_type: DataType::Float64 }],
        features: vec![
            feature("amount", FeatureValue::Newest(0), DataType::Float64),
            feature("orders", window(Aggregation::Count, None, None), DataType::Int64),
            feature(
                "spend_7d",
                window(Aggregation::Sum, Some(0), Some("7d".parse::<Span>().unwrap())),
                DataType::Float64,
            ),
        ],
        rows: millstream_features::view::RowDefinition::default(),
    }
}

/// Events of [`view`]: key, time, amount; known when they happened.
pub(crate) fn events(
    view: &ViewDefinition,
    keys: ArrayRef,
    time: ArrayRef,
    amounts: ArrayRef,
) -> RecordBatch {
    let sequence = ints((0..keys.len() as i64).map(Some));
    let columns = vec![keys, time.clone(), time, sequence, amounts];
    RecordBatch::try_new(view.event_schema(), columns).unwrap()
}

/// A service of all features of the views.
pub(crate) fn service(views: Vec<ViewDefinition>) -> ServiceDefinition {
    let features = views.iter().enumerate().flat_map(|(number, view)| {
        view.features.iter().enumerate().map(move |(feature, definition)| ServiceFeature {
            name: format!("{}.{}", view.name, definition.name),
            source: FeatureSource::View { view: number, feature },
        })
    });
    let features = features.collect();
    let entities = vec![EntityDefinition { name: "customer".into(), keys: views[0].keys.clone() }];
    ServiceDefinition { name: "churn_v1".into(), entities, views, features, on_demand: Vec::new() }
}

/// A plan and the rows that it is for.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) plan: DatasetPlan,
    pub(crate) labels: Vec<RecordBatch>,
    /// The batches of events of each view.
    pub(crate) events: Vec<Vec<RecordBatch>>,
}

impl World {
    /// Labels with the columns `customer_id`, `as_of` and others, all kept; those named `churned` are targets.
    pub(crate) fn new(service: ServiceDefinition, labels: RecordBatch, events: Vec<RecordBatch>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let schema = labels.schema();
        let number = |name: &str| schema.index_of(name).unwrap();
        let keys = |view: &ViewDefinition| view.keys.iter().map(|key| number(&key.name)).collect();
        let columns = LabelColumns {
            origin: "gold.labels".into(),
            blake3: None,
            keys: service.views.iter().map(keys).collect(),
            time: number("as_of"),
            as_known: None,
            kept: (0..schema.fields().len()).collect(),
            targets: schema.index_of("churned").ok().into_iter().collect(),
            schema: schema.clone(),
        };
        let plan = DatasetPlan {
            name: "churn".into(),
            labels: columns,
            service,
            split: None,
            encodings: Vec::new(),
            inputs: Vec::new(),
            code_version: "millstream 0.1.0".into(),
            output: folder.path().join("out/churn.parquet"),
            named_by_hash: false,
            now: TimestampMicros(i64::MAX),
            resources: Resources {
                memory_bytes: 1 << 30,
                spill: folder.path().into(),
                threads: NonZeroUsize::MIN,
            },
        };
        Self {
            folder,
            plan,
            labels: vec![labels],
            events: events.into_iter().map(|batch| vec![batch]).collect(),
        }
    }

    pub(crate) fn build(&self) -> Result<Built, DatasetError> {
        self.build_with(&mut |_| Ok(Vec::new()))
    }

    pub(crate) fn build_with(
        &self,
        on_demand: &mut dyn FnMut(&RecordBatch) -> Result<Vec<ArrayRef>, Cause>,
    ) -> Result<Built, DatasetError> {
        let mut events = |view: usize| -> Result<Rows<'_>, Cause> { Ok(rows(&self.events[view])) };
        build(&self.plan, rows(&self.labels), &mut events, on_demand, &|_| {})
    }

    /// Builds and reads the data file.
    pub(crate) fn data(&self) -> RecordBatch {
        self.build().unwrap();
        read(&self.plan.output)
    }

    /// What is left in the folder, without the output.
    pub(crate) fn left_over(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("out")).collect()
    }
}

pub(crate) fn rows(batches: &[RecordBatch]) -> Rows<'_> {
    Box::new(batches.iter().cloned().map(Ok))
}

pub(crate) fn read(path: &std::path::Path) -> RecordBatch {
    let file = std::fs::File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let schema = reader.schema();
    let batches: Vec<_> = reader.collect::<Result<_, _>>().unwrap();
    concat_batches(&schema, &batches).unwrap()
}

/// The same rows in batches of these sizes, over and over.
pub(crate) fn cut(rows: &RecordBatch, sizes: &[usize]) -> Vec<RecordBatch> {
    let (mut batches, mut start) = (Vec::new(), 0);
    for size in sizes.iter().cycle() {
        if start >= rows.num_rows() {
            break;
        }
        let size = (*size).max(1).min(rows.num_rows() - start);
        batches.push(rows.slice(start, size));
        start += size;
    }
    batches
}

/// The rows as text, a line each, nulls as `-`.
pub(crate) fn lines(batch: &RecordBatch) -> Vec<String> {
    let cell = |column: &ArrayRef, row: usize| {
        if column.is_null(row) { "-".into() } else { array_value_to_string(column, row).unwrap() }
    };
    let line = |row| batch.columns().iter().map(|column| cell(column, row)).collect::<Vec<_>>().join(" | ");
    (0..batch.num_rows()).map(line).collect()
}

pub(crate) fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().map(|field| field.name().clone()).collect()
}
