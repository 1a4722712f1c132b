//! The embedded store: fjall in a folder, opened by one process at a time.
//!
//! Reads go to fjall from the caller's task, unless the record is among those read lately. All changes pass through one thread
//! (`writer`), which commits each atomically and syncs once for all that wait.

mod copies;
pub(super) mod entries;
mod fault;
mod layout;
mod load;
mod numbers;
mod owner;
mod record_cache;
mod reopening;
mod restored;
mod spaces;
mod unfinished;
mod writer;

use std::{
    ops::{Bound, Range},
    path::PathBuf,
    sync::{Arc, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;

pub(super) use reopening::Reopening;

use self::{
    fault::Faults,
    layout::POSITION_FACT,
    numbers::Numbers,
    record_cache::Place,
    spaces::Spaces,
    writer::{Commit, Head, Heads, SharedKeyspace, Writer},
};
use super::{
    Change, EmbeddedOptions, EntityKey, Load, LogEntry, OnlineStore, RecordKey, ScanCursor, ScanPage,
    SpaceInfo, Update, Updated,
    check::{check_name, check_update, check_value},
    stripes::Stripes,
};
use crate::error::Result;

/// The most records that one call reads on the caller's task; more are read on a thread that may block.
const INLINE_READS_MAX: usize = 2048;

/// The number of records that an update changes before it lets other tasks run.
const TURN: usize = 256;

/// The most log entries that one commit removes.
const TRIM_MAX: usize = 16 * 1024;

/// A store in a folder. Dropping it waits until everything handed over is stored.
#[derive(Debug)]
struct Embedded {
    // This field stands before `spaces` so that it is dropped first: the writer has to end before the keyspaces are closed.
    writer: Writer,
    spaces: Arc<Spaces>,
    stripes: Stripes,
    numbers: Numbers,
    heads: Heads,
}

impl Embedded {
    async fn open(folder: PathBuf, options: &EmbeddedOptions) -> Result<Self> {
        let faults = Faults { location: format!("embedded:{}", folder.display()), folder: folder.clone() };
        let options = options.clone();
        let opening = faults.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let spaces = Spaces::open(&folder, &options, opening)?;
            let heads = writer::stored_heads(&spaces)?;
            let copies = restored::open(copies::path_of(&folder), &spaces, &heads)?;
            Ok((Arc::new(spaces), heads, copies))
        });
        // The library panics on some damaged files; that is no reason for the process to end.
        let (spaces, heads, copies) = match opened.await {
            Ok(opened) => opened?,
            Err(error) => return Err(faults.damaged("it cannot be opened", Some(Box::new(error)))),
        };
        let writer = Writer::start(Arc::clone(&spaces), Arc::clone(&heads), copies)?;
        Ok(Self { writer, spaces, stripes: Stripes::new(), numbers: Numbers::default(), heads })
    }

    fn head(&self, log: &str) -> Head {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).get(log).copied().unwrap_or_default()
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Spaces) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let spaces = Arc::clone(&self.spaces);
        match tokio::task::spawn_blocking(move || work(&spaces)).await {
            Ok(outcome) => outcome,
            Err(error) => Err(self.spaces.faults.damaged("it cannot be read", Some(Box::new(error)))),
        }
    }
}

#[async_trait]
impl OnlineStore for Embedded {
    fn location(&self) -> &str {
        &self.spaces.faults.location
    }

    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Bytes>>> {
        if keys.len() <= INLINE_READS_MAX {
            return read(&self.spaces, keys);
        }
        let keys = keys.to_vec();
        self.blocking(move |spaces| read(spaces, &keys)).await
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated> {
        let Update { space, entities, change, marks, append, durable } = update;
        check_update(entities, marks, append.as_ref())?;
        let held = self.stripes.lock(space, entities.iter()).await?;
        let present = self.spaces.find(space);
        let mut records = Vec::new();
        for (index, entity) in entities.iter().enumerate() {
            if index % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            let record = match &present {
                Some(records) => records.get(entity).map_err(|error| self.spaces.faults.of(READ, error))?,
                None => None,
            };
            match change(index, record.as_deref())? {
                Change::Keep => {}
                Change::Put(record) => {
                    check_value("a record", &record)?;
                    records.push((entity.clone(), Some(record)));
                }
                // A tombstone for nothing would only take room.
                Change::Delete if record.is_none() => {}
                Change::Delete => records.push((entity.clone(), None)),
            }
        }
        let changed = records.len();
        let commit = Commit {
            space,
            records,
            others: mark_writes(space, marks),
            append: append.map(|append| (append.log.to_owned(), append.entries.to_vec())),
            trimmed: None,
            durable,
            held,
        };
        let positions = self.writer.commit(commit).await?;
        Ok(Updated { changed, positions })
    }

    async fn load(&self, load: Load<'_>) -> Result<()> {
        load::load(self, load).await
    }

    async fn mark(&self, space: u64, name: &str) -> Result<Option<Bytes>> {
        check_name("a mark", name)?;
        let value = self.spaces.marks.get(layout::mark_key(space, name));
        let value = value.map_err(|error| self.spaces.faults.of("read a mark", error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    async fn set_mark(&self, space: u64, name: &str, value: Option<&[u8]>) -> Result<()> {
        check_name("a mark", name)?;
        value.map_or(Ok(()), |value| check_value("a mark", value))?;
        let others = vec![(SharedKeyspace::Marks, layout::mark_key(space, name), value.map(<[u8]>::to_vec))];
        self.writer.commit(Commit { others, durable: true, ..Commit::default() }).await.map(drop)
    }

    async fn reserve(&self, log: &str, count: u64) -> Result<u64> {
        check_name("a log", log)?;
        self.numbers.take(log, count, &self.spaces, &self.writer).await
    }

    async fn log(&self, log: &str, after: u64, limit: usize) -> Result<Vec<LogEntry>> {
        check_name("a log", log)?;
        let head = self.head(log);
        if head.durable < head.stored && head.durable.saturating_sub(after) < limit as u64 {
            self.sync().await?;
        }
        let (log, durable) = (log.to_owned(), self.head(log).durable);
        self.blocking(move |spaces| read_log(spaces, &log, after..durable, limit)).await
    }

    async fn trim_log(&self, log: &str, up_to: u64) -> Result<()> {
        check_name("a log", log)?;
        let up_to = up_to.min(self.head(log).stored);
        let log = Arc::<str>::from(log);
        loop {
            let name = Arc::clone(&log);
            let keys = self.blocking(move |spaces| log_keys(spaces, &name, up_to, TRIM_MAX)).await?;
            let last = keys.len() < TRIM_MAX;
            let others = keys.into_iter().map(|key| (SharedKeyspace::Logs, key, None)).collect();
            self.writer.commit(Commit { others, ..Commit::default() }).await?;
            if last {
                break;
            }
        }
        let trimmed = Some((log.to_string(), up_to));
        self.writer.commit(Commit { trimmed, ..Commit::default() }).await.map(drop)
    }

    async fn raise(&self, log: &str, position: u64, number: u64) -> Result<()> {
        check_name("a log", log)?;
        let is_behind = {
            let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
            let head = heads.entry(log.to_owned()).or_default();
            let is_behind = head.stored < position;
            head.stored = head.stored.max(position);
            is_behind
        };
        if is_behind {
            let key = layout::fact_key(POSITION_FACT, log);
            let others = vec![(SharedKeyspace::Facts, key, Some(position.to_be_bytes().to_vec()))];
            self.writer.commit(Commit { others, durable: true, ..Commit::default() }).await?;
        }
        self.numbers.raise(log, number, &self.spaces, &self.writer).await
    }

    async fn scan(&self, space: u64, from: Option<&ScanCursor>, limit: usize) -> Result<ScanPage> {
        let after = from.map(|cursor| cursor.0.clone());
        self.blocking(move |spaces| scan(spaces, space, after, limit)).await
    }

    async fn spaces(&self) -> Result<Vec<SpaceInfo>> {
        let info = |(space, records): (u64, fjall::Keyspace)| SpaceInfo {
            space,
            records: Some(records.approximate_len() as u64),
            bytes: Some(records.disk_space()),
        };
        Ok(self.spaces.all().into_iter().map(info).collect())
    }

    async fn drop_space(&self, space: u64) -> Result<()> {
        // No change that was worked out from the old records may come after.
        let held = self.stripes.lock_all().await;
        self.writer.drop_space(space, held).await
    }

    async fn sync(&self) -> Result<()> {
        self.writer.commit(Commit { durable: true, ..Commit::default() }).await.map(drop)
    }
}

const READ: &str = "read records";

fn mark_writes(space: u64, marks: &[(&str, &[u8])]) -> Vec<(SharedKeyspace, Vec<u8>, Option<Vec<u8>>)> {
    let write = |(name, value): &(&str, &[u8])| {
        (SharedKeyspace::Marks, layout::mark_key(space, name), Some(value.to_vec()))
    };
    marks.iter().map(write).collect()
}

fn read(spaces: &Spaces, keys: &[RecordKey]) -> Result<Vec<Option<Bytes>>> {
    let mut latest = None;
    let mut records = Vec::with_capacity(keys.len());
    for key in keys {
        let keyspace = match &latest {
            Some((space, keyspace)) if *space == key.space => keyspace,
            _ => &latest.insert((key.space, spaces.find(key.space))).1,
        };
        records.push(match keyspace {
            // The library takes no empty key; nothing can be stored under one.
            Some(keyspace) if !key.entity.as_bytes().is_empty() => {
                let place = Place { keyspace: keyspace.id(), entity: key.entity.clone() };
                spaces.cache.get_or(&place, || {
                    let record = keyspace.get(&key.entity).map_err(|error| spaces.faults.of(READ, error))?;
                    Ok(record.map(|record| Bytes::copy_from_slice(&record)))
                })?
            }
            _ => None,
        });
    }
    Ok(records)
}

/// Entries after `positions.start`, up to and with `positions.end`.
fn read_log(spaces: &Spaces, log: &str, positions: Range<u64>, limit: usize) -> Result<Vec<LogEntry>> {
    if positions.is_empty() {
        return Ok(Vec::new());
    }
    let from = layout::log_key(log, positions.start + 1);
    let to = layout::log_key(log, positions.end);
    let mut entries = Vec::new();
    for entry in spaces.logs.range(from..=to).take(limit) {
        let (key, value) = entry.into_inner().map_err(|error| spaces.faults.of("read a log", error))?;
        let Some(position) = layout::log_position(&key) else { continue };
        entries.push(LogEntry { position, bytes: Bytes::copy_from_slice(&value) });
    }
    Ok(entries)
}

fn log_keys(spaces: &Spaces, log: &str, up_to: u64, limit: usize) -> Result<Vec<Vec<u8>>> {
    let range = layout::log_key(log, 0)..=layout::log_key(log, up_to);
    let keys = spaces.logs.range(range).take(limit).map(|entry| entry.key().map(|key| key.to_vec()));
    keys.collect::<fjall::Result<_>>().map_err(|error| spaces.faults.of("trim a log", error))
}

fn scan(spaces: &Spaces, space: u64, after: Option<Bytes>, limit: usize) -> Result<ScanPage> {
    let Some(records) = spaces.find(space) else { return Ok(ScanPage::default()) };
    let limit = limit.max(1);
    let from = match after {
        Some(key) => Bound::Excluded(key),
        None => Bound::Unbounded,
    };
    let mut page = ScanPage::default();
    for entry in records.range((from, Bound::Unbounded)).take(limit) {
        let (key, value) = entry.into_inner().map_err(|error| spaces.faults.of("scan a space", error))?;
        let entity = EntityKey::new(Bytes::copy_from_slice(&key));
        page.records.push((entity, Bytes::copy_from_slice(&value)));
    }
    if page.records.len() == limit {
        page.next = page.records.last().map(|(entity, _)| ScanCursor(entity.clone().into_bytes()));
    }
    Ok(page)
}
