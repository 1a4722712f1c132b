//! What others do, and what comes from outside: runs by hand, versions that other processes commit, new files at sources.

use std::collections::{BTreeMap, BTreeSet};

use millstream_schedule::Ending;
use millstream_types::{AssetId, Span};
use tokio::task::JoinError;

use super::{start::span, tenure::Tenure};
use crate::{
    EngineError, Event, Heard, WorkChange, WorkEvent, WorkId, assets::source::waiting, error::told,
    event::ended_well,
};

/// The steps that run in pieces of work which this loop has not started.
#[derive(Debug, Default)]
pub(super) struct Foreign(BTreeMap<WorkId, BTreeSet<AssetId>>);

impl Foreign {
    fn begin(&mut self, work: WorkId, asset: &AssetId) {
        self.0.entry(work).or_default().insert(asset.clone());
    }

    /// Whether the step was known to run.
    fn end(&mut self, work: WorkId, asset: &AssetId) -> bool {
        self.0.get_mut(&work).is_some_and(|assets| assets.remove(asset))
    }

    /// The steps of a piece of work that is over, of which no end was told.
    fn leave(&mut self, work: WorkId) -> BTreeSet<AssetId> {
        self.0.remove(&work).unwrap_or_default()
    }

    fn leave_all(&mut self) -> BTreeSet<AssetId> {
        std::mem::take(&mut self.0).into_values().flatten().collect()
    }

    fn has(&self, asset: &AssetId) -> bool {
        self.0.values().any(|assets| assets.contains(asset))
    }
}

impl Tenure {
    pub(super) async fn hear(&mut self, heard: Option<Heard>) -> Result<(), EngineError> {
        match heard {
            Some(Heard::Change(WorkEvent { work, change })) if !self.works.contains(&work.id) => {
                self.hear_of(work.id, &change).await
            }
            Some(Heard::Change(WorkEvent { work, change })) => {
                // What a run of this loop tells may still be heard after its end was dealt with.
                if matches!(change, WorkChange::Ended) {
                    self.works.remove(&work.id);
                }
                Ok(())
            }
            Some(Heard::Missed(events)) => {
                tracing::warn!(events, "events of work were missed; what others run is taken to have ended");
                for asset in self.foreign.leave_all() {
                    self.step_ended(&asset, Ending::Badly, Span::from_ms(0)).await?;
                }
                self.look_at_versions().await
            }
            // The bus lives as long as the engine, which this loop holds.
            None => Err(EngineError::Worker { doing: "listening to the work of the process" }),
        }
    }

    async fn hear_of(&mut self, work: WorkId, change: &WorkChange) -> Result<(), EngineError> {
        match change {
            WorkChange::Began => Ok(()),
            WorkChange::Told(event) => match event.as_ref() {
                Event::StepStarted { asset, .. } if !self.own.contains(asset) && !self.foreign.has(asset) => {
                    self.foreign.begin(work, asset);
                    let now = self.now();
                    let decisions = self.scheduler.began(asset, now);
                    self.carry_out(decisions, &[]).await
                }
                Event::StepFinished(step) => {
                    if let Some(version) = step.version {
                        self.committed(&step.asset, version).await?;
                    }
                    if !self.foreign.end(work, &step.asset) {
                        return Ok(());
                    }
                    let ending = if ended_well(step) { Ending::Well } else { Ending::Badly };
                    self.step_ended(&step.asset, ending, span(step.elapsed)).await
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

    /// Finds the versions that other processes committed.
    pub(super) async fn look_at_versions(&mut self) -> Result<(), EngineError> {
        let versions = self.engine.world().state.versions().await?;
        for (asset, version) in versions {
            self.committed(&asset, version).await?;
        }
        Ok(())
    }

    /// Begins to list the source of an asset.
    pub(super) fn look(&mut self, asset: &AssetId) {
        let (engine, asset) = (self.engine.clone(), asset.clone());
        self.looks.spawn(async move {
            let waiting = waiting(engine.world(), &asset, false, false).await;
            (asset, waiting.map(|parts| !parts.is_empty()))
        });
    }

    pub(super) async fn looked(
        &mut self,
        looked: Result<(AssetId, Result<bool, EngineError>), JoinError>,
    ) -> Result<(), EngineError> {
        match looked {
            Ok((asset, Ok(true))) => {
                let now = self.now();
                let decisions = self.scheduler.files_appeared(&asset, now);
                self.carry_out(decisions, &[]).await
            }
            Ok((_, Ok(false))) => Ok(()),
            Ok((asset, Err(error))) => {
                let (code, error) = (error.code(), told(&error));
                tracing::warn!(%asset, code, error, "a source could not be listed; it is listed again later");
                Ok(())
            }
            Err(_) => {
                tracing::warn!("listing a source met a defect; it is listed again later");
                Ok(())
            }
        }
    }
}
