//! The places outside that sources ask: some of them are down for a while, and their circuits open.

use std::collections::{BTreeMap, BTreeSet};

use millstream_schedule::{Circuit, CircuitChange, CircuitPolicy, CircuitState, Ending};
use millstream_types::TimestampMicros;

use super::project::MINUTE;

/// What one step asks at most before it gives up.
const ATTEMPTS: usize = 4;

/// Each place by the name of its circuit.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Until when a place is down, in true time.
    down: BTreeMap<String, Outage>,
    circuits: BTreeMap<String, Circuit>,
    /// The circuits that the scheduler was told of as open.
    told: BTreeMap<String, TimestampMicros>,
    /// Places whose alarm has had no all-clear yet.
    alarmed: BTreeSet<String>,
    pub(super) outages: u32,
}

#[derive(Debug)]
struct Outage {
    since: i64,
    until: i64,
    /// The requests of steps that the scheduler started.
    requests: u32,
}

/// What the scheduler has to be told.
pub(super) enum News {
    Opened(String, TimestampMicros),
    Closed(String),
}

impl Places {
    pub(super) fn go_down(&mut self, name: &str, since: i64, until: i64) {
        self.outages += 1;
        self.down.entry(name.to_owned()).or_insert(Outage { since, until, requests: 0 });
    }

    pub(super) fn recover(&mut self) {
        self.down.clear();
    }

    /// A step has asked the place. How it ends, and what its circuit makes of it.
    pub(super) fn ask(
        &mut self,
        name: &str,
        ending: Ending,
        is_own: bool,
        time: i64,
        now: TimestampMicros,
    ) -> Ending {
        let policy = CircuitPolicy::default();
        self.down.retain(|_, outage| outage.until > time);
        let circuit = self.circuits.entry(name.to_owned()).or_default();
        let Some(outage) = self.down.get_mut(name) else {
            if circuit.answered().is_some() {
                assert!(self.alarmed.remove(name), "an all-clear without an alarm");
            }
            return ending;
        };
        for _ in 0..ATTEMPTS {
            outage.requests += u32::from(is_own);
            if let Some(CircuitChange::Opened { .. }) = circuit.failed(&policy, now) {
                assert!(self.alarmed.insert(name.to_owned()), "a second alarm of one outage");
            }
            if matches!(circuit.state(&policy, now), CircuitState::Open { .. }) {
                break;
            }
        }
        // Those that open it, those that ran then, probes that come further and further apart.
        let minutes = u32::try_from((time - outage.since) / MINUTE).unwrap();
        assert!(
            outage.requests <= 5 + 5 + 6 + minutes / 9,
            "{} requests in {minutes} minutes",
            outage.requests
        );
        Ending::Unreachable
    }

    /// What the scheduler does not know yet.
    pub(super) fn news(&mut self) -> Vec<News> {
        let open = self.open();
        let told = std::mem::replace(&mut self.told, open.iter().cloned().collect());
        let opened = open.iter().filter(|(name, until)| told.get(name) != Some(until));
        let opened = opened.map(|(name, until)| News::Opened(name.clone(), *until));
        let closed = told.keys().filter(|name| !self.told.contains_key(*name)).cloned().map(News::Closed);
        opened.chain(closed).collect()
    }

    /// What a process finds recorded when it begins.
    pub(super) fn open(&self) -> Vec<(String, TimestampMicros)> {
        let circuits = self.circuits.iter();
        circuits.filter_map(|(name, circuit)| Some((name.clone(), circuit.open?.until))).collect()
    }

    pub(super) fn state(&self, name: &str, now: TimestampMicros) -> CircuitState {
        let circuit = self.circuits.get(name);
        circuit.map_or(CircuitState::Closed, |circuit| circuit.state(&CircuitPolicy::default(), now))
    }

    /// Since when a step that asks the place is a probe.
    pub(super) fn probes_since(&self, name: &str) -> Option<TimestampMicros> {
        self.circuits.get(name).and_then(|circuit| Some(circuit.open?.until))
    }

    pub(super) fn is_closed(&self, name: &str) -> bool {
        self.circuits.get(name).is_none_or(|circuit| circuit.open.is_none())
    }
}
