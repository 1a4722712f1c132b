//! Steps: how they begin, what keeps them away, and how they end.

use millstream_schedule::{Decision, DueReason, Ending, ScheduledAsset, StartedStep};
use millstream_types::{AssetId, AssetVersion, CheckId, Span, TimestampMicros};
use rand::Rng;

use super::{
    places::News,
    processes::{How, PROCESSES, StepEnd},
    project::CHECKS,
    world::{BY_HAND, STEP_MAX, Step, World, WorldKind},
};

impl World {
    /// The checks that halted a step which ended like this, if checks did.
    pub(super) fn halting(&mut self, ending: Ending) -> Option<Vec<CheckId>> {
        let check = CHECKS.get(self.rng.random_range(0..2 * CHECKS.len()))?;
        (ending == Ending::Badly).then(|| vec![CheckId::new(check)])
    }

    pub(super) fn begin(&mut self, step: &StartedStep, wave: u64) {
        assert!(!self.is_closing, "`{}` starts although the process is about to end", step.asset);
        let asset = self.asset(&step.asset).clone();
        assert!(!self.steps.contains_key(&asset.id), "`{}` overlaps itself", asset.id);
        assert!(step.attempt <= millstream_schedule::ATTEMPTS_MAX);
        for first in self.upstream(&asset) {
            let is_ahead = self.steps.get(&first).is_some_and(|other| other.wave <= wave);
            assert!(!is_ahead, "`{}` starts while `{first}`, which goes first, runs", asset.id);
        }
        let unsure = [DueReason::Unknown, DueReason::Interrupted, DueReason::DefinitionChanged];
        // What a step has read is not known for sure to a process that takes it over, or that learns late how others ended.
        let is_unsure =
            self.unsure_of.contains(&asset.id) || unsure.iter().any(|reason| step.reasons.contains(reason));
        assert!(
            asset.reads_outside || is_unsure || self.is_stale(&asset.id),
            "`{}` is up to date and starts: {step:?}",
            asset.id
        );
        let is_kept_away = self.held.contains_key(&asset.id)
            || (self.kind != WorldKind::Calm && !self.is_resting && self.rng.random_bool(0.1));
        if is_kept_away && self.kind == WorldKind::Shared {
            return self.ends.push_back(StepEnd {
                asset: asset.id,
                definition: asset.definition,
                how: How::KeptAway,
            });
        }
        if is_kept_away {
            return self.kept_away.push(asset.id);
        }
        self.check_circuit(&asset);
        self.run(&asset, wave);
        self.check_limits(&asset);
    }

    /// Steps whose assets others work on give their places back. Of some of the others the scheduler is told.
    pub(super) fn postpone(&mut self) {
        let boots = self.boots;
        for id in std::mem::take(&mut self.kept_away) {
            let now = self.now();
            self.call(|scheduler| scheduler.kept_away(&id, now));
            if boots != self.boots {
                return;
            }
            let is_running = self.steps.contains_key(&id);
            assert!(!is_running, "`{id}` starts while others work on it");
            if !self.held.contains_key(&id) && self.rng.random_bool(0.5) {
                self.begin_by_hand(&id);
                if boots != self.boots {
                    return;
                }
            } else {
                let until = self.time + self.rng.random_range(1_000..STEP_MAX);
                self.held.entry(id).or_insert(until);
            }
        }
    }

    /// Others are done with the asset with which they are done first.
    pub(super) fn free(&mut self) {
        let first = self.held.iter().min_by_key(|(_, until)| **until).map(|(id, _)| id.clone()).unwrap();
        self.held.remove(&first);
        let now = self.now();
        self.call(|scheduler| scheduler.freed(&first, now));
    }

    pub(super) fn begin_by_hand(&mut self, id: &AssetId) {
        let asset = self.asset(id).clone();
        // It began now, so what was due before does not wait for it.
        self.run(&asset, BY_HAND);
        let now = self.now();
        self.call(|scheduler| scheduler.began(&asset.id, now));
    }

    pub(super) fn run(&mut self, asset: &ScheduledAsset, wave: u64) {
        self.given_up.remove(&asset.id);
        if self.ends.is_empty() {
            self.unsure_of.remove(&asset.id);
        } else {
            self.unsure_of.insert(asset.id.clone());
        }
        let took = if self.rng.random_bool(0.3) { 1_000 } else { self.rng.random_range(1_000..STEP_MAX) };
        let is_hopeless = self.hopeless.contains(&asset.definition);
        let fails =
            is_hopeless || self.kind != WorldKind::Calm && !self.is_resting && self.rng.random_bool(0.1);
        let version =
            |input: &AssetId| (input.clone(), self.truth.get(input).map_or(0, |truth| truth.version));
        let step = Step {
            wave,
            began: self.time,
            ends: self.time + took,
            ending: match fails {
                true if !is_hopeless && self.rng.random_bool(0.3) => Ending::Hindered,
                true => Ending::Badly,
                false => Ending::Well,
            },
            changes: !asset.reads_outside || self.rng.random_bool(0.5),
            read: asset.inputs.iter().map(version).collect(),
            definition: asset.definition,
            connection: asset.connection.clone(),
            pools: asset.pools.clone(),
            circuit: asset.circuit.clone(),
            process: self.rng.random_range(0..PROCESSES),
        };
        self.steps.insert(asset.id.clone(), step);
    }

    /// The step that ends first commits what it made, and ends. The process may die in between.
    pub(super) fn end_a_step(&mut self) {
        let first =
            self.steps.iter().min_by_key(|(_, step)| step.ends).map(|(asset, _)| asset.clone()).unwrap();
        let mut step = self.steps[&first].clone();
        if self.kind == WorldKind::Shared && step.wave != BY_HAND {
            return self.end_elsewhere(&first, step);
        }
        let now = self.now();
        if let Some(name) = step.circuit.as_ref().filter(|_| self.kind == WorldKind::Failing) {
            let is_own = step.wave < u64::MAX;
            step.ending = self.places.ask(name, step.ending, is_own, self.time, now);
            self.tell_circuits();
        }
        let truth = self.truth.entry(first.clone()).or_default();
        let now = TimestampMicros(self.time + self.off);
        truth.failed = step.ending.is_bad();
        if step.ending == Ending::Well {
            (truth.read, truth.built) = (step.read, Some(step.definition));
            if step.changes {
                truth.version += 1;
                let version = AssetVersion::numbered(truth.version);
                self.call(|scheduler| scheduler.committed(&first, version, now));
            }
        }
        // The process may have died over that.
        if self.steps.get(&first).is_none_or(|found| found.began != step.began) {
            return;
        }
        self.steps.remove(&first);
        let took = Span::from_ms(((step.ends - step.began) / 1_000).unsigned_abs());
        let before = self.ledger.clone();
        // What somebody else did pays back nothing that a recorded start owes.
        if step.wave != BY_HAND && self.ledger.recorded.contains_key(&first) {
            self.ledger.ended(&first, step.ending, took);
            self.forget_gone();
        }
        let answered = self.ledger.answered;
        let dies = |world: &Self| world.scheduler.is_none();
        let halted_by = self.halting(step.ending);
        let Some(scheduler) = &mut self.scheduler else { return };
        let decisions = match halted_by {
            Some(by) => scheduler.halted(&first, by, took, now),
            None => scheduler.ended(&first, step.ending, took, now),
        };
        let risky = matches!(self.kind, WorldKind::Crashing | WorldKind::Wild) && !self.is_resting;
        if risky && self.rng.random_bool(0.01) {
            // Neither the end nor the decisions came to be recorded.
            self.ledger = before;
            self.die();
            self.boot();
            return;
        }
        assert!(!dies(self) && answered == self.ledger.answered);
        let now = self.now();
        for decision in &decisions {
            self.tell(|| format!("{decision:?}"));
            self.check_skip(decision);
        }
        self.ledger.record(&decisions, now);
        for decision in &decisions {
            if let Decision::Start(start) = decision {
                start.steps.iter().for_each(|step| self.begin(step, start.wave));
            }
        }
        self.postpone();
    }

    pub(super) fn tell_circuits(&mut self) {
        let now = self.now();
        for news in self.places.news() {
            match news {
                News::Opened(name, until) => {
                    self.call(|scheduler| scheduler.circuit_opened(&name, until, now));
                }
                News::Closed(name) => self.call(|scheduler| scheduler.circuit_closed(&name, now)),
            }
        }
    }
}
