//! Ticks that came while nobody looked.

use millstream_schedule::{ATTEMPTS_MAX, CATCH_UP_MAX, CatchUp, Decision, ScheduledAsset};
use millstream_types::AssetId;

use crate::{
    harness::{Table, asset, check, steps, triggered},
    time::at,
};

fn hourly(catch_up: CatchUp) -> Vec<ScheduledAsset> {
    vec![ScheduledAsset { catch_up, ..triggered("s", &[], &["cron 0 * * * *"]) }]
}

#[test]
fn the_latest_alone_is_made_up_for() {
    let mut table = Table::set(hourly(CatchUp::Latest), &steps(1));
    check(
        &table.later("5h").later("30m").restart(hourly(CatchUp::Latest), &steps(1), &[]),
        "start s (cron 0 * * * *)",
    );
    check(&table.unchanged("s"), "");
    assert_eq!(table.scheduler.next_wake(), Some(at("2026-11-30T18:00:00Z")));
}

#[test]
fn each_missed_tick_gets_a_step_of_its_own() {
    let mut table = Table::set(hourly(CatchUp::All), &steps(1));
    check(&table.later("3h").restart(hourly(CatchUp::All), &steps(1), &[]), "start s (cron 0 * * * *)");
    check(&table.unchanged("s"), "start s (cron 0 * * * *)");
    check(&table.unchanged("s"), "start s (cron 0 * * * *)");
    check(&table.unchanged("s"), "");
}

#[test]
fn a_restart_in_the_middle_goes_on_with_the_next_missed_tick() {
    let mut table = Table::set(hourly(CatchUp::All), &steps(1));
    table.later("3h").restart(hourly(CatchUp::All), &steps(1), &[]);
    table.unchanged("s");
    let again = table.restart(hourly(CatchUp::All), &steps(1), &[]);
    check(&again, "start s (interrupted by the end of the process; cron 0 * * * *, attempt 2)");
    check(&table.unchanged("s"), "");
}

#[test]
fn no_more_than_so_many_missed_ticks_are_made_up_for() {
    let every = |catch_up| vec![ScheduledAsset { catch_up, ..triggered("s", &[], &["every 1m"]) }];
    let mut table = Table::set(every(CatchUp::All), &steps(1));
    let told = table.later("2d").restart(every(CatchUp::All), &steps(1), &[]);
    check(
        &told,
        "skip s: more than 1000 ticks were missed while nobody looked
        start s (every 1m)",
    );
    let mut runs = 0;
    while !table.unchanged("s").is_empty() {
        runs += 1;
    }
    assert_eq!(runs, CATCH_UP_MAX - 1);
}

#[test]
fn missed_ticks_are_skipped_where_nothing_is_made_up_for() {
    let mut table = Table::set(hourly(CatchUp::None), &steps(1));
    let told = table.later("5h").later("30m").restart(hourly(CatchUp::None), &steps(1), &[]);
    check(&told, "skip s: missed while nobody looked, and `catch_up` is `none`");
    // A tick that came while the process began is not missed.
    let told = table.later("2h").later("30m").later("5s").restart(hourly(CatchUp::None), &steps(1), &[]);
    check(
        &told,
        "skip s: missed while nobody looked, and `catch_up` is `none`
        start s (cron 0 * * * *)",
    );
}

#[test]
fn a_machine_that_slept_is_as_one_that_was_down() {
    let mut table = Table::set(hourly(CatchUp::None), &steps(1));
    check(
        &table.later("5h").later("30m").tick(),
        "skip s: missed while nobody looked, and `catch_up` is `none`",
    );
}

#[test]
fn an_event_that_was_noted_is_answered_after_a_crash() {
    let assets = || vec![triggered("a", &[], &["webhook w"]), triggered("b", &[], &["after a"])];
    let mut table = Table::set(assets(), &steps(1));
    table.webhook("w");
    check(
        &table.unchanged("a"),
        "note b: after a
        start b (after a)",
    );
    table.unchanged("b");
    table.webhook("w");
    table.webhook("w");
    let again = table.restart(assets(), &steps(1), &[]);
    check(&again, "start a (interrupted by the end of the process; webhook w, attempt 2)");
    check(
        &table.unchanged("a"),
        "note b: after a
        start b (after a)",
    );
    table.unchanged("b");
    check(&table.restart(assets(), &steps(1), &[]), "");
}

#[test]
fn a_step_that_ends_its_process_each_time_is_given_up() {
    let assets = || vec![asset("t", &["s"]), triggered("s", &[], &["manual"])];
    let mut table = Table::set(assets(), &steps(1));
    check(&table.commit("s"), "start t (new input: s)");
    let told = table.restart(assets(), &steps(1), &["t"]);
    check(&told, "start t (interrupted by the end of the process; not up to date, attempt 2)");
    assert_eq!(ATTEMPTS_MAX, 2);
    check(&table.restart(assets(), &steps(1), &["t"]), "skip t: the end of the process interrupted it twice");
    check(&table.commit("s"), "start t (new input: s)");
}

#[test]
fn a_step_that_had_committed_before_its_process_ended_is_not_repeated() {
    let assets = || vec![asset("t", &["s"]), triggered("s", &[], &["manual"])];
    let mut table = Table::set(assets(), &steps(1));
    check(&table.commit("s"), "start t (new input: s)");
    check(&table.restart(assets(), &steps(1), &[]), "skip t: up to date");
    check(&table.restart(assets(), &steps(1), &[]), "");
}

#[test]
fn a_clock_that_goes_back_for_less_than_an_hour_repeats_no_tick() {
    let mut table = Table::set(hourly(CatchUp::Latest), &steps(1));
    table.wake();
    table.unchanged("s");
    assert_eq!(table.scheduler.clock_back(), None);
    table.now.0 -= 50 * 60_000_000;
    check(&table.tick(), "");
    assert_eq!(table.scheduler.next_wake(), Some(at("2026-11-30T14:00:00Z")));
    // Who asks is told the truth: nothing comes before.
    assert_eq!(table.scheduler.clock_back(), Some("50m".parse().unwrap()));
    let upcoming = table.scheduler.upcoming(&AssetId::new("s"), 2);
    let instants: Vec<_> = upcoming.into_iter().map(|next| next.at).collect();
    assert_eq!(instants, [at("2026-11-30T14:00:00Z"), at("2026-11-30T15:00:00Z")]);
    table.later("50m").tick();
    assert_eq!(table.scheduler.clock_back(), None);
}

#[test]
fn a_clock_that_goes_back_for_more_than_an_hour_is_told_once_and_not_waited_for() {
    let mut table = Table::set(hourly(CatchUp::Latest), &steps(1));
    table.wake();
    table.unchanged("s");
    table.now.0 -= 61 * 60_000_000;
    table.tick();
    assert_eq!(table.scheduler.clock_back(), Some("61m".parse().unwrap()));
    assert_eq!(table.scheduler.next_wake(), Some(at("2026-11-30T12:00:00Z")));
    table.later("1s").tick();
    assert_eq!(table.scheduler.clock_back(), None);
}

#[test]
fn an_event_that_waits_outlives_the_correction_of_the_clock_and_a_crash() {
    let assets = || vec![triggered("s", &[], &["webhook w"])];
    let ahead = at("2036-11-30T12:00:00Z");
    let mut table = Table::set(assets(), &steps(1));
    table.now = ahead;
    table.webhook("w");
    let called = table.webhook("w");
    check(&called, "note s: webhook w\nwait s: it runs already, and runs once more afterwards");
    table.now = at("2026-11-30T12:00:30Z");
    check(&table.tick(), "note s: webhook w");
    let begun = table.restart(assets(), &steps(1), &[]);
    check(&begun, "start s (interrupted by the end of the process; webhook w, attempt 2)");
    check(&table.unchanged("s"), "");
    check(&table.restart(assets(), &steps(1), &[]), "");

    // Nor is it lost when the process begins again before the clock is right.
    let mut table = Table::set(assets(), &steps(1));
    table.now = ahead;
    table.webhook("w");
    table.webhook("w");
    table.now = at("2026-11-30T12:00:30Z");
    let begun = table.restart(assets(), &steps(1), &[]);
    check(&begun, "note s: webhook w\nstart s (interrupted by the end of the process; webhook w, attempt 2)");
}

#[test]
fn a_clock_that_was_years_ahead_is_not_waited_for() {
    let mut table = Table::set(hourly(CatchUp::Latest), &steps(1));
    table.now = at("2036-11-30T12:00:30Z");
    check(&table.tick(), "start s (cron 0 * * * *)");
    table.unchanged("s");
    table.now = at("2026-11-30T12:00:30Z");
    let decisions = table.scheduler.tick(table.now);
    assert!(matches!(decisions.as_slice(), [Decision::Watch { from, .. }] if *from == table.now));
    assert_eq!(table.scheduler.next_wake(), Some(at("2026-11-30T13:00:00Z")));

    // Nor when the process began again meanwhile.
    let mut table = Table::set(hourly(CatchUp::Latest), &steps(1));
    table.now = at("2036-11-30T12:00:30Z");
    table.tick();
    table.unchanged("s");
    table.now = at("2026-11-30T12:00:30Z");
    table.restart(hourly(CatchUp::Latest), &steps(1), &[]);
    assert_eq!(table.scheduler.next_wake(), Some(at("2026-11-30T13:00:00Z")));
}
