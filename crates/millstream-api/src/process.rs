//! The server itself.

use serde::Serialize;
use utoipa::ToSchema;

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
}
