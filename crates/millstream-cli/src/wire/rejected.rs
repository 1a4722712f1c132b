//! `rejected --json`.

use millstream_engine::RejectedGroup;
use millstream_types::TableName;
use serde::Serialize;
use serde_json::Value;

/// A table's rejected rows by reason.
#[derive(Clone, Debug, Serialize)]
pub struct RejectedDocument {
    pub table: String,
    pub rows: u64,
    pub groups: Vec<RejectedByCheck>,
}

/// The rows whose first broken check is this one.
#[derive(Clone, Debug, Serialize)]
pub struct RejectedByCheck {
    pub check: String,
    pub rows: u64,
    /// How many of these rows belong to a step that was halted, which commits nothing else.
    pub halted: u64,
    pub examples: Vec<RejectedRow>,
}

/// One rejected row.
#[derive(Clone, Debug, Serialize)]
pub struct RejectedRow {
    pub reason: String,
    pub source: Option<String>,
    pub position: Option<i64>,
    /// The original values as an object; the raw text of a malformed row as a string.
    pub row: Value,
}

impl RejectedDocument {
    #[must_use]
    pub fn new(table: &TableName, groups: &[RejectedGroup]) -> Self {
        let groups: Vec<RejectedByCheck> = groups
            .iter()
            .map(|group| RejectedByCheck {
                check: group.check.clone(),
                rows: group.rows,
                halted: group.halted,
                examples: group
                    .examples
                    .iter()
                    .map(|example| RejectedRow {
                        reason: example.reason.clone(),
                        source: example.source.clone(),
                        position: example.position,
                        row: serde_json::from_str(&example.row)
                            .ok()
                            .filter(Value::is_object)
                            .unwrap_or_else(|| Value::String(example.row.clone())),
                    })
                    .collect(),
            })
            .collect();
        Self { table: table.to_string(), rows: groups.iter().map(|group| group.rows).sum(), groups }
    }
}
