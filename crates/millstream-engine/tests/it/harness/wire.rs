//! The online store as one engine sees it: behind the engine's line.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_online::{
    Fault, Load, LogEntry, OnlineError, OnlineStore, RecordKey, ScanCursor, ScanPage, SpaceInfo, Update,
    Updated,
};

use super::line::{Harm, Line};

/// An online store for one engine, which fails once the engine's line is dead.
#[derive(Debug)]
pub(crate) struct Wire {
    pub store: Arc<dyn OnlineStore>,
    pub line: Arc<Line>,
}

type Result<T> = std::result::Result<T, OnlineError>;

fn fault(harm: Harm) -> OnlineError {
    let fault = if harm == Harm::Passing { Fault::Unavailable } else { Fault::Permission };
    OnlineError::Storage { action: "answer", fault, source: "the line is dead".into() }
}

impl Wire {
    async fn pass<T>(&self, doing: &str, changes: bool, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.line.pass(|| format!("online: {doing}"), changes, fault, work).await
    }
}

#[async_trait]
impl OnlineStore for Wire {
    fn location(&self) -> &str {
        self.store.location()
    }

    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Bytes>>> {
        self.pass("read", false, self.store.read(keys)).await
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated> {
        self.pass("update", true, self.store.update(update)).await
    }

    async fn load(&self, load: Load<'_>) -> Result<()> {
        self.pass("load", true, self.store.load(load)).await
    }

    async fn mark(&self, space: u64, name: &str) -> Result<Option<Bytes>> {
        self.pass("read a mark", false, self.store.mark(space, name)).await
    }

    async fn set_mark(&self, space: u64, name: &str, value: Option<&[u8]>) -> Result<()> {
        self.pass("set a mark", true, self.store.set_mark(space, name, value)).await
    }

    async fn reserve(&self, log: &str, count: u64) -> Result<u64> {
        self.pass("reserve", true, self.store.reserve(log, count)).await
    }

    async fn raise(&self, log: &str, position: u64, number: u64) -> Result<()> {
        self.pass("raise a log", true, self.store.raise(log, position, number)).await
    }

    async fn log(&self, log: &str, after: u64, limit: usize) -> Result<Vec<LogEntry>> {
        self.pass("read a log", false, self.store.log(log, after, limit)).await
    }

    async fn trim_log(&self, log: &str, up_to: u64) -> Result<()> {
        self.pass("trim a log", true, self.store.trim_log(log, up_to)).await
    }

    async fn scan(&self, space: u64, from: Option<&ScanCursor>, limit: usize) -> Result<ScanPage> {
        self.pass("scan", false, self.store.scan(space, from, limit)).await
    }

    async fn spaces(&self) -> Result<Vec<SpaceInfo>> {
        self.pass("list spaces", false, self.store.spaces()).await
    }

    async fn drop_space(&self, space: u64) -> Result<()> {
        self.pass("drop a space", true, self.store.drop_space(space)).await
    }

    async fn sync(&self) -> Result<()> {
        self.pass("sync", false, self.store.sync()).await
    }
}
