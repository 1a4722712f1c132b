//! SQL that only reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::features::ValueInfo;

/// A statement that only reads.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryBody {
    #[schema(min_length = 1)]
    pub sql: String,
    /// At most this many rows; the server has limits of its own, one of rows and one of bytes.
    pub limit: Option<usize>,
}

/// The rows of a statement.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueryAnswer {
    pub columns: Vec<ValueInfo>,
    pub rows: Vec<BTreeMap<String, Value>>,
    pub truncated: bool,
}
