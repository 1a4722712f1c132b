//! Promises followed through time.
//!
//! Facts are told when they change, and hold until then. What follows from them alone with time, such as that a deadline
//! passes, is found at the instant at which it comes, however late anybody looks: the sum of what is told does not depend on how
//! often that is.

use millstream_types::{Span, TimestampMicros};

use super::{Promise, Sla};
use crate::trigger::micros;

/// So many changes of one watch are found in one call; of a downtime of years the older ones are left out.
const TURNS_MAX: usize = 10_000;

/// What is known of an asset at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlaFacts {
    /// What the asset holds is as fresh as of this instant; `None` if it was never built.
    pub fresh_as_of: Option<TimestampMicros>,
    /// When the step of the asset began that runs.
    pub step_began: Option<TimestampMicros>,
    /// How long a run that begins now is expected to take until the asset is fresh, what goes before it included.
    pub expected: Span,
    /// How long the asset's own step is expected to take.
    pub step_expected: Span,
}

/// Nothing was built, nothing runs, and nothing is known of how long it takes.
impl Default for SlaFacts {
    fn default() -> Self {
        let unknown = Span::from_ms(0);
        Self { fresh_as_of: None, step_began: None, expected: unknown, step_expected: unknown }
    }
}

/// How a promise stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromiseState {
    Kept,
    /// The promise is kept so far, and by what runs are expected to take it will be broken.
    AtRisk,
    Broken {
        since: TimestampMicros,
    },
}

/// A promise with what is recorded of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchedPromise {
    pub promise: Promise,
    /// Since when the promise is watched; nothing is said of the time before.
    pub since: TimestampMicros,
    /// Up to when it was judged.
    pub judged_until: TimestampMicros,
    pub state: PromiseState,
}

/// A stretch of time in which a promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breach {
    pub promise: Promise,
    pub broken_at: TimestampMicros,
    /// `None` while it is still broken.
    pub met_at: Option<TimestampMicros>,
}

/// What became of a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlaChange {
    /// The promise will be broken at `breaks_at`: what has to run is expected to end later.
    AtRisk {
        promise: Promise,
        at: TimestampMicros,
        breaks_at: TimestampMicros,
    },
    Broken {
        promise: Promise,
        at: TimestampMicros,
    },
    /// The promise was broken since `broken_at`, and is kept again.
    MetAgain {
        promise: Promise,
        at: TimestampMicros,
        broken_at: TimestampMicros,
    },
}

/// The promises about one asset.
#[derive(Clone, Debug)]
pub struct SlaWatch {
    sla: Sla,
    facts: SlaFacts,
    promises: Vec<WatchedPromise>,
}

/// What follows for a promise from the facts.
struct Judged {
    is_broken: bool,
    /// The instant from which the promise was broken, or will be if nothing changes.
    breaks_at: Option<TimestampMicros>,
    is_at_risk: bool,
}

impl SlaWatch {
    /// Begins to watch at `now`, or goes on with what is recorded of promises that are still made. Facts hold since then.
    #[must_use]
    pub fn new(sla: Sla, facts: SlaFacts, recorded: &[WatchedPromise], now: TimestampMicros) -> Self {
        let watched = |promise: Promise| {
            let known = recorded.iter().find(|known| known.promise == promise).copied();
            // What was judged ahead of now was judged by a clock that was wrong.
            known.map_or(
                WatchedPromise { promise, since: now, judged_until: now, state: PromiseState::Kept },
                |known| WatchedPromise { judged_until: known.judged_until.min(now), ..known },
            )
        };
        let promises = sla.promises().map(watched).collect();
        Self { sla, facts, promises }
    }

    /// The promises as they stand.
    #[must_use]
    pub fn promises(&self) -> &[WatchedPromise] {
        &self.promises
    }

    /// The facts that hold.
    #[must_use]
    pub fn facts(&self) -> &SlaFacts {
        &self.facts
    }

    #[must_use]
    pub fn sla(&self) -> &Sla {
        &self.sla
    }

    /// Time has come to `now`, and from then on these facts hold. Gives what became of the promises, in order of time.
    pub fn observe(&mut self, facts: SlaFacts, now: TimestampMicros) -> Vec<SlaChange> {
        let mut changes = self.advance(TimestampMicros(now.0.saturating_sub(1)));
        self.facts = facts;
        for place in 0..self.promises.len() {
            if self.promises[place].judged_until <= now {
                self.judge_at(place, now, &mut changes);
            }
        }
        changes
    }

    /// The next instant at which something changes although no fact does.
    #[must_use]
    pub fn next_wake(&self) -> Option<TimestampMicros> {
        self.promises.iter().filter_map(|watched| self.next_change(watched)).min()
    }

    /// Time has come to `now`, and nothing else has changed.
    pub fn advance(&mut self, now: TimestampMicros) -> Vec<SlaChange> {
        let mut changes = Vec::new();
        for place in 0..self.promises.len() {
            for _ in 0..TURNS_MAX {
                let next = self.next_change(&self.promises[place]).filter(|next| *next <= now);
                let Some(next) = next else { break };
                self.judge_at(place, next, &mut changes);
            }
            let watched = &mut self.promises[place];
            watched.judged_until = watched.judged_until.max(now);
        }
        changes.sort_by_key(SlaChange::at);
        changes
    }

    fn judge_at(&mut self, place: usize, at: TimestampMicros, changes: &mut Vec<SlaChange>) {
        let mut watched = self.promises[place];
        let judged = self.judge(&watched, at);
        let promise = watched.promise;
        if let (PromiseState::Broken { since }, false) = (watched.state, judged.is_broken) {
            watched.state = PromiseState::Kept;
            changes.push(SlaChange::MetAgain { promise, at, broken_at: since });
        }
        match (watched.state, judged.is_broken) {
            (PromiseState::Broken { .. }, true) => {}
            (_, true) => {
                // What was judged as kept stays so: facts that turn out to be older than they were change nothing of the past.
                let since =
                    judged.breaks_at.unwrap_or(at).max(watched.since).max(watched.judged_until.min(at));
                watched.state = PromiseState::Broken { since };
                changes.push(SlaChange::Broken { promise, at: since });
            }
            (PromiseState::Kept, false) if judged.is_at_risk => {
                watched.state = PromiseState::AtRisk;
                let breaks_at = judged.breaks_at.unwrap_or(at);
                changes.push(SlaChange::AtRisk { promise, at, breaks_at });
            }
            // A risk that has passed is not told; the same one is not told twice.
            (PromiseState::AtRisk, false) if !judged.is_at_risk => watched.state = PromiseState::Kept,
            (_, false) => {}
        }
        watched.judged_until = watched.judged_until.max(at);
        self.promises[place] = watched;
    }

    fn judge(&self, watched: &WatchedPromise, at: TimestampMicros) -> Judged {
        match watched.promise {
            Promise::FreshBy => self.judge_fresh_by(watched, at),
            Promise::AtMost | Promise::StepAtMost => {
                let Some(limit) = self.limit(watched) else {
                    return Judged { is_broken: false, breaks_at: None, is_at_risk: false };
                };
                let is_broken = at > limit;
                let is_at_risk = self.risk_from(watched.promise, limit).is_some_and(|from| at >= from);
                Judged { is_broken, breaks_at: Some(limit), is_at_risk }
            }
        }
    }

    fn judge_fresh_by(&self, watched: &WatchedPromise, at: TimestampMicros) -> Judged {
        let Some(by) = &self.sla.fresh_by else {
            return Judged { is_broken: false, breaks_at: None, is_at_risk: false };
        };
        let is_of = |deadline| self.facts.fresh_as_of.is_some_and(|fresh| fresh >= by.day_start(deadline));
        let last = by.last_until(at).filter(|last| *last > watched.since);
        if let Some(last) = last.filter(|last| !is_of(*last)) {
            return Judged { is_broken: true, breaks_at: Some(last), is_at_risk: false };
        }
        let next = by.next_after(at).filter(|next| !is_of(*next));
        let from = next.and_then(|next| self.risk_from(Promise::FreshBy, next));
        Judged { is_broken: false, breaks_at: next, is_at_risk: from.is_some_and(|from| at >= from) }
    }

    /// The last instant at which the promise of a length is still kept, if no fact changes.
    fn limit(&self, watched: &WatchedPromise) -> Option<TimestampMicros> {
        let (from, span) = match watched.promise {
            Promise::FreshBy => return None,
            // What was never built is given the time from when it was first watched.
            Promise::AtMost => (self.facts.fresh_as_of.unwrap_or(watched.since), self.sla.at_most?),
            Promise::StepAtMost => (self.facts.step_began?, self.sla.step_at_most?),
        };
        Some(later(from, span))
    }

    /// The instant from which a promise that is broken at `limit` is at risk; `None` if what runs is expected to end before.
    fn risk_from(&self, promise: Promise, limit: TimestampMicros) -> Option<TimestampMicros> {
        let start = match (promise, &self.sla.fresh_by) {
            // A run before the day begins would not count for it.
            (Promise::FreshBy, Some(by)) => by.day_start(limit),
            _ => TimestampMicros(i64::MIN),
        };
        let from = match (promise, self.facts.step_began) {
            (Promise::StepAtMost, Some(began)) => {
                (later(began, self.facts.step_expected) > limit).then_some(began)?
            }
            (Promise::StepAtMost, None) => return None,
            // What runs will make it fresh in time, until that is overdue itself.
            (_, Some(began)) if later(began, self.facts.expected) <= limit => {
                TimestampMicros(later(began, self.facts.expected).0.saturating_add(1))
            }
            (_, Some(began)) => began,
            (_, None) => TimestampMicros(limit.0.saturating_sub(micros(self.facts.expected))),
        };
        // Nothing is at risk before something is expected to take time.
        Some(from.max(start)).filter(|from| *from < limit)
    }

    /// The next instant after what was judged at which the promise may stand otherwise.
    fn next_change(&self, watched: &WatchedPromise) -> Option<TimestampMicros> {
        let after = watched.judged_until;
        let mut found: Vec<TimestampMicros> = Vec::new();
        match (watched.promise, &self.sla.fresh_by) {
            (Promise::FreshBy, Some(by)) => {
                let next = by.next_after(after)?;
                found.push(next);
                found.extend(self.risk_from(Promise::FreshBy, next));
            }
            _ => {
                let limit = self.limit(watched)?;
                found.push(TimestampMicros(limit.0.saturating_add(1)));
                found.extend(self.risk_from(watched.promise, limit));
            }
        }
        found.into_iter().filter(|at| *at > after).min()
    }
}

impl SlaChange {
    /// When it happened.
    #[must_use]
    pub fn at(&self) -> TimestampMicros {
        match self {
            Self::AtRisk { at, .. } | Self::Broken { at, .. } | Self::MetAgain { at, .. } => *at,
        }
    }

    #[must_use]
    pub fn promise(&self) -> Promise {
        match self {
            Self::AtRisk { promise, .. } | Self::Broken { promise, .. } | Self::MetAgain { promise, .. } => {
                *promise
            }
        }
    }
}

fn later(from: TimestampMicros, span: Span) -> TimestampMicros {
    TimestampMicros(from.0.saturating_add(micros(span)))
}
