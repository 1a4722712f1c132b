//! The views that pipelines of this process keep up to date, for those who would do so otherwise.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Notify, oneshot};

use crate::EngineError;

/// The views that pipelines of this process are at work on.
#[derive(Debug, Default)]
pub(crate) struct KeptViews(Mutex<BTreeMap<String, Arc<KeptView>>>);

/// A view that a pipeline is at work on, and what it is asked for.
#[derive(Debug, Default)]
pub(crate) struct KeptView {
    /// Those who wait until the view was computed anew.
    anew: Mutex<Vec<oneshot::Sender<()>>>,
    asked: Notify,
}

/// The work of a pipeline on a view, which ends when this is dropped.
pub(super) struct Keeping<'a> {
    views: &'a KeptViews,
    name: String,
    pub view: Arc<KeptView>,
}

impl KeptViews {
    pub(crate) fn contains(&self, view: &str) -> bool {
        self.lock().contains_key(view)
    }

    pub(super) fn begin(&self, view: &str) -> Keeping<'_> {
        let kept = Arc::new(KeptView::default());
        self.lock().insert(view.to_owned(), kept.clone());
        Keeping { views: self, name: view.to_owned(), view: kept }
    }

    /// Has the view computed anew by its pipeline, and waits for that. Says whether a pipeline is at work on it.
    ///
    /// # Errors
    ///
    /// The pipeline ended before, or failed, which it tells itself.
    pub(crate) async fn anew(&self, view: &str) -> Result<bool, EngineError> {
        let Some(kept) = self.lock().get(view).cloned() else { return Ok(false) };
        let (done, answer) = oneshot::channel();
        kept.anew.lock().unwrap_or_else(PoisonError::into_inner).push(done);
        kept.asked.notify_one();
        drop(kept);
        answer.await.map(|()| true).map_err(|_| EngineError::Worker { doing: "computing a view anew" })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<KeptView>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptView {
    /// Waits until somebody asks for something.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Takes those who wait until the view was computed anew.
    pub(super) fn take(&self) -> Vec<oneshot::Sender<()>> {
        std::mem::take(&mut *self.anew.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Keeping<'_> {
    fn drop(&mut self) {
        let mut views = self.views.lock();
        if views.get(&self.name).is_some_and(|kept| Arc::ptr_eq(kept, &self.view)) {
            views.remove(&self.name);
        }
    }
}
