//! What the catalog's endpoints ask of the rest of Millstream.

use async_trait::async_trait;
use millstream_api::catalog::{LineageDocument, StatusDocument, TableStatusDocument};

use crate::error::ApiError;

/// What is known of the project's assets.
#[async_trait]
pub trait CatalogBackend: Send + Sync + 'static {
    /// Every asset, and the newest run.
    async fn assets(&self) -> Result<StatusDocument, ApiError>;

    /// All that is known of one asset.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::UnknownAsset`].
    async fn asset(&self, name: &str) -> Result<TableStatusDocument, ApiError>;

    /// Where a column of an asset comes from and who uses it; all columns if none is named.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::UnknownAsset`], [`crate::ErrorKind::UnknownColumn`].
    async fn lineage(&self, name: &str, column: Option<&str>) -> Result<LineageDocument, ApiError>;
}
