//! `query --output … --json`.

use serde::Serialize;

/// What a query wrote into a file. Without `--output`, the rows themselves are the document.
#[derive(Clone, Debug, Serialize)]
pub struct QueryDocument {
    /// The file, as it was named.
    pub output: String,
    pub rows: u64,
}
