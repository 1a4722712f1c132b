//! Numbers as people read them, and tables that fit a terminal.

use std::time::Duration;

use millstream_cli::{
    human::{ago, bytes, count, duration, rate, shorten, thousands},
    table_within,
};

#[test]
fn numbers_have_thousands_separators() {
    for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(thousands(number), text);
    }
    assert_eq!(count(1, "row"), "1 row");
    assert_eq!(count(2_000, "row"), "2,000 rows");
}

#[test]
fn sizes_have_one_digit_after_the_point() {
    for (number, text) in [(999, "999 B"), (1_500, "1.5 kB"), (999_990, "1.0 MB"), (2_340_000_000, "2.3 GB")]
    {
        assert_eq!(bytes(number), text);
    }
}

#[test]
fn durations_have_the_unit_that_matters() {
    let cases = [
        (0, "0 ms"),
        (42, "42 ms"),
        (840, "0.8 s"),
        (9_970, "9 s"),
        (59_900, "59 s"),
        (61_000, "1 min 1 s"),
        (7_500_000, "2 h 5 min"),
        (100_800_000, "1 d 4 h"),
    ];
    for (ms, text) in cases {
        assert_eq!(duration(Duration::from_millis(ms)), text);
    }
    assert_eq!(ago(Duration::from_secs(3)), "just now");
    assert_eq!(ago(Duration::from_secs(7_300)), "2 h ago");
}

#[test]
fn rates_are_rounded_and_left_out_where_they_mean_nothing() {
    assert_eq!(rate(1_234_567, Duration::from_secs(1)).as_deref(), Some("1,200,000 rows/s"));
    assert_eq!(rate(7, Duration::from_secs(1)).as_deref(), Some("7 rows/s"));
    assert_eq!(rate(7, Duration::from_millis(1)), None);
    assert_eq!(rate(0, Duration::from_secs(9)), None);
}

#[test]
fn texts_are_cut_at_their_width_on_the_screen() {
    let cases = [
        ("short", 10, "short"),
        ("exactly ten", 11, "exactly ten"),
        ("exactly ten", 10, "exactly t…"),
        ("two\nlines", 20, "two lines"),
        ("日本語のテキスト", 6, "日本…"),
        ("", 0, ""),
    ];
    for (text, width, cut) in cases {
        assert_eq!(shorten(text, width), cut, "{text:?} at {width}");
    }
}

#[test]
fn a_narrow_terminal_cuts_names_last_and_numbers_before_them() {
    let header = ["asset", "kind", "rows", "built", "state", "checks"];
    let row = |cells: [&str; 6]| cells.map(str::to_owned).to_vec();
    let rows = [
        row(["gold.customer_value", "incremental", "1,234,567", "12 min ago", "good", "12 of 14 passed"]),
        row(["gold.churn_labels", "table", "-", "just now", "halted", "3 of 4 passed"]),
    ];
    let right = [false, false, true, false, false, false];
    let lines = |width| table_within(&header, &rows, &right, width);
    assert!(lines(None).contains("12 of 14 passed"));
    for (width, expected) in [
        (66, "gold.customer_value  increm…  1,234,567  12 min…  good    12 of …"),
        (62, "gold.customer_value  incre…  1,234,567  12 mi…  good    12 of…"),
        (60, "gold.customer_value  incre…  1,234,…  12 mi…  good    12 of…"),
        (40, "gold.…  incre…  1,234…  12 mi…  good    12 of…"),
    ] {
        assert_eq!(lines(Some(width)).lines().nth(2), Some(expected), "{width}");
    }
}
