//! Feature views that follow a streaming source: its events go from the log into the online store as they arrive.
//!
//! A view begins with a materialisation of the source's table at one version, and goes on from exactly the offsets up to which that
//! version has landed. What the records hold stands in one mark beside them: the version, then the offsets. So a view that was
//! killed goes on where its records end, whatever came of the lake meanwhile. Where the table was corrected, by a reprocessing or
//! when everything was landed anew, the next materialisation takes the table's rows, and those of the log from the table's offsets
//! up to where the records were, and puts both in the place of each record at once: no value goes back.

mod follow;
mod kept;
mod landed;
mod tail;

use std::{collections::BTreeSet, pin::pin, sync::Arc, time::Duration};

use futures::future::{BoxFuture, try_join_all};
use millstream_connector::Intake;
use millstream_log::{LogError, ReaderName};
use millstream_plan::{Recorded, fingerprint};
use millstream_state::FoundAsset;
use millstream_types::{AssetId, Fingerprint, SourceName};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Continuous, Stint};
use crate::{
    EngineError, FeatureServer, MaterializeReport, MaterializeRequest,
    assets::{
        feature_view,
        service::versions::{StoredView, stored_views},
    },
    engine::World,
    error::told,
    features::online_view,
};

pub(crate) use follow::{Follow, followed, followed_as_defined};
use kept::KeptView;
pub(crate) use kept::KeptViews;
use tail::{Tail, is_view, reader};

/// How often a view looks whether its table was corrected.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// A feature view that follows a source.
#[derive(Debug)]
struct FollowingView {
    world: Arc<World>,
    asset: AssetId,
    fingerprint: Fingerprint,
}

/// The project's views that follow a source.
pub(super) fn continuous(world: &Arc<World>) -> Vec<Arc<dyn Continuous>> {
    let project = &world.project;
    let views = project.features.views.keys().filter_map(|view| Some((view, followed(project, view)?)));
    let pipeline = |(view, source): (&String, &millstream_project::SourceSpec)| {
        let asset = feature_view::id(view);
        let own = project.graph.get(&asset)?.fingerprint;
        let of_source = project.graph.get(&source.table().asset_id())?.fingerprint;
        // Versions of services may read the view in other definitions, which follow along.
        let services: Vec<_> =
            project.features.services.values().map(|one| one.definition.version()).collect();
        let meant = json!({"view": own, "source": of_source, "services": services});
        let fingerprint = fingerprint("following view", &meant);
        Some(Arc::new(FollowingView { world: world.clone(), asset, fingerprint }) as Arc<dyn Continuous>)
    };
    views.filter_map(pipeline).collect()
}

impl Continuous for FollowingView {
    fn asset(&self) -> &AssetId {
        &self.asset
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    fn work<'a>(&'a self, stint: &'a Stint) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let features = FeatureServer::of(&self.world).await?;
            let keeping = self.world.kept_views.begin(self.asset.name());
            while !stint.stop.is_cancelled() {
                let waiting = keeping.view.take();
                let definitions = self.bring_up_to_date(&features, !waiting.is_empty(), stint).await?;
                // Who went away does not need its answer.
                for done in waiting {
                    let _ = done.send(());
                }
                self.follow(&features, definitions, &keeping.view, stint).await?;
            }
            Ok(())
        })
    }
}

impl FollowingView {
    /// Sees to it that each definition of the view was materialised, and again where its table was corrected or somebody wants it
    /// `anew`.
    async fn bring_up_to_date(
        &self,
        features: &FeatureServer,
        anew: bool,
        stint: &Stint,
    ) -> Result<Vec<StoredView>, EngineError> {
        let name = self.asset.name();
        let request =
            MaterializeRequest { views: vec![name.to_owned()], full: anew, ..MaterializeRequest::default() };
        let definitions = features.wanted_views(&request).await?.remove(name).unwrap_or_default();
        let cancel = &stint.lease.cancel;
        let done =
            features.bring_up_to_date(&request, name, definitions.clone(), &stint.events, cancel).await?;
        for report in done.complete()?.iter().filter(|report| report.is_current) {
            // The mark beside the records tells all of it, so that a state store which is away stops nothing.
            if let Err(error) = self.record(report).await {
                tracing::warn!(view = name, error = told(&error), "how far a view is, is not on record yet");
            }
        }
        unpin_unread(&self.world).await?;
        Ok(definitions)
    }

    /// Records the versions of tables that the view has.
    async fn record(&self, report: &MaterializeReport) -> Result<(), EngineError> {
        let world = &self.world;
        let Some(facts) = world.project.graph.get(&self.asset) else { return Ok(()) };
        let Some(recorded) = feature_view::result_of(facts, report, world).recorded else { return Ok(()) };
        let seen = world.state.recorded_of(&self.asset).await?;
        let is_known = |seen: &Recorded| {
            (seen.fingerprint, seen.version) == (recorded.fingerprint, recorded.version)
                && seen.input_versions == recorded.input_versions
        };
        if seen.as_ref().is_some_and(is_known) {
            return Ok(());
        }
        let found =
            FoundAsset { asset: &self.asset, seen: seen.as_ref(), recorded: Some(&recorded), metrics: &[] };
        Ok(world.state.record_found(&[found]).await?)
    }

    /// Follows the log with each definition, until it is time to look at the table again.
    async fn follow(
        &self,
        features: &FeatureServer,
        definitions: Vec<StoredView>,
        kept: &KeptView,
        stint: &Stint,
    ) -> Result<(), EngineError> {
        let mut tails = Vec::new();
        for stored in definitions {
            let Some(follow) = Follow::of(&self.world, &stored.definition).await? else { continue };
            let view = online_view(&stored.definition)?;
            tails.push(Tail::new(&self.world, &features.0.access.store, view, follow));
        }
        let round = stint.stop.child_token();
        let mut following = pin!(try_join_all(tails.iter().map(|tail| tail.keep(&round, &stint.meter))));
        tokio::select! {
            done = &mut following => return done.map(drop),
            () = tokio::time::sleep(LOOK_EVERY) => round.cancel(),
            () = kept.asked() => round.cancel(),
        }
        following.await.map(drop)
    }
}

/// Lets go of events that were kept for views whose records nothing reads any more.
pub(crate) async fn unpin_unread(world: &World) -> Result<(), EngineError> {
    let views = world.project.features.views.keys();
    let sources: BTreeSet<&SourceName> =
        views.filter_map(|view| followed(&world.project, view)).map(|source| &source.name).collect();
    if sources.is_empty() || world.log.is_absent() {
        return Ok(());
    }
    let log = world.log.open().await?;
    let read = stored_views(world).await?.into_keys().map(reader).collect::<Result<BTreeSet<_>, _>>()?;
    for source in sources {
        let topic = Intake::topic(source)?;
        let pins = match log.pins(&topic).await {
            Err(LogError::NoTopic { .. }) => continue,
            pins => pins?,
        };
        let of_views = pins.into_iter().map(|pin| pin.reader).filter(is_view);
        let unread: BTreeSet<ReaderName> = of_views.filter(|reader| !read.contains(reader)).collect();
        for reader in unread {
            log.unpin(&reader, &topic).await?;
        }
    }
    Ok(())
}

/// Takes what is in the log now into a view that was materialised, for a step that comes to an end; the number of events. A view
/// that was not yet stays as it is.
pub(crate) async fn catch_up(
    features: &FeatureServer,
    stored: &StoredView,
    stop: &CancellationToken,
) -> Result<u64, EngineError> {
    let (world, store) = (&features.0.world, features.0.access.store.as_ref());
    let known = feature_view::progress::read(store, stored.definition.space()).await?;
    // What has no place in the log, or is about to get another one, is for a materialisation.
    if !known.is_some_and(|known| known.log.is_some() && known.under_way.is_none()) {
        return Ok(0);
    }
    let Some(follow) = Follow::of(world, &stored.definition).await? else { return Ok(0) };
    let view = online_view(&stored.definition)?;
    Tail::new(world, &features.0.access.store, view, follow).catch_up(stop).await
}
