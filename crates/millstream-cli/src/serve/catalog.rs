//! The catalog: what `status` and `lineage` know.

use async_trait::async_trait;
use millstream_api::catalog::{LineageDocument, StatusDocument, TableStatusDocument};
use millstream_server::{ApiError, CatalogBackend, ErrorKind};

use super::{Backend, errors::api_error};
use crate::{
    CliError,
    commands::{lineage, status},
    project::{asset_named, table_named},
    wire::Of,
};

#[async_trait]
impl CatalogBackend for Backend {
    async fn assets(&self) -> Result<StatusDocument, ApiError> {
        Ok(StatusDocument::of(&self.live().engine.status().await.map_err(api_error)?))
    }

    async fn asset(&self, name: &str) -> Result<TableStatusDocument, ApiError> {
        let engine = &self.live().engine;
        let asset = asset_named(engine.project(), name).map_err(told)?;
        let status = engine.status().await.map_err(api_error)?;
        let known = status::known(engine, &status, &asset).await.map_err(told)?;
        Ok(TableStatusDocument::of(&known))
    }

    async fn lineage(&self, name: &str, column: Option<&str>) -> Result<LineageDocument, ApiError> {
        let live = self.live();
        let project = live.engine.project();
        let table = table_named(project, name).map_err(told)?;
        let report = millstream_sql::lineage(&project.analysis, &table, column);
        let report = report.map_err(|(message, hint)| {
            let error = ApiError::new(ErrorKind::UnknownColumn, message).with_field("column");
            match hint {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        })?;
        let read_by = lineage::read_by(project, &table);
        Ok(LineageDocument { read_by, ..LineageDocument::of(&report) })
    }
}

/// A fault of a command's own in the words of a request.
pub(super) fn told(error: CliError) -> ApiError {
    let report = match error {
        CliError::Engine(error) => return api_error(*error),
        error => error.report(),
    };
    let error = ApiError::new(ErrorKind::UnknownAsset, report.message);
    match report.hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}
