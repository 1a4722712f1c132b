//! Datasets, answered by the engine.

use std::pin::Pin;

use async_trait::async_trait;
use chrono::DateTime;
use millstream_api::{datasets::DatasetBuildAnswer, failures::StaleAsset};
use millstream_engine::DatasetRequest;
use millstream_server::{ApiError, DatasetBackend, DatasetInfo, DatasetReader, JobReporter, ValueInfo};
use millstream_types::TimestampMicros;

use super::{Backend, errors::api_error, progress};
use crate::wire::Of;

#[async_trait]
impl DatasetBackend for Backend {
    async fn datasets(&self) -> Result<Vec<DatasetInfo>, ApiError> {
        let built = self.live().engine.datasets().await.map_err(api_error)?;
        let stale = self.stale();
        let described = built.into_iter().map(|built| DatasetInfo {
            stale: stale.of_dataset(&built.dataset).map(|stale| stale.mark),
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
        let (built, file) = self.live().engine.open_dataset(name, version).await.map_err(api_error)?;
        let bytes: Pin<Box<dyn tokio::io::AsyncRead + Send>> = Box::pin(tokio::fs::File::from_std(file));
        let length = Some(built.manifest.data.bytes);
        // An earlier version that was asked for by name is what it should be.
        let stale = version.is_none().then(|| self.stale().of_dataset(name)).flatten();
        Ok(DatasetReader { bytes, length, version: built.version.to_string(), stale })
    }

    fn defined(&self) -> Vec<String> {
        self.live().engine.project().spec.datasets.iter().map(|dataset| dataset.name.clone()).collect()
    }

    async fn build(&self, name: &str, job: JobReporter) -> Result<DatasetBuildAnswer, ApiError> {
        let live = self.live();
        let request = DatasetRequest {
            name: name.to_owned(),
            output: None,
            memory_bytes: live.memory_bytes,
            command: format!("POST /v1/datasets/{name}/build"),
            principal: Some(job.principal().to_owned()),
        };
        let cancel = job.cancelled().clone();
        let events = progress::begin(&live.engine, &request.command, job);
        let report = live.engine.build_dataset(&request, events, cancel).await.map_err(api_error)?;
        Ok(DatasetBuildAnswer {
            name: report.name,
            version: report.version.to_string(),
            unchanged: report.is_unchanged,
            rows: report.manifest.data.rows,
            stale: report.stale.iter().map(|(asset, stale)| StaleAsset::of((asset, stale))).collect(),
            warnings: report.warnings.iter().map(ToString::to_string).collect(),
            elapsed_ms: u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

/// RFC 3339.
fn instant(at: TimestampMicros) -> String {
    DateTime::from_timestamp_micros(at.0).map(|at| at.to_rfc3339()).unwrap_or_default()
}
