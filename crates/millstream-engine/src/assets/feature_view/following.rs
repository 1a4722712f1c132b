//! Views that follow a source: from tables to the log and back, and what a step adds from the log.

use std::{collections::BTreeMap, time::Duration};

use millstream_lake::At;
use tokio_util::sync::CancellationToken;

use super::{
    materialize::{Work, table_version},
    progress::{self, LogProgress, Progress, reaches},
    report::{MaterializeMode, MaterializeReport, MaterializeRequest, Materialized},
};
use crate::{
    EngineError, FeatureServer, Publisher,
    assets::{service::versions::StoredView, table::is_gone},
    pipelines::features::catch_up,
};

impl FeatureServer {
    /// Takes out the views that pipelines of this process keep up to date, and reports how far they are. Where all is wanted anew,
    /// their pipelines do it first.
    pub(super) async fn take_kept(
        &self,
        request: &MaterializeRequest,
        wanted: &mut BTreeMap<String, Vec<StoredView>>,
    ) -> Result<Materialized, EngineError> {
        let (kept_views, mut kept) = (&self.0.world.kept_views, Materialized::default());
        let names: Vec<String> = wanted.keys().filter(|name| kept_views.contains(name)).cloned().collect();
        for name in names {
            // A pipeline that has ended meanwhile leaves its view to this materialisation.
            if request.full && !kept_views.anew(&name).await? {
                continue;
            }
            for stored in wanted.remove(&name).unwrap_or_default() {
                let progress =
                    progress::read(self.0.access.store.as_ref(), stored.definition.space()).await?;
                let is_full = request.full;
                kept.reports.extend(progress.map(|progress| report_of(&stored, &progress, is_full)));
            }
        }
        Ok(kept)
    }

    /// Brings all definitions of a leased view up to date, with the events that are in the log now.
    pub(super) async fn bring_to_the_present(
        &self,
        request: &MaterializeRequest,
        name: &str,
        definitions: Vec<StoredView>,
        publisher: &Publisher,
        cancel: &CancellationToken,
    ) -> Result<Materialized, EngineError> {
        // Records that are as far as the log are as far as what has landed, so that they go on from there.
        let mut before = BTreeMap::new();
        for stored in &definitions {
            before.insert(stored.label(), catch_up(self, stored, cancel).await?);
        }
        let mut done = self.bring_up_to_date(request, name, definitions.clone(), publisher, cancel).await?;
        for stored in &definitions {
            let label = stored.label();
            let Some(report) = done.reports.iter_mut().find(|report| report.view == label) else { continue };
            let after = catch_up(self, stored, cancel).await?;
            let rows = before.remove(&label).unwrap_or(0) + after;
            if rows > 0 {
                report.rows += rows;
                report.rows_total += after;
                report.mode = report.mode.max(MaterializeMode::Incremental);
            }
        }
        Ok(done)
    }
}

impl Work<'_> {
    /// What is known of records that tables alone have brought up to date, now that the view follows their source: they go on from
    /// the offsets of the version that they have.
    pub(super) async fn handed_over(&self, known: Option<Progress>) -> Result<Option<Progress>, EngineError> {
        let Some(follow) = &self.follow else { return Ok(known) };
        let is_behind =
            |known: &Progress| known.epoch > 0 && known.log.is_none() && known.under_way.is_none();
        let Some(mut progress) = known.clone().filter(is_behind) else { return Ok(known) };
        let table = follow.source.table();
        let Some(version) = progress.versions.get(&table) else { return Ok(known) };
        let snapshot = match self.world.lake.snapshot(&table, At::Version(*version)).await {
            Ok(Some(snapshot)) => snapshot,
            // The version is gone, and a materialisation of all takes its place.
            Ok(None) => return Ok(known),
            Err(error) if is_gone(&error) => return Ok(known),
            Err(error) => return Err(error.into()),
        };
        let Some(offsets) = follow.landed_at(self.world, &snapshot).await? else { return Ok(known) };
        let topic = follow.topic.clone();
        progress.log = Some(LogProgress { topic, offsets, is_caught_up: true, ..LogProgress::default() });
        progress::write(self.store.as_ref(), self.view.space(), &progress).await?;
        Ok(Some(progress))
    }

    /// What is known of records that follow their source, with the newest versions whose rows the records have from the log already:
    /// so that no version has to be kept for long.
    pub(super) async fn moved_on(&self, known: Option<Progress>) -> Result<Option<Progress>, EngineError> {
        let Some((follow, progress)) = self.follow.as_ref().zip(known.as_ref()) else { return Ok(known) };
        let Some(log) = progress.log.as_ref().filter(|_| progress.under_way.is_none()) else {
            return Ok(known);
        };
        if !progress::are_the_same(&self.world.lake, &progress.versions, &progress.identities).await? {
            return Ok(known);
        }
        let pinning = self.pin().await?;
        let versions = pinning.versions();
        let table = pinning.snapshots().remove(&follow.source.table());
        let Some(table) = table.filter(|_| versions != progress.versions) else { return Ok(known) };
        if !follow.only_landed(self.world, progress, &versions).await? {
            return Ok(known);
        }
        let landed = follow.landed_at(self.world, &table).await?;
        if !follow.is_followed_by(log) || !landed.is_some_and(|landed| reaches(&log.offsets, &landed)) {
            return Ok(known);
        }
        let identities = progress::identities(&self.world.lake, &versions).await?;
        let moved = Progress { versions, identities, ..progress.clone() };
        progress::write(self.store.as_ref(), self.view.space(), &moved).await?;
        Ok(Some(moved))
    }
}

/// How far a view is that its pipeline keeps up to date.
fn report_of(stored: &StoredView, progress: &Progress, is_full: bool) -> MaterializeReport {
    MaterializeReport {
        view: stored.label(),
        mode: if is_full { MaterializeMode::Full } else { MaterializeMode::UpToDate },
        rows: 0,
        left_out: 0,
        entities: 0,
        receipt: None,
        versions: progress.versions.clone(),
        table_version: table_version(&stored.definition.name, &progress.versions),
        epoch: progress.epoch,
        rows_total: progress.rows,
        is_current: stored.versions.is_empty(),
        watermark: progress.watermark,
        elapsed: Duration::ZERO,
    }
}
