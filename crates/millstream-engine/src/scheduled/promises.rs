//! Promises about assets, looked at while the project is scheduled.

use std::collections::BTreeMap;

use millstream_schedule::{Promise, Sla, SlaChange, SlaFacts, SlaWatch, WatchedPromise, shown};
use millstream_state::SlaRecord;
use millstream_types::{AssetId, Span, TimestampMicros};

use super::tenure::Tenure;
use crate::{EngineError, Event, error::told};

/// No more often than this are promises looked at, in microseconds; what is found lies at its own instant.
const LOOK_EVERY: i64 = 1_000_000;

/// At least this often is recorded that they were looked at, in microseconds.
const RECORD_EVERY: i64 = 60_000_000;

/// The promises of a project at work.
#[derive(Debug, Default)]
pub(super) struct Promises {
    watches: BTreeMap<AssetId, SlaWatch>,
    /// When the steps began that run.
    began: BTreeMap<AssetId, TimestampMicros>,
    /// What became of promises and is not recorded yet.
    unrecorded: BTreeMap<AssetId, Vec<SlaChange>>,
    looked: Option<TimestampMicros>,
    recorded: Option<TimestampMicros>,
    /// The next instant at which a promise stands otherwise although nothing happens.
    wake: Option<TimestampMicros>,
    /// Whether something has happened since they were looked at last.
    is_stale: bool,
}

impl Promises {
    pub(super) fn step_began(&mut self, asset: &AssetId, at: TimestampMicros) {
        self.began.insert(asset.clone(), at);
        self.is_stale = true;
    }

    /// A step that is offered was claimed at that instant, or waits to be.
    pub(super) fn step_claimed(&mut self, asset: &AssetId, claimed: Option<TimestampMicros>) {
        let before = match claimed {
            Some(at) => self.began.insert(asset.clone(), at),
            None => self.began.remove(asset),
        };
        self.is_stale |= before != claimed;
    }

    /// Something is known that was not.
    pub(super) fn told(&mut self) {
        self.is_stale = true;
    }

    pub(super) fn step_ended(&mut self, asset: &AssetId) {
        self.began.remove(asset);
        self.is_stale = true;
    }

    /// The next instant at which promises have to be looked at although nothing happens.
    pub(super) fn next_wake(&self, now: TimestampMicros) -> Option<TimestampMicros> {
        // No more often than they are looked at.
        let soonest = self.looked.filter(|at| *at <= now).map(|at| at.0.saturating_add(LOOK_EVERY));
        self.wake.map(|wake| wake.max(TimestampMicros(soonest.unwrap_or(i64::MIN))))
    }

    fn is_due(&self, now: TimestampMicros) -> bool {
        // A clock that went back is looked at at once.
        let is_recent = self.looked.is_some_and(|at| at <= now && now.0.saturating_sub(at.0) < LOOK_EVERY);
        let is_unrecorded =
            self.recorded.is_none_or(|at| at > now || now.0.saturating_sub(at.0) >= RECORD_EVERY);
        let has_come = self.wake.is_some_and(|wake| wake <= now);
        !self.watches.is_empty() && !is_recent && (self.is_stale || has_come || is_unrecorded)
    }
}

impl Tenure {
    /// Takes over the promises of the project as it is now, with what is recorded of them.
    pub(super) async fn take_promises(&mut self) -> Result<(), EngineError> {
        let world = self.engine.world().clone();
        let now = self.now();
        let promised = world.steps.iter().filter(|(_, steps)| steps.sla.promises().next().is_some());
        let promised: Vec<(AssetId, Sla)> =
            promised.map(|(asset, steps)| (asset.clone(), steps.sla.clone())).collect();
        let made: BTreeMap<AssetId, Vec<Promise>> =
            promised.iter().map(|(asset, sla)| (asset.clone(), sla.promises().collect())).collect();
        if let Err(error) = world.state.keep_promises(&made, now).await {
            tracing::warn!(%error, "promises that are made no more were not forgotten");
        }
        // Most projects promise nothing, and nothing is read for them.
        let recorded = match promised.is_empty() {
            true => BTreeMap::new(),
            false => world.state.sla_promises().await?,
        };
        let mut watches = BTreeMap::new();
        for (asset, sla) in promised {
            let facts = self.facts(&asset);
            let known = match self.promises.watches.get(&asset) {
                Some(watch) => watch.promises(),
                None => recorded.get(&asset).map(Vec::as_slice).unwrap_or_default(),
            };
            let watch = SlaWatch::new(sla, facts, known, now);
            watches.insert(asset, watch);
        }
        self.promises.watches = watches;
        self.promises.is_stale = true;
        Ok(())
    }

    /// Looks at the promises, if it is time for that.
    pub(super) async fn look_at_promises(&mut self) {
        let now = self.now();
        if !self.promises.is_due(now) {
            return;
        }
        let mut watches = std::mem::take(&mut self.promises.watches);
        for (asset, watch) in &mut watches {
            let facts = self.facts(asset);
            for change in watch.observe(facts, now) {
                self.tell_promise(asset, watch, &change);
                self.promises.unrecorded.entry(asset.clone()).or_default().push(change);
            }
        }
        let promises = &mut self.promises;
        promises.wake = watches.values().filter_map(SlaWatch::next_wake).min();
        (promises.looked, promises.is_stale) = (Some(now), false);
        promises.watches = watches;
        self.record_promises(now).await;
    }

    /// Records how the promises stand. What cannot be recorded now is recorded with the next look.
    async fn record_promises(&mut self, now: TimestampMicros) {
        let promises = &self.promises;
        let is_all =
            promises.recorded.is_none_or(|at| at > now || now.0.saturating_sub(at.0) >= RECORD_EVERY);
        let record = |(asset, watch): (&'_ AssetId, &'_ SlaWatch)| (asset.clone(), watch.promises().to_vec());
        let standing: Vec<(AssetId, Vec<WatchedPromise>)> = promises.watches.iter().map(record).collect();
        let mut records = Vec::new();
        for (asset, promised) in &standing {
            let changes = promises.unrecorded.get(asset).map(Vec::as_slice).unwrap_or_default();
            if is_all || !changes.is_empty() {
                records.push(SlaRecord { asset, promises: promised, changes });
            }
        }
        if records.is_empty() {
            return;
        }
        match self.engine.world().state.record_sla(&records).await {
            Ok(()) => {
                self.promises.unrecorded.clear();
                if is_all {
                    self.promises.recorded = Some(now);
                }
            }
            Err(error) => {
                tracing::warn!(
                    error = told(&error),
                    "what became of promises was not recorded; trying again"
                );
                self.promises.is_stale = true;
            }
        }
    }

    fn facts(&mut self, asset: &AssetId) -> SlaFacts {
        let recorded = self.recorded.get(asset);
        let durations = recorded.map(|recorded| recorded.durations.as_slice()).unwrap_or_default();
        let step_expected = durations.iter().max().copied().unwrap_or(Span::from_ms(0));
        SlaFacts {
            fresh_as_of: self.scheduler.fresh_as_of(asset),
            step_began: self.promises.began.get(asset).copied(),
            expected: self.scheduler.expected(asset),
            step_expected,
        }
    }

    fn tell_promise(&self, asset: &AssetId, watch: &SlaWatch, change: &SlaChange) {
        let promised = watch.sla().words(change.promise());
        let message = match change {
            SlaChange::AtRisk { breaks_at, .. } => {
                let note = format!("is expected to break its promise at {}: {promised}", shown(*breaks_at));
                tracing::warn!(%asset, promised, "a promise is at risk: the asset {note}");
                return self.events.publish(Event::StepNote { asset: asset.clone(), note });
            }
            SlaChange::Broken { at, .. } => {
                format!("`{asset}` has broken its promise at {}: {promised}", shown(*at))
            }
            SlaChange::MetAgain { at, broken_at, .. } => {
                let seconds = at.0.saturating_sub(broken_at.0) / 1_000_000;
                format!("`{asset}` keeps its promise again after {seconds} s: {promised}")
            }
        };
        tracing::warn!(%asset, "{message}");
        let is_over = matches!(change, SlaChange::MetAgain { .. });
        self.events.publish(Event::Alarm { about: asset.to_string(), message, is_over });
    }
}
