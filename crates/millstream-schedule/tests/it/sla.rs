//! Promises: deadlines, and what a watch says of what it is told.

use chrono::Datelike;
use millstream_schedule::{
    Breach, DayState, Deadline, Promise, Sla, SlaChange, SlaFacts, SlaWatch, WeekDays, calendar,
};
use millstream_types::TimestampMicros;

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
