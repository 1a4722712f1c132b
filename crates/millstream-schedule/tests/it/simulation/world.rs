//! One world: assets that have versions, steps that take their time, and what befalls them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use millstream_schedule::{Decision, Ending, Scheduler, SkipReason, Trigger};
use millstream_types::{AssetId, AssetVersion, Fingerprint, TimestampMicros};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::{
    ledger::Ledger,
    places::Places,
    processes::StepEnd,
    project::{MINUTE, Project},
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
    /// Several processes run the steps, and each of them dies now and then or is cut off from the store.
    Shared,
}

/// The wave of steps that somebody starts by hand.
pub(super) const BY_HAND: u64 = u64::MAX;

/// How long a world is watched, and how long it is left alone at the end.
const LIFE: i64 = 10 * 60 * MINUTE;
const REST: i64 = 5 * 60 * MINUTE;
pub(super) const STEP_MAX: i64 = 4 * MINUTE;
/// Nothing waits longer than this while the world is left alone: every asset may go first twice, for the longest that a step
/// takes, with what priorities and reserved places add.
pub(super) const WAIT_MAX: i64 = (2 * 14 * 4 + 15) * MINUTE;

#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    pub(super) version: i64,
    pub(super) read: BTreeMap<AssetId, i64>,
    pub(super) built: Option<Fingerprint>,
    pub(super) failed: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) wave: u64,
    pub(super) ends: i64,
    pub(super) began: i64,
    pub(super) ending: Ending,
    pub(super) changes: bool,
    pub(super) read: BTreeMap<AssetId, i64>,
    pub(super) definition: Fingerprint,
    pub(super) connection: Option<String>,
    pub(super) pools: Vec<String>,
    pub(super) circuit: Option<String>,
    /// The process that runs it, where there are several.
    pub(super) process: usize,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) rng: SmallRng,
    pub(super) seed: u64,
    pub(super) kind: WorldKind,
    pub(super) tells: bool,
    /// The true time, and how far the clock is off.
    pub(super) time: i64,
    pub(super) off: i64,
    pub(super) project: Project,
    pub(super) truth: BTreeMap<AssetId, Truth>,
    pub(super) ledger: Ledger,
    pub(super) scheduler: Option<Scheduler>,
    pub(super) steps: BTreeMap<AssetId, Step>,
    /// The assets that others work on, and until when.
    pub(super) held: BTreeMap<AssetId, i64>,
    /// Steps that were started and found others at work on their assets.
    pub(super) kept_away: Vec<AssetId>,
    /// Since when a trigger waits for an answer.
    pub(super) waits: BTreeMap<(AssetId, Trigger), i64>,
    /// Since when an asset that runs on change is stale, although all that it reads is up to date.
    pub(super) stale: BTreeMap<AssetId, i64>,
    /// Assets whose steps were interrupted again and again, and wait for another reason.
    pub(super) given_up: BTreeSet<AssetId>,
    pub(super) places: Places,
    /// The ends of steps in other processes that the one that schedules has not taken in.
    pub(super) ends: VecDeque<StepEnd>,
    /// The assets of whose steps it is not known for sure what they have read, until the next one starts.
    pub(super) unsure_of: BTreeSet<AssetId>,
    /// The process that schedules, where there are several.
    pub(super) scheduling: usize,
    /// Definitions whose steps always fail.
    pub(super) hopeless: BTreeSet<Fingerprint>,
    pub(super) boots: u32,
    /// Whether the process is about to end.
    pub(super) is_closing: bool,
    pub(super) is_resting: bool,
    pub(super) told: Vec<String>,
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
            ends: VecDeque::new(),
            unsure_of: BTreeSet::new(),
            scheduling: 0,
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
        if self.is_resting || self.rng.random_bool(0.7) {
            self.take_ends();
        }
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

    pub(super) fn now(&self) -> TimestampMicros {
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
                // It would read what the one that schedules does not know yet.
                && self.ends.is_empty()
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
            7 if self.kind == WorldKind::Shared => self.a_process_dies(),
            8 if self.kind == WorldKind::Shared => self.a_process_is_cut_off(),
            9 if self.kind == WorldKind::Shared => self.a_process_stops(),
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
    pub(super) fn forget_gone(&mut self) {
        for (id, recorded) in &mut self.ledger.recorded {
            recorded.is_unreachable &= self.project.assets.iter().any(|asset| asset.id == *id);
        }
    }

    pub(super) fn boot(&mut self) {
        loop {
            self.boots += 1;
            self.take_over_steps();
            let mut recorded: Vec<_> = self.ledger.recorded.values().cloned().collect();
            for recorded in &mut recorded {
                recorded.stale = self.is_stale(&recorded.asset);
                recorded.goes_on = recorded.running.and_then(|_| self.goes_on(&recorded.asset));
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

    pub(super) fn die(&mut self) {
        self.tell(|| "dies".into());
        self.scheduler = None;
        if self.kind == WorldKind::Shared {
            return self.steps.retain(|_, step| step.wave != BY_HAND);
        }
        self.steps.clear();
        self.kept_away.clear();
        self.is_closing = false;
    }

    pub(super) fn call(&mut self, call: impl FnOnce(&mut Scheduler) -> Vec<Decision>) {
        let Some(scheduler) = &mut self.scheduler else { return };
        let decisions = call(scheduler);
        if !self.take(&decisions) {
            self.time += self.rng.random_range(0..30) * MINUTE;
            self.boot();
        }
    }

    /// Records the decisions and acts on them, unless the process dies meanwhile.
    pub(super) fn take(&mut self, decisions: &[Decision]) -> bool {
        if self.may_die() {
            self.die();
            return false;
        }
        self.record(decisions);
        let is_dying = self.may_die();
        if is_dying && self.kind != WorldKind::Shared {
            self.die();
            return false;
        }
        // What is on record as offered begins elsewhere, whatever becomes of the process that has recorded it.
        self.begin_all(decisions);
        if is_dying {
            self.die();
            return false;
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

    /// Whether the process that schedules dies at this moment.
    pub(super) fn may_die(&mut self) -> bool {
        let kinds = [WorldKind::Crashing, WorldKind::Wild, WorldKind::Shared];
        kinds.contains(&self.kind) && !self.is_resting && self.rng.random_bool(0.01)
    }

    pub(super) fn record(&mut self, decisions: &[Decision]) {
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
    }

    pub(super) fn begin_all(&mut self, decisions: &[Decision]) {
        for decision in decisions {
            if let Decision::Start(start) = decision {
                start.steps.iter().for_each(|step| self.begin(step, start.wave));
            }
        }
    }

    pub(super) fn tell(&mut self, what: impl Fn() -> String) {
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
