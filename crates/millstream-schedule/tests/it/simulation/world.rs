//! One world: assets that have versions, steps that take their time, and what befalls them.

use std::collections::{BTreeMap, BTreeSet};

use millstream_schedule::{
    CircuitState, Decision, DueReason, Ending, ScheduledAsset, Scheduler, SkipReason, StartedStep, Trigger,
};
use millstream_types::{AssetId, AssetVersion, CheckId, Fingerprint, Span, TimestampMicros};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::{
    ledger::Ledger,
    places::{News, Places},
    project::{CHECKS, MINUTE, Project},
};

/// What befalls a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorldKind {
    Calm,
    Changing,
    Crashing,
    Wild,
    /// Places are down for a while, and some assets fail until they are changed or asked for.
    Failing,
}

/// The wave of steps that somebody starts by hand.
const BY_HAND: u64 = u64::MAX;

/// How long a world is watched, and how long it is left alone at the end.
const LIFE: i64 = 10 * 60 * MINUTE;
const REST: i64 = 5 * 60 * MINUTE;
const STEP_MAX: i64 = 4 * MINUTE;
/// Nothing waits longer than this while the world is left alone: every asset may go first twice, for the longest that a step
/// takes, with what priorities and reserved places add.
const WAIT_MAX: i64 = (2 * 14 * 4 + 15) * MINUTE;

#[derive(Clone, Debug, Default)]
struct Truth {
    version: i64,
    read: BTreeMap<AssetId, i64>,
    built: Option<Fingerprint>,
    failed: bool,
}

#[derive(Clone, Debug)]
struct Step {
    wave: u64,
    ends: i64,
    began: i64,
    ending: Ending,
    changes: bool,
    read: BTreeMap<AssetId, i64>,
    definition: Fingerprint,
    connection: Option<String>,
    pools: Vec<String>,
    circuit: Option<String>,
}

#[derive(Debug)]
pub(super) struct World {
    rng: SmallRng,
    seed: u64,
    kind: WorldKind,
    tells: bool,
    /// The true time, and how far the clock is off.
    time: i64,
    off: i64,
    project: Project,
    truth: BTreeMap<AssetId, Truth>,
    ledger: Ledger,
    scheduler: Option<Scheduler>,
    steps: BTreeMap<AssetId, Step>,
    /// The assets that others work on, and until when.
    held: BTreeMap<AssetId, i64>,
    /// Steps that were started and found others at work on their assets.
    kept_away: Vec<AssetId>,
    /// Since when a trigger waits for an answer.
    waits: BTreeMap<(AssetId, Trigger), i64>,
    /// Since when an asset that runs on change is stale, although all that it reads is up to date.
    stale: BTreeMap<AssetId, i64>,
    /// Assets whose steps were interrupted again and again, and wait for another reason.
    given_up: BTreeSet<AssetId>,
    places: Places,
    /// Definitions whose steps always fail.
    hopeless: BTreeSet<Fingerprint>,
    boots: u32,
    /// Whether the process is about to end.
    is_closing: bool,
    is_resting: bool,
    told: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64, kind: WorldKind, tells: bool) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let project = Project::random(&mut rng);
        // Some worlds live through a clock change in Europe, some in America.
        let begins = *["2026-03-28T22:17:03Z", "2026-10-24T20:00:00Z", "2026-11-01T02:00:00Z"]
            .choose(&mut rng)
            .unwrap();
        let time = crate::time::at(begins).0 + rng.random_range(0..MINUTE);
        Self {
            rng,
            seed,
            kind,
            tells,
            time,
            off: 0,
            project,
            truth: BTreeMap::new(),
            ledger: Ledger::default(),
            scheduler: None,
            steps: BTreeMap::new(),
            held: BTreeMap::new(),
            kept_away: Vec::new(),
            waits: BTreeMap::new(),
            stale: BTreeMap::new(),
            given_up: BTreeSet::new(),
            places: Places::default(),
            hopeless: BTreeSet::new(),
            boots: 0,
            is_closing: false,
            is_resting: false,
            told: Vec::new(),
        }
    }

    pub(super) fn told(self) -> Vec<String> {
        self.told
    }

    pub(super) fn live(&mut self) {
        let (seed, kind) = (self.seed, self.kind);
        let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.live_on()));
        if let Err(fault) = lived {
            if self.tells {
                self.project.assets.iter().for_each(|asset| tell_line(&format!("{asset:?}")));
            }
            eprintln_seed(seed, kind);
            std::panic::resume_unwind(fault);
        }
    }

    fn live_on(&mut self) {
        let (end, mut turns) = (self.time + LIFE, 0_u32);
        self.boot();
        while self.time < end {
            turns += 1;
            assert!(turns < 200_000, "the world goes round in circles");
            self.turn(true);
        }
        self.is_resting = true;
        self.places.recover();
        if self.scheduler.is_none() {
            self.boot();
        }
        self.waits.clear();
        let end = self.time + REST;
        while self.time < end {
            turns += 1;
            assert!(turns < 400_000, "the world goes round in circles");
            self.turn(false);
            self.check_stale();
        }
        self.check_end();
    }

    /// Time goes on to the next thing that happens, and it happens.
    fn turn(&mut self, with_fate: bool) {
        if self.is_closing && (self.steps.is_empty() || self.rng.random_bool(0.1)) {
            self.die();
            self.boot();
        }
        let wake = self.scheduler.as_ref().and_then(Scheduler::next_wake).map(|wake| wake.0 - self.off);
        let ends = self.steps.values().map(|step| step.ends).min();
        let freed = self.held.values().copied().min();
        let fate = self.time + self.rng.random_range(1..10 * MINUTE);
        let next = [wake, ends, freed, Some(fate)].into_iter().flatten().min().unwrap();
        self.time = self.time.max(next);
        if ends == Some(next) {
            self.end_a_step();
        } else if freed == Some(next) {
            self.free();
        } else if wake == Some(next) {
            let (now, boots) = (self.now(), self.boots);
            self.call(|scheduler| scheduler.tick(now));
            if let Some(scheduler) = self.scheduler.as_ref().filter(|_| boots == self.boots) {
                assert!(scheduler.next_wake().is_none_or(|wake| wake > now), "it would wake without a pause");
            }
        } else if with_fate {
            self.befall();
        }
        self.check_waits();
    }

    fn now(&self) -> TimestampMicros {
        TimestampMicros(self.time + self.off)
    }

    fn befall(&mut self) {
        let now = self.now();
        let asset = self.project.assets.choose(&mut self.rng).unwrap().id.clone();
        match self.rng.random_range(0..10) {
            0 | 1 => {
                let webhook = format!("w{}", self.rng.random_range(0..3));
                self.call(|scheduler| scheduler.triggered(&webhook, now));
            }
            2 => self.call(|scheduler| scheduler.files_appeared(&asset, now)),
            3 => {
                let truth = self.truth.entry(asset.clone()).or_default();
                truth.version += 1;
                let version = AssetVersion::numbered(truth.version);
                self.call(|scheduler| scheduler.committed(&asset, version, now));
            }
            4 if !self.steps.contains_key(&asset)
                && !self.held.contains_key(&asset)
                && self.scheduler.is_some() =>
            {
                self.begin_by_hand(&asset);
            }
            5 | 6 if self.kind != WorldKind::Calm => self.reload(),
            7 if matches!(self.kind, WorldKind::Crashing | WorldKind::Wild | WorldKind::Failing) => {
                self.die();
                self.time += self.rng.random_range(0..90) * MINUTE;
                self.boot();
            }
            9 if matches!(self.kind, WorldKind::Crashing | WorldKind::Wild) => {
                if let Some(scheduler) = &mut self.scheduler {
                    scheduler.stop_starting();
                    self.is_closing = true;
                }
            }
            8 if self.kind == WorldKind::Failing => {
                let name = self.asset(&asset).circuit.clone();
                let until = self.time + self.rng.random_range(1..80) * MINUTE;
                name.into_iter().for_each(|name| self.places.go_down(&name, self.time, until));
            }
            9 if self.kind == WorldKind::Failing && self.rng.random_bool(0.3) => {
                self.hopeless.insert(self.asset(&asset).definition);
            }
            9 if self.kind == WorldKind::Failing => self.call(|scheduler| scheduler.resumed(&asset, now)),
            8 if self.kind == WorldKind::Wild => {
                let minutes = if self.rng.random_bool(0.5) { 1..90 } else { 90..80 * 60 };
                let jump = self.rng.random_range(minutes) * MINUTE;
                self.off += if self.rng.random_bool(0.5) { jump } else { -jump };
                self.waits.clear();
                let now = self.now();
                self.call(|scheduler| scheduler.tick(now));
            }
            _ => {}
        }
    }

    fn reload(&mut self) {
        let project = self.project.changed(&mut self.rng);
        let (assets, limits) = (project.assets.clone(), project.limits.clone());
        let now = self.now();
        self.project = project;
        self.waits.clear();
        self.call(move |scheduler| scheduler.replace_graph(assets, &limits, now).unwrap());
        self.forget_gone();
    }

    /// An asset that is gone is not taken up again, even if another one has its name later.
    fn forget_gone(&mut self) {
        for (id, recorded) in &mut self.ledger.recorded {
            recorded.is_unreachable &= self.project.assets.iter().any(|asset| asset.id == *id);
        }
    }

    fn boot(&mut self) {
        loop {
            self.boots += 1;
            let mut recorded: Vec<_> = self.ledger.recorded.values().cloned().collect();
            for recorded in &mut recorded {
                recorded.stale = self.is_stale(&recorded.asset);
            }
            let (assets, limits) = (self.project.assets.clone(), self.project.limits.clone());
            let (scheduler, decisions) = {
                let open = self.places.open();
                Scheduler::restore_with(assets, &limits, &recorded, &open, self.now()).unwrap()
            };
            self.scheduler = Some(scheduler);
            self.waits.clear();
            if self.take(&decisions) {
                return;
            }
            self.time += self.rng.random_range(0..30) * MINUTE;
        }
    }

    fn die(&mut self) {
        self.tell(|| "dies".into());
        self.scheduler = None;
        self.steps.clear();
        self.kept_away.clear();
        self.is_closing = false;
    }

    fn call(&mut self, call: impl FnOnce(&mut Scheduler) -> Vec<Decision>) {
        let Some(scheduler) = &mut self.scheduler else { return };
        let decisions = call(scheduler);
        if !self.take(&decisions) {
            self.time += self.rng.random_range(0..30) * MINUTE;
            self.boot();
        }
    }

    /// Records the decisions and acts on them, unless the process dies meanwhile.
    fn take(&mut self, decisions: &[Decision]) -> bool {
        let risky = matches!(self.kind, WorldKind::Crashing | WorldKind::Wild) && !self.is_resting;
        if risky && self.rng.random_bool(0.01) {
            self.die();
            return false;
        }
        let now = self.now();
        for decision in decisions {
            self.tell(|| format!("{decision:?}"));
            self.check_skip(decision);
        }
        self.ledger.record(decisions, now);
        for decision in decisions {
            if let Decision::Skip { asset, because: SkipReason::InterruptedAgain, .. } = decision {
                self.given_up.insert(asset.clone());
            }
        }
        if risky && self.rng.random_bool(0.01) {
            self.die();
            return false;
        }
        for decision in decisions {
            if let Decision::Start(start) = decision {
                for step in &start.steps {
                    self.begin(step, start.wave);
                }
            }
        }
        self.postpone();
        for decision in decisions {
            if let Decision::Look { asset } = decision
                && self.rng.random_bool(0.5)
            {
                let now = self.now();
                self.call(|scheduler| scheduler.files_appeared(asset, now));
            }
        }
        true
    }

    fn begin(&mut self, step: &StartedStep, wave: u64) {
        assert!(!self.is_closing, "`{}` starts although the process is about to end", step.asset);
        let asset = self.asset(&step.asset).clone();
        assert!(!self.steps.contains_key(&asset.id), "`{}` overlaps itself", asset.id);
        assert!(step.attempt <= millstream_schedule::ATTEMPTS_MAX);
        for first in self.upstream(&asset) {
            let is_ahead = self.steps.get(&first).is_some_and(|other| other.wave <= wave);
            assert!(!is_ahead, "`{}` starts while `{first}`, which goes first, runs", asset.id);
        }
        let unsure = [DueReason::Unknown, DueReason::Interrupted, DueReason::DefinitionChanged];
        let is_unsure = unsure.iter().any(|reason| step.reasons.contains(reason));
        assert!(
            asset.reads_outside || is_unsure || self.is_stale(&asset.id),
            "`{}` is up to date and starts: {step:?}",
            asset.id
        );
        let is_kept_away = self.held.contains_key(&asset.id)
            || (self.kind != WorldKind::Calm && !self.is_resting && self.rng.random_bool(0.1));
        if is_kept_away {
            return self.kept_away.push(asset.id);
        }
        self.check_circuit(&asset);
        self.run(&asset, wave);
        self.check_limits(&asset);
    }

    /// Steps whose assets others work on give their places back. Of some of the others the scheduler is told.
    fn postpone(&mut self) {
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
    fn free(&mut self) {
        let first = self.held.iter().min_by_key(|(_, until)| **until).map(|(id, _)| id.clone()).unwrap();
        self.held.remove(&first);
        let now = self.now();
        self.call(|scheduler| scheduler.freed(&first, now));
    }

    fn begin_by_hand(&mut self, id: &AssetId) {
        let asset = self.asset(id).clone();
        // It began now, so what was due before does not wait for it.
        self.run(&asset, BY_HAND);
        let now = self.now();
        self.call(|scheduler| scheduler.began(&asset.id, now));
    }

    fn run(&mut self, asset: &ScheduledAsset, wave: u64) {
        self.given_up.remove(&asset.id);
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
            ending: if fails { Ending::Badly } else { Ending::Well },
            changes: !asset.reads_outside || self.rng.random_bool(0.5),
            read: asset.inputs.iter().map(version).collect(),
            definition: asset.definition,
            connection: asset.connection.clone(),
            pools: asset.pools.clone(),
            circuit: asset.circuit.clone(),
        };
        self.steps.insert(asset.id.clone(), step);
    }

    /// The step that ends first commits what it made, and ends. The process may die in between.
    fn end_a_step(&mut self) {
        let first =
            self.steps.iter().min_by_key(|(_, step)| step.ends).map(|(asset, _)| asset.clone()).unwrap();
        let mut step = self.steps[&first].clone();
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
        let Some(scheduler) = &mut self.scheduler else { return };
        // About every second failure is a halt by one of the checks; what else happens does not depend on it.
        let mixed = step.began.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let turn = usize::try_from(mixed).unwrap() % (2 * CHECKS.len());
        let halting = CHECKS.get(turn);
        let decisions = match halting.filter(|_| step.ending == Ending::Badly) {
            Some(check) => scheduler.halted(&first, vec![CheckId::new(check)], took, now),
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

    fn tell_circuits(&mut self) {
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

    /// A step starts: nobody asks a place whose circuit is open, and one asks where it is half-open.
    fn check_circuit(&self, asset: &ScheduledAsset) {
        let recorded = &self.ledger.recorded[&asset.id];
        assert!(recorded.aside.is_none(), "`{}` is set aside and starts", asset.id);
        let Some(name) = &asset.circuit else { return };
        match self.places.state(name, self.now()) {
            CircuitState::Closed => {}
            CircuitState::Open { .. } => panic!("`{}` starts although `{name}` is open", asset.id),
            CircuitState::HalfOpen => {
                let since = self.places.probes_since(name).unwrap().0 - self.off;
                let asks = |step: &&Step| {
                    step.circuit.as_ref() == Some(name) && step.wave < u64::MAX && step.began >= since
                };
                assert!(!self.steps.values().any(|step| asks(&step)), "two steps try `{name}`");
            }
        }
    }

    /// Whether the asset waits for a place that does not answer, or for something that does.
    fn is_held(&self, asset: &ScheduledAsset) -> bool {
        let is_shut =
            |asset: &ScheduledAsset| asset.circuit.as_ref().is_some_and(|name| !self.places.is_closed(name));
        is_shut(asset) || self.upstream(asset).iter().any(|first| is_shut(self.asset(first)))
    }

    fn asset(&self, id: &AssetId) -> &ScheduledAsset {
        self.project.assets.iter().find(|asset| asset.id == *id).unwrap()
    }

    /// What the asset reads, directly or not, as far as it runs by itself.
    fn upstream(&self, asset: &ScheduledAsset) -> BTreeSet<AssetId> {
        let mut found = BTreeSet::new();
        let mut ahead: Vec<AssetId> = asset.inputs.clone();
        while let Some(next) = ahead.pop() {
            let next = self.asset(&next);
            let recorded = self.ledger.recorded.get(&next.id);
            if next.triggers.iter().any(|trigger| *trigger != Trigger::Manual)
                && recorded.is_none_or(|recorded| recorded.aside.is_none())
                && found.insert(next.id.clone())
            {
                ahead.extend(next.inputs.iter().cloned());
            }
        }
        found
    }

    fn is_stale(&self, id: &AssetId) -> bool {
        let Some(asset) = self.project.assets.iter().find(|asset| asset.id == *id) else { return true };
        let Some(truth) = self.truth.get(id) else { return true };
        let version = |input: &AssetId| self.truth.get(input).map_or(0, |truth| truth.version);
        truth.failed
            || truth.built != Some(asset.definition)
            || asset.inputs.iter().any(|input| truth.read.get(input) != Some(&version(input)))
    }

    fn check_skip(&self, decision: &Decision) {
        if let Decision::Skip { asset, because: SkipReason::UpToDate, .. } = decision {
            assert!(!self.is_stale(asset), "`{asset}` is skipped as up to date, and is not");
        }
    }

    fn check_limits(&self, started: &ScheduledAsset) {
        let limits = &self.project.limits;
        assert!(self.steps.len() <= limits.steps.get(), "too many steps");
        if let Some(name) = &started.connection
            && let Some(max) = limits.connections.get(name)
        {
            let used = self.steps.values().filter(|step| step.connection.as_ref() == Some(name)).count();
            assert!(used <= max.get(), "too many steps over `{name}`");
        }
        for name in &started.pools {
            let used = self.steps.values().filter(|step| step.pools.contains(name)).count();
            assert!(used <= limits.pools[name].get(), "too many steps in `{name}`");
        }
    }

    /// Nothing waits for ever. Where each missed tick has a run of its own, the last of them may wait for long.
    fn check_waits(&mut self) {
        if self.scheduler.is_none() {
            return;
        }
        let waiting = self.ledger.waiting(self.now());
        self.waits.retain(|key, _| waiting.contains(key));
        for key in waiting {
            let Some(asset) = self.project.assets.iter().find(|asset| asset.id == key.0) else { continue };
            let catches_all = asset.catch_up == millstream_schedule::CatchUp::All;
            if self.is_held(asset) {
                self.waits.remove(&key);
                continue;
            }
            let since = *self.waits.entry(key.clone()).or_insert(self.time);
            assert!(catches_all || self.time - since < WAIT_MAX, "{key:?} waits for ever");
        }
    }

    /// While nobody disturbs the world, what runs on change comes to be up to date, unless something before it is not.
    fn check_stale(&mut self) {
        for asset in
            self.project.assets.clone().iter().filter(|asset| asset.triggers.contains(&Trigger::OnChange))
        {
            let failed = self.truth.get(&asset.id).is_some_and(|truth| truth.failed);
            let is_excused = failed
                || self.ledger.recorded.get(&asset.id).is_some_and(|recorded| recorded.aside.is_some())
                || self.given_up.contains(&asset.id)
                || self.upstream(asset).iter().any(|first| self.is_stale(first));
            if is_excused || !self.is_stale(&asset.id) {
                self.stale.remove(&asset.id);
                continue;
            }
            let since = *self.stale.entry(asset.id.clone()).or_insert(self.time);
            assert!(self.time - since < WAIT_MAX, "`{}` is stale for ever", asset.id);
        }
    }

    fn check_end(&self) {
        self.check_recovered();
        for (id, recorded) in &self.ledger.recorded {
            let is_there = self.project.assets.iter().any(|asset| asset.id == *id);
            assert!(
                !is_there || recorded.running.is_none() || self.steps.contains_key(id),
                "the step of `{id}` was lost"
            );
        }
    }

    /// What could not be reached was taken up again by itself, and what is set aside is set aside on both sides.
    fn check_recovered(&self) {
        let Some(scheduler) = &self.scheduler else { return };
        let mut aside = Vec::new();
        for asset in &self.project.assets {
            let Some(recorded) = self.ledger.recorded.get(&asset.id) else { continue };
            aside.extend(recorded.aside.map(|_| asset.id.clone()));
            let runs = asset.triggers.iter().any(|trigger| *trigger != Trigger::Manual);
            let is_asked = asset.circuit.is_some();
            let is_left = recorded.is_unreachable && is_asked && runs && recorded.aside.is_none();
            assert!(!is_left || self.steps.contains_key(&asset.id), "`{}` was not taken up again", asset.id);
        }
        aside.sort();
        assert_eq!(scheduler.aside(), aside);
    }

    fn tell(&mut self, what: impl Fn() -> String) {
        if self.tells {
            tell_line(&format!("{} {}", crate::time::wall(self.now(), "UTC"), what()));
        }
        self.told.push(what());
    }
}

#[allow(clippy::print_stderr, reason = "a test tells which world to look at")]
fn eprintln_seed(seed: u64, kind: WorldKind) {
    eprintln!("world {kind:?}, seed {seed}");
}

#[allow(clippy::print_stdout, reason = "a test tells what happened when it is asked to")]
fn tell_line(line: &str) {
    println!("{line}");
}
