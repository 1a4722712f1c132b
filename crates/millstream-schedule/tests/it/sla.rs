//! Promises: what a watch says agrees with looking at every minute, whenever it is asked, also where clocks change.

use std::collections::BTreeSet;

use chrono::{Datelike, TimeZone, Utc};
use chrono_tz::Tz;
use millstream_schedule::{
    Breach, DayState, Deadline, Promise, PromiseState, Sla, SlaChange, SlaFacts, SlaWatch, WeekDays, calendar,
};
use millstream_types::{Span, TimestampMicros};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use crate::time::at;

const MINUTE: i64 = 60_000_000;

fn berlin(days: &str) -> Deadline {
    Deadline::new("09:00 Europe/Berlin", days.parse().unwrap()).unwrap()
}

fn fresh(at: TimestampMicros) -> SlaFacts {
    SlaFacts { fresh_as_of: Some(at), ..SlaFacts::default() }
}

#[test]
fn deadlines_are_read_and_told() {
    let told = |text: &str, days: &str| {
        let days: Result<WeekDays, _> = days.parse();
        match days.and_then(|days| Deadline::new(text, days)) {
            Ok(deadline) => deadline.to_string(),
            Err(error) => format!("{error}; {}", error.hint()),
        }
    };
    assert_eq!(told("09:00", "daily"), "09:00");
    assert_eq!(told("7:05 Europe/Berlin", "weekdays"), "07:05 Europe/Berlin, weekdays");
    assert_eq!(told("23:59", "Mon, wed,friday"), "23:59, mon, wed, fri");
    for wrong in ["24:00", "9", "9:5", "09:00 Europe/Berlin x", "-1:00", ""] {
        assert!(told(wrong, "daily").contains("is no time of day"), "{wrong}");
    }
    assert_eq!(
        told("09:00 Europe/Berln", "daily"),
        "`Europe/Berln` is no time zone; did you mean `Europe/Berlin`?"
    );
    assert!(told("09:00", "someday").starts_with("`someday` names no days"));
}

#[test]
fn a_deadline_that_the_clock_skips_comes_after_the_gap_and_a_repeated_one_comes_once() {
    let half_past_two = Deadline::new("02:30 Europe/Berlin", WeekDays::ALL).unwrap();
    let next = |after: &str| crate::time::wall(half_past_two.next_after(at(after)).unwrap(), "UTC");
    assert_eq!(next("2026-03-28T12:00:00Z"), "Sun 2026-03-29 01:00:00 +00:00");
    assert_eq!(next("2026-03-29T01:00:00Z"), "Mon 2026-03-30 00:30:00 +00:00");
    assert_eq!(next("2026-10-24T12:00:00Z"), "Sun 2026-10-25 00:30:00 +00:00");
    assert_eq!(next("2026-10-25T00:30:00Z"), "Mon 2026-10-26 01:30:00 +00:00");
}

#[test]
fn a_promise_is_at_risk_broken_once_and_met_again_once() {
    let sla = Sla { fresh_by: Some(berlin("weekdays")), ..Sla::default() };
    // A Monday, 00:30 in Berlin.
    let start = at("2026-11-29T23:30:00Z");
    let mut facts = fresh(at("2026-11-29T10:00:00Z"));
    facts.expected = "30m".parse().unwrap();
    let mut watch = SlaWatch::new(sla, facts, &[], start);
    assert_eq!(watch.next_wake(), Some(at("2026-11-30T07:30:00Z")));
    let mut changes = watch.advance(at("2026-11-30T07:45:00Z"));
    changes.extend(watch.advance(at("2026-12-02T12:00:00Z")));
    changes.extend(watch.observe(fresh(at("2026-12-02T12:00:00Z")), at("2026-12-02T12:10:00Z")));
    let promise = Promise::FreshBy;
    let breaks_at = at("2026-11-30T08:00:00Z");
    assert_eq!(
        changes,
        [
            SlaChange::AtRisk { promise, at: at("2026-11-30T07:30:00Z"), breaks_at },
            SlaChange::Broken { promise, at: breaks_at },
            SlaChange::MetAgain { promise, at: at("2026-12-02T12:10:00Z"), broken_at: breaks_at },
        ]
    );
    let breach = Breach { promise, broken_at: breaks_at, met_at: Some(at("2026-12-02T12:10:00Z")) };
    let watched = watch.promises()[0];
    let days = calendar(watch.sla(), &watched, &[breach], 5, at("2026-12-02T12:10:00Z"));
    let states: Vec<_> = days.iter().map(|day| (day.day.day(), day.state)).collect();
    use DayState::{Missed, Unknown};
    assert_eq!(states, [(28, Unknown), (29, Unknown), (30, Missed), (1, Missed), (2, Missed)]);
}

#[test]
fn a_step_that_runs_in_time_is_no_risk_until_it_is_overdue() {
    let sla = Sla { at_most: Some("15m".parse().unwrap()), ..Sla::default() };
    let start = at("2026-11-30T12:00:00Z");
    let minute = |minutes: i64| TimestampMicros(start.0 + minutes * MINUTE);
    let mut facts = fresh(start);
    facts.expected = "5m".parse().unwrap();
    let mut watch = SlaWatch::new(sla, facts, &[], start);
    facts.step_began = Some(minute(8));
    assert_eq!(watch.observe(facts, minute(8)), []);
    assert_eq!(watch.advance(minute(13)), []);
    let changes = watch.advance(minute(14));
    assert!(matches!(changes.as_slice(), [SlaChange::AtRisk { .. }]), "{changes:?}");
    let changes = watch.advance(minute(16));
    assert_eq!(changes, [SlaChange::Broken { promise: Promise::AtMost, at: minute(15) }]);
}

/// Which promises are broken at each minute, found by looking at that minute alone.
struct Oracle {
    sla: Sla,
    start: i64,
    zone: Tz,
    hour: u32,
    week: BTreeSet<u32>,
    /// The last deadline that has come.
    last: Option<i64>,
}

impl Oracle {
    fn is_broken(&self, promise: Promise, facts: &SlaFacts, now: i64) -> bool {
        let fresh = facts.fresh_as_of.map(|at| at.0);
        match promise {
            Promise::AtMost => {
                let span = self.sla.at_most.unwrap().ms() as i64 * 1_000;
                now - fresh.unwrap_or(self.start) > span
            }
            Promise::StepAtMost => {
                let span = self.sla.step_at_most.unwrap().ms() as i64 * 1_000;
                facts.step_began.is_some_and(|began| now - began.0 > span)
            }
            Promise::FreshBy => {
                let wall = |at: i64| Utc.timestamp_micros(at).unwrap().with_timezone(&self.zone);
                let day = |at: i64| wall(at).date_naive();
                self.last.is_some_and(|last| fresh.is_none_or(|fresh| day(fresh) < day(last)))
            }
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
}

#[test]
fn breaches_agree_with_looking_at_every_minute() {
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
        let mut oracle = Oracle { sla: sla.clone(), start, zone, hour, week, last: None };
        compare(&mut rng, sla, &mut oracle, seed);
    }
}

/// Lets three days pass, and compares what the watch says with the oracle at each minute.
fn compare(rng: &mut SmallRng, sla: Sla, oracle: &mut Oracle, seed: u64) {
    let start = oracle.start;
    let mut facts = SlaFacts { expected: "20m".parse().unwrap(), ..SlaFacts::default() };
    let mut watch = SlaWatch::new(sla, facts, &[], TimestampMicros(start));
    let mut broken: [Option<i64>; 3] = [None; 3];
    let mut found: [Option<i64>; 3] = [None; 3];
    let places = |promise: Promise| Promise::ALL.iter().position(|known| *known == promise).unwrap();
    for minute in 1..=3 * 24 * 60 {
        let now = start + minute * MINUTE;
        if rng.random_bool(0.004) {
            facts.step_began = Some(TimestampMicros(now));
        } else if facts.step_began.is_some() && rng.random_bool(0.03) {
            let began = facts.step_began.take().unwrap();
            facts.fresh_as_of = if rng.random_bool(0.8) { Some(began) } else { facts.fresh_as_of };
        }
        // Facts are told at once, and time alone only now and then.
        let changes = match facts_changed(&watch, &facts) || rng.random_bool(0.05) {
            true => watch.observe(facts, TimestampMicros(now)),
            false => Vec::new(),
        };
        for change in changes {
            let place = places(change.promise());
            match change {
                SlaChange::Broken { at, .. } => {
                    assert_eq!(found[place].replace(at.0), None, "broken twice, seed {seed}");
                }
                SlaChange::MetAgain { broken_at, .. } => {
                    assert_eq!(found[place].take(), Some(broken_at.0), "seed {seed}");
                }
                SlaChange::AtRisk { .. } => {}
            }
        }
        look(&mut broken, oracle, &facts, now);
    }
    let end = TimestampMicros(start + 3 * 24 * 60 * MINUTE);
    for change in watch.advance(end) {
        if let SlaChange::Broken { promise, at } = change {
            found[places(promise)] = Some(at.0);
        }
    }
    for watched in watch.promises() {
        let place = places(watched.promise);
        let is_broken = matches!(watched.state, PromiseState::Broken { .. });
        assert_eq!(is_broken, broken[place].is_some(), "{:?}, seed {seed}", watched.promise);
        assert_eq!(found[place].is_some(), is_broken, "{:?}, seed {seed}", watched.promise);
        if let (Some(found), Some(broken)) = (found[place], broken[place]) {
            // The oracle sees a breach at the first whole minute.
            assert!(
                (0..=MINUTE).contains(&(broken - found)),
                "{:?}, seed {seed}: {found} {broken}",
                watched.promise
            );
        }
    }
}

fn facts_changed(watch: &SlaWatch, facts: &SlaFacts) -> bool {
    watch.facts() != facts
}

/// The oracle looks at the minute.
fn look(broken: &mut [Option<i64>; 3], oracle: &mut Oracle, facts: &SlaFacts, now: i64) {
    if oracle.is_deadline(now) {
        oracle.last = Some(now);
    }
    for (place, promise) in Promise::ALL.into_iter().enumerate() {
        let is_broken = oracle.is_broken(promise, facts, now);
        broken[place] = if is_broken { broken[place].or(Some(now)) } else { None };
    }
}

#[test]
fn what_is_found_does_not_depend_on_how_often_anybody_looks() {
    let sla = Sla {
        fresh_by: Some(berlin("daily")),
        at_most: Some("5h".parse().unwrap()),
        step_at_most: Some("20m".parse().unwrap()),
    };
    let start = at("2026-10-24T00:00:00Z");
    let mut facts = fresh(start);
    (facts.expected, facts.step_began) = ("10m".parse().unwrap(), Some(start));
    let end = TimestampMicros(start.0 + 4 * 24 * 60 * MINUTE);
    let once = SlaWatch::new(sla.clone(), facts, &[], start).advance(end);
    let mut watch = SlaWatch::new(sla, facts, &[], start);
    let mut often = Vec::new();
    for minute in 0..=4 * 24 * 60 {
        often.extend(watch.advance(TimestampMicros(start.0 + minute * MINUTE)));
    }
    assert_eq!(once, often);
    assert_eq!(once.iter().filter(|change| matches!(change, SlaChange::Broken { .. })).count(), 3);
}
