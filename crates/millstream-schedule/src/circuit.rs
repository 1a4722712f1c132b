//! The circuit of a connection: steps stop asking a place that does not answer, and one of them tries again after a while.
//!
//! A circuit is *closed* while the place answers. After [`CircuitPolicy::failures`] attempts in a row that could not reach it,
//! all within [`CircuitPolicy::within`], it is *open*: nothing asks until a wait is over. Then it is *half-open*: one attempt
//! probes. If the place answers, the circuit is closed; if not, it is open for twice as long as before, up to
//! [`CircuitPolicy::wait_max`]. An answer closes it whenever it comes.

use std::{collections::VecDeque, num::NonZeroUsize};

use millstream_types::{Span, TimestampMicros};

use crate::trigger::micros;

/// When a circuit opens, and how long it stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitPolicy {
    /// So many attempts in a row open the circuit.
    pub failures: NonZeroUsize,
    /// The attempts that open the circuit are no further apart than this, the first from the last.
    pub within: Span,
    /// How long an open circuit waits before its first probe.
    pub wait: Span,
    /// The longest wait between two probes.
    pub wait_max: Span,
}

/// Five attempts in a row within ten minutes; probes after 30 seconds, one minute, two, … up to ten.
impl Default for CircuitPolicy {
    fn default() -> Self {
        Self {
            failures: NonZeroUsize::new(5).unwrap_or(NonZeroUsize::MIN),
            within: Span::from_ms(600_000),
            wait: Span::from_ms(30_000),
            wait_max: Span::from_ms(600_000),
        }
    }
}

/// What is known of a place that steps ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circuit {
    /// The last attempts in a row that could not reach the place, the newest last. No more than open the circuit.
    pub failures: VecDeque<TimestampMicros>,
    /// `Some` while the circuit is not closed.
    pub open: Option<OpenCircuit>,
}

/// A circuit that is not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenCircuit {
    /// When it opened, whatever probes failed since.
    pub since: TimestampMicros,
    /// Nothing asks before this instant; from then on it is half-open.
    pub until: TimestampMicros,
    /// The present wait.
    pub wait: Span,
}

/// The state of a circuit at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    Closed,
    Open { until: TimestampMicros },
    HalfOpen,
}

impl CircuitState {
    /// The stable word for machines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// What an attempt changed about a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitChange {
    /// The circuit was closed and is open now: worth an alarm.
    Opened { until: TimestampMicros },
    /// A probe failed, and the circuit is open for longer.
    ProbeFailed { until: TimestampMicros },
    /// The place answers again: worth an all-clear.
    Closed { since: TimestampMicros },
}

impl Circuit {
    /// The state at `now`.
    #[must_use]
    pub fn state(&self, policy: &CircuitPolicy, now: TimestampMicros) -> CircuitState {
        match self.open {
            None => CircuitState::Closed,
            Some(open) if open.is_over(policy, now) => CircuitState::HalfOpen,
            Some(open) => CircuitState::Open { until: open.until },
        }
    }

    /// An attempt could not reach the place.
    pub fn failed(&mut self, policy: &CircuitPolicy, now: TimestampMicros) -> Option<CircuitChange> {
        match self.open {
            Some(open) if open.is_over(policy, now) => {
                let wait = Span::from_ms(open.wait.ms().saturating_mul(2)).min(policy.wait_max);
                let until = later(now, wait);
                self.open = Some(OpenCircuit { until, wait, ..open });
                Some(CircuitChange::ProbeFailed { until })
            }
            // The attempt began before the circuit opened.
            Some(_) => None,
            None => {
                let oldest = now.0.saturating_sub(micros(policy.within));
                // What lies ahead was told by a clock that was wrong.
                self.failures.retain(|at| at.0 >= oldest && *at <= now);
                self.failures.push_back(now);
                if self.failures.len() < policy.failures.get() {
                    return None;
                }
                self.failures.clear();
                let until = later(now, policy.wait);
                self.open = Some(OpenCircuit { since: now, until, wait: policy.wait });
                Some(CircuitChange::Opened { until })
            }
        }
    }

    /// The place has answered.
    pub fn answered(&mut self) -> Option<CircuitChange> {
        self.failures.clear();
        self.open.take().map(|open| CircuitChange::Closed { since: open.since })
    }

    /// The clock was ahead when the circuit opened, and was set right: the wait is over. Whether that was so.
    pub fn rewind(&mut self, policy: &CircuitPolicy, now: TimestampMicros) -> bool {
        let Some(open) = self.open.as_mut().filter(|open| open.is_ahead(policy, now)) else { return false };
        (open.since, open.until) = (open.since.min(now), now);
        true
    }

    /// Whether an answer would change nothing.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.failures.is_empty() && self.open.is_none()
    }
}

impl OpenCircuit {
    /// Whether the wait is over. An end that lies further ahead than any wait was set by a clock that was wrong.
    fn is_over(&self, policy: &CircuitPolicy, now: TimestampMicros) -> bool {
        now >= self.until || self.is_ahead(policy, now)
    }

    fn is_ahead(&self, policy: &CircuitPolicy, now: TimestampMicros) -> bool {
        self.until > later(now, policy.wait_max.max(self.wait))
    }
}

fn later(now: TimestampMicros, span: Span) -> TimestampMicros {
    TimestampMicros(now.0.saturating_add(micros(span)))
}
