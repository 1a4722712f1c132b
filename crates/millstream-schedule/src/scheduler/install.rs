//! Beginning with what is recorded, and taking over another project.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use millstream_types::{AssetId, TimestampMicros};

use super::{
    CLOCK_BACK_MAX, Scheduler,
    again::Unreached,
    aside::Failures,
    node::{Node, Standing, State, TriggerState},
};
use crate::{
    Answer, Decision, DueReason, Limits, RecordedAsset, ScheduleError, ScheduledAsset, SkipReason, Trigger,
    durations::Durations, graph::Graph, queue::Queue, timers::Timers, trigger::micros,
};

/// A step that the end of its process interrupted is started so many times at most, counting the first.
pub const ATTEMPTS_MAX: u32 = 2;

impl Scheduler {
    /// Begins with what is recorded, at `now`: finds the ticks that came meanwhile, and starts once more the steps that were
    /// interrupted. `recorded` may lack assets, and may have some that the project has not.
    ///
    /// Errors when the assets cannot be scheduled as they are defined.
    pub fn restore(
        assets: Vec<ScheduledAsset>,
        limits: &Limits,
        recorded: &[RecordedAsset],
        now: TimestampMicros,
    ) -> Result<(Self, Vec<Decision>), ScheduleError> {
        Self::restore_with(assets, limits, recorded, &[], now)
    }

    /// As [`Self::restore`], where some circuits are not closed: their names, and until when nobody asks.
    pub fn restore_with(
        assets: Vec<ScheduledAsset>,
        limits: &Limits,
        recorded: &[RecordedAsset],
        open: &[(String, TimestampMicros)],
        now: TimestampMicros,
    ) -> Result<(Self, Vec<Decision>), ScheduleError> {
        let graph = Graph::build(assets, limits)?;
        let mut scheduler = Self::empty(limits, now);
        open.iter().for_each(|(name, until)| scheduler.shut(name, *until));
        for gone in recorded.iter().filter(|recorded| !graph.places.contains_key(&recorded.asset)) {
            forget(gone, |_| true, &SkipReason::AssetRemoved, &mut scheduler.decisions);
            let failures = Failures { in_a_row: gone.failures, aside: gone.aside };
            failures.forget(&gone.asset, &mut scheduler.decisions);
        }
        let recorded: HashMap<&AssetId, &RecordedAsset> =
            recorded.iter().map(|recorded| (&recorded.asset, recorded)).collect();
        scheduler.wave = 1;
        let states = graph.assets.iter().map(|asset| {
            let recorded = recorded.get(&asset.id).copied();
            restored_state(asset, recorded, now, &mut scheduler.decisions)
        });
        let states: Vec<State> = states.collect();
        let latest = states.iter().flat_map(|state| &state.triggers).map(|trigger| trigger.seen).max();
        scheduler.latest = latest.map_or(now, |latest| latest.max(now));
        scheduler.back = scheduler.latest.0.saturating_sub(now.0);
        scheduler.install(graph, states);
        let known = scheduler.nodes.len();
        for place in 0..known {
            let recorded = recorded.get(&scheduler.nodes[place].asset.id).copied();
            scheduler.resume(place, recorded);
        }
        let mut gone: Vec<&RecordedAsset> = recorded.into_values().collect();
        gone.retain(|recorded| !scheduler.places.contains_key(&recorded.asset));
        gone.sort_by(|a, b| a.asset.cmp(&b.asset));
        for recorded in gone {
            if let (Some(attempt), Some(goes_on)) = (recorded.running, &recorded.goes_on) {
                scheduler.take_over_gone(&recorded.asset, attempt, goes_on);
            }
        }
        for place in 0..scheduler.nodes.len() {
            scheduler.arm_all(place);
        }
        scheduler.find_missed_ticks();
        let decisions = scheduler.decide();
        Ok((scheduler, decisions))
    }

    /// Takes over the assets and limits of a project that was loaded again. What runs goes on, and what waits goes on waiting; new
    /// triggers count from `now`.
    ///
    /// Errors, and changes nothing, when the assets cannot be scheduled as they are defined.
    pub fn replace_graph(
        &mut self,
        assets: Vec<ScheduledAsset>,
        limits: &Limits,
        now: TimestampMicros,
    ) -> Result<Vec<Decision>, ScheduleError> {
        let graph = Graph::build(assets, limits)?;
        self.begin(now);
        self.queue = Queue::new(limits);
        (self.timers, self.again) = (Timers::default(), Timers::default());
        (self.unsettled, self.open) = (BTreeSet::new(), VecDeque::new());
        self.forget_held();
        let mut before: HashMap<AssetId, Node> =
            self.nodes.drain(..).map(|node| (node.asset.id.clone(), node)).collect();
        let mut changed = Vec::new();
        let mut states = Vec::with_capacity(graph.assets.len());
        for asset in &graph.assets {
            let (state, reason) = match before.remove(&asset.id) {
                None => (restored_state(asset, None, now, &mut self.decisions), Some(DueReason::Unknown)),
                Some(node) => {
                    let is_changed = node.is_gone || node.asset.definition != asset.definition;
                    // The failure for which it was skipped may have nothing to do with it any more.
                    let may_run = !node.runs_on_change() || node.state.was_skipped;
                    let state = carried_state(node, asset, is_changed, now, &mut self.decisions);
                    let reason = match state.stale {
                        _ if is_changed => Some(DueReason::DefinitionChanged),
                        true if may_run => Some(DueReason::Stale),
                        _ => None,
                    };
                    (state, reason)
                }
            };
            states.push(state);
            changed.push(reason);
        }
        self.install(graph, states);
        self.keep_running(before);
        self.forget_probes();
        changed.resize(self.nodes.len(), None);
        for (place, reason) in changed.into_iter().enumerate() {
            self.carry_on(place, reason);
        }
        for place in 0..self.nodes.len() {
            self.arm_all(place);
        }
        Ok(self.decide())
    }

    fn empty(limits: &Limits, now: TimestampMicros) -> Self {
        Self {
            nodes: Vec::new(),
            places: HashMap::new(),
            webhooks: HashMap::new(),
            queue: Queue::new(limits),
            is_closing: false,
            timers: Timers::default(),
            again: Timers::default(),
            gates: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            now,
            latest: now,
            clock: now,
            back: 0,
            wave: 0,
            added: 0,
            arrivals: 0,
            visits: 0,
            met: Vec::new(),
            walks: 0,
            open: VecDeque::new(),
            newly_due: Vec::new(),
            decisions: Vec::new(),
            starts: Vec::new(),
        }
    }

    fn install(&mut self, graph: Graph, states: Vec<State>) {
        let Graph { assets, places, inputs, users, followers } = graph;
        let mut is_watched: Vec<bool> = vec![false; assets.len()];
        for place in (0..assets.len()).rev() {
            let mut triggers = assets[place].triggers.iter();
            let has_trigger =
                assets[place].is_promised || triggers.any(|t| matches!(t, Trigger::Freshness(_)));
            is_watched[place] = has_trigger || users[place].iter().any(|user| is_watched[*user]);
        }
        self.met = vec![0; assets.len()];
        self.places = places;
        self.webhooks = HashMap::new();
        let parts = assets.into_iter().zip(inputs).zip(users).zip(followers).zip(states);
        for (place, ((((asset, inputs), users), followers), state)) in parts.enumerate() {
            self.visits += 1;
            for (at, trigger) in asset.triggers.iter().enumerate() {
                if let Trigger::Webhook(name) = trigger {
                    self.webhooks.entry(name.clone()).or_default().push((place, at));
                }
            }
            let lane = self.queue.lane(asset.connection.as_ref(), &asset.pools);
            let is_watched = is_watched[place];
            self.nodes.push(Node {
                asset,
                inputs,
                users,
                followers,
                lane,
                is_watched,
                is_gone: false,
                waiters: Vec::new(),
                skipped: Vec::new(),
                state,
            });
            self.refresh(place);
        }
    }

    fn arm_all(&mut self, place: usize) {
        for trigger in 0..self.nodes[place].asset.triggers.len() {
            self.arm(place, trigger);
        }
    }

    /// Ticks that came while no process was there were missed, whatever waits or was interrupted.
    fn find_missed_ticks(&mut self) {
        let mut kept = Vec::new();
        while let Some(timer) = self.timers.pop_due(self.now) {
            if self.nodes[timer.asset].asset.triggers[timer.trigger].is_timed() {
                self.nodes[timer.asset].state.triggers[timer.trigger].timer = None;
                self.find_tick(timer, false);
            } else {
                kept.push(timer);
            }
        }
        kept.into_iter().for_each(|timer| self.timers.set(timer));
        self.find_ticks();
    }

    /// What the record of an asset makes due.
    fn resume(&mut self, place: usize, recorded: Option<&RecordedAsset>) {
        // What was stale before it was interrupted is no reason to start a step that ends the process each time.
        let mut is_given_up = false;
        let goes_on = recorded.and_then(|recorded| recorded.goes_on.as_ref());
        if let Some(attempt) = recorded.and_then(|recorded| recorded.running) {
            if let Some(goes_on) = goes_on {
                self.take_over(place, attempt, goes_on);
            } else if attempt.attempt >= ATTEMPTS_MAX {
                self.give_up(place, self.wave);
                is_given_up = true;
            } else {
                self.make_due(place, self.wave, DueReason::Interrupted, i8::MIN);
                if let Some(due) = &mut self.nodes[place].state.due {
                    due.attempt = attempt.attempt + 1;
                }
            }
        }
        for trigger in 0..self.nodes[place].state.triggers.len() {
            if self.nodes[place].state.triggers[trigger].waits() {
                let event = DueReason::Event(self.nodes[place].asset.triggers[trigger].clone());
                self.make_due(place, self.wave, event, i8::MIN);
            }
        }
        let is_unreachable = recorded.is_some_and(|recorded| recorded.is_unreachable);
        if is_unreachable && self.nodes[place].runs_by_itself() {
            // What asks no place was hindered.
            let because = match self.nodes[place].asset.circuit {
                Some(_) => DueReason::Unreachable,
                None => DueReason::Hindered,
            };
            self.make_due(place, self.wave, because, i8::MIN);
        }
        let node = &self.nodes[place];
        if node.state.stale && node.runs_on_change() && !is_given_up {
            let reason = if recorded.is_some() { DueReason::Stale } else { DueReason::Unknown };
            self.make_due(place, self.wave, reason, i8::MIN);
        }
    }

    /// Assets that are gone stay while their steps run, so that they keep their places and do not overlap if they come back.
    fn keep_running(&mut self, before: HashMap<AssetId, Node>) {
        let mut gone: Vec<Node> = before.into_values().collect();
        gone.sort_by(|a, b| a.asset.id.cmp(&b.asset.id));
        for mut node in gone {
            unwatch(&node, |_| true, SkipReason::AssetRemoved, &mut self.decisions);
            let failures = std::mem::take(&mut node.state.failures);
            failures.forget(&node.asset.id, &mut self.decisions);
            if node.state.running.is_none() {
                continue;
            }
            (node.inputs, node.users, node.followers) = Default::default();
            (node.waiters, node.skipped) = Default::default();
            (node.asset.triggers, node.state.triggers, node.state.due) = Default::default();
            node.state.unreached = Unreached::default();
            (node.is_gone, node.is_watched) = (true, false);
            if let Some(running) = &mut node.state.running {
                let began_with = || (node.asset.connection.clone(), node.asset.pools.clone());
                running.began_with.get_or_insert_with(began_with);
            }
            self.places.insert(node.asset.id.clone(), self.nodes.len());
            self.nodes.push(node);
            self.met.push(0);
        }
    }

    /// An asset after a reload: its step keeps its places, and what is due is looked at anew.
    fn carry_on(&mut self, place: usize, changed: Option<DueReason>) {
        let node = &mut self.nodes[place];
        let runs = node.state.running.is_some();
        if let Some(running) = &mut node.state.running {
            if let Some((connection, pools)) = &running.began_with {
                running.lane = self.queue.lane(connection.as_ref(), pools);
            }
            self.queue.take(running.lane);
        }
        if let Some(due) = &mut node.state.due {
            due.standing = if runs { Standing::AfterRun } else { Standing::Open };
            if !runs {
                self.open.push_back(place);
            }
        }
        self.refresh(place);
        self.wait_on(place);
        if let Some(reason) = changed.filter(|_| self.nodes[place].runs_on_change()) {
            self.make_due(place, self.wave, reason, i8::MIN);
        }
    }
}

/// The state of an asset as it is recorded. Triggers of which nothing is recorded count from `now`.
pub(super) fn restored_state(
    asset: &ScheduledAsset,
    recorded: Option<&RecordedAsset>,
    now: TimestampMicros,
    decisions: &mut Vec<Decision>,
) -> State {
    let ahead_max = TimestampMicros(now.0.saturating_add(micros(CLOCK_BACK_MAX)));
    let mut watch = |trigger: &Trigger, waits: bool| {
        let (asset, trigger) = (asset.id.clone(), trigger.clone());
        decisions.push(Decision::Watch { asset: asset.clone(), trigger: trigger.clone(), from: now });
        let mut state = TriggerState::answered(now);
        if waits {
            state.seen = TimestampMicros(now.0.saturating_add(1));
            decisions.push(Decision::Noted { asset, trigger, at: state.seen });
        }
        state
    };
    let triggers = asset.triggers.iter().map(|trigger| {
        let found = recorded.and_then(|recorded| recorded.triggers.iter().find(|r| r.trigger == *trigger));
        match found {
            // What lies so far ahead was recorded by a clock that was wrong.
            Some(found) if found.answered <= ahead_max => TriggerState {
                seen: found.noted.map_or(found.answered, |noted| noted.max(found.answered)),
                was_answered: true,
                ..TriggerState::answered(found.answered)
            },
            // An event that waits is not forgotten with the instant of that clock.
            Some(found) => watch(trigger, found.noted.is_some_and(|noted| noted > found.answered)),
            None => watch(trigger, false),
        }
    });
    let triggers = triggers.collect();
    if let Some(recorded) = recorded {
        let is_gone = |trigger: &Trigger| !asset.triggers.contains(trigger);
        forget(recorded, is_gone, &SkipReason::TriggerRemoved, decisions);
    }
    let fresh_as_of = recorded.and_then(|recorded| recorded.fresh_as_of);
    let failures = recorded.map(|recorded| Failures { in_a_row: recorded.failures, aside: recorded.aside });
    State {
        triggers,
        stale: recorded.is_none_or(|recorded| recorded.stale),
        stale_again: false,
        running: None,
        due: None,
        cleared: None,
        last_wave: 0,
        failed: false,
        halted_by: Vec::new(),
        failed_after: 0,
        was_skipped: false,
        version: None,
        fresh_as_of: fresh_as_of.map(|at| at.min(now)),
        durations: recorded.map(|recorded| Durations::of(&recorded.durations)).unwrap_or_default(),
        failures: failures.unwrap_or_default().carried(asset, false, decisions),
        unreached: Unreached::default(),
    }
}

/// The state of an asset that stays. Triggers that stay keep what is known of them.
fn carried_state(
    node: Node,
    asset: &ScheduledAsset,
    is_changed: bool,
    now: TimestampMicros,
    decisions: &mut Vec<Decision>,
) -> State {
    unwatch(&node, |trigger| !asset.triggers.contains(trigger), SkipReason::TriggerRemoved, decisions);
    let Node { asset: before, mut state, .. } = node;
    if let Some(running) = &mut state.running {
        running.began_with.get_or_insert_with(|| (before.connection.clone(), before.pools.clone()));
    }
    let known: HashMap<&Trigger, TriggerState> =
        before.triggers.iter().zip(state.triggers.iter().copied()).collect();
    let triggers = asset.triggers.iter().map(|trigger| match known.get(trigger) {
        Some(known) => TriggerState { timer: None, ..*known },
        None => {
            decisions.push(Decision::Watch { asset: asset.id.clone(), trigger: trigger.clone(), from: now });
            TriggerState::answered(now)
        }
    });
    state.triggers = triggers.collect();
    // What a recorded start owes is owed whatever its reasons were.
    if let Some(due) = state.due.as_mut().filter(|due| !due.is_owed) {
        due.reasons.retain(|reason| match reason {
            DueReason::Tick(trigger) | DueReason::Event(trigger) => asset.triggers.contains(trigger),
            _ => true,
        });
    }
    state.due = state.due.filter(|due| !due.reasons.is_empty());
    state.cleared = None;
    state.failures = state.failures.carried(asset, is_changed, decisions);
    if is_changed {
        (state.stale, state.stale_again) = (true, true);
    }
    state
}

/// The recorded triggers that `is_gone` says so of are gone; events that waited for an answer get it.
fn forget(
    recorded: &RecordedAsset,
    is_gone: impl Fn(&Trigger) -> bool,
    because: &SkipReason,
    decisions: &mut Vec<Decision>,
) {
    for found in recorded.triggers.iter().filter(|found| is_gone(&found.trigger)) {
        let (asset, trigger) = (recorded.asset.clone(), found.trigger.clone());
        if let Some(until) = found.noted.filter(|noted| *noted > found.answered) {
            let answers = vec![Answer { trigger: trigger.clone(), after: found.answered, until }];
            decisions.push(Decision::Skip { asset: asset.clone(), answers, because: because.clone() });
        }
        decisions.push(Decision::Unwatch { asset, trigger });
    }
}

/// The triggers that `is_gone` says so of are gone; what waited for them is answered.
fn unwatch(
    node: &Node,
    is_gone: impl Fn(&Trigger) -> bool,
    because: SkipReason,
    decisions: &mut Vec<Decision>,
) {
    for (trigger, state) in node.asset.triggers.iter().zip(&node.state.triggers).filter(|(t, _)| is_gone(t)) {
        let asset = node.asset.id.clone();
        if state.waits() {
            let answer = Answer { trigger: trigger.clone(), after: state.answered, until: state.seen };
            let (asset, because) = (asset.clone(), because.clone());
            decisions.push(Decision::Skip { asset, answers: vec![answer], because });
        }
        decisions.push(Decision::Unwatch { asset, trigger: trigger.clone() });
    }
}
