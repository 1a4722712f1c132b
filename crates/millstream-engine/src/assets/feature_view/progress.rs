//! How far a view is materialised: a mark beside its records, written when an epoch is complete.

use std::collections::BTreeMap;

use millstream_lake::Lake;
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
    /// What tells these versions from others under the same numbers; see [`Lake::identity`]. Records from before it was
    /// kept have none.
    #[serde(default, with = "by_text")]
    pub identities: BTreeMap<TableName, String>,
    /// Sequence up to which pushed rows are among them.
    pub covered: u64,
    /// Newest event time in microseconds; none without events.
    pub watermark: Option<i64>,
    /// Newest event time that the view's table brought, without pushed rows. Records from before it was kept have none.
    #[serde(default)]
    pub table_watermark: Option<i64>,
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
    #[serde(default, with = "by_text")]
    pub identities: BTreeMap<TableName, String>,
    pub covered: u64,
    /// Chunks of entities; each has all events of its entities.
    pub chunks: u64,
    /// The first chunk that may be missing.
    pub next: u64,
}

/// What tells these versions from others under the same numbers.
pub(crate) async fn identities(
    lake: &Lake,
    versions: &BTreeMap<TableName, i64>,
) -> Result<BTreeMap<TableName, String>, EngineError> {
    let mut identities = BTreeMap::new();
    for (table, version) in versions {
        if let Some(identity) = lake.identity(table, *version).await? {
            identities.insert(table.clone(), identity);
        }
    }
    Ok(identities)
}

/// Whether the lake still has these versions, as far as anything was kept that tells them from others.
pub(crate) async fn are_the_same(
    lake: &Lake,
    versions: &BTreeMap<TableName, i64>,
    known: &BTreeMap<TableName, String>,
) -> Result<bool, EngineError> {
    let present = identities(lake, versions).await?;
    Ok(known.iter().all(|(table, identity)| present.get(table) == Some(identity)))
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
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<V: Serialize, S: Serializer>(
        values: &BTreeMap<TableName, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(table, value)| (table.to_string(), value)))
    }

    pub(super) fn deserialize<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<TableName, V>, D::Error> {
        let texts: BTreeMap<String, V> = BTreeMap::deserialize(deserializer)?;
        let parse = |(table, value): (String, V)| {
            table.parse().map(|table: TableName| (table, value)).map_err(D::Error::custom)
        };
        texts.into_iter().map(parse).collect()
    }
}
