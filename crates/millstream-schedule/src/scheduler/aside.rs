//! Assets that fail again and again are set aside: they run by themselves no more, and hold up nothing.
//!
//! An asset comes back when its definition changes, when somebody asks for it, or when a run by hand ends well. A new version of
//! what it reads does not bring it back: what failed so often on other versions would fail at every one of them.

use millstream_types::{AssetId, TimestampMicros};

use super::Scheduler;
use crate::{Decision, DueReason, Ending, RecordedAside, ResumeReason, ScheduledAsset};

/// How often an asset has failed in a row, and whether it is set aside for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    pub(super) in_a_row: u32,
    pub(super) aside: Option<RecordedAside>,
}

impl Scheduler {
    /// Somebody wants an asset that was set aside to run by itself again. One that is not set aside begins to count its failures
    /// anew.
    pub fn resumed(&mut self, asset: &AssetId, now: TimestampMicros) -> Vec<Decision> {
        self.begin(now);
        if let Some(place) = self.place(asset).filter(|place| !self.nodes[*place].is_gone) {
            let was_aside = self.nodes[place].state.failures.aside.is_some();
            self.bring_back(place, ResumeReason::Asked);
            if was_aside && self.nodes[place].runs_by_itself() {
                self.make_due(place, self.wave, DueReason::Resumed, i8::MIN);
            }
        }
        self.decide()
    }

    /// The assets that are set aside, in the order of their ids.
    #[must_use]
    pub fn aside(&self) -> Vec<AssetId> {
        let aside = self.nodes.iter().filter(|node| node.state.failures.aside.is_some());
        let mut aside: Vec<AssetId> = aside.map(|node| node.asset.id.clone()).collect();
        aside.sort();
        aside
    }

    /// Counts the end of a step. `is_own`: the scheduler started it, and so it counts against the asset.
    pub(super) fn count_failure(&mut self, place: usize, ending: Ending, is_own: bool) {
        let now = self.now;
        let node = &mut self.nodes[place];
        let failures = &mut node.state.failures;
        match ending {
            Ending::Well => return self.bring_back(place, ResumeReason::EndedWell),
            Ending::Badly if is_own => failures.in_a_row = failures.in_a_row.saturating_add(1),
            Ending::Badly | Ending::Passing | Ending::Hindered | Ending::Unreachable => return,
        }
        let is_too_much = node.asset.set_aside_after.is_some_and(|most| failures.in_a_row >= most.get());
        if is_too_much && failures.aside.is_none() && !node.is_gone {
            let (asset, definition) = (node.asset.id.clone(), node.asset.definition);
            failures.aside = Some(RecordedAside { since: now, definition });
            let failures = failures.in_a_row;
            self.decisions.push(Decision::SetAside { asset, failures, definition, at: now });
        }
    }

    /// The asset is set aside no more, if it was, and its failures are counted anew.
    fn bring_back(&mut self, place: usize, because: ResumeReason) {
        let node = &mut self.nodes[place];
        let failures = std::mem::take(&mut node.state.failures);
        let asset = node.asset.id.clone();
        if failures.aside.is_some() {
            self.decisions.push(Decision::Resume { asset, because });
            self.refresh(place);
        } else if failures.in_a_row > 0 && because == ResumeReason::Asked {
            // An end that is told says by itself that the count begins anew.
            self.decisions.push(Decision::CountAnew { asset });
        }
    }
}

impl Failures {
    /// What is left of them for the asset as it is defined now, and the decision that says so. `is_changed`: they were counted of
    /// another definition.
    pub(super) fn carried(
        self,
        asset: &ScheduledAsset,
        is_changed: bool,
        decisions: &mut Vec<Decision>,
    ) -> Self {
        let is_another =
            |aside: RecordedAside| aside.definition != asset.definition || asset.set_aside_after.is_none();
        match self.aside {
            Some(aside) if is_another(aside) => self.forget(&asset.id, decisions),
            None if is_changed && self.in_a_row > 0 => {
                decisions.push(Decision::CountAnew { asset: asset.id.clone() });
            }
            _ => return self,
        }
        Self::default()
    }

    /// The asset is not the one that failed. One of this name that comes later begins anew.
    pub(super) fn forget(self, asset: &AssetId, decisions: &mut Vec<Decision>) {
        if self.aside.is_some() {
            let because = ResumeReason::DefinitionChanged;
            decisions.push(Decision::Resume { asset: asset.clone(), because });
        }
    }
}
