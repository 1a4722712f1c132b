//! What has to go before an asset.

use std::collections::VecDeque;

use millstream_types::TimestampMicros;

use super::{Scheduler, node::Node};
use crate::DueReason;

/// What becomes of an asset that is due.
pub(super) enum Verdict {
    Run,
    /// That asset goes first.
    Behind(usize),
    UpToDate,
    /// That asset did not end well, in the same wave or since the asset came to be due.
    UpstreamFailed(usize),
}

impl Scheduler {
    /// Walks from the asset to what it reads, the nearest first. What it reads goes first where it runs or is due in the same
    /// wave or an earlier one; what is stale, and did not run in the asset's wave or a later one, is made due and goes first too.
    /// One that failed since the asset came to be due is not tried again for it; where checks halted it that its reader does not
    /// need, it is not in the way either.
    ///
    /// Later waves are not waited for, because a source that has something new all the time would never let the asset run.
    pub(super) fn verdict(&mut self, place: usize) -> Verdict {
        let state = &self.nodes[place].state;
        let Some(due) = &state.due else { return Verdict::UpToDate };
        let (wave, priority, look_before, arrival) = (due.wave, due.priority, due.look_before, due.arrival);
        // Nothing before the first unsettled asset can matter, unless sources have to be looked at.
        let floor = if look_before.is_some() { 0 } else { self.unsettled.first().copied().unwrap_or(place) };
        let mut wanted = Vec::new();
        let mut failed = None;
        self.walks += 1;
        let mut ahead: VecDeque<usize> = VecDeque::from([place]);
        while let Some(next) = ahead.pop_front() {
            self.visits += 1;
            if next != place {
                let node = &self.nodes[next];
                if node.is_busy(wave) {
                    return Verdict::Behind(next);
                }
                // What only a command makes run does not run for others, and what it reads is its own affair.
                if !node.runs_by_itself() {
                    continue;
                }
                let is_tried = node.has_failed(wave, arrival) || node.state.last_wave >= wave;
                if node.is_wanted(look_before) && !is_tried {
                    wanted.push(next);
                }
            }
            // Nothing before it can be in the way any more, unless something was added to a wave that had passed.
            let cleared = self.nodes[next].state.cleared.filter(|_| next != place && look_before.is_none());
            if cleared.is_some_and(|cleared| cleared.wave >= wave && cleared.added == self.added) {
                continue;
            }
            let reader = &self.nodes[next];
            for input in reader.inputs.iter().filter(|input| **input >= floor) {
                let node = &self.nodes[*input];
                let has_failed =
                    node.runs_by_itself() && node.is_wanted(look_before) && node.has_failed(wave, arrival);
                if has_failed && !reader.spares(node) {
                    failed = failed.or(Some(*input));
                }
                if self.met[*input] != self.walks {
                    self.met[*input] = self.walks;
                    ahead.push_back(*input);
                }
            }
        }
        if let Some(failed) = failed {
            return Verdict::UpstreamFailed(failed);
        }
        self.added += u64::try_from(wanted.len()).unwrap_or(u64::MAX);
        let asset = self.nodes[place].asset.id.clone();
        for first in &wanted {
            self.make_due(*first, wave, DueReason::NeededBy { asset: asset.clone() }, priority);
        }
        let node = &self.nodes[place];
        match wanted.first() {
            Some(first) => Verdict::Behind(*first),
            None if node.state.stale || node.asset.reads_outside => Verdict::Run,
            None => Verdict::UpToDate,
        }
    }
}

impl Node {
    /// Whether the asset runs or is due, in this wave or an earlier one.
    fn is_busy(&self, wave: u64) -> bool {
        let runs = self.state.running.as_ref().is_some_and(|running| running.wave <= wave);
        runs || self.state.due.as_ref().is_some_and(|due| due.wave <= wave)
    }

    /// Whether the asset has not ended well, in the wave or since the arrival.
    fn has_failed(&self, wave: u64, arrival: u64) -> bool {
        let state = &self.state;
        state.failed && (state.last_wave >= wave || state.failed_after >= arrival)
    }

    /// Whether the asset is to run before others that read it, and neither runs nor is due.
    fn is_wanted(&self, look_before: Option<TimestampMicros>) -> bool {
        let is_old =
            |before| self.asset.reads_outside && self.state.fresh_as_of.is_none_or(|at| at <= before);
        let is_idle = self.state.running.is_none() && self.state.due.is_none();
        is_idle && (self.state.stale || look_before.is_some_and(is_old))
    }
}
