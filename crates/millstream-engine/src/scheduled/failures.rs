//! What failures do to the schedule: circuits that hold steps, assets that are set aside and come back.

use millstream_schedule::Ending;
use millstream_state::{StateError, StepOutcome};
use millstream_types::AssetId;

use super::tenure::Tenure;
use crate::{EngineError, ErrorClass, Event, RunReport, StepReport, error::told, event::ended_well};

impl Tenure {
    /// Tells the scheduler of the circuits that opened, were probed in vain, or closed since it was told last.
    pub(super) async fn tell_circuits(&mut self) -> Result<(), EngineError> {
        self.take_circuits();
        self.carry_out_taken().await
    }

    /// The same without acting on it yet.
    pub(super) fn take_circuits(&mut self) {
        let now = self.now();
        let open = self.engine.world().open_circuits();
        let before = std::mem::replace(&mut self.circuits, open.clone());
        for (name, until) in &open {
            if before.get(name) != Some(until) {
                let decisions = self.scheduler.circuit_opened(name, *until, now);
                self.take(decisions, &[]);
            }
        }
        for name in before.keys().filter(|name| !open.contains_key(*name)) {
            let decisions = self.scheduler.circuit_closed(name, now);
            self.take(decisions, &[]);
        }
    }

    /// Finds out what other processes did to circuits, and which assets somebody asked for. When the state store is away, that is
    /// found out later.
    pub(super) async fn look_at_failures(&mut self) -> Result<(), EngineError> {
        let world = self.engine.world().clone();
        if let Err(error) = world.refresh_circuits().await {
            let (code, error) = (error.code(), told(&error));
            tracing::warn!(code, error, "the circuits cannot be read; trying again");
        }
        self.tell_circuits().await?;
        match world.state.resumptions().await {
            Ok(assets) => {
                for asset in assets {
                    self.resume(&asset).await?;
                }
            }
            Err(error) => {
                tracing::warn!(error = told(&error), "what was asked for cannot be read; trying again");
            }
        }
        Ok(())
    }

    async fn resume(&mut self, asset: &AssetId) -> Result<(), EngineError> {
        let now = self.now();
        let decisions = self.scheduler.resumed(asset, now);
        self.carry_out(decisions, &[]).await?;
        // An asset that is asked for twice comes back once more, which does no harm.
        if let Err(error) = self.engine.world().state.resumed(asset).await {
            tracing::warn!(%asset, error = told(&error), "that an asset was resumed was not recorded; trying again");
        }
        Ok(())
    }

    /// A source was looked at, and gave the parts that wait or a fault.
    pub(super) async fn learn_from_look(
        &mut self,
        asset: &AssetId,
        found: Result<&[String], &EngineError>,
    ) -> Result<(), EngineError> {
        let (world, events) = (self.engine.world().clone(), self.events.clone());
        world.looked(asset, found, &events).await;
        self.tell_circuits().await
    }

    pub(super) fn tell_aside(&self, asset: &AssetId, failures: u32) {
        let message = format!(
            "`{asset}` is set aside: it has failed {failures} times in a row; `millstream schedule resume {asset}` lets it run again"
        );
        tracing::warn!(%asset, failures, "{message}");
        self.events.publish(Event::Alarm { about: asset.to_string(), message, is_over: false });
    }

    pub(super) fn tell_resumed(&self, asset: &AssetId, because: &str) {
        let message = format!("`{asset}` is set aside no more: {because}");
        tracing::info!(%asset, "{message}");
        self.events.publish(Event::Alarm { about: asset.to_string(), message, is_over: true });
    }
}

/// How the step of a run of one asset ended. A place that `has_circuit` and does not answer in time could not be reached.
pub(super) fn judge(
    asset: &AssetId,
    ended: &Result<Option<RunReport>, EngineError>,
    has_circuit: bool,
) -> Ending {
    let report = match ended {
        Ok(report) => report,
        Err(error) => {
            tracing::warn!(%asset, code = error.code(), error = told(error), "a step did not run");
            return match error {
                // Whoever took its place may have been about something else, and the asset is not up to date.
                EngineError::State(StateError::LeaseLost) => Ending::Hindered,
                error => ending_of(Some(error.class())),
            };
        }
    };
    let Some(report) = report else { return Ending::Well };
    if !report.cancelled && !report.broke_off && report.steps.iter().all(ended_well) {
        return Ending::Well;
    }
    let endings: Vec<Ending> = report.steps.iter().map(|step| step_ending(step, has_circuit)).collect();
    // A run that was cancelled or broke off between steps says nothing of the asset, which is not up to date all the same.
    let otherwise = if report.broke_off || report.cancelled { Ending::Hindered } else { Ending::Passing };
    [Ending::Unreachable, Ending::Hindered, Ending::Badly]
        .into_iter()
        .find(|one| endings.contains(one))
        .unwrap_or(otherwise)
}

/// The code of an attempt that took too long.
const TIMED_OUT: &str = "MS-0740";

fn step_ending(step: &StepReport, has_circuit: bool) -> Ending {
    match &step.outcome {
        StepOutcome::Built | StepOutcome::Unchanged => Ending::Well,
        StepOutcome::Halted { .. } => Ending::Badly,
        StepOutcome::Skipped { .. } | StepOutcome::Cancelled => Ending::Passing,
        StepOutcome::Failed { code, .. } if code == TIMED_OUT => match has_circuit {
            true => Ending::Unreachable,
            // It would take too long again.
            false => Ending::Passing,
        },
        StepOutcome::Failed { .. } => ending_of(step.class),
    }
}

/// How a step ends with an error of this class. Only what would fail in the same way again counts against the asset: a store that
/// is away for a while would otherwise set aside all that asks it.
fn ending_of(class: Option<ErrorClass>) -> Ending {
    match class {
        Some(ErrorClass::Unavailable) => Ending::Unreachable,
        Some(ErrorClass::Transient | ErrorClass::Throttled | ErrorClass::Store) => Ending::Hindered,
        Some(ErrorClass::Cancelled) => Ending::Passing,
        Some(ErrorClass::Data | ErrorClass::Definition | ErrorClass::Bug) | None => Ending::Badly,
    }
}
