//! From the lake to the online store: everything once, then what is new.
//!
//! A materialisation is an epoch: fixed versions of the view's tables, cut into chunks by entity. The mark of the view says
//! which epoch is under way and how far it is, so a killed one goes on with the same chunks, and every record says
//! which chunk it has, so that none counts twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use millstream_features::view::OnlineView;
use millstream_online::{OnlineStore, feature};
use millstream_plan::AssetFacts;
use millstream_state::Pin;
use millstream_types::TableName;
use tokio_util::sync::CancellationToken;

use super::{
    events::Collected,
    progress::{self, LogProgress, Progress, UnderWay},
    report::{MaterializeFailure, MaterializeMode, MaterializeReport, MaterializeRequest, Materialized},
    result_of,
};
use crate::{
    EngineError, FeatureServer, Publisher,
    assets::{
        apart::{self, Apart, ApartRun},
        service::versions::{self as services, StoredView},
        table::is_gone,
        unknown,
    },
    engine::World,
    event::StepMeter,
    features::{
        online_view, pushed,
        rows::{all_events, pushed_table},
    },
    pinning::Pinning,
    pipelines::features::Follow,
    run::{StepResult, failed_outcome},
};

/// How long a materialisation waits for others to be done with its views.
const PATIENCE: Duration = Duration::from_secs(600);

/// How far in the past the end of a wanted range may lie. Callers name the present, by clocks and in zones of their own.
const UNTIL_MICROS_AGO_MAX: i64 = 24 * 3_600 * 1_000_000;

impl FeatureServer {
    /// Brings the views up to date, one after the other, as a run on record. Where others hold the lease of a view,
    /// this waits for them.
    pub fn materialize<'a>(
        &'a self,
        request: &'a MaterializeRequest,
        publisher: Publisher,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<Materialized, EngineError>> {
        Box::pin(async move {
            self.check_end(request.until)?;
            let mut wanted = self.wanted_views(request).await?;
            let kept = self.take_kept(request, &mut wanted).await?;
            if wanted.is_empty() {
                return Ok(kept);
            }
            let assets: Vec<_> = wanted.keys().map(|name| super::id(name)).collect();
            let apart = Apart {
                command: &request.command,
                principal: request.principal.as_deref(),
                assets: &assets,
                wait: PATIENCE,
            };
            let mut run = apart::begin(&self.0.world, apart, &publisher, &cancel).await?;
            let done = Box::pin(self.materialize_each(request, wanted, &publisher, &mut run)).await;
            let mut done = run.end(done).await?;
            done.reports.extend(kept.reports);
            Ok(done)
        })
    }

    /// Brings leased views up to date, each as a step of the run. A view that only versions of services have is no asset of
    /// the project, and has no step.
    async fn materialize_each(
        &self,
        request: &MaterializeRequest,
        wanted: BTreeMap<String, Vec<StoredView>>,
        publisher: &Publisher,
        run: &mut ApartRun<'_>,
    ) -> Result<Materialized, EngineError> {
        let (world, cancel) = (&self.0.world, run.cancel.clone());
        let mut done = Materialized::default();
        for (name, definitions) in wanted {
            let work = self.bring_to_the_present(request, &name, definitions, publisher, &cancel);
            let of_view = match world.project.graph.get(&super::id(&name)) {
                Some(facts) => {
                    let step = async {
                        let of_view = work.await?;
                        let result = step_result(facts, &of_view, world)?;
                        Ok((of_view, result))
                    };
                    Box::pin(run.step(&facts.id, step)).await?
                }
                None => work.await?,
            };
            done.reports.extend(of_view.reports);
            done.failures.extend(of_view.failures);
        }
        Ok(done)
    }

    /// Brings all definitions of a leased view up to date.
    pub(crate) async fn bring_up_to_date(
        &self,
        request: &MaterializeRequest,
        name: &str,
        definitions: Vec<StoredView>,
        publisher: &Publisher,
        cancel: &CancellationToken,
    ) -> Result<Materialized, EngineError> {
        let mut done = Materialized::default();
        let meter = StepMeter::new(&super::id(name), publisher);
        // The definitions of one view share its pushes.
        let pushes = match pushed::flush(&self.0, name).await {
            Ok(pushes) => pushes,
            Err(error) => {
                done.failures.push(failed_alone(name.to_owned(), Vec::new(), error)?);
                return Ok(done);
            }
        };
        for view in definitions {
            if cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            let (label, versions) = (view.label(), view.versions.clone());
            let (world, store) = (&self.0.world, &self.0.access.store);
            let opened = match online_view(&view.definition) {
                Ok(opened) => Follow::of(world, &view.definition).await.map(|follow| (opened, follow)),
                Err(error) => Err(error),
            };
            let work = opened.map(|(view, follow)| Work {
                world,
                store,
                view,
                follow,
                label: label.clone(),
                doing: (!versions.is_empty()).then(|| format!("the definition of {}", versions.join(", "))),
                is_current: versions.is_empty(),
                pushes,
                meter: &meter,
                cancel,
            });
            let report = match work {
                Ok(work) => work.run(request).await,
                Err(error) => Err(error),
            };
            match report {
                Ok(report) => done.reports.push(report),
                Err(error) => {
                    let error = world.project.told_of_views(std::iter::once(name), error);
                    done.failures.push(failed_alone(label, versions, error)?);
                }
            }
        }
        services::follow(&self.0.world, self.0.access.store.as_ref()).await?;
        Ok(done)
    }

    /// Refuses a range that ends so early that rows after its end would come too.
    fn check_end(&self, until: Option<i64>) -> Result<(), EngineError> {
        let earliest = self.0.world.options.clock.now().0.saturating_sub(UNTIL_MICROS_AGO_MAX);
        if until.is_none_or(|until| until >= earliest) {
            return Ok(());
        }
        Err(EngineError::Request {
            message:
                "the range ends more than a day ago, and a materialisation takes every row up to the present"
                    .to_owned(),
            hint: Some(
                "end the range now; a read with `at`, or a dataset, has the values of earlier times"
                    .to_owned(),
            ),
        })
    }

    /// The views that are asked for, by name, each in all definitions that something reads; the one that the project
    /// has now comes first.
    pub(crate) async fn wanted_views(
        &self,
        request: &MaterializeRequest,
    ) -> Result<BTreeMap<String, Vec<StoredView>>, EngineError> {
        for name in &request.views {
            self.online_view(name)?;
        }
        let is_wanted =
            |name: &String| request.views.is_empty() || request.views.iter().any(|view| view == name);
        let mut wanted: BTreeMap<String, Vec<StoredView>> = BTreeMap::new();
        for view in services::stored_views(&self.0.world).await?.into_values() {
            if is_wanted(&view.definition.name) {
                wanted.entry(view.definition.name.clone()).or_default().push(view);
            }
        }
        wanted.values_mut().for_each(|views| views.sort_by_key(|view| !view.versions.is_empty()));
        Ok(wanted)
    }
}

/// How the step of a view ended: as its present definition did.
fn step_result(facts: &AssetFacts, done: &Materialized, world: &World) -> Result<StepResult, EngineError> {
    if let Some(failure) = done.failures.iter().find(|failure| failure.is_current) {
        return Ok(StepResult::without_rows(failed_outcome(&failure.error), None));
    }
    let report = done.reports.iter().find(|report| report.is_current);
    report.map(|report| result_of(facts, report, world)).ok_or_else(|| unknown(&facts.id))
}

/// The failure of a view, unless what failed would fail for every other view too.
fn failed_alone(
    view: String,
    versions: Vec<String>,
    error: EngineError,
) -> Result<MaterializeFailure, EngineError> {
    let is_shared = match &error {
        EngineError::Cancelled | EngineError::State(_) | EngineError::File { .. } => true,
        EngineError::Online(error) => !error.is_of_record(),
        _ => false,
    };
    if is_shared {
        return Err(error);
    }
    let (is_current, remove) = (versions.is_empty(), versions.first());
    let hint =
        remove.map(|version| format!("`millstream features remove {version}` ends serving that version"));
    let error = EngineError::Materialize { view: view.clone(), hint, source: Box::new(error) };
    Ok(MaterializeFailure { view, is_current, error })
}

/// The version of the one table that a view is computed from, apart from rows that were pushed to it. Pure.
pub(super) fn table_version(view: &str, versions: &BTreeMap<TableName, i64>) -> Option<i64> {
    let pushed = pushed_table(view).ok();
    let mut tables = versions.iter().filter(|(table, _)| Some(*table) != pushed.as_ref());
    match (tables.next(), tables.next()) {
        (Some((_, version)), None) => Some(*version),
        _ => None,
    }
}

/// One view's materialisation.
pub(super) struct Work<'a> {
    pub world: &'a Arc<World>,
    pub store: &'a Arc<dyn OnlineStore>,
    pub view: OnlineView,
    /// What the view follows, if it follows a source.
    pub follow: Option<Arc<Follow>>,
    /// The name of the view in reports.
    label: String,
    /// What is worked on within the view's step, where it is not what the project says now.
    pub doing: Option<String>,
    is_current: bool,
    /// The number of the last push to the view, if there was one.
    pushes: u64,
    pub meter: &'a StepMeter,
    pub cancel: &'a CancellationToken,
}

/// What to do next, decided from the mark and the lake.
pub(super) struct Epoch {
    pub under_way: UnderWay,
    pub pinning: Arc<Pinning>,
    /// The versions whose events the records have already, for an incremental epoch.
    pub since: BTreeMap<TableName, i64>,
}

impl Work<'_> {
    async fn run(&self, request: &MaterializeRequest) -> Result<MaterializeReport, EngineError> {
        let known = progress::read(self.store.as_ref(), self.view.space()).await?;
        let is_first = known.as_ref().is_none_or(|known| known.epoch == 0);
        let is_begun = known.as_ref().is_some_and(|known| known.under_way.is_some());
        let fills =
            request.alone && self.world.online.is_embedded() && is_first && !self.has_records().await?;
        let done = self.run_epoch(known, request.full, fills, 0).await?;
        if !is_begun {
            return Ok(done);
        }
        // An epoch that was begun before ends at the versions of then, so what came since is for another one.
        let known = progress::read(self.store.as_ref(), self.view.space()).await?;
        let next = self.run_epoch(known, false, false, done.rows).await?;
        Ok(done.followed_by(next))
    }

    /// Carries one epoch out, from what is `known` of the records. `fills` says that the view has no records yet, and
    /// `rows_before` is the number of events that were read before the epoch.
    async fn run_epoch(
        &self,
        known: Option<Progress>,
        full: bool,
        fills: bool,
        rows_before: u64,
    ) -> Result<MaterializeReport, EngineError> {
        let started = Instant::now();
        let known = self.handed_over(known).await?;
        let known = self.moved_on(known).await?;
        let Some(mut epoch) = self.epoch(known.as_ref(), full).await? else {
            let known = known.unwrap_or_default();
            self.pin_versions(&known).await?;
            return Ok(self.report(MaterializeMode::UpToDate, &known, started));
        };
        let Collected { chunks, newest: of_table, receipt } = self.collect(&mut epoch, rows_before).await?;
        let mut done = known.unwrap_or_default();
        let goes_on = done.under_way.as_ref().is_some_and(|begun| begun.epoch == epoch.under_way.epoch);
        done.under_way = Some(epoch.under_way.clone());
        if epoch.under_way.full {
            (done.watermark, done.table_watermark) = (chunks.newest, of_table);
        } else {
            done.watermark = done.watermark.max(chunks.newest);
            done.table_watermark = done.table_watermark.max(of_table);
        }
        progress::write(self.store.as_ref(), self.view.space(), &done).await?;
        let applied = self.apply(&mut epoch, &chunks, &mut done, fills).await?;
        let receipt = applied.receipt(&super::id(&self.view.definition().name), receipt)?;
        // A space that was empty holds only records that the chunks brought, so there is nothing to sweep.
        if !fills {
            self.sweep(&epoch, &done).await?;
        }
        let UnderWay { epoch: number, full, versions, identities, covered, log, .. } = epoch.under_way;
        let before = done.log.take().unwrap_or_default();
        let topic = self.follow.as_ref().map(|follow| follow.topic.clone()).unwrap_or_default();
        let log = log.map(|span| LogProgress { topic, offsets: span.to, batch: 0, begun: None, ..before });
        let rows = if full { chunks.rows } else { done.rows + chunks.rows };
        let finished = Progress {
            epoch: number,
            versions,
            identities,
            covered,
            watermark: done.watermark,
            table_watermark: done.table_watermark,
            at: self.world.options.clock.now().0,
            rows,
            // What was pushed since an epoch began is for the next one to look at.
            pushes: if goes_on { done.pushes } else { self.pushes },
            log,
            under_way: None,
        };
        progress::write(self.store.as_ref(), self.view.space(), &finished).await?;
        self.store.sync().await?;
        self.pin_versions(&finished).await?;
        let mode = if full { MaterializeMode::Full } else { MaterializeMode::Incremental };
        let (rows, left_out) = (chunks.rows, chunks.left_out);
        let report = self.report(mode, &finished, started);
        Ok(MaterializeReport { rows, left_out, entities: applied.entities, receipt: Some(receipt), ..report })
    }

    /// Pins the versions that the records have, so that maintenance leaves them and the next materialisation finds what
    /// came since.
    async fn pin_versions(&self, done: &Progress) -> Result<(), EngineError> {
        let now = self.world.options.clock.now();
        let pinned_by = services::pin_name(self.view.space());
        let pin = |(table, version): (&TableName, &i64)| Pin {
            table: table.clone(),
            version: *version,
            pinned_by: pinned_by.clone(),
            at: now,
        };
        let pins: Vec<Pin> = done.versions.iter().map(pin).collect();
        Ok(self.world.state.replace_pins(&pinned_by, &pins).await?)
    }

    /// Whether the view has records already, as from pushes before the first materialisation. A materialisation that
    /// was killed left none that another cannot replace, but they are looked up to be safe.
    async fn has_records(&self) -> Result<bool, EngineError> {
        let page = self.store.scan(self.view.space(), None, 1).await?;
        Ok(!page.records.is_empty())
    }

    /// Cleans up records that no chunk reached: of entities that the lake no longer has, and with pushed rows that the
    /// lake has by now.
    async fn sweep(&self, epoch: &Epoch, done: &Progress) -> Result<(), EngineError> {
        let store = self.store.as_ref();
        if epoch.under_way.full {
            feature::remove_older(store, &self.view, epoch.under_way.epoch).await?;
        }
        // Asking for the number of the last push takes a number itself.
        if self.pushes > done.pushes + 1 {
            let chunk = self.chunk(epoch, done, u64::MAX);
            feature::settle(store, &self.view, &chunk).await?;
        }
        Ok(())
    }

    /// A report of no rows.
    fn report(&self, mode: MaterializeMode, done: &Progress, started: Instant) -> MaterializeReport {
        MaterializeReport {
            view: self.label.clone(),
            mode,
            rows: 0,
            left_out: 0,
            entities: 0,
            receipt: None,
            versions: done.versions.clone(),
            table_version: table_version(&self.view.definition().name, &done.versions),
            epoch: done.epoch,
            rows_total: done.rows,
            is_current: self.is_current,
            watermark: done.watermark,
            elapsed: started.elapsed(),
        }
    }

    /// The epoch that has to be done; `None` when the records have everything. An epoch that was begun is continued, unless all
    /// is wanted and it takes in only what was new.
    async fn epoch(&self, known: Option<&Progress>, full: bool) -> Result<Option<Epoch>, EngineError> {
        let is_of_now = |begun: &&UnderWay| begun.log.is_some() == self.follow.is_some();
        if let Some(known) = known
            && let Some(under_way) =
                known.under_way.as_ref().filter(|begun| begun.full || !full).filter(is_of_now)
        {
            let (lake, versions) = (&self.world.lake, &under_way.versions);
            match Pinning::at(self.world, versions).await {
                Ok(pinning) if progress::are_the_same(lake, versions, &under_way.identities).await? => {
                    let (under_way, since) = (under_way.clone(), known.versions.clone());
                    return Ok(Some(Epoch { under_way, pinning: Arc::new(pinning), since }));
                }
                // The versions with which the epoch was begun are gone, so a full epoch takes its place.
                Ok(_) => return self.whole(Some(known)).await.map(Some),
                Err(EngineError::Lake(error)) if is_gone(&error) => {
                    return self.whole(Some(known)).await.map(Some);
                }
                Err(error) => return Err(error),
            }
        }
        let Some(known) = known.filter(|_| !full) else { return self.whole(known).await.map(Some) };
        // A table that was made again or restored has other rows under the same numbers.
        if !progress::are_the_same(&self.world.lake, &known.versions, &known.identities).await? {
            return self.whole(Some(known)).await.map(Some);
        }
        let pinning = self.pin().await?;
        let versions = pinning.versions();
        match &self.follow {
            Some(follow) if !known.log.as_ref().is_some_and(|log| follow.is_followed_by(log)) => {
                return self.whole(Some(known)).await.map(Some);
            }
            Some(_) if versions == known.versions => return Ok(None),
            Some(follow) => {
                return if follow.only_landed(self.world, known, &versions).await? {
                    Ok(None)
                } else {
                    self.whole(Some(known)).await.map(Some)
                };
            }
            // The records have events that the versions do not tell of.
            None if known.log.is_some() => return self.whole(Some(known)).await.map(Some),
            None => {}
        }
        if versions == known.versions {
            return Ok(None);
        }
        if !self.only_new_rows(known, &versions).await? {
            return self.whole(Some(known)).await.map(Some);
        }
        let under_way = self.under_way(known.epoch, false, &pinning).await?;
        Ok(Some(Epoch { under_way, pinning, since: known.versions.clone() }))
    }

    async fn whole(&self, known: Option<&Progress>) -> Result<Epoch, EngineError> {
        let pinning = self.pin().await?;
        let begun = known.and_then(|known| known.under_way.as_ref()).map(|under_way| under_way.epoch);
        let last = known.map_or(0, |known| known.epoch).max(begun.unwrap_or(0));
        let mut under_way = self.under_way(last, true, &pinning).await?;
        if let Some(follow) = &self.follow {
            let known = known.and_then(|known| known.log.as_ref());
            under_way.log = Some(follow.span(self.world, &pinning, known).await?);
        }
        Ok(Epoch { under_way, pinning, since: BTreeMap::new() })
    }

    async fn under_way(&self, last: u64, full: bool, pinning: &Pinning) -> Result<UnderWay, EngineError> {
        let pushed = pushed_table(&self.view.definition().name).ok();
        let covered = pushed.and_then(|table| pinning.snapshots().remove(&table));
        let covered = covered.map_or(0, |snapshot| pushed::covered(&snapshot));
        let versions = pinning.versions();
        let identities = progress::identities(&self.world.lake, &versions).await?;
        Ok(UnderWay { epoch: last + 1, full, versions, identities, covered, log: None, chunks: 0, next: 0 })
    }

    /// Holds every table that the view's query touches, and its pushed rows.
    pub(super) async fn pin(&self) -> Result<Arc<Pinning>, EngineError> {
        let pinning = Arc::new(Pinning::new(self.world));
        let definition = self.view.definition();
        match (&self.follow, self.world.project.features.views.get(&definition.name)) {
            // A source that takes in events has no table before the first of them has landed.
            (Some(follow), _) => drop(pinning.pin_if_there(&follow.source.table()).await?),
            (None, Some(own)) if own.definition.space() == self.view.space() => {
                pinning.pin(&own.dependencies).await?;
            }
            // Planning the query touches the tables of a definition that the project no longer has.
            _ => drop(all_events(&pinning, definition).await?),
        }
        pinning.pin_if_there(&pushed_table(&definition.name)?).await?;
        Ok(pinning)
    }

    /// Whether the tables have only gained rows since the versions of `known`, and each row is an event by itself.
    async fn only_new_rows(
        &self,
        known: &Progress,
        versions: &BTreeMap<TableName, i64>,
    ) -> Result<bool, EngineError> {
        let definition = self.view.definition();
        let pushed = pushed_table(&definition.name)?;
        let before: BTreeSet<&TableName> = known.versions.keys().filter(|table| **table != pushed).collect();
        let now: BTreeSet<&TableName> = versions.keys().filter(|table| **table != pushed).collect();
        if !self.is_row_wise() || before != now {
            return Ok(false);
        }
        for (table, to) in versions {
            // Rows that were pushed are never taken back, and the table may be new.
            let Some(from) = known.versions.get(table).filter(|from| *from != to) else { continue };
            match self.world.lake.changes(table, *from, *to).await {
                Ok(changes) if changes.only_adds() => {}
                Ok(_) => return Ok(false),
                Err(error) if is_gone(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}
