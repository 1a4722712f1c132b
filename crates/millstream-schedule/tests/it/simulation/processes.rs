//! Several processes that run steps, of which one schedules. What they tell each other goes through the store, so that it outlives
//! whoever told it, and comes late now and then.

use millstream_schedule::{Ending, GoesOn};
use millstream_types::{AssetId, AssetVersion, CheckId, Fingerprint, Span};
use rand::Rng;

use super::world::{STEP_MAX, Step, World, WorldKind};

pub(super) const PROCESSES: usize = 3;

/// How an offered step ended, as it is in the store until it is taken in.
#[derive(Clone, Debug)]
pub(super) struct StepEnd {
    pub(super) asset: AssetId,
    /// The definition with which it was started.
    pub(super) definition: Fingerprint,
    pub(super) how: How,
}

#[derive(Clone, Debug)]
pub(super) enum How {
    Ended { ending: Ending, halted_by: Option<Vec<CheckId>>, took: Span, version: Option<AssetVersion> },
    KeptAway,
    Lost,
}

impl World {
    /// A step ends in the process that runs it, which writes that to the store.
    pub(super) fn end_elsewhere(&mut self, asset: &AssetId, step: Step) {
        self.steps.remove(asset);
        let truth = self.truth.entry(asset.clone()).or_default();
        truth.failed = step.ending.is_bad();
        let mut version = None;
        if step.ending == Ending::Well {
            (truth.read, truth.built) = (step.read, Some(step.definition));
            if step.changes {
                truth.version += 1;
                version = Some(AssetVersion::numbered(truth.version));
            }
        }
        let took = Span::from_ms(((step.ends - step.began) / 1_000).unsigned_abs());
        let halted_by = self.halting(step.ending);
        let how = How::Ended { ending: step.ending, halted_by, took, version };
        self.ends.push_back(StepEnd { asset: asset.clone(), definition: step.definition, how });
    }

    /// The process that schedules takes in how steps ended. It may die before that is recorded, or right after.
    pub(super) fn take_ends(&mut self) {
        while self.scheduler.is_some()
            && let Some(StepEnd { asset, how, .. }) = self.ends.front().cloned()
        {
            let before = self.ledger.clone();
            let now = self.now();
            let Some(scheduler) = &mut self.scheduler else { return };
            let mut decisions = Vec::new();
            match how {
                How::Ended { ending, halted_by, took, version } => {
                    if let Some(version) = version {
                        decisions = scheduler.committed(&asset, version, now);
                    }
                    let ended = match halted_by {
                        Some(by) => scheduler.halted(&asset, by, took, now),
                        None => scheduler.ended(&asset, ending, took, now),
                    };
                    self.record(&decisions);
                    if self.ledger.recorded.contains_key(&asset) {
                        self.ledger.ended(&asset, ending, took);
                        self.forget_gone();
                    }
                    self.record(&ended);
                    decisions.extend(ended);
                }
                How::KeptAway => {
                    decisions = scheduler.kept_away(&asset, now);
                    self.record(&decisions);
                    let until = self.time + self.rng.random_range(1_000..STEP_MAX);
                    self.held.entry(asset).or_insert(until);
                }
                How::Lost => {
                    decisions = scheduler.interrupted(&asset, now);
                    self.record(&decisions);
                }
            }
            if self.may_die() {
                // Neither the end nor the decisions came to be recorded.
                self.ledger = before;
                self.die();
                return self.boot();
            }
            self.ends.pop_front();
            self.begin_all(&decisions);
            if self.may_die() {
                self.die();
                return self.boot();
            }
        }
    }

    /// How the step of the asset goes on, or has ended without the process that schedules knowing it.
    pub(super) fn goes_on(&self, asset: &AssetId) -> Option<GoesOn> {
        let running = self.steps.get(asset).filter(|step| step.wave != super::world::BY_HAND);
        let running = running.map(|step| GoesOn {
            definition: step.definition,
            connection: step.connection.clone(),
            pools: step.pools.clone(),
            is_probe: false,
        });
        let ended = || {
            let end = self.ends.iter().find(|end| end.asset == *asset)?;
            let definition = end.definition;
            Some(GoesOn { definition, connection: None, pools: Vec::new(), is_probe: false })
        };
        running.or_else(ended)
    }

    /// Another process begins to schedule. Steps go on as they began, those too whose assets are gone.
    pub(super) fn take_over_steps(&mut self) {
        if self.kind != WorldKind::Shared {
            return;
        }
        self.scheduling = self.rng.random_range(0..PROCESSES);
        self.unsure_of.extend(self.steps.keys().cloned());
        self.unsure_of.extend(self.ends.iter().map(|end| end.asset.clone()));
        self.steps.values_mut().for_each(|step| step.wave = 1);
    }

    /// A process dies with the steps that it runs, and perhaps it is the one that schedules.
    pub(super) fn a_process_dies(&mut self) {
        let dead = self.rng.random_range(0..PROCESSES);
        self.tell(|| format!("process {dead} dies"));
        for (asset, step) in self.steps_of(dead) {
            self.steps.remove(&asset);
            self.ends.push_back(StepEnd { asset, definition: step.definition, how: How::Lost });
        }
        if dead == self.scheduling {
            self.die();
            self.time += self.rng.random_range(0..90) * super::project::MINUTE;
            self.boot();
        }
    }

    /// A process is cut off from the store until its leases are over: what it runs counts as lost, and keeps others from the assets for
    /// a while. One that schedules does so no more.
    pub(super) fn a_process_is_cut_off(&mut self) {
        let cut_off = self.rng.random_range(0..PROCESSES);
        self.tell(|| format!("process {cut_off} is cut off"));
        for (asset, step) in self.steps_of(cut_off) {
            self.steps.remove(&asset);
            let until = self.time + self.rng.random_range(1_000..STEP_MAX);
            self.held.entry(asset.clone()).or_insert(until);
            self.ends.push_back(StepEnd { asset, definition: step.definition, how: How::Lost });
        }
        if cut_off == self.scheduling {
            self.die();
            self.time += self.rng.random_range(0..3) * super::project::MINUTE;
            self.boot();
        }
    }

    /// A process stops in an orderly way: what it runs is given back, and another one begins it anew.
    pub(super) fn a_process_stops(&mut self) {
        let stopped = self.rng.random_range(0..PROCESSES);
        self.tell(|| format!("process {stopped} stops"));
        for (asset, step) in self.steps_of(stopped) {
            let process = (stopped + 1) % PROCESSES;
            let (began, ends) = (self.time, self.time + (step.ends - step.began));
            self.steps.insert(asset, Step { began, ends, process, ..step });
        }
        if stopped == self.scheduling {
            self.die();
            self.boot();
        }
    }

    fn steps_of(&self, process: usize) -> Vec<(AssetId, Step)> {
        let is_its =
            |(_, step): &(&AssetId, &Step)| step.process == process && step.wave != super::world::BY_HAND;
        self.steps.iter().filter(is_its).map(|(asset, step)| (asset.clone(), step.clone())).collect()
    }
}
