//! The marks of assets that are stale, prepared for every answer that shows them: a request looks nothing up in the state store,
//! and finds one pointer where nothing is stale.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::Guard;
use millstream_api::failures::{StaleAsset, StaleMark};
use millstream_engine::{EngineError, Stale, StaleAssets, StaleCause, StaleWatch};
use millstream_plan::Graph;
use millstream_types::AssetId;
use tokio_util::sync::CancellationToken;

use super::Backend;
use crate::wire::Of;

/// How often the marks are looked at; no answer is further behind than this and what the look takes.
const EVERY: Duration = Duration::from_secs(1);

/// The word for the cause of an asset that is made of a stale one.
const UPSTREAM: &str = "upstream";

/// Marks that could not be looked at for so long are no news any more.
const KNOWN_MAX: Duration = Duration::from_secs(30);

/// The assets that are stale, as answers say it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct StaleMarks {
    assets: BTreeMap<AssetId, StaleAsset>,
    /// The feature views among them, by their own names.
    views: BTreeMap<String, StaleAsset>,
    /// How many of the assets the project defines.
    defined: usize,
}

impl StaleMarks {
    pub(super) fn of(stale: &StaleAssets) -> Self {
        let assets: BTreeMap<AssetId, StaleAsset> =
            stale.iter().map(|(asset, stale)| (asset.clone(), StaleAsset::of((asset, stale)))).collect();
        let views = assets.iter().filter(|(asset, _)| asset.kind() == Some("view"));
        let views = views.map(|(asset, stale)| (asset.name().to_owned(), stale.clone())).collect();
        let is_defined = |(_, stale): &(_, &Stale)| stale.cause != StaleCause::NotDefined;
        Self { assets, views, defined: stale.iter().filter(is_defined).count() }
    }

    /// The stale ones among these assets.
    pub(super) fn among<'a>(&self, assets: impl Iterator<Item = &'a AssetId>) -> Vec<StaleAsset> {
        match self.assets.is_empty() {
            true => Vec::new(),
            false => assets.filter_map(|asset| self.assets.get(asset)).cloned().collect(),
        }
    }

    /// The stale ones among these feature views. One that is not as the project defines it now is of an earlier version of a service: it
    /// is as stale as what it is made of, whatever became of the view of that name.
    pub(super) fn of_views<'a>(
        &self,
        views: impl Iterator<Item = (&'a str, bool)>,
        graph: &Graph,
    ) -> Vec<StaleAsset> {
        let of_view = |(name, is_present): (&str, bool)| match is_present {
            true => self.views.get(name).cloned(),
            false => {
                let view = AssetId::of_kind("view", name);
                let mut inputs = graph.inputs(&view);
                let (asset, of_input) =
                    inputs.find_map(|input| Some((&input.id, self.assets.get(&input.id)?)))?;
                let mut mark = of_input.mark.clone();
                if mark.cause != UPSTREAM {
                    mark.because = format!("made of `{asset}`: {}", mark.because);
                    mark.cause = UPSTREAM;
                }
                Some(StaleAsset { asset: view.to_string(), mark })
            }
        };
        match self.assets.is_empty() {
            true => Vec::new(),
            false => views.filter_map(of_view).collect(),
        }
    }

    pub(super) fn of_view(&self, view: &str) -> Option<StaleMark> {
        self.views.get(view).map(|stale| stale.mark.clone())
    }

    pub(super) fn of_dataset(&self, name: &str) -> Option<StaleAsset> {
        self.assets.get(&AssetId::of_kind("dataset", name)).cloned()
    }
}

/// Since when it cannot be found out which assets are stale.
#[derive(Debug, Default)]
pub(super) struct Unmarked(Mutex<Option<Instant>>);

impl Unmarked {
    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The marks were looked at. It is told once that they cannot be, and once that they can again.
    fn looked(&self, fault: Option<&EngineError>) {
        let mut since = self.since();
        match (fault, *since) {
            (Some(error), None) => {
                *since = Some(Instant::now());
                tracing::warn!(
                    code = error.code(),
                    %error,
                    "it cannot be found out which assets are stale; answers go on with what was known last"
                );
            }
            (None, Some(_)) => {
                *since = None;
                tracing::info!("it is known again which assets are stale");
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    fn is_long(&self, now: Instant) -> bool {
        self.since().is_some_and(|since| now.saturating_duration_since(since) >= KNOWN_MAX)
    }
}

impl Backend {
    /// How many assets are stale; `None` where that has not been known for a while.
    pub(super) fn stale_count(&self) -> Option<usize> {
        (!self.unmarked.is_long(Instant::now())).then(|| self.stale().defined)
    }

    /// The assets that are stale, as they were known a moment ago.
    pub(super) fn stale(&self) -> Guard<Arc<StaleMarks>> {
        self.stale.load()
    }

    /// Finds out which assets are stale by now. Where that cannot be known, the marks stay as they were.
    async fn mark_stale(&self) {
        let mut watch = self.watch.lock().await;
        self.mark(&mut watch).await;
    }

    /// The same for a project that was loaded again, of which nothing was seen before.
    pub(super) async fn mark_anew(&self) {
        let mut watch = self.watch.lock().await;
        *watch = StaleWatch::default();
        self.mark(&mut watch).await;
    }

    /// The marks are those of the project that is at work when this begins: who puts another one there waits for its turn.
    async fn mark(&self, watch: &mut StaleWatch) {
        let found = self.live().engine.stale_news(watch).await;
        self.unmarked.looked(found.as_ref().err());
        let Ok(Some(stale)) = found else { return };
        let marks = StaleMarks::of(&stale);
        if **self.stale.load() != marks {
            self.stale.store(Arc::new(marks));
        }
    }
}

/// Keeps the marks up to date until `cancel`.
pub(crate) async fn keep_marked(backend: Arc<Backend>, cancel: CancellationToken) {
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(EVERY) => backend.mark_stale().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_that_cannot_be_looked_at_are_not_known_after_a_while() {
        let (unmarked, error) = (Unmarked::default(), EngineError::Worker { doing: "looking" });
        unmarked.looked(None);
        assert!(!unmarked.is_long(Instant::now() + KNOWN_MAX));
        for _ in 0..2 {
            unmarked.looked(Some(&error));
            assert!(!unmarked.is_long(Instant::now()));
        }
        assert!(unmarked.is_long(Instant::now() + KNOWN_MAX));
        unmarked.looked(None);
        assert!(!unmarked.is_long(Instant::now() + KNOWN_MAX));
    }
}
