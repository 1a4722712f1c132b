//! The actions of a commit, one JSON object a line. Fields are those of `PROTOCOL.md`, section "Actions"; what
//! Millstream neither reads nor writes is left out and skipped when another writer has it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CommitInfo, FilePath};

/// One line of a commit or one row of a checkpoint. Exactly one field of it is set; none is where the line holds an
/// action that Millstream has no use for (a file of a change feed, for one).
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) commit_info: Option<CommitInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) protocol: Option<Protocol>,
    #[serde(rename = "metaData", skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) txn: Option<Transaction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) add: Option<Add>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remove: Option<Remove>,
}

/// One piece of what a commit does.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Action {
    CommitInfo(CommitInfo),
    Protocol(Protocol),
    #[serde(rename = "metaData")]
    Metadata(Metadata),
    Txn(Transaction),
    Add(Add),
    Remove(Remove),
}

impl Action {
    /// The actions of a commit's bytes, in their order. Actions that Millstream has no use for are skipped.
    pub(crate) fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, serde_json::Error> {
        let lines = serde_json::Deserializer::from_slice(bytes).into_iter::<Line>();
        lines.filter_map(|line| line.map(Line::into_action).transpose()).collect()
    }
}

impl Line {
    pub(super) fn into_action(self) -> Option<Action> {
        let Self { commit_info, protocol, metadata, txn, add, remove } = self;
        let info = commit_info.map(Action::CommitInfo);
        let table = || protocol.map(Action::Protocol).or_else(|| metadata.map(Action::Metadata));
        let file = || add.map(Action::Add).or_else(|| remove.map(Action::Remove));
        info.or_else(table).or_else(file).or_else(|| txn.map(Action::Txn))
    }
}

/// A data file that the table has from this commit on.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Add {
    pub(crate) path: FilePath,
    /// The values of the partition columns, by column; Millstream refuses tables that have any.
    #[serde(default)]
    pub(crate) partition_values: BTreeMap<String, Option<String>>,
    /// The size of the file in bytes.
    pub(crate) size: i64,
    /// The time at which the file was created, in milliseconds since 1970.
    pub(crate) modification_time: i64,
    /// False when the commit only moves rows between files.
    #[serde(default = "yes")]
    pub(crate) data_change: bool,
    /// Row count, bounds and null counts, as a JSON text inside the JSON.
    pub(crate) stats: Option<String>,
    pub(crate) tags: Option<BTreeMap<String, Option<String>>>,
    /// The rows of the file that are deleted. Millstream refuses files that have such a vector, so its inside is never
    /// read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deletion_vector: Option<Value>,
}

/// A data file that the table no longer has from this commit on.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Remove {
    pub(crate) path: FilePath,
    /// False when the commit only moves rows between files.
    #[serde(default = "yes")]
    pub(crate) data_change: bool,
    /// The time at which the file was removed, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deletion_timestamp: Option<i64>,
    /// Whether partition values, size and tags are given; they are those of the removed file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) extended_file_metadata: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) partition_values: Option<BTreeMap<String, Option<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<BTreeMap<String, Option<String>>>,
    /// The deleted rows of the removed file, as in [`Add`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deletion_vector: Option<Value>,
}

/// How far an application has come with this commit.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Transaction {
    pub(crate) app_id: String,
    pub(crate) version: i64,
    /// The time at which the action was made, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_updated: Option<i64>,
}

/// What a program has to understand to read and to write the table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Protocol {
    pub(crate) min_reader_version: i32,
    pub(crate) min_writer_version: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reader_features: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) writer_features: Option<Vec<String>>,
}

/// The table's identity, schema and settings.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) format: Format,
    /// The schema as JSON text; see `schema.rs`.
    pub(crate) schema_string: String,
    #[serde(default)]
    pub(crate) partition_columns: Vec<String>,
    /// The time at which the metadata was made, in milliseconds since 1970.
    pub(crate) created_time: Option<i64>,
    #[serde(default)]
    pub(crate) configuration: BTreeMap<String, String>,
}

/// How the data files are written; always Parquet.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Format {
    provider: String,
    #[serde(default)]
    options: BTreeMap<String, String>,
}

impl Default for Format {
    fn default() -> Self {
        Self { provider: "parquet".into(), options: BTreeMap::new() }
    }
}

fn yes() -> bool {
    true
}
