//! Cron lines: what they accept, and when they tick over clock changes.

use chrono_tz::TZ_VARIANTS;
use millstream_schedule::{CronLine, Trigger};
use millstream_types::TimestampMicros;
use proptest::prelude::*;

use crate::time::{at, wall};

/// The ticks of `line` after `from`, by the wall clock of its zone.
fn check(line: &str, from: &str, expected: &[&str]) {
    let line: CronLine = line.parse().unwrap();
    let trigger = Trigger::Cron(line.clone());
    let ticks = trigger.ticks(at(from), TimestampMicros(i64::MAX)).take(expected.len());
    let found: Vec<String> = ticks.map(|tick| wall(tick, line.zone())).collect();
    assert_eq!(found, expected, "{line}");
}

fn refused(line: &str, expected: &str) {
    let error = line.parse::<CronLine>().unwrap_err();
    assert_eq!(format!("{error}; {}", error.hint()), expected);
}

#[test]
fn a_fixed_time_that_the_clock_skips_ticks_once_after_the_gap() {
    check(
        "30 2 * * * Europe/Berlin",
        "2026-03-28T00:00:00Z",
        &[
            "Sat 2026-03-28 02:30:00 +01:00",
            "Sun 2026-03-29 03:00:00 +02:00",
            "Mon 2026-03-30 02:30:00 +02:00",
        ],
    );
    check(
        "30 2 * * * America/New_York",
        "2026-03-07T12:00:00Z",
        &["Sun 2026-03-08 03:00:00 -04:00", "Mon 2026-03-09 02:30:00 -04:00"],
    );
    check(
        "15 2 * * * Australia/Lord_Howe",
        "2026-10-02T20:00:00Z",
        &["Sun 2026-10-04 02:30:00 +11:00", "Mon 2026-10-05 02:15:00 +11:00"],
    );
}

#[test]
fn a_fixed_time_that_the_clock_repeats_ticks_once_at_the_earlier_of_the_two() {
    check(
        "30 2 * * * Europe/Berlin",
        "2026-10-24T12:00:00Z",
        &["Sun 2026-10-25 02:30:00 +02:00", "Mon 2026-10-26 02:30:00 +01:00"],
    );
    check(
        "30 1 * * * America/New_York",
        "2026-10-31T12:00:00Z",
        &["Sun 2026-11-01 01:30:00 -04:00", "Mon 2026-11-02 01:30:00 -05:00"],
    );
    check(
        "45 1 * * * Australia/Lord_Howe",
        "2026-04-04T10:00:00Z",
        &["Sun 2026-04-05 01:45:00 +11:00", "Mon 2026-04-06 01:45:00 +10:30"],
    );
}

#[test]
fn a_fixed_time_beside_a_clock_change_is_not_moved() {
    check(
        "0 0 * * * Europe/Berlin",
        "2026-03-28T12:00:00Z",
        &["Sun 2026-03-29 00:00:00 +01:00", "Mon 2026-03-30 00:00:00 +02:00"],
    );
    check(
        "0 3 * * * Europe/Berlin",
        "2026-03-28T12:00:00Z",
        &["Sun 2026-03-29 03:00:00 +02:00", "Mon 2026-03-30 03:00:00 +02:00"],
    );
    check(
        "0 3 * * * Europe/Berlin",
        "2026-10-24T12:00:00Z",
        &["Sun 2026-10-25 03:00:00 +01:00", "Mon 2026-10-26 03:00:00 +01:00"],
    );
}

#[test]
fn a_line_with_wildcards_follows_the_clock_of_the_wall() {
    check(
        "*/30 * * * * Europe/Berlin",
        "2026-03-29T00:10:00Z",
        &[
            "Sun 2026-03-29 01:30:00 +01:00",
            "Sun 2026-03-29 03:00:00 +02:00",
            "Sun 2026-03-29 03:30:00 +02:00",
        ],
    );
    check(
        "*/30 1-2 * * * Europe/Berlin",
        "2026-10-25T00:10:00Z",
        &[
            "Sun 2026-10-25 02:30:00 +02:00",
            "Sun 2026-10-25 02:00:00 +01:00",
            "Sun 2026-10-25 02:30:00 +01:00",
            "Mon 2026-10-26 01:00:00 +01:00",
        ],
    );
    check(
        "0 * * * * America/New_York",
        "2026-11-01T04:30:00Z",
        &[
            "Sun 2026-11-01 01:00:00 -04:00",
            "Sun 2026-11-01 01:00:00 -05:00",
            "Sun 2026-11-01 02:00:00 -05:00",
        ],
    );
    check(
        "*/15 * * * * Australia/Lord_Howe",
        "2026-04-04T14:31:00Z",
        &[
            "Sun 2026-04-05 01:45:00 +11:00",
            "Sun 2026-04-05 01:30:00 +10:30",
            "Sun 2026-04-05 01:45:00 +10:30",
            "Sun 2026-04-05 02:00:00 +10:30",
        ],
    );
    check(
        "*/15 * * * * Australia/Lord_Howe",
        "2026-10-03T15:20:00Z",
        &["Sun 2026-10-04 02:30:00 +11:00", "Sun 2026-10-04 02:45:00 +11:00"],
    );
}

#[test]
fn days_are_found_that_few_months_have() {
    check(
        "0 6 29 2 *",
        "2026-11-30T00:00:00Z",
        &["Tue 2028-02-29 06:00:00 +00:00", "Sun 2032-02-29 06:00:00 +00:00"],
    );
    check("0 6 29 2 *", "2096-03-01T00:00:00Z", &["Fri 2104-02-29 06:00:00 +00:00"]);
    check(
        "0 6 L * *",
        "2028-01-31T07:00:00Z",
        &["Tue 2028-02-29 06:00:00 +00:00", "Fri 2028-03-31 06:00:00 +00:00"],
    );
    check(
        "0 6 * * MON#2",
        "2026-11-30T00:00:00Z",
        &["Mon 2026-12-14 06:00:00 +00:00", "Mon 2027-01-11 06:00:00 +00:00"],
    );
    check("0 6 * * FRI#5", "2026-11-30T00:00:00Z", &["Fri 2027-01-29 06:00:00 +00:00"]);
    check("0 6 * * FRIL", "2026-11-30T00:00:00Z", &["Fri 2026-12-25 06:00:00 +00:00"]);
    // The 15th of August 2027 is a Sunday, the 1st of May 2027 a Saturday.
    check("0 6 15W 8 *", "2027-01-01T00:00:00Z", &["Mon 2027-08-16 06:00:00 +00:00"]);
    check("0 6 1W 5 *", "2027-01-01T00:00:00Z", &["Mon 2027-05-03 06:00:00 +00:00"]);
    check("0 6 LW 2 *", "2027-01-01T00:00:00Z", &["Fri 2027-02-26 06:00:00 +00:00"]);
}

#[test]
fn a_day_of_month_and_a_day_of_week_each_suffice_unless_a_plus_asks_for_both() {
    check(
        "0 0 13 * FRI",
        "2026-11-30T00:00:00Z",
        &[
            "Fri 2026-12-04 00:00:00 +00:00",
            "Fri 2026-12-11 00:00:00 +00:00",
            "Sun 2026-12-13 00:00:00 +00:00",
        ],
    );
    check("0 0 13 * +FRI", "2026-11-30T00:00:00Z", &["Fri 2027-08-13 00:00:00 +00:00"]);
}

#[test]
fn a_stretch_of_a_whole_day_that_a_zone_left_out_is_passed() {
    check(
        "0 6 * * * Pacific/Apia",
        "2011-12-29T17:00:00Z",
        &["Sat 2011-12-31 06:00:00 +14:00", "Sun 2012-01-01 06:00:00 +14:00"],
    );
}

#[test]
fn the_text_is_canonical() {
    let cases = [
        ("  0  6 * * mon-fri  ", "0 6 * * 1-5"),
        ("0 6 * * 1-5 UTC", "0 6 * * 1-5"),
        ("@daily", "0 0 * * *"),
        ("@weekly Europe/Berlin", "0 0 * * 0 Europe/Berlin"),
        ("0 6 1 JAN * America/New_York", "0 6 1 1 * America/New_York"),
        ("0 6 * * FRIL Etc/GMT+5", "0 6 * * 5L Etc/GMT+5"),
    ];
    for (written, expected) in cases {
        let line: CronLine = written.parse().unwrap();
        assert_eq!(line.to_string(), expected);
        assert_eq!(expected.parse::<CronLine>().unwrap(), line);
    }
}

#[test]
fn what_is_no_line_is_refused_with_a_way_out() {
    let five = "write five fields, as in `0 6 * * *` or `*/15 8-18 * * MON-FRI`, or one of `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly`";
    let fields = "and a cron line has five: minute, hour, day of month, month, day of week";
    refused("", &format!("`` has 0 fields, {fields}; {five}"));
    refused("0 6 *", &format!("`0 6 *` has 3 fields, {fields}; {five}"));
    refused(
        "0 0 6 * * MON-FRI",
        &format!(
            "`0 0 6 * * MON-FRI` has 6 fields, {fields}; leave out the field for seconds; `every 30s` ticks more often than each minute"
        ),
    );
    refused("0 6 * * * * 2027", &format!("`0 6 * * * * 2027` has 7 fields, {fields}; {five}"));
    refused("0 25 * * *", &format!("`0 25 * * *` is no cron line: its hour `25` is wrong; {five}"));
    refused(
        "@fortnightly",
        &format!("`@fortnightly` is no cron line: there is no nickname `@fortnightly`; {five}"),
    );
    let never = "never ticks: no day of the calendar matches it; name a day that the month has, as in `0 6 L * *` for its last one";
    refused("0 6 30 2 *", &format!("`0 6 30 2 *` {never}"));
    refused("0 6 31 4,6,9,11 *", &format!("`0 6 31 4,6,9,11 *` {never}"));
    refused("0 6 * * * Europe/Berln", "`Europe/Berln` is no time zone; did you mean `Europe/Berlin`?");
    refused("0 6 * * * Atlantis", "`Atlantis` is no time zone; write a name as in `Europe/Berlin`, or `UTC`");
}

#[test]
fn a_day_that_comes_once_in_forty_years_is_no_never() {
    // From 2072 to 2112, because 2100 is no leap year.
    check("0 6 29 2 +MON", "2072-03-01T00:00:00Z", &["Mon 2112-02-29 06:00:00 +00:00"]);
}

fn lines() -> impl Strategy<Value = String> {
    let minute = prop::sample::select(vec!["0", "30", "*/15", "*", "5,35", "15-45/10"]);
    let hour = prop::sample::select(vec!["*", "2", "1-3", "0", "23", "*/2", "1,2"]);
    let day = prop::sample::select(vec!["*", "1", "L", "29", "15W"]);
    let month = prop::sample::select(vec!["*", "3", "10", "4,11"]);
    let week = prop::sample::select(vec!["*", "SUN", "SUNL", "1-5", "0#1"]);
    (minute, hour, day, month, week)
        .prop_map(|(minute, hour, day, month, week)| format!("{minute} {hour} {day} {month} {week}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// The next tick does not depend on where the search begins: it is the next one from each instant before it.
    #[test]
    fn ticks_are_the_same_wherever_a_search_begins(
        line in lines(),
        zone in prop::sample::select(TZ_VARIANTS.to_vec()),
        second in 1_700_000_000_i64..1_900_000_000,
        back in 1_i64..200_000,
    ) {
        let line = CronLine::new(&line, zone.name()).unwrap();
        let start = TimestampMicros(second * 1_000_000 + 17);
        let tick = line.next_after(start).unwrap();
        prop_assert!(tick > start);
        prop_assert_eq!(tick.0 % 1_000_000, 0);
        prop_assert_eq!(line.next_after(TimestampMicros(tick.0 - 1)), Some(tick));
        let earlier = TimestampMicros(start.0 - back * 1_000_000);
        let between: Vec<_> = Trigger::Cron(line).ticks(earlier, tick).collect();
        prop_assert_eq!(between.last(), Some(&tick));
        prop_assert!(between.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(between.iter().all(|found| *found <= start || *found == tick));
    }
}

#[test]
fn a_step_needs_a_range_before_it() {
    let five = "write five fields, as in `0 6 * * *` or `*/15 8-18 * * MON-FRI`, or one of `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly`";
    refused("0/15 * * * *", &format!("`0/15 * * * *` is no cron line: its minute `0/15` is wrong; {five}"));
    check("0-59/30 * * * *", "2026-11-30T12:10:00Z", &["Mon 2026-11-30 12:30:00 +00:00"]);
}
