//! Triggers that know their instants.

use millstream_schedule::Trigger;
use millstream_types::TimestampMicros;

use crate::time::{at, wall};

fn check(span: &str, from: &str, expected: &[&str]) {
    let trigger = Trigger::Every(span.parse().unwrap());
    let ticks = trigger.ticks(at(from), TimestampMicros(i64::MAX)).take(expected.len());
    assert_eq!(ticks.map(|tick| wall(tick, "UTC")).collect::<Vec<_>>(), expected);
}

#[test]
fn a_span_counts_from_a_monday_so_that_no_restart_shifts_it() {
    check(
        "15m",
        "2026-11-30T12:07:03Z",
        &["Mon 2026-11-30 12:15:00 +00:00", "Mon 2026-11-30 12:30:00 +00:00"],
    );
    check("15m", "2026-11-30T12:15:00Z", &["Mon 2026-11-30 12:30:00 +00:00"]);
    check("1d", "2026-11-30T12:07:03Z", &["Tue 2026-12-01 00:00:00 +00:00"]);
    check(
        "1w",
        "2026-11-30T12:07:03Z",
        &["Mon 2026-12-07 00:00:00 +00:00", "Mon 2026-12-14 00:00:00 +00:00"],
    );
    check("1w", "1969-12-30T00:00:00Z", &["Mon 1970-01-05 00:00:00 +00:00"]);
}

#[test]
fn ticks_end_with_the_last_instant() {
    let trigger = Trigger::Every("10m".parse().unwrap());
    let ticks: Vec<_> = trigger.ticks(at("2026-11-30T12:00:00Z"), at("2026-11-30T12:20:00Z")).collect();
    assert_eq!(ticks, [at("2026-11-30T12:10:00Z"), at("2026-11-30T12:20:00Z")]);
    assert_eq!(trigger.next_after(TimestampMicros(i64::MAX)), None);
}

#[test]
fn triggers_that_wait_for_something_else_have_no_ticks() {
    for trigger in [
        Trigger::Manual,
        Trigger::OnChange,
        Trigger::Webhook("deployed".into()),
        Trigger::Freshness("1h".parse().unwrap()),
    ] {
        assert_eq!(trigger.next_after(at("2026-11-30T12:00:00Z")), None);
    }
}

#[test]
fn the_stored_text_of_a_trigger_is_read_back() {
    let texts = [
        "manual",
        "change",
        "every 15m",
        "cron 0 6 * * 1-5 Europe/Berlin",
        "after silver.orders",
        "files 30s",
        "webhook deployed",
        "fresh 1h",
    ];
    for text in texts {
        assert_eq!(text.parse::<Trigger>().unwrap().stored(), text);
    }
    for (text, expected) in [
        ("", "`` is no trigger"),
        ("after", "`after` is no trigger"),
        ("manual now", "`manual now` is no trigger"),
        ("every hour", "the trigger `every hour` has no length of time"),
        ("cron 0 6", "the trigger `cron 0 6` has no cron line"),
    ] {
        assert_eq!(text.parse::<Trigger>().unwrap_err().to_string(), expected);
    }
}
