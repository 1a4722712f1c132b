//! The event log of a process.

use std::{path::PathBuf, sync::Arc};

use futures::future::BoxFuture;
use millstream_log::{EmbeddedLog, EmbeddedOptions, EventLog, LogError};
use millstream_project::ProjectSpec;

use crate::{Clock, EngineError};

/// The event log. It is opened only when it is needed, because only one process can have an embedded log open.
#[derive(Clone, Debug)]
pub enum Log {
    /// An embedded log in this folder.
    At(PathBuf),
    Opened(Arc<dyn EventLog>),
}

impl Log {
    pub(super) fn of(project: &ProjectSpec) -> Self {
        Self::At(project.environment.log.clone())
    }
}

/// The event log of a process: it is opened once, however many use it, and stays open until the process ends.
#[derive(Debug)]
pub(crate) struct SharedLog {
    log: Log,
    clock: Arc<dyn Clock>,
    opened: tokio::sync::Mutex<Option<Arc<dyn EventLog>>>,
}

impl SharedLog {
    pub(crate) fn new(log: Log, clock: Arc<dyn Clock>) -> Self {
        Self { log, clock, opened: tokio::sync::Mutex::default() }
    }

    /// Whether a log in a folder was never made, so that it holds nothing.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(&self.log, Log::At(folder) if !folder.exists())
    }

    /// Opens the log, unless the process has it open already.
    ///
    /// # Errors
    ///
    /// Another process has it open, or it cannot be read.
    pub(crate) fn open(&self) -> BoxFuture<'_, Result<Arc<dyn EventLog>, LogError>> {
        Box::pin(async move {
            let folder = match &self.log {
                Log::At(folder) => folder,
                Log::Opened(log) => return Ok(log.clone()),
            };
            let mut opened = self.opened.lock().await;
            if let Some(log) = opened.as_ref() {
                return Ok(log.clone());
            }
            let clock = self.clock.clone();
            let options = EmbeddedOptions::new(folder, Arc::new(move || clock.now()));
            let log: Arc<dyn EventLog> = EmbeddedLog::open(options).await?;
            *opened = Some(log.clone());
            Ok(log)
        })
    }

    /// The log, if the process has it open.
    pub(crate) async fn peek(&self) -> Option<Arc<dyn EventLog>> {
        match &self.log {
            Log::Opened(log) => Some(log.clone()),
            Log::At(_) => self.opened.lock().await.clone(),
        }
    }

    /// Ends the log, if the process has opened it: what waits is answered, and another process can open it.
    pub(crate) async fn close(&self) -> Result<(), EngineError> {
        match self.opened.lock().await.take() {
            Some(log) => Ok(log.close().await?),
            None => Ok(()),
        }
    }
}
