//! What the engine writes beside each commit, so that the lake alone tells what happened.
//!
//! It is stored as JSON in the commit's `commitInfo`. The state store holds the same facts; when it is
//! behind (a crash between commit and record, or a lost file) they are read back from here.

use std::collections::BTreeMap;

use millstream_connector::KnownPart;
use millstream_types::{AssetId, AssetVersion, Fingerprint, RunId, TimestampMicros};
use serde::{Deserialize, Serialize};

use crate::EngineError;

/// The application id of the transaction that counts landings of a source; its version is the epoch.
pub(crate) const LANDING_TXN: &str = "landing";
/// The application id of the transaction that counts the commits of a continuous table's pipeline, on the table and on its table of
/// late rows; its version is the epoch.
pub(crate) const PIPELINE_TXN: &str = "pipeline";
/// The application id of the transaction that counts builds of a SQL table.
pub(crate) const BUILD_TXN: &str = "build";
/// The application id, on a bronze table, of the transaction whose version says which version of the rejected table was
/// reprocessed last; see [`crate::publish::taken`].
pub(crate) const REPROCESS_TXN: &str = "reprocess";
/// The application id, on a table and on its table of rejected rows, of the transaction whose version is the last epoch that
/// rejected rows. A table of rejected rows that is behind its table in this has lost rows.
pub(crate) const REJECTED_TXN: &str = "rejected";

/// The application id, on a table and on its table of rejected rows, of the transaction whose version counts the commits that
/// made earlier rejected rows obsolete. A table of rejected rows that is behind its table in this still has them.
pub(crate) const OUTDATED_TXN: &str = "outdated";

/// The format of [`CommitInfo`]; a reader refuses a higher one.
const FORMAT: u32 = 1;

/// The facts of one commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CommitInfo {
    format: u32,
    pub run: RunId,
    pub at: TimestampMicros,
    pub fingerprint: Fingerprint,
    pub rows_written: u64,
    pub rows_rejected: u64,
    /// The rejected rows of earlier epochs that the commit makes obsolete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outdates: Option<Outdated>,
    #[serde(flatten)]
    pub what: Committed,
}

/// What kind of step committed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Committed {
    /// A landing of parts of a source, with the positions that it reached.
    Landing {
        epoch: i64,
        parts: Vec<KnownPart>,
        next_sequence: i64,
        /// Whether the landing replaced everything that was landed before (`--full-refresh`).
        full: bool,
        /// The schemas that the landing accepted, one for each change of columns. Commits from before schemas were recorded have
        /// none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        schemas: Vec<AcceptedSchema>,
    },
    /// A build of a SQL table from these versions of its inputs.
    Build {
        build: i64,
        inputs: BTreeMap<AssetId, AssetVersion>,
        /// The partitions that were built, of a table that has some.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        partitions: Option<BuiltPartitions>,
    },
    /// What a continuous table's pipeline made of its inputs up to these offsets, by input and partition.
    Pipeline { epoch: i64, offsets: BTreeMap<String, Vec<u64>>, rows_late: u64 },
    /// A reprocessing, which took rejected rows in.
    Reprocess { rejected_version: i64, next_sequence: i64 },
}

/// What a commit did to the partitions of a table. Numbers are those of `millstream_plan::PartitionSet`, as it writes itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BuiltPartitions {
    /// The partitions whose rows were replaced.
    pub built: String,
    /// The partitions that were still to be built after it; the later commits of a step name only those that they left out.
    pub open: String,
    /// Whether the commit replaced every row of the table, so that no other partition has rows.
    pub whole: bool,
    /// JSON of the parameters that a backfill has set; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub parameters: String,
    /// The backfill that the commit belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<String>,
    /// The values of the partitions in `built` and `open` by their numbers, of a table that is parted by value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<i64, String>,
}

/// Rejected rows of epochs before this one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outdated {
    pub epoch: i64,
    pub rows: OutdatedRows,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutdatedRows {
    All,
    /// The rows of these parts, which were read again.
    Parts(Vec<String>),
    /// The rows whose keys or states were computed again. Only the process that computed them knows which.
    Superseded,
}

/// The columns of a table after one change of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AcceptedSchema {
    pub columns: serde_json::Value,
    /// The text for people that says what changed.
    pub change: String,
    /// The part that brought the change; `None` when the contract did.
    pub part: Option<String>,
}

impl CommitInfo {
    pub(crate) fn new(run: RunId, at: TimestampMicros, fingerprint: Fingerprint, what: Committed) -> Self {
        Self { format: FORMAT, run, at, fingerprint, rows_written: 0, rows_rejected: 0, outdates: None, what }
    }

    pub(crate) fn to_json(&self) -> Result<serde_json::Value, EngineError> {
        serde_json::to_value(self).map_err(|source| EngineError::CommitInfo { source })
    }

    /// `None` for commits that are not the engine's (maintenance, foreign writers).
    pub(crate) fn from_json(value: &serde_json::Value) -> Option<Self> {
        let info: Self = serde_json::from_value(value.clone()).ok()?;
        (info.format <= FORMAT).then_some(info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample of format 1 as it was written; it must stay readable.
    const FORMAT_1: &str = r#"{"format":1,"run":"r1","at":5,
        "fingerprint":"0000000000000000000000000000000000000000000000000000000000000000",
        "rows_written":2,"rows_rejected":1,"kind":"landing","epoch":3,
        "parts":[{"id":"a.csv","version":"{}","position":7}],"next_sequence":9,"full":false}"#;

    /// The same sample with the columns that the landing accepted.
    const WITH_SCHEMAS: &str = r#"{"format":1,"run":"r1","at":5,
        "fingerprint":"0000000000000000000000000000000000000000000000000000000000000000",
        "rows_written":2,"rows_rejected":1,"kind":"landing","epoch":3,
        "parts":[{"id":"a.csv","version":"{}","position":7}],"next_sequence":9,"full":false,
        "schemas":[{"columns":[{"name":"id","type":"int64"}],"change":"first landing","part":null}]}"#;

    #[test]
    fn reads_the_first_format() {
        for (sample, schemas_told) in [(FORMAT_1, 0), (WITH_SCHEMAS, 1)] {
            let value = serde_json::from_str(sample).unwrap_or_default();
            let told = CommitInfo::from_json(&value).map(|info| match info.what {
                Committed::Landing { epoch, next_sequence, schemas, .. } => {
                    (epoch, next_sequence, schemas.len())
                }
                _ => (0, 0, 0),
            });
            assert_eq!(told, Some((3, 9, schemas_told)));
        }
    }
}
