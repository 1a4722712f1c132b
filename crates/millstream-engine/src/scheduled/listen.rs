//! What others do, and what comes from outside: runs by hand, versions that other processes commit, new files at sources.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    time::Duration,
};

use futures::FutureExt;
use millstream_schedule::{Ending, RecordedAsset};
use millstream_state::StateError;
use millstream_types::{AssetId, Span};
use tokio::{task::JoinError, time::timeout};

use super::{start::span, tenure::Tenure};
use crate::{
    EngineError, Event, Heard, PipelineChange, PipelineTold, WorkChange, WorkEvent, WorkId,
    assets::source::waiting, error::told, event::ended_well, run::halting,
};

/// How long the listing of a source may take, unless its `timeout` is longer.
const LOOK_MAX: Duration = Duration::from_secs(60);

/// So many runs that are over are known, of which something may still be heard: as many as the bus keeps events.
const WORKS_MAX: usize = 1_024;

/// The steps that run in pieces of work which this loop has not started.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    steps: BTreeMap<WorkId, BTreeSet<AssetId>>,
    /// Whether ends of some of them may have been missed.
    is_doubtful: bool,
}

/// A look at the source of an asset.
pub(super) struct Look {
    asset: AssetId,
    found: Seen,
}

/// What a look at a source found.
enum Seen {
    /// The parts that wait.
    Parts(Vec<String>),
    Fault(EngineError),
}

impl Foreign {
    fn begin(&mut self, work: WorkId, asset: &AssetId) {
        self.steps.entry(work).or_default().insert(asset.clone());
    }

    /// Whether the step was known to run.
    fn end(&mut self, work: WorkId, asset: &AssetId) -> bool {
        self.steps.get_mut(&work).is_some_and(|assets| assets.remove(asset))
    }

    /// The steps of a piece of work that is over, of which no end was told.
    fn leave(&mut self, work: WorkId) -> BTreeSet<AssetId> {
        self.steps.remove(&work).unwrap_or_default()
    }

    /// The steps that have ended, since no process holds their assets any more. As long as others run, there is doubt.
    fn leave_all_but(&mut self, held: &BTreeSet<AssetId>) -> BTreeSet<AssetId> {
        let mut ended = BTreeSet::new();
        for assets in self.steps.values_mut() {
            ended.extend(assets.extract_if(.., |asset| !held.contains(asset)));
        }
        self.steps.retain(|_, assets| !assets.is_empty());
        self.is_doubtful = !self.steps.is_empty();
        ended
    }

    fn has(&self, asset: &AssetId) -> bool {
        self.steps.values().any(|assets| assets.contains(asset))
    }
}

impl Tenure {
    pub(super) async fn hear(&mut self, heard: Option<Heard>) -> Result<(), EngineError> {
        match heard {
            Some(Heard::Change(WorkEvent { work, change })) if !self.is_own(work.id) => {
                self.hear_of(work.id, &change).await
            }
            Some(Heard::Change(WorkEvent { work, change })) => {
                self.hear_of_own(work.id, &change);
                Ok(())
            }
            Some(Heard::Missed(events)) => {
                tracing::warn!(events, "events of work were missed; ends of steps may be among them");
                self.foreign.is_doubtful = true;
                self.forget_works();
                self.look_around().await
            }
            // The bus lives as long as the engine, which this loop holds.
            None => Err(EngineError::Worker { doing: "listening to the work of the process" }),
        }
    }

    /// Whether a run of this loop, or of this process for the one that schedules, tells that.
    fn is_own(&self, work: WorkId) -> bool {
        self.works.contains(&work) || self.exchange.has(work)
    }

    /// What a run of this loop tells may still be heard after its end was dealt with.
    fn hear_of_own(&mut self, work: WorkId, change: &WorkChange) {
        if let WorkChange::Ended = change {
            self.works.remove(&work);
        }
    }

    /// Forgets runs of this loop whose ends were missed: of those that are over, but for the latest, nothing is heard any more.
    fn forget_works(&mut self) {
        let runs: BTreeSet<WorkId> = self.own.values().copied().collect();
        let over: Vec<WorkId> = self.works.difference(&runs).copied().collect();
        for work in over.iter().rev().skip(WORKS_MAX) {
            self.works.remove(work);
        }
    }

    async fn hear_of(&mut self, work: WorkId, change: &WorkChange) -> Result<(), EngineError> {
        match change {
            WorkChange::Began => Ok(()),
            WorkChange::Told(event) => match event.as_ref() {
                Event::StepStarted { asset, .. } if !self.runs(asset) && !self.foreign.has(asset) => {
                    self.foreign.begin(work, asset);
                    let now = self.now();
                    let decisions = self.scheduler.began(asset, now);
                    self.carry_out(decisions, &[]).await
                }
                Event::Pipeline(PipelineTold { asset, change }) => match change {
                    PipelineChange::Committed { version: Some(version), .. } => {
                        self.committed(asset, *version).await
                    }
                    _ => Ok(()),
                },
                Event::StepFinished(step) => {
                    if let Some(version) = step.version {
                        self.committed(&step.asset, version).await?;
                    }
                    if !self.foreign.end(work, &step.asset) {
                        return Ok(());
                    }
                    self.tell_circuits().await?;
                    let (asset, took, now) = (&step.asset, span(step.elapsed), self.now());
                    match halting(step) {
                        Some(by) => {
                            self.promises.step_ended(asset);
                            let decisions = self.scheduler.halted(asset, by, took, now);
                            self.carry_out(decisions, &[]).await
                        }
                        None => {
                            let ending = if ended_well(step) { Ending::Well } else { Ending::Badly };
                            self.step_ended(asset, ending, took).await
                        }
                    }
                }
                _ => Ok(()),
            },
            WorkChange::Ended => {
                for asset in self.foreign.leave(work) {
                    self.step_ended(&asset, Ending::Badly, Span::from_ms(0)).await?;
                }
                Ok(())
            }
        }
    }

    /// Finds the versions that other processes committed, and the ends of steps that were not heard. When the state store is
    /// away, that is found later.
    pub(super) async fn look_around(&mut self) -> Result<(), EngineError> {
        self.look_at_failures().await?;
        self.look_at_repairs().await?;
        self.hear_of_looks().await?;
        self.look_at_workers().await?;
        let state = self.engine.world().state.clone();
        // Leases first: what their holders have committed is among the versions then.
        let held = state.leases(self.now()).await;
        match state.versions().await {
            Ok(versions) => {
                for (asset, version) in versions {
                    self.committed(&asset, version).await?;
                }
            }
            Err(error) => {
                tracing::warn!(error = told(&error), "the versions of assets cannot be read; trying again");
            }
        }
        match held {
            Ok(leases) => {
                if self.foreign.is_doubtful {
                    let held = leases.iter().flat_map(|lease| &lease.assets).cloned().collect();
                    for asset in self.foreign.leave_all_but(&held) {
                        self.step_ended(&asset, Ending::Badly, Span::from_ms(0)).await?;
                    }
                }
                self.see_leases(leases);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(error = told(&error), "it is not known what others run; trying again");
                Ok(())
            }
        }
    }

    /// What others have looked at is as fresh as that, also where it had nothing new.
    async fn hear_of_looks(&mut self) -> Result<(), EngineError> {
        let state = self.engine.world().state.clone();
        let good = async {
            let newest = state.newest_step().await?;
            let good = state.good_steps_of_commands(self.heard_of, newest).await?;
            Ok::<_, StateError>((newest, good))
        };
        let (newest, good) = match good.await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "what others ran cannot be read; trying again");
                return Ok(());
            }
        };
        self.heard_of = newest;
        for (asset, began) in good {
            let Some(facts) = self.engine.project().graph.get(&asset) else { continue };
            if !facts.reads_outside || self.own.contains_key(&asset) {
                continue;
            }
            let now = self.now();
            let decisions = self.scheduler.looked_at(&asset, began, now);
            let fresh_as_of = self.scheduler.fresh_as_of(&asset);
            let recorded = self.recorded.entry(asset.clone());
            let recorded = recorded.or_insert_with(|| RecordedAsset::new(asset.clone()));
            if recorded.fresh_as_of < Some(began) {
                recorded.fresh_as_of = fresh_as_of;
                self.promises.told();
                self.take(decisions, std::slice::from_ref(&asset));
            } else {
                self.take(decisions, &[]);
            }
        }
        self.carry_out_taken().await
    }

    /// Begins to list the source of an asset, unless it is being listed.
    pub(super) fn look(&mut self, asset: &AssetId) {
        if !self.looking.insert(asset.clone()) {
            tracing::debug!(%asset, "a source is still being listed");
            return;
        }
        let (engine, asset) = (self.engine.clone(), asset.clone());
        self.looks.spawn(async move {
            let waiting = AssertUnwindSafe(waiting(engine.world(), &asset, false, false)).catch_unwind();
            let longest = engine.world().step_rules(&asset).timeout.map_or(LOOK_MAX, |own| own.max(LOOK_MAX));
            let found = match timeout(longest, waiting).await {
                Ok(Ok(Ok(parts))) => Seen::Parts(parts),
                Ok(Ok(Err(error))) => Seen::Fault(error),
                Ok(Err(_)) => Seen::Fault(EngineError::Worker { doing: "listing a source" }),
                Err(_) => Seen::Fault(EngineError::TimedOut { asset: asset.clone(), after: longest }),
            };
            Look { asset, found }
        });
    }

    pub(super) async fn looked(&mut self, looked: Result<Look, JoinError>) -> Result<(), EngineError> {
        // Panics are caught within, and the task is cancelled by the end of the tenure alone.
        let Ok(Look { asset, found }) = looked else { return Ok(()) };
        self.looking.remove(&asset);
        let outcome = match &found {
            Seen::Parts(parts) => Ok(parts.as_slice()),
            Seen::Fault(error) => Err(error),
        };
        self.learn_from_look(&asset, outcome).await?;
        match found {
            Seen::Parts(parts) if !parts.is_empty() => {
                let now = self.now();
                let decisions = self.scheduler.files_appeared(&asset, now);
                return self.carry_out(decisions, &[]).await;
            }
            Seen::Parts(_) => {}
            Seen::Fault(error) => {
                let (code, error) = (error.code(), told(&error));
                tracing::warn!(%asset, code, error, "a source could not be listed; it is listed again later");
            }
        }
        Ok(())
    }
}
