//! The state of a continuous table's pipeline on disk, and how it goes forward together with the table.
//!
//! The table's commit decides. What an epoch changes in the state is written beside the state first, as *pending*, with the offsets that it reaches. Then
//! the table is committed, with the epoch as its txn. Only then the pending changes become the state, in one atomic step with the offsets. Whoever begins
//! compares: where the table has the pending epoch, the changes are applied; where it does not, they are dropped, and the rows are taken in again.
//!
//! State that is computed anew is written in another slot than that which the table follows, so that the old one stays until the table has followed the
//! new one.

use millstream_online::{Durability, Entry, EntryChange, EntryStore};
use millstream_stream::StateChange;
use millstream_types::{AssetId, TableName};
use serde::{Deserialize, Serialize};

use super::flow::Offsets;
use crate::EngineError;

/// The version of [`Reached`]; a reader refuses a higher one.
const FORMAT: u32 = 1;

/// The keys of a slot: entries of the state, pending changes of entries, and one key each for how far both are.
const ENTRY: u8 = b'e';
const PENDING: u8 = b'p';
const REACHED: &[u8] = b"r";
const PENDING_REACHED: &[u8] = b"q";

/// The first byte of a pending change: an entry that is put, or one that goes.
const PUT: u8 = 1;
const GONE: u8 = 0;

const SLOTS: [&str; 2] = ["a", "b"];

/// How far a state is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reached {
    format: u32,
    /// The number of the table's last commit by the pipeline.
    pub epoch: i64,
    pub offsets: Offsets,
    /// The columns by which rows of the table take the place of others.
    #[serde(default)]
    pub key: Vec<String>,
}

impl Reached {
    pub(super) fn new(epoch: i64, offsets: Offsets, key: &[String]) -> Self {
        Self { format: FORMAT, epoch, offsets, key: key.to_vec() }
    }
}

/// A slot of the state of a table.
#[derive(Debug)]
pub(super) struct DurableState {
    store: EntryStore,
    space: String,
    /// The changes that wait for the table's commit.
    pending: Option<(Reached, Vec<StateChange>)>,
}

/// A state that the table follows.
#[derive(Debug)]
pub(super) struct Recovered {
    pub state: DurableState,
    pub reached: Reached,
    pub entries: Vec<Entry>,
}

/// The state that belongs to a table whose last commit by its pipeline is `epoch`, 0 where there is none. `None` where nothing is known and nothing
/// has to be.
///
/// # Errors
///
/// The table has commits of a pipeline and no state is left that belongs to them.
pub(super) async fn recover(
    store: &EntryStore,
    table: &TableName,
    epoch: i64,
) -> Result<Option<Recovered>, EngineError> {
    let asset = table.asset_id();
    let mut found = None;
    let mut known = Vec::new();
    for slot in SLOTS {
        let space = space(&asset, slot);
        let reached = read(store, table, &space, REACHED).await?;
        let pending = read(store, table, &space, PENDING_REACHED).await?;
        known.extend(reached.iter().chain(&pending).map(|reached| reached.epoch));
        let state = DurableState { store: store.clone(), space, pending: None };
        match (reached, pending) {
            (_, Some(pending)) if pending.epoch == epoch && epoch > 0 => {
                state.apply_stored(&pending).await?;
                found = Some((state, pending));
            }
            (Some(reached), pending) if reached.epoch == epoch && epoch > 0 => {
                if pending.is_some() {
                    state.drop_pending().await?;
                }
                found = Some((state, reached));
            }
            // What belongs to no commit of the table was never more than an attempt.
            _ if epoch == 0 => store.remove(&state.space).await?,
            _ => {}
        }
    }
    match found {
        Some((state, reached)) => {
            let entries = state.entries().await?;
            Ok(Some(Recovered { state, reached, entries }))
        }
        None if epoch == 0 => Ok(None),
        None => {
            Err(EngineError::PipelineState { table: table.clone(), epoch, found: known.into_iter().max() })
        }
    }
}

/// An empty slot, which the table at `epoch` does not follow.
pub(super) async fn begin(
    store: &EntryStore,
    table: &TableName,
    epoch: i64,
) -> Result<DurableState, EngineError> {
    let asset = table.asset_id();
    for slot in SLOTS {
        let space = space(&asset, slot);
        let is_followed = |reached: Option<Reached>| reached.is_some_and(|it| it.epoch == epoch && epoch > 0);
        if !is_followed(read(store, table, &space, REACHED).await?) {
            store.remove(&space).await?;
            return Ok(DurableState { store: store.clone(), space, pending: None });
        }
    }
    Err(EngineError::Worker { doing: "looking for room for the state of a pipeline" })
}

impl DurableState {
    /// Writes down what an epoch changes, before the table is committed.
    pub(super) async fn prepare(
        &mut self,
        reached: Reached,
        changes: Vec<StateChange>,
    ) -> Result<(), EngineError> {
        let mut written = Vec::with_capacity(changes.len() + 1);
        for StateChange { key, value } in &changes {
            let mut pending = Vec::with_capacity(1 + value.as_ref().map_or(0, Vec::len));
            pending.push(if value.is_some() { PUT } else { GONE });
            pending.extend_from_slice(value.as_deref().unwrap_or_default());
            written.push(EntryChange { key: prefixed(PENDING, key), value: Some(pending) });
        }
        written.push(EntryChange { key: PENDING_REACHED.to_vec(), value: Some(encoded(&reached)?) });
        self.store.change(&self.space, written, Durability::Synced).await?;
        self.pending = Some((reached, changes));
        Ok(())
    }

    /// Makes the pending changes the state, after the table was committed. Should they not survive, the next process finds them pending.
    pub(super) async fn apply(&mut self) -> Result<(), EngineError> {
        let Some((reached, changes)) = self.pending.take() else { return Ok(()) };
        let changes = changes.into_iter().map(|StateChange { key, value }| (key, value));
        self.write_applied(&reached, changes, Durability::Written).await
    }

    /// Makes changes the state that need no commit of the table, since nothing came of the rows that made them.
    pub(super) async fn advance(
        &mut self,
        reached: &Reached,
        changes: Vec<StateChange>,
    ) -> Result<(), EngineError> {
        let mut written: Vec<EntryChange> = changes
            .into_iter()
            .map(|StateChange { key, value }| EntryChange { key: prefixed(ENTRY, &key), value })
            .collect();
        written.push(EntryChange { key: REACHED.to_vec(), value: Some(encoded(reached)?) });
        Ok(self.store.change(&self.space, written, Durability::Synced).await?)
    }

    /// About how many entries there are.
    pub(super) async fn approximate_len(&self) -> Result<u64, EngineError> {
        Ok(self.store.approximate_len(&self.space).await?)
    }

    /// Removes the other slot, which the table no longer follows.
    pub(super) async fn remove_other(&self, asset: &AssetId) -> Result<(), EngineError> {
        for other in SLOTS.map(|slot| space(asset, slot)).iter().filter(|other| **other != self.space) {
            self.store.remove(other).await?;
        }
        Ok(())
    }

    /// The entries of the state, under the keys that the pipeline gave them.
    async fn entries(&self) -> Result<Vec<Entry>, EngineError> {
        let entries = self.store.entries(&self.space, &[ENTRY]).await?;
        Ok(entries
            .into_iter()
            .map(|(key, value)| (key.get(1..).unwrap_or_default().to_vec(), value))
            .collect())
    }

    async fn apply_stored(&self, reached: &Reached) -> Result<(), EngineError> {
        let pending = self.store.entries(&self.space, &[PENDING]).await?;
        let changes = pending.into_iter().map(|(key, value)| {
            let value =
                value.split_first().filter(|(kind, _)| **kind == PUT).map(|(_, value)| value.to_vec());
            (key.get(1..).unwrap_or_default().to_vec(), value)
        });
        self.write_applied(reached, changes, Durability::Synced).await
    }

    async fn write_applied(
        &self,
        reached: &Reached,
        changes: impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
        durability: Durability,
    ) -> Result<(), EngineError> {
        let mut written = Vec::new();
        for (key, value) in changes {
            written.push(EntryChange { key: prefixed(PENDING, &key), value: None });
            written.push(EntryChange { key: prefixed(ENTRY, &key), value });
        }
        written.push(EntryChange { key: PENDING_REACHED.to_vec(), value: None });
        written.push(EntryChange { key: REACHED.to_vec(), value: Some(encoded(reached)?) });
        Ok(self.store.change(&self.space, written, durability).await?)
    }

    async fn drop_pending(&self) -> Result<(), EngineError> {
        let pending = self.store.entries(&self.space, &[PENDING]).await?;
        let gone = pending.into_iter().map(|(key, _)| key).chain([PENDING_REACHED.to_vec()]);
        let gone = gone.map(|key| EntryChange { key, value: None }).collect();
        Ok(self.store.change(&self.space, gone, Durability::Synced).await?)
    }
}

fn space(asset: &AssetId, slot: &str) -> String {
    format!("{asset}/{slot}")
}

fn prefixed(kind: u8, key: &[u8]) -> Vec<u8> {
    let mut prefixed = Vec::with_capacity(1 + key.len());
    prefixed.push(kind);
    prefixed.extend_from_slice(key);
    prefixed
}

fn encoded(reached: &Reached) -> Result<Vec<u8>, EngineError> {
    serde_json::to_vec(reached).map_err(|source| EngineError::CommitInfo { source })
}

async fn read(
    store: &EntryStore,
    table: &TableName,
    space: &str,
    key: &[u8],
) -> Result<Option<Reached>, EngineError> {
    let Some(bytes) = store.get(space, key).await? else { return Ok(None) };
    let newer = || EngineError::Refused {
        table: table.clone(),
        message: "has a state that this version of Millstream cannot read".into(),
        hint: "run the version that wrote it, or compute the table anew with `--full-refresh`".into(),
    };
    let reached: Reached = serde_json::from_slice(&bytes).map_err(|_| newer())?;
    if reached.format > FORMAT { Err(newer()) } else { Ok(Some(reached)) }
}
