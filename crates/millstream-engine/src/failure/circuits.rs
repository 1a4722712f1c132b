//! The circuits of the places that steps ask, as this process knows them. What is recorded counts: several processes change it,
//! and a restart finds it again.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use millstream_schedule::{Circuit, CircuitChange, CircuitState, circuit_words, shown};
use millstream_types::{AssetId, TimestampMicros};

use crate::{EngineError, Event, Publisher, engine::World};

/// What is known of the circuits of a process. All that are not here are closed and sound.
#[derive(Debug, Default)]
pub(crate) struct Circuits(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// `None` until they were read for the first time.
    circuits: Option<BTreeMap<String, Circuit>>,
    /// How often a change was taken in, so that a read that such a change has overtaken is not.
    changes: u64,
}

impl World {
    /// Reads the circuits as they are recorded. One that a clock which was ahead has opened waits no more.
    pub(crate) async fn refresh_circuits(&self) -> Result<(), EngineError> {
        let changes = self.circuits.known().changes;
        let mut recorded = self.state.circuits().await?;
        for (name, circuit) in &mut recorded {
            let (policy, now) = (self.project.spec.circuit_policy(name), self.options.clock.now());
            if circuit.clone().rewind(&policy, now) {
                let rewind = move |circuit: &mut Circuit| circuit.rewind(&policy, now);
                *circuit = self.state.change_circuit(name, rewind).await?.0;
            }
        }
        self.circuits.renew(recorded, changes);
        Ok(())
    }

    /// The circuits that are not closed, and until when each lets nobody ask.
    pub(crate) fn open_circuits(&self) -> BTreeMap<String, TimestampMicros> {
        let known = self.circuits.known();
        let circuits = known.circuits.iter().flatten();
        circuits.filter_map(|(name, circuit)| Some((name.clone(), circuit.open?.until))).collect()
    }

    /// Why the place that steps of the asset ask is not to be asked now, as far as this process knows.
    pub(crate) fn held_by_circuit(&self, asset: &AssetId) -> Option<String> {
        let name = self.source_circuits.get(asset)?;
        let (policy, now) = (self.project.spec.circuit_policy(name), self.options.clock.now());
        let known = self.circuits.known();
        match known.circuits.as_ref()?.get(name)?.state(&policy, now) {
            CircuitState::Open { until } => Some(is_open(name, until)),
            CircuitState::Closed | CircuitState::HalfOpen => None,
        }
    }

    /// Whether the circuit of the place that steps of the asset ask is open or half-open, as far as this process knows.
    pub(super) fn has_open_circuit(&self, asset: &AssetId) -> bool {
        let Some(name) = self.source_circuits.get(asset) else { return false };
        let known = self.circuits.known();
        known.circuits.iter().flatten().any(|(known, circuit)| known == name && circuit.open.is_some())
    }

    /// The state of every circuit of which something is known.
    pub(crate) fn circuit_states(&self) -> BTreeMap<String, (Circuit, CircuitState)> {
        let now = self.options.clock.now();
        let state =
            |name: &str, circuit: &Circuit| circuit.state(&self.project.spec.circuit_policy(name), now);
        let known = self.circuits.known();
        let circuits = known.circuits.iter().flatten();
        circuits.map(|(name, circuit)| (name.clone(), (circuit.clone(), state(name, circuit)))).collect()
    }

    /// An attempt could not reach the place. Gives the state of its circuit then; an alarm is told once, when it opens.
    pub(crate) async fn could_not_reach(
        &self,
        name: &str,
        events: &Publisher,
    ) -> Result<CircuitState, EngineError> {
        let (policy, now) = (self.project.spec.circuit_policy(name), self.options.clock.now());
        let changing = self.state.change_circuit(name, move |circuit| circuit.failed(&policy, now));
        let (circuit, change) = changing.await?;
        let state = circuit.state(&policy, now);
        self.circuits.keep(name, circuit);
        match change {
            Some(CircuitChange::Opened { until }) => {
                let message = format!(
                    "{} is open: {} attempts in a row could not reach it; it is tried again from {}",
                    circuit_words(name),
                    policy.failures,
                    shown(until)
                );
                tracing::warn!(circuit = name, "{message}");
                events.publish(Event::Alarm { about: name.to_owned(), message, is_over: false });
            }
            Some(CircuitChange::ProbeFailed { until }) => {
                tracing::info!(circuit = name, until = shown(until), "a place still does not answer");
            }
            Some(CircuitChange::Closed { .. }) | None => {}
        }
        Ok(state)
    }

    /// The place has answered. The all-clear is told once, when its circuit was open.
    pub(crate) async fn has_answered(&self, name: &str, events: &Publisher) -> Result<(), EngineError> {
        if self.circuits.known().circuits.is_none() {
            self.refresh_circuits().await?;
        }
        // Nothing has to be asked for a place that always answers.
        if self.circuits.is_sound(name) {
            return Ok(());
        }
        let (circuit, change) = self.state.change_circuit(name, Circuit::answered).await?;
        self.circuits.keep(name, circuit);
        if let Some(CircuitChange::Closed { since }) = change {
            let seconds = self.options.clock.now().0.saturating_sub(since.0) / 1_000_000;
            let message = format!("{} is closed: it answers again after {seconds} s", circuit_words(name));
            tracing::warn!(circuit = name, "{message}");
            events.publish(Event::Alarm { about: name.to_owned(), message, is_over: true });
        }
        Ok(())
    }
}

/// The reason why a place is not asked.
pub(super) fn is_open(name: &str, until: TimestampMicros) -> String {
    format!("{} is open until {}", circuit_words(name), shown(until))
}

impl Circuits {
    /// Whether nothing is known against the place.
    pub(super) fn is_sound(&self, name: &str) -> bool {
        let known = self.known();
        known.circuits.as_ref().is_some_and(|known| known.get(name).is_none_or(Circuit::is_sound))
    }

    fn keep(&self, name: &str, circuit: Circuit) {
        let mut known = self.known();
        known.changes += 1;
        let Some(circuits) = known.circuits.as_mut() else { return };
        match circuit.is_sound() {
            true => drop(circuits.remove(name)),
            false => drop(circuits.insert(name.to_owned(), circuit)),
        }
    }

    /// Takes over what was read when `changes` had been taken in, unless there were more meanwhile: the next read has them.
    fn renew(&self, recorded: BTreeMap<String, Circuit>, changes: u64) {
        let mut known = self.known();
        if known.changes == changes || known.circuits.is_none() {
            known.circuits = Some(recorded);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
