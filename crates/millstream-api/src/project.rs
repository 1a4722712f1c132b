//! The project that a server works on.

use serde::Serialize;
use utoipa::ToSchema;

/// What is loaded.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProjectAnswer {
    pub name: String,
    pub environment: String,
    /// When its files were read, RFC 3339.
    pub loaded_at: String,
    /// Whether all of it is at work; what has errors, and what depends on that, is left out.
    pub is_whole: bool,
    /// The number of its assets.
    pub assets: usize,
    /// The attempt to load it again that failed, if that was the last one. What was loaded before is still at work.
    pub failed_reload: Option<FailedReload>,
}

/// An attempt to load the project again that changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FailedReload {
    /// RFC 3339.
    pub at: String,
    pub code: String,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
