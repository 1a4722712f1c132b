//! What the project's endpoints ask of the rest of Millstream.

use async_trait::async_trait;
use millstream_api::project::ProjectAnswer;

use crate::error::ApiError;

/// The project that is at work, and taking over its files when they have changed.
#[async_trait]
pub trait ProjectBackend: Send + Sync + 'static {
    /// What is loaded.
    async fn project(&self) -> Result<ProjectAnswer, ApiError>;

    /// Reads the files again. Requests that come later are answered by what they say now; what is under way goes on as it
    /// began.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::NotReloaded`]: what was loaded before stays at work.
    async fn reload(&self) -> Result<ProjectAnswer, ApiError>;
}
