//! Datasets, answered by the engine.

use std::pin::Pin;

use async_trait::async_trait;
use chrono::DateTime;
use millstream_server::{ApiError, DatasetBackend, DatasetInfo, DatasetReader, ValueInfo};
use millstream_types::TimestampMicros;

use super::{Backend, errors::api_error};

#[async_trait]
impl DatasetBackend for Backend {
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
}

/// RFC 3339.
fn instant(at: TimestampMicros) -> String {
    DateTime::from_timestamp_micros(at.0).map(|at| at.to_rfc3339()).unwrap_or_default()
}
