//! The marks of assets that are stale, prepared for every answer that shows them: a request looks nothing up in the state store,
//! and finds one pointer where nothing is stale.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arc_swap::Guard;
use millstream_api::failures::{StaleAsset, StaleMark};
use millstream_engine::StaleAssets;
use millstream_types::AssetId;
use tokio_util::sync::CancellationToken;

use super::Backend;
use crate::wire::Of;

/// How often the marks are looked at; no answer is further behind than this and what the look takes.
const EVERY: Duration = Duration::from_secs(1);

/// So many assets are named where nobody asks for one.
const NAMED_MAX: usize = 100;

/// The assets that are stale, as answers say it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct StaleMarks {
    assets: BTreeMap<AssetId, StaleAsset>,
    /// The feature views among them, by their own names.
    views: BTreeMap<String, StaleAsset>,
}

impl StaleMarks {
    pub(super) fn of(stale: &StaleAssets) -> Self {
        let assets: BTreeMap<AssetId, StaleAsset> =
            stale.iter().map(|(asset, stale)| (asset.clone(), StaleAsset::of((asset, stale)))).collect();
        let views = assets.iter().filter(|(asset, _)| asset.kind() == Some("view"));
        let views = views.map(|(asset, stale)| (asset.name().to_owned(), stale.clone())).collect();
        Self { assets, views }
    }

    /// The stale ones among these assets.
    pub(super) fn among<'a>(&self, assets: impl Iterator<Item = &'a AssetId>) -> Vec<StaleAsset> {
        match self.assets.is_empty() {
            true => Vec::new(),
            false => assets.filter_map(|asset| self.assets.get(asset)).cloned().collect(),
        }
    }

    /// The stale ones among these feature views.
    pub(super) fn of_views<'a>(&self, views: impl Iterator<Item = &'a str>) -> Vec<StaleAsset> {
        match self.views.is_empty() {
            true => Vec::new(),
            false => views.filter_map(|view| self.views.get(view)).cloned().collect(),
        }
    }

    pub(super) fn of_view(&self, view: &str) -> Option<StaleMark> {
        self.views.get(view).map(|stale| stale.mark.clone())
    }

    pub(super) fn of_dataset(&self, name: &str) -> Option<StaleAsset> {
        self.assets.get(&AssetId::of_kind("dataset", name)).cloned()
    }

    /// The first of all.
    pub(super) fn first(&self) -> Vec<StaleAsset> {
        self.assets.values().take(NAMED_MAX).cloned().collect()
    }
}

impl Backend {
    /// The assets that are stale, as they were known a moment ago.
    pub(super) fn stale(&self) -> Guard<Arc<StaleMarks>> {
        self.stale.load()
    }

    /// Finds out which assets are stale by now. Where that cannot be known, the marks stay as they were.
    pub(super) async fn mark_stale(&self) {
        match self.live().engine.stale().await {
            Ok(stale) => {
                let marks = StaleMarks::of(&stale);
                if **self.stale.load() != marks {
                    self.stale.store(Arc::new(marks));
                }
            }
            Err(error) => tracing::debug!(%error, "it is not known which assets are stale"),
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
