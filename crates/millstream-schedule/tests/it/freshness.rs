//! "Keep it fresher than this": the latest possible start, upstream first.

use millstream_schedule::{Ending, ScheduledAsset, Trigger};
use millstream_types::AssetId;

use crate::{
    harness::{Table, asset, check, steps, triggered},
    time::at,
};

fn chain(source: &[&str]) -> Vec<ScheduledAsset> {
    vec![triggered("s", &[], source), asset("m", &["s"]), triggered("t", &["m"], &["fresh 1h"])]
}

#[test]
fn a_run_begins_as_late_as_the_steps_before_it_allow() {
    let mut table = Table::set(chain(&["webhook w"]), &steps(4));
    check(
        &table.wake(),
        "start s (needed by t)
        wait t: `s` goes first",
    );
    // Nothing is known of durations yet.
    assert_eq!(table.now, at("2026-11-30T13:00:00Z"));
    table.later("10m").commit("s");
    check(&table.end("s", Ending::Well, "10m"), "start m (new input: s)");
    table.later("3m").commit("m");
    check(&table.end("m", Ending::Well, "3m"), "start t (fresher than 1h)");
    table.later("5m").end("t", Ending::Well, "5m");
    // The table is as fresh as of the look at its source; the next run takes eighteen minutes.
    check(
        &table.wake(),
        "start s (needed by t)
        wait t: `s` goes first",
    );
    assert_eq!(table.now, at("2026-11-30T13:42:00Z"));
}

#[test]
fn a_look_at_the_source_that_finds_nothing_makes_the_table_fresh() {
    let mut table = Table::set(chain(&["webhook w"]), &steps(4));
    table.wake();
    check(&table.later("1m").unchanged("s"), "skip t: up to date");
    check(
        &table.wake(),
        "start s (needed by t)
        wait t: `s` goes first",
    );
    // A look at the source takes a second, and the rest is not expected to take any time.
    assert_eq!(table.now, at("2026-11-30T13:59:59Z"));
}

#[test]
fn a_source_that_is_looked_at_anyway_needs_no_more() {
    let mut table = Table::set(chain(&["every 20m"]), &steps(4));
    for _ in 0..12 {
        let told = table.wake();
        assert!(["start s (every 20m)", ""].contains(&told.as_str()), "{told}");
        if !told.is_empty() {
            check(&table.unchanged("s"), "");
        }
    }
}

#[test]
fn a_source_that_only_a_command_runs_is_not_run() {
    let mut table = Table::set(chain(&["manual"]), &steps(4));
    check(&table.wake(), "skip t: up to date");
}

#[test]
fn steps_that_take_too_long_do_not_run_without_a_pause() {
    let assets = vec![triggered("s", &[], &["fresh 1h"])];
    let mut table = Table::set(assets, &steps(4));
    table.wake();
    table.later("2m").end("s", Ending::Well, "50m");
    table.wake();
    assert_eq!(table.now, at("2026-11-30T13:30:00Z"));
}

#[test]
fn a_failure_is_followed_by_a_pause() {
    let mut table = Table::set(chain(&["webhook w"]), &steps(4));
    table.wake();
    check(&table.later("1m").failed("s"), "skip t: `s` did not end well");
    check(
        &table.wake(),
        "start s (needed by t)
        wait t: `s` goes first",
    );
    assert_eq!(table.now, at("2026-11-30T13:30:00Z"));
}

#[test]
fn the_95th_percentile_of_the_last_fifty_durations_is_expected() {
    let mut table = Table::set(vec![triggered("s", &[], &["fresh 10h", "webhook w"])], &steps(4));
    for minutes in (1..=100).rev() {
        table.later("1s").webhook("w");
        table.end("s", Ending::Well, &format!("{minutes}m"));
    }
    let fresh_as_of = table.now;
    table.wake();
    // Fifty of them are left, from 50 minutes to 1: the 48th is expected.
    assert_eq!((table.now.0 - fresh_as_of.0) / 60_000_000, 10 * 60 - 48);
}

#[test]
fn what_comes_can_be_asked() {
    let assets = vec![triggered("s", &[], &["every 20m", "cron 10 * * * *", "fresh 3h", "webhook w"])];
    let mut table = Table::set(assets, &steps(4));
    let upcoming = table.scheduler.upcoming(&AssetId::new("s"), 11);
    let lines: Vec<String> = upcoming
        .iter()
        .map(|next| format!("{} {}", &crate::time::wall(next.at, "UTC")[15..20], next.trigger))
        .collect();
    assert_eq!(
        lines,
        [
            "12:10 cron 10 * * * *",
            "12:20 every 20m",
            "12:40 every 20m",
            "13:00 every 20m",
            "13:10 cron 10 * * * *",
            "13:20 every 20m",
            "13:40 every 20m",
            "14:00 every 20m",
            "14:10 cron 10 * * * *",
            "14:20 every 20m",
            "14:40 every 20m",
        ]
    );
    let later = table.scheduler.upcoming(&AssetId::new("s"), 20);
    let fresh: Vec<_> = later.iter().filter(|next| matches!(next.trigger, Trigger::Freshness(_))).collect();
    assert_eq!(fresh.iter().map(|next| next.at).collect::<Vec<_>>(), [at("2026-11-30T15:00:00Z")]);
    assert_eq!(table.scheduler.upcoming(&AssetId::new("nobody"), 5), []);
}

#[test]
fn what_comes_of_all_assets_is_what_comes_of_each_in_order() {
    let assets = vec![
        triggered("s", &[], &["every 20m", "cron 10 * * * *", "fresh 3h", "webhook w"]),
        triggered("t", &["s"], &["every 10m", "change"]),
        triggered("u", &["t"], &["every 20m", "fresh 2h"]),
    ];
    let mut table = Table::set(assets, &steps(4));
    let mut each = Vec::new();
    for id in ["s", "t", "u"].map(AssetId::new) {
        let found = table.scheduler.upcoming(&id, 50);
        each.extend(found.into_iter().map(|next| (next, id.clone())));
    }
    each.sort();
    let all = table.scheduler.upcoming_of_all(50);
    let all: Vec<_> = all.into_iter().map(|(id, next)| (next, id)).collect();
    assert_eq!(all, each[..50]);
}
