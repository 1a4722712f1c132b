//! Steps wait while the circuit of what they ask is open; when its wait is over, one of them tries.

use std::collections::BTreeSet;

use millstream_types::{AssetId, TimestampMicros};

use super::{Scheduler, node::Standing};
use crate::{CircuitPolicy, Decision, Ending, HoldReason, trigger::micros};

/// No gate is shut for longer at a time after a step that said nothing of its place, in microseconds.
const WAIT_MAX: i64 = 60 * 60 * 1_000_000;

/// A circuit that is not closed, as the scheduler knows it.
#[derive(Debug)]
pub(super) struct Gate {
    /// No step starts before this instant.
    until: TimestampMicros,
    /// How long it is shut at a time, in microseconds.
    wait: i64,
    /// The asset whose step tries. Places change when a project is loaded again, names do not.
    probe: Option<AssetId>,
    /// The assets that are held, by their places; some of them may have gone on otherwise.
    held: BTreeSet<usize>,
}

impl Gate {
    fn new(until: TimestampMicros, now: TimestampMicros) -> Self {
        Self { until, wait: wait(until, now), probe: None, held: BTreeSet::new() }
    }
}

impl Scheduler {
    /// The circuit is open until then, or for longer than it was: none of the assets that name it starts before, and then one does.
    /// Steps that run go on.
    pub fn circuit_opened(
        &mut self,
        name: &str,
        until: TimestampMicros,
        now: TimestampMicros,
    ) -> Vec<Decision> {
        self.begin(now);
        self.shut(name, until);
        self.decide()
    }

    /// The circuit is closed: what waits for it goes on.
    pub fn circuit_closed(&mut self, name: &str, now: TimestampMicros) -> Vec<Decision> {
        self.begin(now);
        if let Some(gate) = self.gates.remove(name) {
            gate.held.iter().for_each(|place| self.wait_instead(*place));
            self.let_go(gate.held);
        }
        self.decide()
    }

    /// Whether the circuit of the asset keeps it from being asked at this moment.
    #[must_use]
    pub fn is_held(&self, asset: &AssetId) -> bool {
        self.place(asset).is_some_and(|place| self.gate_of(place).is_some_and(|gate| gate.until > self.now))
    }

    /// Takes over an open circuit.
    pub(super) fn shut(&mut self, name: &str, until: TimestampMicros) {
        let now = self.now;
        match self.gates.get_mut(name) {
            Some(gate) if gate.until == until => {}
            Some(gate) => (gate.until, gate.wait, gate.probe) = (until, wait(until, now), None),
            None => drop(self.gates.insert(name.to_owned(), Gate::new(until, now))),
        }
    }

    /// Lets assets try whose circuits have waited for long enough.
    pub(super) fn find_probes(&mut self) {
        let now = self.now;
        let over = self.gates.values_mut().filter(|gate| gate.until <= now && gate.probe.is_none());
        let held: Vec<BTreeSet<usize>> = over.map(|gate| std::mem::take(&mut gate.held)).collect();
        held.into_iter().for_each(|held| self.let_go(held));
    }

    /// The step of the asset has ended, which may have been the one that tried: what is known of its circuit by then was told
    /// before. If that is nothing new, the next one tries: at once where the step ended well, and after the present wait where it
    /// did not, since nothing says that the place answers.
    pub(super) fn probe_ended(&mut self, place: usize, ending: Ending) {
        // The asset may have another circuit than when its step began.
        let asset = &self.nodes[place].asset.id;
        let tried = self.gates.values_mut().find(|gate| gate.probe.as_ref() == Some(asset));
        if let Some(gate) = tried.filter(|_| ending.is_bad()) {
            gate.until = gate.until.max(TimestampMicros(self.now.0.saturating_add(gate.wait)));
        }
        self.forget_probe(place);
    }

    /// The step of the asset has asked nothing: if it was to try, another one does.
    pub(super) fn forget_probe(&mut self, place: usize) {
        let asset = &self.nodes[place].asset.id;
        if let Some(gate) = self.gates.values_mut().find(|gate| gate.probe.as_ref() == Some(asset)) {
            gate.probe = None;
            self.find_probes();
        }
    }

    /// Whether the circuit of the asset lets its step start; one that is to try is noted as such where it `starts`.
    pub(super) fn passes_circuit(&mut self, place: usize, starts: bool) -> bool {
        let node = &self.nodes[place];
        let Some(gate) = node.asset.circuit.as_ref().and_then(|name| self.gates.get_mut(name)) else {
            return true;
        };
        let passes = gate.until <= self.now && gate.probe.is_none();
        if passes && starts {
            gate.probe = Some(node.asset.id.clone());
        } else if !passes {
            gate.held.insert(place);
        }
        passes
    }

    /// Whether the step of the asset is the one that tries the place of its circuit.
    pub(super) fn is_probe(&self, place: usize) -> bool {
        let asset = &self.nodes[place].asset.id;
        self.gate_of(place).is_some_and(|gate| gate.probe.as_ref() == Some(asset))
    }

    /// The step of the asset, which goes on, is the one that tries.
    pub(super) fn take_over_probe(&mut self, place: usize) {
        let asset = &self.nodes[place].asset;
        if let Some(gate) = asset.circuit.as_ref().and_then(|name| self.gates.get_mut(name)) {
            gate.probe.get_or_insert_with(|| asset.id.clone());
        }
    }

    /// What an asset that is held waits for.
    pub(super) fn circuit_hold(&self, place: usize) -> HoldReason {
        let name = self.nodes[place].asset.circuit.clone().unwrap_or_default();
        let until = self.gates.get(&name).map_or(self.now, |gate| gate.until);
        HoldReason::Circuit { name, until }
    }

    /// The next instant at which an asset may try. Where nothing is held, nothing has to be woken.
    pub(super) fn next_probe(&self) -> Option<TimestampMicros> {
        let held = self.gates.values().filter(|gate| !gate.held.is_empty() && gate.probe.is_none());
        held.map(|gate| gate.until).min()
    }

    /// The clock was far ahead: nothing is held until it is there again.
    pub(super) fn rewind_gates(&mut self, now: TimestampMicros) {
        for gate in self.gates.values_mut() {
            gate.until = gate.until.min(TimestampMicros(now.0.saturating_add(gate.wait)));
        }
    }

    /// After a reload the assets stand elsewhere, and are looked at anew. A probe goes on where its step does.
    pub(super) fn forget_held(&mut self) {
        self.gates.values_mut().for_each(|gate| gate.held.clear());
    }

    /// The steps that try and are not among those that run will never end.
    pub(super) fn forget_probes(&mut self) {
        let (nodes, places) = (&self.nodes, &self.places);
        let runs = |asset: &AssetId| {
            let node = places.get(asset).and_then(|place| nodes.get(*place));
            node.is_some_and(|node| node.state.running.is_some())
        };
        for gate in self.gates.values_mut() {
            gate.probe = gate.probe.take().filter(&runs);
        }
    }

    fn let_go(&mut self, held: BTreeSet<usize>) {
        for place in held {
            let Some(due) = self.nodes.get_mut(place).and_then(|node| node.state.due.as_mut()) else {
                continue;
            };
            if due.standing == Standing::Held {
                due.standing = Standing::Open;
                self.open.push_back(place);
            }
        }
    }

    /// Whether the circuit of the asset is not closed.
    pub(super) fn has_gate(&self, place: usize) -> bool {
        self.gate_of(place).is_some()
    }

    fn gate_of(&self, place: usize) -> Option<&Gate> {
        self.gates.get(self.nodes[place].asset.circuit.as_ref()?)
    }
}

/// The wait of a circuit that is open until then, in microseconds. One that was over before it was told of says nothing of how long
/// it was.
fn wait(until: TimestampMicros, now: TimestampMicros) -> i64 {
    match until.0.saturating_sub(now.0) {
        wait @ 1.. => wait.min(WAIT_MAX),
        _ => micros(CircuitPolicy::default().wait),
    }
}
