//! What goes first, what runs at all, and what is merged.

use millstream_schedule::{ScheduleError, ScheduledAsset, Scheduler};
use millstream_types::{AssetId, CheckId, TimestampMicros};

use crate::harness::{Table, asset, check, steps, triggered};

fn diamond() -> Vec<millstream_schedule::ScheduledAsset> {
    vec![
        triggered("s", &[], &["every 15m"]),
        asset("left", &["s"]),
        asset("right", &["s"]),
        asset("far", &["right"]),
        asset("join", &["left", "far"]),
    ]
}

#[test]
fn a_table_that_joins_two_others_runs_once_for_one_new_version_of_their_source() {
    let mut table = Table::set(diamond(), &steps(4));
    check(&table.wake(), "start s (every 15m)");
    check(
        &table.commit("s"),
        "wait left: `s` goes first
        wait right: `s` goes first",
    );
    check(
        &table.unchanged("s"),
        "start left (new input: s)
        start right (new input: s)",
    );
    check(&table.built("left"), "wait join: `left` goes first");
    check(
        &table.built("right"),
        "wait far: `right` goes first
        start far (new input: right)",
    );
    check(&table.built("far"), "start join (new input: left; new input: far)");
    check(&table.unchanged("join"), "");
}

#[test]
fn nothing_that_is_up_to_date_runs() {
    let assets = vec![triggered("s", &[], &["every 15m"]), triggered("t", &["s"], &["every 15m"])];
    let mut table = Table::set(assets, &steps(4));
    check(
        &table.wake(),
        "start s (every 15m)
        wait t: `s` goes first",
    );
    check(&table.unchanged("s"), "skip t: up to date");
    table.wake();
    check(&table.built("s"), "start t (every 15m)");
}

#[test]
fn what_is_stale_on_the_way_runs_first_unless_only_a_command_runs_it() {
    let on_the_way = |triggers: &[&str]| {
        vec![
            triggered("s", &[], &["manual"]),
            triggered("m", &["s"], triggers),
            triggered("t", &["m"], &["every 1h"]),
        ]
    };
    let mut table = Table::set(on_the_way(&["webhook never"]), &steps(4));
    check(&table.commit("s"), "");
    check(
        &table.wake(),
        "start m (needed by t)
        wait t: `m` goes first",
    );
    check(&table.built("m"), "start t (every 1h)");

    let mut table = Table::set(on_the_way(&["manual"]), &steps(4));
    check(&table.commit("s"), "");
    check(&table.wake(), "skip t: up to date");
}

#[test]
fn ticks_that_come_while_a_step_runs_are_answered_by_one_step_afterwards() {
    let mut table = Table::set(vec![triggered("s", &[], &["every 15m", "webhook w"])], &steps(4));
    check(&table.wake(), "start s (every 15m)");
    check(&table.wake(), "wait s: it runs already, and runs once more afterwards");
    check(&table.wake(), "");
    check(&table.webhook("w"), "note s: webhook w");
    check(&table.unchanged("s"), "start s (every 15m; webhook w)");
    check(&table.unchanged("s"), "");
}

#[test]
fn a_version_that_is_told_twice_is_one() {
    let mut table = Table::set(vec![triggered("s", &[], &["manual"]), asset("t", &["s"])], &steps(4));
    check(&table.commit("s"), "start t (new input: s)");
    let again =
        table.scheduler.committed(&AssetId::new("s"), millstream_types::AssetVersion::numbered(1), table.now);
    assert_eq!(again, []);
}

#[test]
fn what_changes_while_a_step_reads_makes_it_run_once_more() {
    let mut table = Table::set(vec![triggered("s", &[], &["manual"]), asset("t", &["s"])], &steps(4));
    check(&table.commit("s"), "start t (new input: s)");
    check(&table.commit("s"), "wait t: it runs already, and runs once more afterwards");
    check(&table.built("t"), "start t (new input: s)");
}

#[test]
fn a_source_that_changes_all_the_time_does_not_keep_what_reads_it_from_running() {
    let assets = vec![triggered("s", &[], &["every 1m"]), triggered("t", &["s"], &["every 1h", "change"])];
    let mut table = Table::set(assets, &steps(4));
    let mut started = 0;
    // Each run of the source takes as long as its period, so that it always runs.
    table.wake();
    for _ in 0..120 {
        table.wake();
        let told = table.built("s");
        if told.contains("start t") {
            started += 1;
            table.later("1s").built("t");
        }
    }
    assert!(started > 100, "{started}");
}

#[test]
fn a_failure_skips_what_reads_it_and_its_recovery_makes_up_for_that() {
    let assets = vec![
        triggered("s", &[], &["every 15m"]),
        triggered("other", &[], &["webhook w"]),
        asset("t", &["s", "other"]),
        asset("u", &["t"]),
    ];
    let mut table = Table::set(assets, &steps(4));
    check(&table.wake(), "start s (every 15m)");
    check(
        &table.webhook("w"),
        "note other: webhook w
        start other (webhook w)",
    );
    check(&table.built("other"), "wait t: `other` goes first");
    check(&table.failed("s"), "skip t: `s` did not end well");
    check(&table.wake(), "start s (every 15m)");
    check(&table.unchanged("s"), "start t (s has recovered)");
    check(
        &table.built("t"),
        "wait u: `t` goes first
        start u (new input: t)",
    );
}

/// An asset that reads `s` and `other`, and needs these checks of `s` alone.
fn needing(id: &str, checks: &[&str]) -> ScheduledAsset {
    let checks = checks.iter().map(|check| CheckId::new(check)).collect();
    ScheduledAsset { needs: [(AssetId::new("s"), checks)].into(), ..asset(id, &["s", "other"]) }
}

#[test]
fn a_halt_by_a_check_that_an_asset_does_not_need_is_not_in_its_way() {
    let assets = vec![
        triggered("s", &[], &["every 15m"]),
        triggered("other", &[], &["webhook w"]),
        asset("careful", &["s", "other"]),
        needing("easy", &["not_null(id)"]),
        asset("behind", &["easy"]),
        needing("none", &[]),
    ];
    let mut table = Table::set(assets, &steps(8));
    // Something new comes to all of them, and `s` is tried first.
    let comes = |table: &mut Table| {
        table.webhook("w");
        assert!(table.built("other").ends_with("start s (needed by careful)"));
    };
    comes(&mut table);
    check(
        &table.halted("s", "range(size)"),
        "skip careful: `s` did not end well
        start easy (new input: other)
        start none (new input: other)",
    );
    // What reads a table that was spared is spared with it.
    table.built("none");
    check(&table.built("easy"), "start behind (new input: easy)");
    table.built("behind");
    // A check that is needed is in the way, and so is a failure of another kind.
    comes(&mut table);
    check(
        &table.halted("s", "not_null(id)"),
        "skip careful: `s` did not end well
        skip easy: `s` did not end well
        start none (new input: other)",
    );
    table.built("none");
    comes(&mut table);
    check(
        &table.failed("s"),
        "skip careful: `s` did not end well
        skip easy: `s` did not end well
        skip none: `s` did not end well",
    );
}

#[test]
fn an_asset_runs_after_another_whether_or_not_that_changed_anything() {
    let assets = vec![triggered("s", &[], &["every 15m"]), triggered("report", &[], &["after s"])];
    let mut table = Table::set(assets, &steps(4));
    check(&table.wake(), "start s (every 15m)");
    check(
        &table.unchanged("s"),
        "note report: after s
        start report (after s)",
    );
    check(&table.unchanged("report"), "");
    table.wake();
    check(&table.failed("s"), "");
}

#[test]
fn new_files_are_looked_for_and_then_run() {
    let mut table = Table::set(vec![triggered("s", &[], &["files 5m"])], &steps(4));
    check(&table.wake(), "look s");
    assert_eq!(table.now, crate::time::at("2026-11-30T12:05:00Z"));
    check(
        &table.files("s"),
        "note s: new files, looked for every 5m
        start s (new files, looked for every 5m)",
    );
    check(&table.wake(), "");
    check(&table.unchanged("s"), "");
    check(&table.wake(), "look s");
}

#[test]
fn a_step_by_hand_never_overlaps_one_by_itself() {
    let mut table = Table::set(vec![triggered("s", &[], &["every 15m"])], &steps(4));
    assert_eq!(table.scheduler.began(&AssetId::new("s"), table.now), []);
    check(&table.wake(), "wait s: it runs already, and runs once more afterwards");
    check(&table.unchanged("s"), "start s (every 15m)");
}

#[test]
fn assets_that_set_each_other_off_are_refused() {
    let refused = |assets| Scheduler::restore(assets, &steps(1), &[], TimestampMicros(0)).unwrap_err();
    let after = vec![triggered("a", &[], &["after b"]), triggered("b", &[], &["after a"])];
    let error = refused(after);
    assert_eq!(error.to_string(), "these assets set each other off in a circle: a -> b -> a");
    assert_eq!(error.hint(), "let one of them run on a schedule instead of after another");
    let mixed = vec![triggered("a", &[], &["after c"]), asset("b", &["a"]), asset("c", &["b"])];
    assert_eq!(refused(mixed).to_string(), "these assets set each other off in a circle: a -> b -> c -> a");
    assert!(matches!(refused(vec![asset("a", &["x"])]), ScheduleError::UnknownInput { .. }));
    assert!(matches!(refused(vec![triggered("a", &[], &["after x"])]), ScheduleError::UnknownAfter { .. }));
    assert!(matches!(refused(vec![asset("a", &[]), asset("a", &[])]), ScheduleError::Duplicate { .. }));
    let mut pool = asset("a", &[]);
    pool.pools.push("gpu".into());
    assert_eq!(refused(vec![pool]).to_string(), "`a` runs in the pool `gpu`, which does not exist");
}
