//! What the server asks, answered by the engine.

use std::{mem::ManuallyDrop, num::NonZeroUsize, pin::Pin, sync::Arc};

use arrow::array::{ArrayRef, RecordBatch};
use async_trait::async_trait;
use chrono::DateTime;
use millstream_engine::{Engine, FeatureServer, MaterializeRequest as Views, PushTo, Queries, ReadableName};
use millstream_server::{
    ApiError, DatasetInfo, DatasetReader, EntitySchema, ErrorKind, FeatureBackend, MaterializeAnswer,
    MaterializeRequest, PushAnswer, PushRequest, PushSchema, PushTarget, QueryAnswer, QueryRequest,
    ReadAnswer, ReadRequest, ReadTarget, Readiness, ServiceInfo, ValueInfo, ViewFailed, ViewInfo,
    ViewMaterialized,
};
use millstream_sql::SqlError;
use millstream_types::{Percent, TableName, TimestampMicros};
use tokio_util::sync::CancellationToken;

use super::{
    answers, describe,
    errors::{api_error, api_error_in},
};
use crate::{CliError, project::cores};

/// The engine as a server's backend.
#[derive(Debug)]
pub(crate) struct Backend {
    engine: Engine,
    features: FeatureServer,
    /// The threads of the queries end with the process: one that ends while it is let go may be touched once more.
    queries: ManuallyDrop<Queries>,
}

impl Backend {
    /// Loads every service that is served; `sample` is the share of the reads that are kept for comparison.
    pub(crate) async fn open(engine: &Engine, sample: Percent) -> Result<Self, CliError> {
        let features = FeatureServer::open(engine, sample.fraction()).await?;
        // One core is left to everything else that the server answers.
        let threads = NonZeroUsize::new(cores().get() - 1).unwrap_or(NonZeroUsize::MIN);
        let queries = ManuallyDrop::new(Queries::open(engine, threads)?);
        Ok(Self { engine: engine.clone(), features, queries })
    }

    /// Views without any rows in the online store.
    pub(crate) async fn never_materialized(&self) -> Result<Vec<String>, CliError> {
        Ok(self.features.never_materialized().await?)
    }

    /// Tables of pushed rows that no view reads.
    pub(crate) async fn unread_pushes(&self) -> Result<Vec<TableName>, CliError> {
        Ok(self.features.unread_pushes().await?)
    }

    /// Writes what is still in memory.
    pub(crate) async fn close(&self) -> Result<(), CliError> {
        Ok(self.features.close().await?)
    }
}

fn readable_name(target: &ReadTarget) -> ReadableName<'_> {
    match target {
        ReadTarget::Service { name, version } => {
            ReadableName::Service { name, version: version.map(i64::from) }
        }
        ReadTarget::Features(features) => ReadableName::Features(features),
    }
}

#[async_trait]
impl FeatureBackend for Backend {
    fn services(&self) -> Vec<ServiceInfo> {
        describe::services(self.features.services(), self.engine.project())
    }

    fn views(&self) -> Vec<ViewInfo> {
        let views = self.features.views();
        views.map(|definition| describe::view(definition, self.engine.project())).collect()
    }

    fn entity_schema(&self, target: &ReadTarget) -> Result<EntitySchema, ApiError> {
        let readable = self.features.readable(readable_name(target)).map_err(api_error)?;
        let (keys, request) = (readable.keys.clone(), readable.request.clone());
        Ok(EntitySchema { keys, request, features: readable.definition.features.len() })
    }

    async fn read(&self, request: ReadRequest) -> Result<ReadAnswer, ApiError> {
        let readable = self.features.readable(readable_name(&request.target)).map_err(api_error)?;
        let columns = self
            .features
            .read(&readable, &request.entities, request.rows, request.at, request.encoding.as_deref())
            .await
            .map_err(|error| api_error_in("entities", error))?;
        Ok(ReadAnswer {
            columns: columns.into_iter().map(answers::column).collect(),
            service_version: readable.version.and_then(|version| u32::try_from(version).ok()),
        })
    }

    fn push_schema(&self, name: &str) -> Result<PushSchema, ApiError> {
        self.features.view(name).map(describe::push_schema).map_err(api_error)
    }

    async fn push(&self, request: PushRequest) -> Result<PushAnswer, ApiError> {
        let to = match request.to {
            PushTarget::Online => PushTo::Online,
            PushTarget::Offline => PushTo::Offline,
            PushTarget::OnlineAndOffline => PushTo::OnlineAndOffline,
        };
        let rows = self.features.push(&request.name, request.rows, to).await;
        let rows = rows.map_err(|error| api_error_in("rows", error))?;
        Ok(PushAnswer { rows })
    }

    async fn materialize(&self, request: MaterializeRequest) -> Result<MaterializeAnswer, ApiError> {
        let MaterializeRequest { views, end, incremental } = request;
        let command = "POST /v1/materialize".to_owned();
        let views = Views { views, full: !incremental, alone: false, until: end, command };
        let cancel = CancellationToken::new();
        let _cancel_when_dropped = cancel.clone().drop_guard();
        let told = Arc::new(|_: &millstream_engine::MaterializeProgress| {});
        let done = self.features.materialize(&views, told, cancel).await.map_err(api_error)?;
        let mut failed = Vec::new();
        for failure in done.failures {
            let error = api_error(failure.error);
            if failure.is_current {
                return Err(error);
            }
            let (code, hint) = (error.code().to_owned(), error.hint().map(str::to_owned));
            failed.push(ViewFailed { view: failure.view, code, message: error.to_string(), hint });
        }
        let views = done.reports.into_iter().map(|report| ViewMaterialized {
            view: report.view,
            rows: report.rows,
            left_out: report.left_out,
            table_version: report.versions.values().next().copied(),
        });
        Ok(MaterializeAnswer { views: views.collect(), failed })
    }

    async fn query(&self, request: QueryRequest) -> Result<QueryAnswer, ApiError> {
        let failed = |error: SqlError| api_error(millstream_engine::EngineError::Query(error));
        let mut rows = self.queries.query(request.sql, None).await.map_err(failed)?;
        let schema = rows.schema();
        let (mut batches, mut truncated) = (Vec::new(), false);
        let (mut rows_left, mut bytes_left) = (request.limit, request.bytes);
        while let Some(batch) = rows.next_rows().await {
            let batch = batch.map_err(failed)?;
            let taken = fitting(&batch, rows_left, bytes_left);
            truncated = taken.num_rows() < batch.num_rows();
            if truncated && rows_left > 0 && rows_left == request.limit && taken.num_rows() == 0 {
                let message = format!("the first row is larger than {} bytes", request.bytes);
                return Err(ApiError::new(ErrorKind::BadQuery, message).with_hint("read fewer columns"));
            }
            rows_left -= taken.num_rows();
            bytes_left = bytes_left.saturating_sub(bytes_of(&taken));
            batches.push(taken);
            if truncated {
                break;
            }
        }
        Ok(QueryAnswer { schema, batches, truncated })
    }

    async fn datasets(&self) -> Result<Vec<DatasetInfo>, ApiError> {
        let built = self.engine.datasets().await.map_err(api_error)?;
        let described = built.into_iter().map(|built| DatasetInfo {
            name: built.dataset,
            version: built.version.to_string(),
            rows: built.rows,
            columns: built
                .columns
                .into_iter()
                .map(|(name, data_type)| ValueInfo { name, data_type })
                .collect(),
            built_at: instant(built.at),
        });
        Ok(described.collect())
    }

    async fn dataset(&self, name: &str, version: Option<&str>) -> Result<DatasetReader, ApiError> {
        let (built, file) = self.engine.open_dataset(name, version).await.map_err(api_error)?;
        let bytes: Pin<Box<dyn tokio::io::AsyncRead + Send>> = Box::pin(tokio::fs::File::from_std(file));
        let length = Some(built.manifest.data.bytes);
        Ok(DatasetReader { bytes, length, version: built.version.to_string() })
    }

    async fn ready(&self) -> Readiness {
        match self.features.never_materialized().await {
            Ok(waiting_for) => Readiness { ready: waiting_for.is_empty(), waiting_for },
            Err(error) => {
                let waiting_for = vec![format!("the online store ({})", api_error(error))];
                Readiness { ready: false, waiting_for }
            }
        }
    }
}

/// The first rows of the batch that are within both bounds.
fn fitting(batch: &RecordBatch, rows: usize, bytes: usize) -> RecordBatch {
    let mut taken = batch.slice(0, batch.num_rows().min(rows));
    while taken.num_rows() > 0 && bytes_of(&taken) > bytes {
        taken = taken.slice(0, taken.num_rows() / 2);
    }
    taken
}

/// The memory that a batch's rows take, without what its buffers hold of other rows.
fn bytes_of(batch: &RecordBatch) -> usize {
    let column = |column: &ArrayRef| {
        column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    };
    batch.columns().iter().map(column).sum()
}

/// RFC 3339.
fn instant(at: TimestampMicros) -> String {
    DateTime::from_timestamp_micros(at.0).map(|at| at.to_rfc3339()).unwrap_or_default()
}
