//! Queries, answered by the engine.

use arrow::array::{ArrayRef, RecordBatch};
use async_trait::async_trait;
use millstream_api::query::Freshness;
use millstream_engine::{EngineError, QueryFreshness};
use millstream_server::{ApiError, ErrorKind, QueryAnswer, QueryBackend, QueryRequest};
use millstream_sql::SqlError;

use super::{Backend, backend::LoadedProject, errors::api_error};

#[async_trait]
impl QueryBackend for Backend {
    async fn query(&self, request: QueryRequest) -> Result<QueryAnswer, ApiError> {
        let live = self.live();
        let freshness = match request.freshness {
            Freshness::Committed => QueryFreshness::Committed,
            Freshness::Live => QueryFreshness::Live,
        };
        let mut rows = match live.queries.query_fresh(request.sql, freshness).await {
            Ok(rows) => rows,
            Err(error) => return Err(failed(&live, error).await),
        };
        let (schema, stale) = (rows.schema(), self.stale().among(rows.assets().iter()));
        let (mut batches, mut truncated) = (Vec::new(), false);
        let (mut rows_left, mut bytes_left) = (request.limit, request.bytes);
        while let Some(batch) = rows.next_rows().await {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return Err(failed(&live, error).await),
            };
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
        Ok(QueryAnswer { schema, batches, truncated, stale })
    }
}

/// The error of a statement, which may have met damage.
async fn failed(live: &LoadedProject, error: SqlError) -> ApiError {
    let error = EngineError::Query(error);
    live.engine.look_for_damage(&error).await;
    api_error(error)
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
