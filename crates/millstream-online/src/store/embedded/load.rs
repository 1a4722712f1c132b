//! Filling a space: large loads are written as sorted tables, past the journal and the memtable.

use std::{thread, time::Duration};

use super::{Commit, Embedded, SharedKeyspace, mark_writes, spaces::Spaces};
use crate::{
    error::Result,
    store::{
        EntityKey, Load,
        check::{check_marks, check_value},
        stripes::Held,
    },
};

/// The size in bytes from which on a load is worth files of its own.
const TABLES_BYTES_MIN: usize = 4 * 1024 * 1024;

/// Tables that wait for compaction before a load waits for it too, so that reads do not have to look into many.
const WAITING_TABLES_MAX: usize = 16;

/// The number of times that a load looks whether compaction caught up, and how long it waits each time: at most half a
/// minute.
const COMPACTION_WAITS_MAX: usize = 300;
const COMPACTION_WAIT: Duration = Duration::from_millis(100);

type Records = Vec<(EntityKey, Vec<u8>)>;

pub(super) async fn load(store: &Embedded, load: Load<'_>) -> Result<()> {
    let Load { space, records, marks } = load;
    check_marks(marks)?;
    let mut bytes = 0_usize;
    for (entity, record) in &records {
        entity.check()?;
        check_value("a record", record)?;
        bytes = bytes.saturating_add(record.len());
    }
    let held = store.stripes.lock(space, records.iter().map(|(entity, _)| entity)).await?;
    let others = mark_writes(space, marks);
    if bytes < TABLES_BYTES_MIN {
        let records = records.into_iter().map(|(entity, record)| (entity, Some(record))).collect();
        return commit(store, Commit { space, records, others, held, ..Commit::default() }).await;
    }
    let held = store.blocking(move |spaces| write_tables(spaces, space, records, held)).await?;
    commit(store, Commit { space, others, held, ..Commit::default() }).await
}

async fn commit(store: &Embedded, mut commit: Commit) -> Result<()> {
    commit.durable = commit.others.iter().any(|(part, ..)| matches!(part, SharedKeyspace::Marks));
    store.writer.commit(commit).await.map(drop)
}

fn write_tables(spaces: &Spaces, space: u64, mut records: Records, held: Held) -> Result<Held> {
    records.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let fault = |error| spaces.faults.of("load records", error);
    let keyspace = spaces.find_or_make(space)?;
    let mut tables = keyspace.start_ingestion().map_err(fault)?;
    for (entity, record) in records {
        tables.write(entity.as_bytes(), record).map_err(fault)?;
    }
    let finished = tables.finish();
    spaces.cache.forget_all();
    finished.map_err(fault)?;
    for _ in 0..COMPACTION_WAITS_MAX {
        if keyspace.l0_table_count() <= WAITING_TABLES_MAX {
            break;
        }
        thread::sleep(COMPACTION_WAIT);
    }
    Ok(held)
}
