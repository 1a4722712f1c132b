//! Brings log entries that the store has lost back from their copies, at the positions that they had. The views get the rows
//! by way of the lake, like every pushed row.

use std::{path::PathBuf, sync::PoisonError};

use fjall::PersistMode;

use super::{
    copies::{Copies, Copy},
    layout::{self, NUMBER_FACT, POSITION_FACT},
    spaces::Spaces,
    writer::{Head, Heads},
};
use crate::error::Result;

/// The most entries that are stored in one step.
const ENTRIES_AT_ONCE: usize = 256;

/// Opens the copies and stores those that the logs lack.
pub(super) fn open(path: PathBuf, spaces: &Spaces, heads: &Heads) -> Result<Copies> {
    let stored = heads.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let is_missing = |log: &str, position: u64| stored.get(log).is_none_or(|head| head.stored < position);
    let opened = Copies::open(path, is_missing);
    let (copies, missing) =
        opened.map_err(|error| spaces.faults.io("open the copies of what was pushed", error))?;
    for part in missing.chunks(ENTRIES_AT_ONCE) {
        store(part, spaces)?;
        let mut heads = heads.lock().unwrap_or_else(PoisonError::into_inner);
        for Copy { log, position, .. } in part {
            let head = heads.entry(log.clone()).or_default();
            let last = head.stored.max(*position);
            *head = Head { stored: last, durable: last };
        }
    }
    if !missing.is_empty() {
        tracing::warn!(
            entries = missing.len(),
            "pushed rows that the online store has lost were taken from their copy"
        );
    }
    Ok(copies)
}

fn store(part: &[Copy], spaces: &Spaces) -> Result<()> {
    let fault = |error| spaces.faults.of("restore a log", error);
    let mut batch = spaces.database.batch().durability(Some(PersistMode::SyncData));
    for Copy { log, position, number, bytes } in part {
        batch.insert(&spaces.logs, layout::log_key(log, *position), bytes.as_ref());
        for (kind, value) in [(POSITION_FACT, *position), (NUMBER_FACT, *number)] {
            let key = layout::fact_key(kind, log);
            let known = spaces.facts.get(&key).map_err(fault)?;
            let known = known.and_then(|known| layout::number(&known)).unwrap_or(0);
            if known < value {
                batch.insert(&spaces.facts, key, value.to_be_bytes());
            }
        }
    }
    batch.commit().map_err(fault)
}
