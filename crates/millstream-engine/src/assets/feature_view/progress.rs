//! How far a view is materialised: a mark beside its records, written when an epoch is complete.

use std::collections::BTreeMap;

use millstream_lake::Lake;
use millstream_online::OnlineStore;
use millstream_types::TableName;
use serde::{Deserialize, Serialize};

use crate::EngineError;

/// The name of the mark.
const MARK: &str = "materialized";

/// What a view's records hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The number of the last complete materialisation, counted from 1.
    pub epoch: u64,
    /// The versions of the tables whose events are in the records.
    #[serde(with = "by_text")]
    pub versions: BTreeMap<TableName, i64>,
    /// The identities of these versions, which tell them from others under the same numbers; see [`Lake::identity`]. A
    /// mark from before identities were kept has none.
    #[serde(default, with = "by_text")]
    pub identities: BTreeMap<TableName, String>,
    /// The sequence up to which the records include pushed rows.
    pub covered: u64,
    /// The newest event time in the records, in microseconds; `None` without events.
    pub watermark: Option<i64>,
    /// The newest event time that the view's table brought, without pushed rows, in microseconds. A mark from before
    /// this time was kept has none.
    #[serde(default)]
    pub table_watermark: Option<i64>,
    /// The time at which the materialisation ended, in microseconds.
    pub at: i64,
    /// The number of the last push that the materialisation looked at.
    #[serde(default)]
    pub pushes: u64,
    /// The number of events that were taken in since the last full materialisation, its own included.
    pub rows: u64,
    /// The materialisation that has begun and is not complete: the next attempt continues it.
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
    /// The number of chunks; a chunk has all events of its entities.
    pub chunks: u64,
    /// The first chunk that may be missing.
    pub next: u64,
}

/// The identities of these versions, which tell them from others under the same numbers.
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

/// Whether the lake still has these versions, as far as identities were kept for them.
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
