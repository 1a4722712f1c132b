//! Label rows from a query or a file, in one order.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{BufReader, Read},
    path::Path,
    sync::Arc,
};

use arrow::{
    array::RecordBatch,
    csv,
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    error::ArrowError,
    json,
};
use futures::{StreamExt, TryStreamExt, stream};
use millstream_features::view::ServiceDefinition;
use millstream_project::{AsKnown, DatasetSpec};
use millstream_sql::SqlSession;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::EngineError;

/// Rows of a file that are read at once, and looked at to tell the types of a text file.
const BATCH_ROWS: usize = 65_536;
const SAMPLE_ROWS: usize = 10_000;

/// A stream of label rows as they are found.
pub(super) struct Labels {
    pub schema: SchemaRef,
    pub rows: stream::BoxStream<'static, Result<RecordBatch, EngineError>>,
}

impl std::fmt::Debug for Labels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Labels").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// The rows of a query, in one order.
pub(super) async fn of_query(session: &SqlSession, sql: &str) -> Result<Labels, EngineError> {
    let rows = session.query_in_order(sql).await.map_err(EngineError::Query)?;
    Ok(Labels { schema: rows.schema(), rows: rows.map_err(EngineError::rows).boxed() })
}

/// The types of columns of labels that the definitions decide: a text file does not say them.
pub(super) fn decided(spec: &DatasetSpec, service: &ServiceDefinition) -> BTreeMap<String, DataType> {
    let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut types: BTreeMap<String, DataType> =
        service.request().into_iter().map(|value| (value.name, value.data_type)).collect();
    for key in service.entities.iter().flat_map(|entity| &entity.keys) {
        let column = spec.labels.keys.get(&key.name).map_or(&key.name, |column| &column.value);
        types.insert(column.clone(), key.data_type.clone());
    }
    types.insert(spec.labels.time.value.clone(), instant());
    if let Some(AsKnown::Column(column)) = spec.as_known.as_ref().map(|known| &known.value) {
        types.insert(column.clone(), instant());
    }
    types
}

/// The schema of a text file with the types that are decided. A time that reads as one already stays as precise as it is.
fn typed(found: &Schema, decided: &BTreeMap<String, DataType>) -> SchemaRef {
    let field = |field: &Arc<Field>| match decided.get(field.name()) {
        Some(DataType::Timestamp(..)) if *field.data_type() != DataType::Utf8 => field.clone(),
        Some(decided) => Arc::new(field.as_ref().clone().with_data_type(decided.clone())),
        None => field.clone(),
    };
    Arc::new(Schema::new(found.fields().iter().map(field).collect::<Vec<_>>()))
}

/// A name that two columns share. Columns without one, as spreadsheets write them, are nobody's.
fn repeated(schema: &Schema) -> Option<&str> {
    let mut seen = HashSet::new();
    let mut names = schema.fields().iter().map(|field| field.name().as_str());
    names.find(|name| !name.is_empty() && !seen.insert(*name))
}

/// A Parquet, CSV (with a header) or JSON lines file; `path` as written, relative to `root`.
pub(super) fn of_file(
    path: &str,
    root: &Path,
    decided: &BTreeMap<String, DataType>,
) -> Result<Labels, EngineError> {
    let full = root.join(path);
    let fault = |message: String, hint: &str| EngineError::LabelFile {
        path: path.to_owned(),
        message,
        hint: hint.to_owned(),
    };
    let unreadable =
        |source: std::io::Error| fault(source.to_string(), "the path is relative to the project's folder");
    let kinds = "labels are read from Parquet, CSV with a header line, or JSON lines";
    let malformed = |source: ArrowError| fault(source.to_string(), kinds);
    let file = || File::open(&full).map_err(unreadable);
    let ending = full.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    let (schema, batches): (SchemaRef, Batches) = match ending.as_str() {
        "parquet" => {
            let reader = ParquetRecordBatchReaderBuilder::try_new(file()?)
                .and_then(|builder| builder.with_batch_size(BATCH_ROWS).build())
                .map_err(|source| malformed(source.into()))?;
            (arrow::array::RecordBatchReader::schema(&reader), Box::new(reader))
        }
        "csv" => {
            let format = csv::reader::Format::default().with_header(true);
            let (schema, _) = format.infer_schema(file()?, Some(SAMPLE_ROWS)).map_err(malformed)?;
            if let Some(name) = repeated(&schema) {
                let hint = "give each column of the header a name of its own";
                return Err(fault(format!("two columns are called `{name}`"), hint));
            }
            let schema = typed(&schema, decided);
            let builder = csv::ReaderBuilder::new(schema.clone()).with_format(format);
            let reader = builder.with_batch_size(BATCH_ROWS).build(file()?).map_err(malformed)?;
            (schema, Box::new(reader))
        }
        "json" | "jsonl" | "ndjson" => {
            let open = || file().map(BufReader::new);
            let is_space = |byte: &u8| byte.is_ascii_whitespace();
            let start = open()?.bytes().map_while(Result::ok).find(|byte| !is_space(byte));
            if start == Some(b'[') {
                return Err(fault("it is one JSON array, not an object a line".to_owned(), kinds));
            }
            let (schema, _) =
                json::reader::infer_json_schema(open()?, Some(SAMPLE_ROWS)).map_err(malformed)?;
            let schema = typed(&schema, decided);
            let builder = json::ReaderBuilder::new(schema.clone()).with_batch_size(BATCH_ROWS);
            (schema, Box::new(builder.build(open()?).map_err(malformed)?))
        }
        _ => return Err(fault("the kind of file is unknown".to_owned(), kinds)),
    };
    let name = path.to_owned();
    let rows = batches.map(move |batch| {
        batch.map_err(|error| EngineError::LabelFile {
            path: name.clone(),
            message: error.to_string(),
            hint: "the types of a text file are told from its first rows; write Parquet to name them"
                .to_owned(),
        })
    });
    Ok(Labels { schema, rows: stream::iter(rows).boxed() })
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;
