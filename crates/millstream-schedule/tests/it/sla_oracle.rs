//! What a watch of promises says agrees with a naive walk that looks at every minute alone, whenever it is asked, also where clocks change:
//! kept, at risk, broken since when, met again, and which days were met and missed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;
use millstream_schedule::{
    Breach, DayState, Deadline, Promise, PromiseState, Sla, SlaChange, SlaFacts, SlaWatch, calendar,
};
use millstream_types::{Span, TimestampMicros};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use crate::time::at;

const MINUTE: i64 = 60_000_000;
const DAYS: i64 = 4;

fn micros(span: Span) -> i64 {
    span.ms() as i64 * 1_000
}

/// A walk over the minutes.
struct Oracle {
    sla: Sla,
    start: i64,
    zone: Tz,
    hour: u32,
    week: BTreeSet<u32>,
    /// The last deadline that has come.
    last: Option<i64>,
    /// Since when each promise is broken.
    broken: BTreeMap<Promise, i64>,
    /// The breaches that are over: the first broken minute, and the first one that is not.
    over: Vec<(Promise, i64, i64)>,
    /// The days on which a promise was broken at some time, and those at whose deadline it was.
    missed: BTreeSet<(Promise, NaiveDate)>,
    /// The days of deadlines that have come.
    deadlines: BTreeSet<NaiveDate>,
}

impl Oracle {
    fn day(&self, at: i64) -> NaiveDate {
        Utc.timestamp_micros(at).unwrap().with_timezone(&self.zone).date_naive()
    }

    /// The instant after which the promise is broken if nothing changes. That of a deadline is the deadline.
    fn limit(&self, promise: Promise, facts: &SlaFacts) -> Option<i64> {
        match promise {
            Promise::AtMost => {
                let fresh = facts.fresh_as_of.map_or(self.start, |at| at.0);
                Some(fresh + micros(self.sla.at_most?))
            }
            Promise::StepAtMost => Some(facts.step_began?.0 + micros(self.sla.step_at_most?)),
            Promise::FreshBy => None,
        }
    }

    fn is_of_day(&self, facts: &SlaFacts, deadline: i64) -> bool {
        facts.fresh_as_of.is_some_and(|fresh| self.day(fresh.0) >= self.day(deadline))
    }

    fn is_broken(&self, promise: Promise, facts: &SlaFacts, now: i64) -> bool {
        match promise {
            Promise::FreshBy => self.last.is_some_and(|last| !self.is_of_day(facts, last)),
            _ => self.limit(promise, facts).is_some_and(|limit| now > limit),
        }
    }

    /// Whether what runs, or what could begin now, is expected to end after the limit.
    fn is_at_risk(&self, promise: Promise, facts: &SlaFacts, now: i64) -> bool {
        if promise == Promise::StepAtMost {
            let (Some(limit), Some(began)) = (self.limit(promise, facts), facts.step_began) else {
                return false;
            };
            return began.0 + micros(facts.step_expected) > limit && began.0 < limit;
        }
        let limit = match promise {
            Promise::FreshBy => {
                let next =
                    (1..=8 * 24 * 60).map(|ahead| now + ahead * MINUTE).find(|at| self.is_deadline(*at));
                next.filter(|next| !self.is_of_day(facts, *next) && self.day(*next) <= self.day(now))
            }
            _ => self.limit(promise, facts),
        };
        let Some(limit) = limit else { return false };
        let expected = micros(facts.expected);
        match facts.step_began.map(|began| began.0 + expected) {
            Some(ends) => ends > limit || now > ends,
            None => expected > 0 && now + expected >= limit,
        }
    }

    /// Whether the minute is the first of its day at which the clock on the wall has come to the deadline.
    fn is_deadline(&self, now: i64) -> bool {
        let wall = |at: i64| Utc.timestamp_micros(at).unwrap().with_timezone(&self.zone);
        let here = wall(now);
        let deadline = here.date_naive().and_hms_opt(self.hour, 0, 0).unwrap();
        let has_come =
            |at: i64| wall(at).date_naive() == here.date_naive() && wall(at).naive_local() >= deadline;
        let is_day = self.week.contains(&here.weekday().num_days_from_monday());
        is_day && has_come(now) && !(1..=180).any(|back| has_come(now - back * MINUTE))
    }

    fn look(&mut self, facts: &SlaFacts, now: i64) {
        if self.is_deadline(now) {
            self.last = Some(now);
            self.deadlines.insert(self.day(now));
            if self.is_broken(Promise::FreshBy, facts, now) {
                self.missed.insert((Promise::FreshBy, self.day(now)));
            }
        }
        for promise in Promise::ALL {
            // A breach that begins in the middle of a minute belongs to the day of that minute.
            let middle = now + MINUTE / 2;
            if promise != Promise::FreshBy && self.is_broken(promise, facts, middle) {
                self.missed.insert((promise, self.day(middle)));
            }
            match self.is_broken(promise, facts, now) {
                true => drop(self.broken.entry(promise).or_insert(now)),
                false => {
                    if let Some(since) = self.broken.remove(&promise) {
                        self.over.push((promise, since, now));
                    }
                }
            }
        }
    }

    fn state(&self, promise: Promise, facts: &SlaFacts, now: i64) -> &'static str {
        match () {
            () if self.is_broken(promise, facts, now) => "broken",
            () if self.is_at_risk(promise, facts, now) => "at risk",
            () => "kept",
        }
    }

    fn day_state(&self, promise: Promise, day: NaiveDate, end: i64) -> DayState {
        let is_missed = self.missed.contains(&(promise, day));
        let (first, today) = (self.day(self.start), self.day(end));
        if promise == Promise::FreshBy {
            let has_deadline = self.week.contains(&day.weekday().num_days_from_monday());
            return match self.deadlines.contains(&day) {
                true if is_missed => DayState::Missed,
                true => DayState::Met,
                false if has_deadline && day >= today => DayState::Open,
                false => DayState::Unknown,
            };
        }
        match () {
            () if day < first => DayState::Unknown,
            () if is_missed => DayState::Missed,
            () if day >= today => DayState::Open,
            () => DayState::Met,
        }
    }
}

#[test]
fn what_a_watch_says_agrees_with_looking_at_every_minute() {
    for seed in 0..60 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let zone: Tz = *[Tz::Europe__Berlin, Tz::America__New_York, Tz::UTC].choose(&mut rng).unwrap();
        let begins = *["2026-03-27T10:00:00Z", "2026-10-23T20:00:00Z", "2026-10-31T02:00:00Z"]
            .choose(&mut rng)
            .unwrap();
        let (start, hour) = (at(begins).0, rng.random_range(0..24));
        let week: BTreeSet<u32> = (0..7).filter(|_| rng.random_bool(0.7)).collect();
        let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let days = week.iter().map(|day| names[*day as usize]).collect::<Vec<_>>().join(",");
        let Ok(days) = days.parse() else { continue };
        let mut span = |most: u64| Some(Span::from_ms(rng.random_range(1..most) * 60_000));
        let sla = Sla {
            fresh_by: Some(Deadline::new(&format!("{hour:02}:00 {}", zone.name()), days).unwrap()),
            at_most: span(900),
            step_at_most: span(60),
        };
        let oracle = Oracle {
            sla,
            start,
            zone,
            hour,
            week,
            last: None,
            broken: BTreeMap::new(),
            over: Vec::new(),
            missed: BTreeSet::new(),
            deadlines: BTreeSet::new(),
        };
        compare(&mut rng, oracle, seed);
    }
}

/// What the watch told, as it is recorded.
#[derive(Default)]
struct Record {
    breaches: Vec<Breach>,
    warned: BTreeSet<Promise>,
}

impl Record {
    fn take(&mut self, changes: Vec<SlaChange>, seed: u64) {
        for change in changes {
            let promise = change.promise();
            let open = self.breaches.iter_mut().find(|one| one.promise == promise && one.met_at.is_none());
            match (change, open) {
                (SlaChange::Broken { at, .. }, None) => {
                    self.breaches.push(Breach { promise, broken_at: at, met_at: None });
                }
                (SlaChange::MetAgain { at, broken_at, .. }, Some(open)) => {
                    assert_eq!(open.broken_at, broken_at, "seed {seed}");
                    open.met_at = Some(at);
                }
                (SlaChange::AtRisk { at, breaks_at, .. }, None) => {
                    assert!(at <= breaks_at, "warned when it was too late, seed {seed}");
                    self.warned.insert(promise);
                }
                (change, open) => panic!("{change:?} while {open:?}, seed {seed}"),
            }
        }
    }
}

/// Lets days pass, and compares what the watch says with the oracle.
fn compare(rng: &mut SmallRng, mut oracle: Oracle, seed: u64) {
    let start = oracle.start;
    let (expected, step_expected) = ("20m".parse().unwrap(), "9m".parse().unwrap());
    let mut facts = SlaFacts { expected, step_expected, ..SlaFacts::default() };
    let mut watch = SlaWatch::new(oracle.sla.clone(), facts, &[], TimestampMicros(start));
    let mut record = Record::default();
    for minute in 1..=DAYS * 24 * 60 {
        let now = start + minute * MINUTE;
        if rng.random_bool(0.004) {
            facts.step_began = Some(TimestampMicros(now));
        } else if facts.step_began.is_some() && rng.random_bool(0.03) {
            let began = facts.step_began.take().unwrap();
            facts.fresh_as_of = if rng.random_bool(0.8) { Some(began) } else { facts.fresh_as_of };
        }
        oracle.look(&facts, now);
        // Facts are told at once, and time alone only now and then.
        if watch.facts() == &facts && !rng.random_bool(0.05) {
            continue;
        }
        record.take(watch.observe(facts, TimestampMicros(now)), seed);
        for watched in watch.promises() {
            let state = match watched.state {
                PromiseState::Kept => "kept",
                PromiseState::AtRisk => "at risk",
                PromiseState::Broken { .. } => "broken",
            };
            let naive = oracle.state(watched.promise, &facts, now);
            assert_eq!(
                state,
                naive,
                "{:?} at {}, seed {seed}",
                watched.promise,
                crate::time::wall(TimestampMicros(now), "UTC")
            );
        }
    }
    let end = start + DAYS * 24 * 60 * MINUTE;
    record.take(watch.advance(TimestampMicros(end)), seed);
    compare_breaches(&record, &oracle, seed);
    for watched in watch.promises() {
        let days = calendar(&oracle.sla, watched, &record.breaches, 7, TimestampMicros(end));
        for found in days {
            let naive = oracle.day_state(watched.promise, found.day, end);
            assert_eq!(found.state, naive, "{:?} on {}, seed {seed}", watched.promise, found.day);
        }
    }
}

fn compare_breaches(record: &Record, oracle: &Oracle, seed: u64) {
    let mut naive: Vec<(Promise, i64, Option<i64>)> =
        oracle.over.iter().map(|(promise, since, met)| (*promise, *since, Some(*met))).collect();
    naive.extend(oracle.broken.iter().map(|(promise, since)| (*promise, *since, None)));
    naive.sort();
    let mut found: Vec<(Promise, i64, Option<i64>)> = record
        .breaches
        .iter()
        .map(|breach| (breach.promise, breach.broken_at.0, breach.met_at.map(|at| at.0)))
        .collect();
    // What was over within a minute falls between the looks of the walk; a deadline lies on one.
    found.retain(|(promise, since, met)| {
        *promise == Promise::FreshBy || met.is_none_or(|met| met - since > MINUTE)
    });
    found.sort();
    assert_eq!(found.len(), naive.len(), "seed {seed}: {found:?} {naive:?}");
    for (found, naive) in found.iter().zip(&naive) {
        // The walk sees a breach at the first whole minute, and facts change at whole minutes.
        assert!((0..=MINUTE).contains(&(naive.1 - found.1)), "seed {seed}: {found:?} {naive:?}");
        assert_eq!((found.0, found.2), (naive.0, naive.2), "seed {seed}");
    }
}
