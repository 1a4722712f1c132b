//! What the datasets' endpoints ask of the rest of Millstream.

use std::pin::Pin;

use async_trait::async_trait;
use serde::Serialize;
use tokio::io::AsyncRead;
use utoipa::ToSchema;

use crate::{error::ApiError, features::ValueInfo};

/// The versions of datasets, and how one is built.
#[async_trait]
pub trait DatasetBackend: Send + Sync + 'static {
    /// Datasets that can be fetched.
    async fn datasets(&self) -> Result<Vec<DatasetInfo>, ApiError>;

    /// One dataset as a Parquet file, the newest version if none is named.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::UnknownDataset`].
    async fn dataset(&self, name: &str, version: Option<&str>) -> Result<DatasetReader, ApiError>;
}

/// A dataset's Parquet file.
pub struct DatasetReader {
    pub bytes: Pin<Box<dyn AsyncRead + Send>>,
    pub length: Option<u64>,
    pub version: String,
}

impl std::fmt::Debug for DatasetReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatasetReader")
            .field("length", &self.length)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// A version of a dataset as the API describes it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DatasetInfo {
    pub name: String,
    pub version: String,
    pub rows: u64,
    pub columns: Vec<ValueInfo>,
    /// RFC 3339.
    pub built_at: String,
}
