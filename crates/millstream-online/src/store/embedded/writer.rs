//! The one thread that writes: it commits what waits, syncs once for all of it, and answers everybody.
//!
//! Callers work out changes on their own tasks and hold the locks of their records. The locks travel with the commit and
//! are freed when it is visible, so a caller that goes away cannot let another in between, and the next change of the
//! same record can share the sync.

use std::{
    collections::HashMap,
    mem,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use bytes::Bytes;
use fjall::PersistMode;
use tokio::sync::{mpsc, oneshot};

use super::{
    copies::Copies,
    layout::{self, NUMBER_FACT, POSITION_FACT},
    record_cache::Place,
    spaces::Spaces,
};
use crate::{
    error::{Cause, Fault, OnlineError, Result},
    store::{EntityKey, stripes::Held},
};

/// The number of requests that may wait for the writer; further callers wait before that.
const WAITING_MAX: usize = 1024;

/// The most commits that share a sync.
const GROUP_MAX: usize = 4096;

const SYNC: &str = "sync its journal";

/// A keyspace that all spaces share.
#[derive(Clone, Copy, Debug)]
pub(super) enum SharedKeyspace {
    Marks,
    Logs,
    Facts,
}

/// The changes that are stored in one step.
#[derive(Debug, Default)]
pub(super) struct Commit {
    pub(super) space: u64,
    /// The new bytes of records of the space; none removes a record.
    pub(super) records: Vec<(EntityKey, Option<Vec<u8>>)>,
    /// The new values of keys outside of the space's records; none removes a key.
    pub(super) others: Vec<(SharedKeyspace, Vec<u8>, Option<Vec<u8>>)>,
    /// The entries that are appended to the log of that name.
    pub(super) append: Option<(String, Vec<Bytes>)>,
    /// A log whose entries up to this position are in another place by now, which lets their copies go.
    pub(super) trimmed: Option<(String, u64)>,
    pub(super) durable: bool,
    /// The locks of the records, which are freed when the commit is visible.
    pub(super) held: Held,
}

/// A request of a caller to the writer.
#[derive(Debug)]
enum WriteRequest {
    Commit(Commit, Reply),
    /// The space's records are removed.
    Drop {
        space: u64,
        held: Held,
        reply: Reply,
    },
}

type Reply = oneshot::Sender<Result<Range<u64>>>;

/// The last positions of a log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    pub(super) stored: u64,
    /// Entries up to here survive a loss of power; only these are given to readers, who may act on them elsewhere.
    pub(super) durable: u64,
}

pub(super) type Heads = Arc<Mutex<HashMap<String, Head>>>;

#[derive(Debug)]
pub(super) struct Writer {
    /// The queue of requests; none once the store is being closed.
    requests: Option<mpsc::Sender<WriteRequest>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(spaces: Arc<Spaces>, heads: Heads, copies: Copies) -> Result<Self> {
        let (requests, queue) = mpsc::channel(WAITING_MAX);
        let thread = thread::Builder::new()
            .name("online-writer".into())
            .spawn(move || Loop { spaces, heads, copies, unsynced: false }.run(queue))
            .map_err(|source| OnlineError::Storage {
                action: "start its writer",
                fault: Fault::Other,
                source: Box::new(source),
            })?;
        Ok(Self { requests: Some(requests), thread: Some(thread) })
    }

    /// Answers with the positions of the appended entries when the commit is visible, and durable if asked for.
    pub(super) async fn commit(&self, commit: Commit) -> Result<Range<u64>> {
        let (reply, answer) = oneshot::channel();
        self.send(WriteRequest::Commit(commit, reply), answer).await
    }

    pub(super) async fn drop_space(&self, space: u64, held: Held) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.send(WriteRequest::Drop { space, held, reply }, answer).await.map(drop)
    }

    async fn send(
        &self,
        request: WriteRequest,
        answer: oneshot::Receiver<Result<Range<u64>>>,
    ) -> Result<Range<u64>> {
        let requests = self.requests.as_ref().ok_or(OnlineError::Stopped)?;
        requests.send(request).await.map_err(|_| OnlineError::Stopped)?;
        answer.await.map_err(|_| OnlineError::Stopped)?
    }
}

impl Drop for Writer {
    /// Waits until what was handed over is stored, so that the folder can be opened again.
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(Err(_)) = self.thread.take().map(thread::JoinHandle::join) {
            tracing::error!("the online store's writer ended with a panic");
        }
    }
}

/// The writer's own state.
struct Loop {
    spaces: Arc<Spaces>,
    heads: Heads,
    copies: Copies,
    /// Something was committed after the last sync if this is set.
    unsynced: bool,
}

/// The commits that wait for the same sync.
#[derive(Default)]
struct Group {
    durable: bool,
    replies: Vec<(Reply, Range<u64>)>,
}

impl Loop {
    fn run(mut self, mut queue: mpsc::Receiver<WriteRequest>) {
        let mut group = Group::default();
        while let Some(request) = queue.blocking_recv() {
            self.take(request, &mut group);
            while group.replies.len() < GROUP_MAX
                && let Ok(request) = queue.try_recv()
            {
                self.take(request, &mut group);
            }
            self.persist(mem::take(&mut group));
        }
        if let Err(error) = self.copies.write() {
            tracing::error!(%error, "the copies of what was pushed could not be written at the end");
        }
        if let Err(error) = self.spaces.database.persist(PersistMode::SyncAll) {
            tracing::error!(%error, "the online store's journal could not be synced at the end");
        }
    }

    /// Makes a request's changes visible. Those who hand in nothing that fails are answered after the sync.
    fn take(&mut self, request: WriteRequest, group: &mut Group) {
        let (outcome, durable, reply) = match request {
            WriteRequest::Commit(mut commit, reply) => {
                let _held = mem::take(&mut commit.held);
                let durable = commit.durable;
                (self.commit(commit), durable, reply)
            }
            WriteRequest::Drop { space, held: _held, reply } => {
                (self.spaces.drop_space(space).map(|()| 0..0), false, reply)
            }
        };
        match outcome {
            Ok(positions) => {
                group.durable |= durable;
                group.replies.push((reply, positions));
            }
            Err(error) => {
                if matches!(error, OnlineError::Storage { .. } | OnlineError::Damaged { .. }) {
                    tracing::error!(error = &error as &dyn std::error::Error, "a change was not stored");
                }
                // A caller that went away does not need its answer.
                let _ = reply.send(Err(error));
            }
        }
    }

    fn commit(&mut self, commit: Commit) -> Result<Range<u64>> {
        let spaces = &self.spaces;
        let mut batch = spaces.database.batch();
        let mut changed = Vec::with_capacity(commit.records.len());
        if !commit.records.is_empty() {
            let records = spaces.find_or_make(commit.space)?;
            for (entity, record) in commit.records {
                match record {
                    Some(record) => batch.insert(&records, entity.as_bytes(), record),
                    None => batch.remove(&records, entity.as_bytes()),
                }
                changed.push(Place { keyspace: records.id(), entity });
            }
        }
        for (part, key, value) in commit.others {
            let keyspace = match part {
                SharedKeyspace::Marks => &spaces.marks,
                SharedKeyspace::Logs => &spaces.logs,
                SharedKeyspace::Facts => &spaces.facts,
            };
            match value {
                Some(value) => batch.insert(keyspace, key, value),
                None => batch.remove(keyspace, key),
            }
        }
        let mut positions = 0..0;
        let appended = commit.append.as_ref().filter(|(_, entries)| !entries.is_empty());
        if let Some((log, entries)) = appended {
            let first = self.lock_heads().get(log).map_or(0, |head| head.stored) + 1;
            positions = first..first + entries.len() as u64;
            for (position, entry) in positions.clone().zip(entries) {
                batch.insert(&spaces.logs, layout::log_key(log, position), entry.as_ref());
            }
            let last = (positions.end - 1).to_be_bytes();
            batch.insert(&spaces.facts, layout::fact_key(POSITION_FACT, log), last);
        }
        let empty = batch.is_empty();
        let committed = batch.commit();
        changed.iter().for_each(|place| spaces.cache.forget(place));
        committed.map_err(|error| spaces.faults.of("store a change", error))?;
        self.unsynced |= !empty;
        if let Some((log, entries)) = commit.append.filter(|_| !positions.is_empty()) {
            let number = spaces.facts.get(layout::fact_key(NUMBER_FACT, &log));
            let number = number.map_err(|error| spaces.faults.of("read a log's last number", error))?;
            let number = number.and_then(|number| layout::number(&number)).unwrap_or(0);
            for (position, entry) in positions.clone().zip(&entries) {
                self.copies.add(&log, position, number, entry);
            }
            self.lock_heads().entry(log).or_default().stored = positions.end - 1;
        }
        if let Some((log, up_to)) = commit.trimmed {
            self.copies
                .trim(&log, up_to)
                .map_err(|error| spaces.faults.io("trim the copies of a log", error))?;
        }
        Ok(positions)
    }

    fn lock_heads(&self) -> std::sync::MutexGuard<'_, HashMap<String, Head>> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the journal to the operating system, or to the disk if anybody asked for that, and answers the group.
    fn persist(&mut self, group: Group) {
        let mode = if group.durable { PersistMode::SyncData } else { PersistMode::Buffer };
        let persisted = if self.unsynced { self.spaces.database.persist(mode) } else { Ok(()) };
        // Whoever waits for a sync is answered when there are two copies.
        let copied = if group.durable { self.copies.write() } else { Ok(()) };
        let persisted = match copied {
            Ok(()) => persisted,
            Err(error) => persisted.and(Err(fjall::Error::Io(error))),
        };
        if persisted.is_ok() && group.durable {
            self.unsynced = false;
            self.lock_heads().values_mut().for_each(|head| head.durable = head.stored);
        }
        let failure = persisted.err().map(|error| {
            let failure = self.spaces.faults.of(SYNC, error);
            let error = &failure as &dyn std::error::Error;
            tracing::error!(error, "the online store's journal could not be synced");
            failure
        });
        for (reply, positions) in group.replies {
            let answer = match &failure {
                None => Ok(positions),
                Some(failure) => Err(told_again(failure)),
            };
            // A caller that went away does not need its answer.
            let _ = reply.send(answer);
        }
    }
}

/// The failure of a sync for one more of those who wait for it.
fn told_again(failure: &OnlineError) -> OnlineError {
    match failure {
        OnlineError::Stopped => OnlineError::Stopped,
        OnlineError::Storage { action, fault, source } => {
            OnlineError::Storage { action, fault: *fault, source: Cause::from(source.to_string()) }
        }
        failure => OnlineError::Storage {
            action: SYNC,
            fault: Fault::Other,
            source: Cause::from(failure.to_string()),
        },
    }
}

/// The ends of the logs when the store was opened; opening syncs, so all of it is durable.
pub(super) fn stored_heads(spaces: &Spaces) -> Result<Heads> {
    let fault = |error| spaces.faults.of("read its logs", error);
    let mut heads = HashMap::new();
    for entry in spaces.facts.prefix(POSITION_FACT) {
        let (key, value) = entry.into_inner().map_err(fault)?;
        let log = key.strip_prefix(POSITION_FACT.as_bytes()).and_then(|log| std::str::from_utf8(log).ok());
        let (Some(log), Some(position)) = (log, layout::number(&value)) else {
            return Err(spaces.faults.damaged("a log's last position cannot be read", None));
        };
        heads.insert(log.to_owned(), Head { stored: position, durable: position });
    }
    Ok(Arc::new(Mutex::new(heads)))
}
