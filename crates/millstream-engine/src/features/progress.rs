//! How far a view is materialised: a mark beside its records, written when an epoch is complete.

use std::collections::BTreeMap;

use millstream_online::OnlineStore;
use millstream_types::TableName;
use serde::{Deserialize, Serialize};

use crate::EngineError;

/// Name of the mark.
const MARK: &str = "materialized";

/// What a view's records hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Counts materialisations, from 1.
    pub epoch: u64,
    /// The versions of the tables whose events are in the records.
    #[serde(with = "by_text")]
    pub versions: BTreeMap<TableName, i64>,
    /// Sequence up to which pushed rows are among them.
    pub covered: u64,
    /// Newest event time in microseconds; none without events.
    pub watermark: Option<i64>,
    /// When it was done, in microseconds.
    pub at: i64,
    /// Number of the last push that was looked at.
    #[serde(default)]
    pub pushes: u64,
    /// Events that were taken in since the records were made.
    pub rows: u64,
    /// What is being done, if it was not completed: the next attempt does exactly that.
    #[serde(default)]
    pub under_way: Option<UnderWay>,
}

/// A materialisation that has begun. Its versions are fixed, so that its chunks are the same when it is done again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    pub epoch: u64,
    pub full: bool,
    #[serde(with = "by_text")]
    pub versions: BTreeMap<TableName, i64>,
    pub covered: u64,
    /// Chunks of entities; each has all events of its entities.
    pub chunks: u64,
    /// The first chunk that may be missing.
    pub next: u64,
}

/// The progress of the view with that space; none if it was never materialised.
pub(crate) async fn read(store: &dyn OnlineStore, space: u64) -> Result<Option<Progress>, EngineError> {
    let Some(bytes) = store.mark(space, MARK).await? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| EngineError::Definition { name: format!("view space {space:016x}"), source })
}

pub(crate) async fn write(
    store: &dyn OnlineStore,
    space: u64,
    progress: &Progress,
) -> Result<(), EngineError> {
    let bytes = serde_json::to_vec(progress)
        .map_err(|source| EngineError::Definition { name: format!("view space {space:016x}"), source })?;
    Ok(store.set_mark(space, MARK, Some(&bytes)).await?)
}

/// Tables as texts, since keys of JSON objects are texts.
mod by_text {
    use std::collections::BTreeMap;

    use millstream_types::TableName;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        versions: &BTreeMap<TableName, i64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(versions.iter().map(|(table, version)| (table.to_string(), version)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<TableName, i64>, D::Error> {
        let texts: BTreeMap<String, i64> = BTreeMap::deserialize(deserializer)?;
        let parse = |(table, version): (String, i64)| {
            table.parse().map(|table: TableName| (table, version)).map_err(D::Error::custom)
        };
        texts.into_iter().map(parse).collect()
    }
}
