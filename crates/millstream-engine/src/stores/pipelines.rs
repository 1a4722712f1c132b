//! The state of a process's pipelines.

use std::path::PathBuf;

use futures::future::BoxFuture;
use millstream_online::EntryStore;

use crate::EngineError;

/// The state of pipelines, in a folder beside the state store. It is opened only when it is needed, because only one process can have it open,
/// and stays open until the process ends.
#[derive(Debug)]
pub(crate) struct SharedEntries {
    folder: PathBuf,
    opened: tokio::sync::Mutex<Option<EntryStore>>,
}

impl SharedEntries {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, opened: tokio::sync::Mutex::default() }
    }

    /// Opens the store, unless the process has it open already.
    ///
    /// # Errors
    ///
    /// Another process has it open, or it cannot be read.
    pub(crate) fn open(&self) -> BoxFuture<'_, Result<EntryStore, EngineError>> {
        Box::pin(async move {
            let mut opened = self.opened.lock().await;
            if let Some(store) = opened.as_ref() {
                return Ok(store.clone());
            }
            let folder = std::path::absolute(&self.folder).unwrap_or_else(|_| self.folder.clone());
            let store = EntryStore::open(folder).await?;
            *opened = Some(store.clone());
            Ok(store)
        })
    }
}
