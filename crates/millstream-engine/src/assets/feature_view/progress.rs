//! How far a view is materialised: a mark beside its records, written when an epoch is complete.

use std::collections::BTreeMap;

use millstream_lake::Lake;
use millstream_online::OnlineStore;
use millstream_types::TableName;
use serde::{Deserialize, Serialize};

use crate::EngineError;

/// The name of the mark.
pub(crate) const MARK: &str = "materialized";

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
    /// What of the event log is in the records; `None` for a view that does not follow one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogProgress>,
    /// The materialisation that has begun and is not complete: the next attempt continues it.
    #[serde(default)]
    pub under_way: Option<UnderWay>,
}

impl Progress {
    /// Whether reads may rely on the records: that of an entity that has none may have no events. A view that follows a source is
    /// there once it is as far as the log; from then on its values are never older than those of a definition that it takes the place of.
    pub(crate) fn has_values(&self) -> bool {
        self.epoch > 0 && self.log.as_ref().is_none_or(|log| log.is_caught_up)
    }
}

/// The places in the topic of a source: of each partition, the offset of the record that is read next.
pub type Offsets = Vec<u64>;

/// How far a view has followed the log since its last materialisation, which had the events of its table and those of the log up to
/// some offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogProgress {
    /// The id of the topic, which tells it from another one of the same name.
    pub topic: String,
    /// Every event before these offsets is in the records, and none from there on.
    pub offsets: Offsets,
    /// The number of the last batch, counted from the materialisation on.
    pub batch: u64,
    /// The offsets at which the next batch ends, where some records may have it already: it is done again as it was begun. Only a
    /// store that cannot store records and this together has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Offsets>,
    /// Whether the view was ever as far as the log. Before, its values would be older than those that another definition showed.
    pub is_caught_up: bool,
    /// The number of events that came too late for every window.
    pub late: u64,
}

/// Events of the log that a materialisation takes in beside those of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpan {
    /// The offsets up to which the table has the events, in the version that the materialisation reads.
    pub from: Offsets,
    /// The offsets up to which the materialisation has them; none of them is before that of `from`.
    pub to: Offsets,
}

impl LogSpan {
    pub(crate) fn is_empty(&self) -> bool {
        reaches(&self.from, &self.to)
    }
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
    /// The events of the log that it takes in; `None` for a view that does not follow one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogSpan>,
    /// The number of chunks; a chunk has all events of its entities.
    pub chunks: u64,
    /// The first chunk that may be missing.
    pub next: u64,
}

/// Whether everything before `ends` is before `offsets` too.
pub(crate) fn reaches(offsets: &Offsets, ends: &[u64]) -> bool {
    ends.iter().enumerate().all(|(at, end)| offsets.get(at).is_some_and(|offset| offset >= end) || *end == 0)
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

/// The progress of the view whose records are in `space`; `None` if it was never materialised.
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
    let bytes = written(space, progress)?;
    Ok(store.set_mark(space, MARK, Some(&bytes)).await?)
}

/// The progress as its mark keeps it.
pub(crate) fn written(space: u64, progress: &Progress) -> Result<Vec<u8>, EngineError> {
    serde_json::to_vec(progress)
        .map_err(|source| EngineError::Definition { name: format!("view space {space:016x}"), source })
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
