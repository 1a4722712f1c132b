//! Label rows from a query or a file, in an order that is the same each time.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, SchemaRef, TimeUnit},
};
use futures::{StreamExt, TryStreamExt, stream};
use millstream_connector::{
    Block, BuildContext, Connector, ConnectorError, FoundColumn, ReadRequest, column_type,
};
use millstream_features::view::ServiceDefinition;
use millstream_project::{AsKnown, DatasetSpec};
use millstream_quality::{
    Contract, ContractColumn, ContractOptions, QualityError, RejectedRows, Relations, Sources,
};
use millstream_sql::SqlSession;
use millstream_types::{Field, POSITION, RunId, Severity, TimestampMicros};
use millstream_usage::charged;
use tokio::task::spawn_blocking;

use crate::{EngineError, Project, run::chain};

const KINDS: &str = "labels are read from Parquet, Avro, CSV with a header line, or JSON lines";

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

/// The rows of a query, in an order that is the same each time.
pub(super) async fn of_query(session: &SqlSession, sql: &str) -> Result<Labels, EngineError> {
    let rows = session.query_in_order(sql).await.map_err(EngineError::Query)?;
    Ok(Labels { schema: rows.schema(), rows: rows.map_err(EngineError::rows).boxed() })
}

/// The types of the label columns that the definitions decide, for files of text, which do not name types.
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

/// The file of a dataset's labels, with the connector that reads files of sources, so that a file means the same as labels
/// and as a source.
pub(super) struct LabelFile {
    path: String,
    connector: Arc<dyn Connector>,
}

impl LabelFile {
    /// The file of `dataset`, whose options were checked with the project.
    pub(super) fn of(project: &Project, dataset: &str, path: &str) -> Result<Self, EngineError> {
        let context = BuildContext::new(project.spec.root.clone());
        let config = project.label_files.get(dataset);
        let config = config.ok_or(EngineError::Worker { doing: "looking for a label file" })?;
        let file = |connector| Self { path: path.to_owned(), connector };
        config.build(&context).map(file).map_err(|error| unreadable(path, &error))
    }

    /// The rows of the file. A column has the type that the file declares, else the one that is decided, else the one that a
    /// sample shows. A value that does not fit, or would lose digits, is an error, because every label row is part of the
    /// dataset.
    pub(super) async fn labels(self, decided: &BTreeMap<String, DataType>) -> Result<Labels, EngineError> {
        let Self { path, connector } = self;
        let failed = |error: ConnectorError| unreadable(&path, &error);
        let found = connector.discover(&[]).await.map_err(failed)?;
        let Some(part) = found.parts.first() else {
            let reason =
                found.waiting.first().map_or("there is no such file", |waiting| waiting.reason.as_str());
            return Err(fault(&path, reason.to_owned()));
        };
        if found.parts.len() > 1 {
            return Err(fault(&path, format!("the path means {} files", found.parts.len())));
        }
        let columns = connector.describe(part).await.map_err(failed)?;
        let columns: Vec<_> = columns.iter().map(|column| promised(column, decided)).collect();
        let options = ContractOptions {
            checks: &[],
            type_severity: Severity::Quarantine,
            relations: &Relations::new(),
            extra: &[],
            now: TimestampMicros(0),
        };
        let contract = Contract::compile(&columns, &options);
        let contract = Arc::new(contract.map_err(|error| fault(&path, error.to_string()))?);
        let fields = columns
            .iter()
            .map(|column| Field { name: column.name.clone(), column_type: column.column_type.clone() });
        let request = ReadRequest { columns: fields.collect(), ..ReadRequest::default() };
        let blocks = connector.read(part, &request).await.map_err(failed)?;
        let schema = contract.schema().clone();
        let rows = blocks.then(move |block| {
            let (path, contract) = (path.clone(), contract.clone());
            async move {
                let block = block.map_err(|error| unreadable(&path, &error))?;
                let decoded = spawn_blocking(charged(move || rows(&path, &contract, block))).await;
                decoded.unwrap_or(Err(EngineError::Worker { doing: "reading labels" }))
            }
        });
        Ok(Labels { schema, rows: rows.boxed() })
    }
}

/// A column with the type in which it is read.
fn promised(column: &FoundColumn, decided: &BTreeMap<String, DataType>) -> ContractColumn {
    // A type that the file declares is kept; whether the column can be joined is judged with the other columns.
    let decided = decided.get(&column.name).filter(|_| !column.is_declared()).and_then(column_type);
    let inferred = decided.is_none() && !column.is_declared();
    let column_type = decided.unwrap_or_else(|| column.column_type.clone());
    ContractColumn { name: column.name.clone(), column_type, pii: false, inferred }
}

/// The rows of a block. It is an error if one of them cannot be read or does not fit.
fn rows(path: &str, contract: &Contract, block: Box<dyn Block>) -> Result<RecordBatch, EngineError> {
    let source = block.decode().map_err(|error| unreadable(path, &error))?;
    if let Some(row) = source.malformed.first() {
        return Err(fault(path, format!("row {}: {}", row.position, row.reason)));
    }
    let known = contract.schema();
    if let Some(further) = source.rows.schema().fields().iter().find(|it| known.index_of(it.name()).is_err())
    {
        let message = format!("the first rows do not have the column `{}` of later ones", further.name());
        return Err(fault(path, message));
    }
    let failed = |error: QualityError| fault(path, error.to_string());
    let evaluated = contract.evaluate(&source.rows).map_err(failed)?;
    if evaluated.rejected_count() == 0 {
        return evaluated.accepted().map_err(failed);
    }
    // The first row that does not fit is reported with the place and the reason that a rejected row would have.
    let told = RejectedRows { run: RunId::new("labels"), epoch: 0, now: TimestampMicros(0) };
    let told = told
        .build(contract, &source.rows, &evaluated, &source.positions, &Sources::One(path))
        .map_err(failed)?;
    let text = |name: &str| {
        let column = told.column_by_name(name)?;
        arrow::util::display::array_value_to_string(column, 0).ok()
    };
    let (place, reason) = (text(POSITION).unwrap_or_default(), text("_reason").unwrap_or_default());
    Err(fault(path, format!("row {place}: {reason}")))
}

fn unreadable(path: &str, error: &ConnectorError) -> EngineError {
    let hint = match error {
        ConnectorError::Refused { .. } => "the path is relative to the project's folder",
        error => error.hint().unwrap_or(KINDS),
    };
    let hint = hint.to_owned();
    // The error names the path already.
    let message = match error {
        ConnectorError::Refused { source, .. } => source.to_string(),
        ConnectorError::Broken { reason, .. } | ConnectorError::Unsupported { reason, .. } => reason.clone(),
        error => chain(error),
    };
    EngineError::LabelFile { path: path.to_owned(), message, hint }
}

fn fault(path: &str, message: String) -> EngineError {
    EngineError::LabelFile { path: path.to_owned(), message, hint: KINDS.to_owned() }
}
