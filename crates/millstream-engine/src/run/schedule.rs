//! Which steps may start: those whose predecessors have all ended.

use std::collections::{HashMap, VecDeque};

use millstream_plan::PlannedStep;
use millstream_types::{AssetId, CheckId};

/// Steps that have not started, ordered by the plan.
#[derive(Debug)]
pub(super) struct Schedule {
    waiting: HashMap<AssetId, Waiting>,
    /// Steps by the predecessor that they wait for, and whether they need it to end well.
    after: HashMap<AssetId, Vec<(AssetId, bool)>>,
    ready: VecDeque<PlannedStep>,
}

#[derive(Debug)]
struct Waiting {
    step: PlannedStep,
    /// Predecessors that have not ended.
    open: usize,
}

impl Schedule {
    pub(super) fn new(steps: Vec<PlannedStep>) -> Self {
        let planned: std::collections::HashSet<_> = steps.iter().map(|step| step.asset.clone()).collect();
        let mut schedule = Self { waiting: HashMap::new(), after: HashMap::new(), ready: VecDeque::new() };
        for step in steps {
            let needed = step.after.iter().map(|asset| (asset, true));
            let awaited = step.checks_after.iter().map(|asset| (asset, false));
            let predecessors: Vec<_> =
                needed.chain(awaited).filter(|(asset, _)| planned.contains(*asset)).collect();
            if predecessors.is_empty() {
                schedule.ready.push_back(step);
                continue;
            }
            for (predecessor, must_end_well) in &predecessors {
                let waiting = (step.asset.clone(), *must_end_well);
                schedule.after.entry((*predecessor).clone()).or_default().push(waiting);
            }
            let open = predecessors.len();
            schedule.waiting.insert(step.asset.clone(), Waiting { step, open });
        }
        schedule
    }

    pub(super) fn next_ready(&mut self) -> Option<PlannedStep> {
        self.ready.pop_front()
    }

    /// Marks `asset` as ended. When it did not end well, the steps that wait for it can never start and are
    /// returned.
    ///
    /// `halted_by` are the checks that halted it, if checks did: a step that does not need one of them goes on all the same, with the
    /// version from before.
    pub(super) fn finish(
        &mut self,
        asset: &AssetId,
        well: bool,
        halted_by: Option<&[CheckId]>,
    ) -> Vec<PlannedStep> {
        let mut blocked = Vec::new();
        for (next, must_end_well) in self.after.remove(asset).unwrap_or_default() {
            let Some(waiting) = self.waiting.get_mut(&next) else { continue };
            let goes_on = well || !must_end_well || is_unneeded(&waiting.step, asset, halted_by);
            waiting.open = waiting.open.saturating_sub(1);
            let open = waiting.open;
            if !goes_on || open == 0 {
                let Some(Waiting { step, .. }) = self.waiting.remove(&next) else { continue };
                if goes_on {
                    self.ready.push_back(step);
                } else {
                    blocked.push(step);
                }
            }
        }
        blocked
    }

    /// Takes every step that has not started.
    pub(super) fn drain_waiting(&mut self) -> impl Iterator<Item = PlannedStep> {
        let mut waiting: Vec<_> = self.waiting.drain().map(|(_, waiting)| waiting.step).collect();
        waiting.sort_by(|a, b| a.asset.cmp(&b.asset));
        self.after.clear();
        std::mem::take(&mut self.ready).into_iter().chain(waiting)
    }

    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.ready.is_empty()
    }
}

/// Whether the step says which checks of `asset` it needs, and none of those that halted it is one of them.
fn is_unneeded(step: &PlannedStep, asset: &AssetId, halted_by: Option<&[CheckId]>) -> bool {
    match (step.needs.get(asset), halted_by) {
        (Some(needed), Some(checks)) => !checks.iter().any(|check| needed.contains(check)),
        _ => false,
    }
}
