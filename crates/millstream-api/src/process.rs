//! The server itself.

use serde::Serialize;
use utoipa::ToSchema;

use crate::project::FailedReload;

/// What runs here.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct VersionAnswer {
    pub name: &'static str,
    pub version: &'static str,
}

/// Whether requests can be answered, and what is missing.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Readiness {
    pub ready: bool,
    /// What is waited for, in words.
    pub waiting_for: Vec<String>,
    /// The attempt to load the project again that failed, if that was the last one. What was loaded before answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_reload: Option<FailedReload>,
    /// How many assets are stale; absent while that is not known. Nothing waits for them, and `GET /v1/assets` names them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale: Option<usize>,
}
