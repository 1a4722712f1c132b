//! SQL that only reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{failures::StaleAsset, features::ValueInfo};

/// A statement that only reads.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryBody {
    #[schema(min_length = 1)]
    pub sql: String,
    /// At most this many rows; the server has limits of its own, one of rows and one of bytes.
    pub limit: Option<usize>,
    /// Which rows of streaming sources are read: with those that have not landed yet, unless `committed` is asked for.
    pub freshness: Option<Freshness>,
}

/// Which rows of streaming sources a statement reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Freshness {
    /// Those that have landed.
    Committed,
    /// Those too that are only in the event log yet.
    #[default]
    Live,
}

/// The rows of a statement.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueryAnswer {
    pub columns: Vec<ValueInfo>,
    pub rows: Vec<BTreeMap<String, Value>>,
    pub truncated: bool,
    /// What the statement read that is stale; absent when nothing is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<StaleAsset>,
}
