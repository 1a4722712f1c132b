//! An embedded store that comes back by itself. After a write that failed, as on a full disk, the library takes no more changes until
//! it is opened anew: that is done here, once a file of some size can be written beside the store again.
//!
//! What was acknowledged is stored, and opening finds it. A change that failed is not tried again here, since a part of it may be in
//! the journal: its caller decides. Nobody else gets the store meanwhile, because the fence stays locked, and no call that began on the
//! store of before goes on.

use std::{
    fs::{File, TryLockError},
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{
    sync::{Mutex, RwLock, RwLockReadGuard},
    time::{Instant, timeout},
};

use super::{Embedded, fault::Faults};
use crate::{
    error::{OnlineError, Result},
    store::{
        EmbeddedOptions, Load, LogEntry, OnlineStore, RecordKey, ScanCursor, ScanPage, SpaceInfo, Update,
        Updated,
    },
};

/// The store is not tried more often than this.
const EVERY: Duration = Duration::from_secs(1);

/// So many bytes have to find room before the store is closed to be opened anew; without them, it can still be read.
const ROOM_BYTES: usize = 16 * 1024 * 1024;

/// So long a try waits for the calls that are under way, which keeps others waiting.
const CALLS_WAIT: Duration = Duration::from_secs(2);

/// So long a store that is closed is waited for: a call that was given up may still read it.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// The store in a folder, opened anew when it has to be.
#[derive(Debug)]
pub(in crate::store) struct Reopening {
    // This field stands before the fence so that it is dropped first.
    /// `None` between a store that was closed and the next one that could be opened.
    store: RwLock<Option<Embedded>>,
    /// Whether the store has said that it takes no more changes.
    is_stopped: AtomicBool,
    /// When the store was tried last; held by the one who tries.
    tried: Mutex<Option<Instant>>,
    folder: PathBuf,
    options: EmbeddedOptions,
    faults: Faults,
    /// A file beside the store that whoever opens it has to lock.
    _fence: File,
}

impl Reopening {
    pub(in crate::store) async fn open(folder: PathBuf, options: &EmbeddedOptions) -> Result<Self> {
        let faults = Faults { location: format!("embedded:{}", folder.display()), folder: folder.clone() };
        let fence = fence(&folder, &faults)?;
        let store = Embedded::open(folder.clone(), options).await?;
        Ok(Self {
            store: RwLock::new(Some(store)),
            is_stopped: AtomicBool::new(false),
            tried: Mutex::default(),
            folder,
            options: options.clone(),
            faults,
            _fence: fence,
        })
    }

    /// The store, for a call that changes nothing: one that takes no changes is good enough.
    async fn readable(&self) -> Result<RwLockReadGuard<'_, Embedded>> {
        if let Ok(store) = RwLockReadGuard::try_map(self.store.read().await, Option::as_ref) {
            return Ok(store);
        }
        self.try_again().await;
        RwLockReadGuard::try_map(self.store.read().await, Option::as_ref).map_err(|_| OnlineError::Stopped)
    }

    /// The store, for a call that changes something.
    async fn writable(&self) -> Result<RwLockReadGuard<'_, Embedded>> {
        if self.is_stopped.load(Ordering::Acquire) {
            self.try_again().await;
        }
        self.readable().await
    }

    /// Passes on what became of a change.
    fn noted<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(OnlineError::Stopped) = &outcome
            && !self.is_stopped.swap(true, Ordering::AcqRel)
        {
            tracing::error!(
                store = self.faults.location,
                "the online store takes no more changes; it is opened anew once there is room"
            );
        }
        outcome
    }

    /// Opens the store anew, if it needs that and there is room. Others who come meanwhile do not wait for that twice.
    async fn try_again(&self) {
        let Ok(mut tried) = self.tried.try_lock() else { return };
        if tried.is_some_and(|tried| tried.elapsed() < EVERY) {
            return;
        }
        *tried = Some(Instant::now());
        if !self.has_room().await {
            return;
        }
        let Ok(mut store) = timeout(CALLS_WAIT, self.store.write()).await else { return };
        if let Some(stopped) = store.take() {
            close(stopped).await;
        }
        match Embedded::open(self.folder.clone(), &self.options).await {
            Ok(opened) => {
                *store = Some(opened);
                self.is_stopped.store(false, Ordering::Release);
                tracing::warn!(store = self.faults.location, "the online store takes changes again");
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the online store could not be opened anew");
            }
        }
    }

    /// Whether as much can be written where the store lies as it takes to open it.
    async fn has_room(&self) -> bool {
        let probe = beside(&self.folder, ".room");
        let written = tokio::task::spawn_blocking(move || {
            let written = File::create(&probe).and_then(|mut file| {
                file.write_all(&vec![0; ROOM_BYTES])?;
                file.sync_all()
            });
            // What is left of the file would take the room itself.
            written.and(std::fs::remove_file(&probe))
        });
        matches!(written.await, Ok(Ok(())))
    }
}

/// Closes a store, so that it can be opened again.
async fn close(store: Embedded) {
    let Embedded { writer, spaces, .. } = store;
    let closed = tokio::task::spawn_blocking(move || {
        drop(writer);
        let begun = std::time::Instant::now();
        while Arc::strong_count(&spaces) > 1 && begun.elapsed() < CLOSE_WAIT {
            thread::sleep(Duration::from_millis(10));
        }
    });
    if closed.await.is_err() {
        tracing::error!("the online store's library panicked while it was closed");
    }
}

/// Locks the fence of the store, as whoever has the store open does.
fn fence(folder: &Path, faults: &Faults) -> Result<File> {
    let opened = folder.parent().map_or(Ok(()), std::fs::create_dir_all);
    let opened =
        opened.and_then(|()| File::options().create(true).append(true).open(beside(folder, ".lock")));
    let file = opened.map_err(|error| faults.io("be opened", error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(faults.locked()),
        Err(TryLockError::Error(error)) => Err(faults.io("be locked", error)),
    }
}

fn beside(folder: &Path, ending: &str) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[async_trait]
impl OnlineStore for Reopening {
    fn location(&self) -> &str {
        &self.faults.location
    }

    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Bytes>>> {
        self.readable().await?.read(keys).await
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated> {
        self.noted(self.writable().await?.update(update).await)
    }

    async fn load(&self, load: Load<'_>) -> Result<()> {
        self.noted(self.writable().await?.load(load).await)
    }

    async fn mark(&self, space: u64, name: &str) -> Result<Option<Bytes>> {
        self.readable().await?.mark(space, name).await
    }

    async fn set_mark(&self, space: u64, name: &str, value: Option<&[u8]>) -> Result<()> {
        self.noted(self.writable().await?.set_mark(space, name, value).await)
    }

    async fn reserve(&self, log: &str, count: u64) -> Result<u64> {
        self.noted(self.writable().await?.reserve(log, count).await)
    }

    async fn raise(&self, log: &str, position: u64, number: u64) -> Result<()> {
        self.noted(self.writable().await?.raise(log, position, number).await)
    }

    /// Syncs where the entries are not all durable yet, which is a change.
    async fn log(&self, log: &str, after: u64, limit: usize) -> Result<Vec<LogEntry>> {
        self.noted(self.writable().await?.log(log, after, limit).await)
    }

    async fn trim_log(&self, log: &str, up_to: u64) -> Result<()> {
        self.noted(self.writable().await?.trim_log(log, up_to).await)
    }

    async fn scan(&self, space: u64, from: Option<&ScanCursor>, limit: usize) -> Result<ScanPage> {
        self.readable().await?.scan(space, from, limit).await
    }

    async fn spaces(&self) -> Result<Vec<SpaceInfo>> {
        self.readable().await?.spaces().await
    }

    async fn drop_space(&self, space: u64) -> Result<()> {
        self.noted(self.writable().await?.drop_space(space).await)
    }

    async fn sync(&self) -> Result<()> {
        self.noted(self.writable().await?.sync().await)
    }
}
