//! `query --output … --json`.

use millstream_api::failures::StaleAsset;
use serde::Serialize;

/// What a query wrote into a file. Without `--output`, the rows themselves are the document.
#[derive(Clone, Debug, Serialize)]
pub struct QueryDocument {
    /// The file, as it was named.
    pub output: String,
    pub rows: u64,
    /// What the statement read that is stale; absent when nothing is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<StaleAsset>,
}
