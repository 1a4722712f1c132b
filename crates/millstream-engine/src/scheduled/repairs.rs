//! Assets that were found damaged are made again by steps of their own.

use std::collections::BTreeMap;

use millstream_plan::{PlannedStep, Reason};
use millstream_schedule::Ending;
use millstream_state::{RepairAction, RepairState};
use millstream_types::{AssetId, TimestampMicros};

use super::tenure::Tenure;
use crate::{EngineError, RunReport, StepOutcome};

/// After a step that could not repair for a reason that may pass, the next one comes after so many microseconds.
const AGAIN: i64 = 60 * 1_000_000;

/// The assets that are to be made again.
#[derive(Debug, Default)]
pub(super) struct Repairing {
    due: BTreeMap<AssetId, Repair>,
    /// The repairs that have ended badly and are not on record as such.
    failed: Vec<(AssetId, String)>,
}

#[derive(Debug)]
struct Repair {
    /// What is damaged.
    cause: String,
    /// When the scheduler was told last.
    told: TimestampMicros,
}

impl Repairing {
    /// What is damaged of an asset that is to be made again.
    pub(super) fn cause(&self, asset: &AssetId) -> Option<&String> {
        self.due.get(asset).map(|repair| &repair.cause)
    }
}

impl Tenure {
    /// Finds out what is to be repaired. When the state store is away, that is found out later.
    pub(super) async fn look_at_repairs(&mut self) -> Result<(), EngineError> {
        let world = self.engine.world().clone();
        for (asset, because) in std::mem::take(&mut self.repairing.failed) {
            world.not_repaired(&asset, &because).await;
        }
        let open = match world.state.open_repairs().await {
            Ok(open) => open,
            Err(error) => {
                tracing::warn!(%error, "what is to be repaired cannot be read; trying again");
                return Ok(());
            }
        };
        let is_due = |repair: &millstream_state::RepairRecord| {
            repair.state == RepairState::Due && repair.action == RepairAction::Rebuild
        };
        let open: BTreeMap<AssetId, String> =
            open.into_iter().filter(is_due).map(|repair| (repair.asset, repair.cause)).collect();
        self.repairing.due.retain(|asset, _| open.contains_key(asset));
        let now = self.now();
        for (asset, cause) in open {
            let waits = self
                .repairing
                .due
                .get(&asset)
                .is_some_and(|known| known.told <= now && now.0.saturating_sub(known.told.0) < AGAIN);
            // What is set aside is made again once it is resumed.
            let is_aside = self.recorded.get(&asset).is_some_and(|known| known.aside.is_some());
            if waits || is_aside || self.started.contains(&asset) {
                continue;
            }
            self.repairing.due.insert(asset.clone(), Repair { cause, told: now });
            let decisions = self.scheduler.damaged(&asset, now);
            self.carry_out(decisions, &[]).await?;
        }
        Ok(())
    }

    /// A step has ended. One that was to repair and ended badly has not; the end of one that ended well is on record.
    pub(super) fn note_repair(&mut self, asset: &AssetId, ending: Ending, fault: Option<String>) {
        if !self.repairing.due.contains_key(asset) {
            return;
        }
        match ending {
            Ending::Well => drop(self.repairing.due.remove(asset)),
            Ending::Badly => {
                self.repairing.due.remove(asset);
                let because = fault.unwrap_or_else(|| "the step did not end well".to_owned());
                self.repairing.failed.push((asset.clone(), because));
            }
            Ending::Passing | Ending::Hindered | Ending::Unreachable => {}
        }
    }
}

/// The steps of a plan, which make their asset again.
pub(super) fn repaired_by(steps: &mut [PlannedStep], cause: &str) {
    for step in steps {
        step.reason = Reason::Repair { because: cause.to_owned() };
    }
}

/// Why the run did not end well, in words.
pub(super) fn fault(ended: &Result<Option<RunReport>, EngineError>) -> String {
    let steps = match ended {
        Ok(report) => report.iter().flat_map(|report| &report.steps),
        Err(error) => return crate::error::told(error),
    };
    let word = |outcome: &StepOutcome| match outcome {
        StepOutcome::Failed { code, error, .. } => Some(format!("{error} ({code})")),
        StepOutcome::Halted { reason, .. } => Some(format!("halted: {reason}")),
        _ => None,
    };
    let mut words = steps.filter_map(|step| word(&step.outcome));
    words.next().unwrap_or_else(|| "the step did not end well".to_owned())
}
