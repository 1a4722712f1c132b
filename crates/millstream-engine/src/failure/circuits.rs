//! The circuits of the places that steps ask, as this process knows them. What is recorded counts: several processes change it,
//! and a restart finds it again.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use millstream_schedule::{Circuit, CircuitChange, CircuitPolicy, CircuitState, circuit_words, shown};
use millstream_types::TimestampMicros;

use crate::{EngineError, Event, Publisher, process::Process};

/// What is known of the circuits of a process. All that are not here are closed and sound.
#[derive(Debug, Default)]
pub(crate) struct Circuits {
    /// `None` until they were read for the first time.
    known: Mutex<Option<BTreeMap<String, Circuit>>>,
    policy: CircuitPolicy,
}

impl Process {
    /// Reads the circuits as they are recorded.
    pub(crate) async fn refresh_circuits(&self) -> Result<(), EngineError> {
        let recorded = self.state.circuits().await?;
        *self.circuits.known() = Some(recorded);
        Ok(())
    }

    /// The circuits that are not closed, and until when each lets nobody ask.
    pub(crate) fn open_circuits(&self) -> BTreeMap<String, TimestampMicros> {
        let known = self.circuits.known();
        let circuits = known.iter().flatten();
        circuits.filter_map(|(name, circuit)| Some((name.clone(), circuit.open?.until))).collect()
    }

    /// The state of every circuit of which something is known.
    pub(crate) fn circuit_states(&self) -> BTreeMap<String, (Circuit, CircuitState)> {
        let now = self.options.clock.now();
        let state = |circuit: &Circuit| circuit.state(&self.circuits.policy, now);
        let known = self.circuits.known();
        let circuits = known.iter().flatten();
        circuits.map(|(name, circuit)| (name.clone(), (circuit.clone(), state(circuit)))).collect()
    }

    /// An attempt could not reach the place. Gives the state of its circuit then; an alarm is told once, when it opens.
    pub(crate) async fn could_not_reach(
        &self,
        name: &str,
        events: &Publisher,
    ) -> Result<CircuitState, EngineError> {
        let (policy, now) = (self.circuits.policy, self.options.clock.now());
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
        if self.circuits.known().is_none() {
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

impl Circuits {
    fn is_sound(&self, name: &str) -> bool {
        self.known().as_ref().is_some_and(|known| known.get(name).is_none_or(Circuit::is_sound))
    }

    fn keep(&self, name: &str, circuit: Circuit) {
        let mut known = self.known();
        let Some(known) = known.as_mut() else { return };
        match circuit.is_sound() {
            true => drop(known.remove(name)),
            false => drop(known.insert(name.to_owned(), circuit)),
        }
    }

    fn known(&self) -> MutexGuard<'_, Option<BTreeMap<String, Circuit>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
