//! The state machine: what is told goes in, decisions come out.

mod again;
mod aside;
mod away;
mod circuits;
mod clock;
mod elsewhere;
mod freshness;
mod install;
mod node;
mod order;
mod step;
mod upcoming;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use millstream_types::{AssetId, AssetVersion, CheckId, Span, TimestampMicros};

use crate::{
    Decision, DueReason, Ending, Start, Trigger,
    queue::{Queue, Rank},
    timers::Timers,
};
use circuits::Gate;
use node::{Due, Node, Running, Standing};

pub use install::ATTEMPTS_MAX;
pub use upcoming::Upcoming;

/// So many missed ticks of a trigger get a run of their own with [`crate::CatchUp::All`]; older ones are skipped.
pub const CATCH_UP_MAX: usize = 1_000;
/// A tick that is found so much later than it came was missed.
pub const LATE_MAX: Span = Span::from_ms(60_000);
/// A clock that goes back by no more than this is waited for, so that no tick happens twice. One that goes back further was wrong
/// before, and ticks count from where it is now.
pub const CLOCK_BACK_MAX: Span = Span::from_ms(3_600_000);
/// So many reasons are kept of why an asset is due.
pub const REASONS_MAX: usize = 16;

/// Decides which steps start, when and why. It lives as long as the process, and begins again with [`Self::restore`].
#[derive(Debug)]
pub struct Scheduler {
    /// The assets, each after what sets it off. Assets that are gone and still run come last.
    nodes: Vec<Node>,
    places: HashMap<AssetId, usize>,
    /// The triggers of each webhook, as places of assets and of triggers.
    webhooks: HashMap<String, Vec<(usize, usize)>>,
    queue: Queue,
    /// Whether no step starts any more.
    is_closing: bool,
    timers: Timers,
    /// When assets that could not reach what they ask are taken up again, by their places.
    again: Timers,
    /// The circuits that are not closed, by name.
    gates: BTreeMap<String, Gate>,
    /// The assets that run, are due, or are stale and may run by themselves.
    unsettled: BTreeSet<usize>,
    /// The present instant, as it was told last.
    now: TimestampMicros,
    /// The latest instant that was ever told.
    latest: TimestampMicros,
    /// An instant that goes on with `now` and never back, by which waiting is measured.
    clock: TimestampMicros,
    /// By how many microseconds the last call came before the latest instant that had been told until then.
    back: i64,
    wave: u64,
    /// How many times work was added to a wave other than by what that wave had changed: because something needed it, or ran after
    /// another asset.
    added: u64,
    arrivals: u64,
    visits: u64,
    /// The walk in which each asset was met last, by its place.
    met: Vec<u64>,
    walks: u64,
    /// Assets that are due and have to be looked at.
    open: VecDeque<usize>,
    /// Assets that came to be due in this call.
    newly_due: Vec<usize>,
    decisions: Vec<Decision>,
    starts: Vec<Start>,
}

/// So often at most one tick looks for further ticks that its own decisions made due.
const TICK_ROUNDS_MAX: usize = 8;

impl Scheduler {
    /// Time has come to `now`: finds the ticks that are due. To be called at [`Self::next_wake`]; any other instant does no harm.
    pub fn tick(&mut self, now: TimestampMicros) -> Vec<Decision> {
        self.begin(now);
        let mut decisions = Vec::new();
        for _ in 0..TICK_ROUNDS_MAX {
            self.find_ticks();
            self.find_again();
            self.find_probes();
            decisions.extend(self.decide());
            // What was skipped may find its freshness run out while it was due for something else.
            if self.next_wake().is_none_or(|wake| wake > self.now) {
                break;
            }
        }
        decisions
    }

    /// The asset has another version, whoever committed it. A version that is told twice is one.
    pub fn committed(
        &mut self,
        asset: &AssetId,
        version: AssetVersion,
        now: TimestampMicros,
    ) -> Vec<Decision> {
        self.begin(now);
        if let Some(place) = self.place(asset)
            && self.nodes[place].state.version != Some(version)
        {
            self.nodes[place].state.version = Some(version);
            let wave = self.nodes[place].state.running.as_ref().map_or(self.wave, |running| running.wave);
            for user in self.nodes[place].users.clone() {
                self.mark_stale(user);
                if self.nodes[user].runs_on_change() {
                    self.make_due(user, wave, DueReason::Changed { input: asset.clone() }, i8::MIN);
                }
            }
        }
        self.decide()
    }

    /// A step of the asset, whoever ran it, has ended well that began at this instant: what the asset reads outside was looked at then.
    pub fn looked_at(&mut self, asset: &AssetId, at: TimestampMicros, now: TimestampMicros) -> Vec<Decision> {
        self.begin(now);
        if let Some(place) = self.place(asset).filter(|place| self.nodes[*place].asset.reads_outside) {
            let state = &mut self.nodes[place].state;
            state.fresh_as_of = state.fresh_as_of.max(Some(at.min(now)));
        }
        self.decide()
    }

    /// There is a reason to run the asset that its inputs do not tell. It runs as it does on a change.
    pub fn outdated(&mut self, asset: &AssetId, now: TimestampMicros) -> Vec<Decision> {
        self.begin(now);
        if let Some(place) = self.place(asset).filter(|place| !self.nodes[*place].is_gone) {
            self.mark_stale(place);
            if self.nodes[place].runs_on_change() {
                self.make_due(place, self.wave, DueReason::Stale, i8::MIN);
            }
        }
        self.decide()
    }

    /// What the asset holds is damaged: its next step makes it again, whatever its triggers say.
    pub fn damaged(&mut self, asset: &AssetId, now: TimestampMicros) -> Vec<Decision> {
        self.begin(now);
        if let Some(place) = self.place(asset).filter(|place| !self.nodes[*place].is_gone) {
            self.mark_stale(place);
            self.make_due(place, self.wave, DueReason::Damaged, i8::MIN);
        }
        self.decide()
    }

    /// The webhook of this name was called. It may be acknowledged once the decisions are recorded.
    pub fn triggered(&mut self, webhook: &str, now: TimestampMicros) -> Vec<Decision> {
        self.begin(now);
        for (place, trigger) in self.webhooks.get(webhook).cloned().unwrap_or_default() {
            self.note(place, trigger, self.wave);
        }
        self.decide()
    }

    /// The source of the asset has new files or events.
    pub fn files_appeared(&mut self, asset: &AssetId, now: TimestampMicros) -> Vec<Decision> {
        self.begin(now);
        if let Some(place) = self.place(asset) {
            if let Some(trigger) = self.nodes[place].asset.triggers.iter().position(Trigger::looks) {
                self.note(place, trigger, self.wave);
            }
        }
        self.decide()
    }

    /// A step of the asset began that the scheduler did not start, such as one by hand. It must not run already.
    pub fn began(&mut self, asset: &AssetId, now: TimestampMicros) -> Vec<Decision> {
        self.begin(now);
        if let Some(place) = self.place(asset).filter(|place| self.nodes[*place].state.running.is_none()) {
            self.unqueue(place);
            let fresh_as_of = self.fresh_if_started(place);
            let node = &mut self.nodes[place];
            let lane = node.lane;
            node.state.running =
                Some(Running { wave: self.wave, fresh_as_of, lane, began_with: None, started_for: None });
            node.state.stale_again = false;
            node.state.last_wave = self.wave;
            if let Some(due) = &mut node.state.due {
                due.standing = Standing::AfterRun;
            }
            self.queue.take(lane);
            self.refresh(place);
        }
        self.decide()
    }

    /// The step of the asset that ran has ended, after so long.
    pub fn ended(
        &mut self,
        asset: &AssetId,
        ending: Ending,
        took: Span,
        now: TimestampMicros,
    ) -> Vec<Decision> {
        self.finish(asset, ending, Vec::new(), took, now)
    }

    /// The step of the asset that ran was halted by these checks, after so long. Assets that read it and need none of them do not
    /// wait for it.
    pub fn halted(
        &mut self,
        asset: &AssetId,
        by: Vec<CheckId>,
        took: Span,
        now: TimestampMicros,
    ) -> Vec<Decision> {
        self.finish(asset, Ending::Badly, by, took, now)
    }

    fn finish(
        &mut self,
        asset: &AssetId,
        ending: Ending,
        halted_by: Vec<CheckId>,
        took: Span,
        now: TimestampMicros,
    ) -> Vec<Decision> {
        self.begin(now);
        if let Some(place) = self.place(asset)
            && let Some(running) = self.nodes[place].state.running.take()
        {
            self.queue.release(running.lane);
            let state = &mut self.nodes[place].state;
            (state.failed, state.failed_after) = (ending.is_bad(), self.arrivals);
            state.halted_by = halted_by;
            state.stale = state.failed || state.stale_again;
            if ending == Ending::Well {
                state.fresh_as_of = Some(running.fresh_as_of);
                state.durations.add(took);
                for (follower, trigger) in self.nodes[place].followers.clone() {
                    self.added += 1;
                    self.note(follower, trigger, running.wave);
                }
                let because = DueReason::Recovered { asset: asset.clone() };
                self.release(place, running.wave, &because);
            }
            let is_own = running.started_for.is_some();
            let was_aside = self.nodes[place].state.failures.aside.is_some();
            self.count_failure(place, ending, is_own);
            if !was_aside && self.nodes[place].state.failures.aside.is_some() {
                // What is set aside holds up nothing.
                self.release(place, running.wave, &DueReason::Stale);
            }
            self.probe_ended(place, ending);
            if is_own {
                self.take_up_again(place, ending, running.wave);
            }
            self.settle_down(place);
        }
        self.decide()
    }

    /// The process is about to end: no step starts any more. What runs may end meanwhile and is told as ever; what waits, waits for
    /// the next process.
    pub fn stop_starting(&mut self) {
        self.is_closing = true;
    }

    /// The number of assets that are due and wait for nothing but room.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The next instant at which [`Self::tick`] has something to do; `None` if nothing is timed.
    #[must_use]
    pub fn next_wake(&self) -> Option<TimestampMicros> {
        let timers = [self.timers.next(), self.again.next(), self.next_probe()];
        timers.into_iter().flatten().min()
    }

    /// By how much the clock of the last call was behind the latest instant that had been told or recorded before; `None` if it was
    /// not. Up to [`CLOCK_BACK_MAX`] no tick comes until the clock is there again; where it is more, ticks count from where the
    /// clock is, and the next call finds it behind no more.
    #[must_use]
    pub fn clock_back(&self) -> Option<Span> {
        let back = Span::from_ms(u64::try_from(self.back / 1_000).unwrap_or(0));
        Some(back).filter(|back| back.ms() > 0)
    }

    /// How many times an asset was looked at since the scheduler began, as a measure of its work.
    #[must_use]
    pub fn visits(&self) -> u64 {
        self.visits
    }

    fn place(&self, asset: &AssetId) -> Option<usize> {
        self.places.get(asset).copied()
    }

    /// An event happened for which the trigger waits.
    fn note(&mut self, place: usize, trigger: usize, wave: u64) {
        let node = &mut self.nodes[place];
        let state = &mut node.state.triggers[trigger];
        let at = self.now.max(TimestampMicros(state.seen.0.saturating_add(1)));
        state.seen = at;
        let (asset, trigger) = (node.asset.id.clone(), node.asset.triggers[trigger].clone());
        self.decisions.push(Decision::Noted { asset, trigger: trigger.clone(), at });
        self.make_due(place, wave, DueReason::Event(trigger), i8::MIN);
    }

    /// The asset has to run, or to be told why not. One that is due already takes the reason in.
    fn make_due(&mut self, place: usize, wave: u64, reason: DueReason, priority: i8) {
        self.visits += 1;
        let node = &mut self.nodes[place];
        if node.is_gone {
            return;
        }
        if let Some(due) = &mut node.state.due {
            due.wave = due.wave.min(wave);
            if due.reasons.len() < REASONS_MAX && !due.reasons.contains(&reason) {
                due.reasons.push(reason);
            }
            return self.raise(place, priority);
        }
        self.arrivals += 1;
        let runs = node.state.running.is_some();
        node.state.due = Some(Due {
            wave,
            reasons: vec![reason],
            since: self.clock,
            priority: node.asset.priority.max(priority),
            arrival: self.arrivals,
            attempt: 1,
            look_before: None,
            standing: if runs { Standing::AfterRun } else { Standing::Open },
            is_told: false,
            is_owed: false,
        });
        if !runs {
            self.open.push_back(place);
        }
        self.newly_due.push(place);
        self.unsettled.insert(place);
    }

    /// Something more urgent waits for the asset.
    fn raise(&mut self, place: usize, priority: i8) {
        let node = &mut self.nodes[place];
        let Some(due) = node.state.due.as_mut().filter(|due| due.priority < priority) else { return };
        let before = due.rank();
        due.priority = priority;
        if due.standing == Standing::Queued {
            let (after, since) = (due.rank(), due.since);
            self.queue.remove(node.lane, before, place, since);
            self.queue.insert(node.lane, after, place, since);
        }
    }

    fn mark_stale(&mut self, place: usize) {
        self.visits += 1;
        let state = &mut self.nodes[place].state;
        state.stale = true;
        state.stale_again = true;
        self.refresh(place);
    }

    /// Brings `unsettled` up to date with the asset.
    fn refresh(&mut self, place: usize) {
        if self.nodes[place].is_unsettled() {
            self.unsettled.insert(place);
        } else {
            self.unsettled.remove(&place);
        }
    }

    /// Takes the asset out of the queue, if it stands there.
    fn unqueue(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        if let Some(due) = node.state.due.as_mut().filter(|due| due.standing == Standing::Queued) {
            self.queue.remove(node.lane, due.rank(), place, due.since);
            due.standing = Standing::Open;
        }
    }
}

impl Due {
    fn rank(&self) -> Rank {
        Rank::new(self.since, self.priority, self.arrival)
    }
}
