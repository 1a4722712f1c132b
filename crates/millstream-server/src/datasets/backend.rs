//! What the datasets' endpoints ask of the rest of Millstream.

use std::pin::Pin;

use async_trait::async_trait;
use millstream_api::{
    datasets::{DatasetBuildAnswer, DatasetInfo},
    failures::StaleAsset,
};
use tokio::io::AsyncRead;

use crate::{error::ApiError, jobs::JobReporter};

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

    /// The names of the datasets that the project defines.
    fn defined(&self) -> Vec<String>;

    /// Builds a dataset, and ends soon after `job` is cancelled.
    async fn build(&self, name: &str, job: JobReporter) -> Result<DatasetBuildAnswer, ApiError>;
}

/// A dataset's Parquet file.
pub struct DatasetReader {
    pub bytes: Pin<Box<dyn AsyncRead + Send>>,
    pub length: Option<u64>,
    pub version: String,
    /// The dataset itself, if this is its newest version and stale.
    pub stale: Option<StaleAsset>,
}

impl std::fmt::Debug for DatasetReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatasetReader")
            .field("length", &self.length)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
