//! Errors of HTTP.

use serde::Serialize;
use utoipa::ToSchema;

use crate::ingest::RowFault;

/// The one shape of errors.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    pub error: ErrorDetail,
}

/// An error in a response.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// Stable: `MS-` and four digits.
    pub code: &'static str,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The field of the request that is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The rows of the request that are at fault, the first ones of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RowFault>,
}
