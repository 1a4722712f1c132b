//! What queries ask of the rest of Millstream.

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use async_trait::async_trait;
use millstream_api::{failures::StaleAsset, query::Freshness};

use crate::error::ApiError;

/// Statements over the project's tables.
#[async_trait]
pub trait QueryBackend: Send + Sync + 'static {
    /// Runs one statement that only reads; on threads that nothing else needs, because a statement may compute for long.
    async fn query(&self, request: QueryRequest) -> Result<QueryAnswer, ApiError>;
}

/// A statement to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryRequest {
    pub sql: String,
    /// The most rows of the answer. Further rows are cut off, and the answer says so.
    pub limit: usize,
    /// The most bytes that the answer's rows take in memory. Rows beyond them are cut off, and the answer says so.
    pub bytes: usize,
    /// Which rows of streaming sources are read.
    pub freshness: Freshness,
}

/// The rows of a statement.
#[derive(Clone, Debug)]
pub struct QueryAnswer {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
    /// Whether rows were cut off because there were more than the limits allow.
    pub truncated: bool,
    /// What the statement read that is stale.
    pub stale: Vec<StaleAsset>,
}
