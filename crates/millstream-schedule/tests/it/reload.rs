//! Taking over a project that was loaded again.

use millstream_schedule::{Decision, ScheduledAsset};
use millstream_types::Fingerprint;

use crate::harness::{Table, asset, check, steps, triggered};

fn changed(asset: ScheduledAsset) -> ScheduledAsset {
    ScheduledAsset { definition: Fingerprint::new([2; 32]), ..asset }
}

#[test]
fn what_changed_runs_and_what_did_not_is_left_alone() {
    let assets = || vec![triggered("s", &[], &["every 15m"]), asset("t", &["s"]), asset("u", &["s"])];
    let mut table = Table::set(assets(), &steps(4));
    check(&table.reload(assets(), &steps(4)), "");
    let [s, t, u]: [ScheduledAsset; 3] = assets().try_into().unwrap();
    let assets = vec![s, changed(t), u, asset("v", &["t"])];
    check(
        &table.reload(assets, &steps(4)),
        "start t (definition changed)
        wait v: `t` goes first",
    );
    check(&table.built("t"), "start v (nothing recorded yet; new input: t)");
}

#[test]
fn a_trigger_that_stays_keeps_its_ticks_and_a_new_one_counts_from_now() {
    let mut table = Table::set(vec![triggered("s", &[], &["every 20m"])], &steps(4));
    table.later("19m");
    check(&table.reload(vec![triggered("s", &[], &["every 20m", "every 5m"])], &steps(4)), "");
    // Both have a tick now, and neither has missed one.
    check(&table.later("1m").tick(), "start s (every 5m; every 20m)");
}

#[test]
fn a_tick_of_a_trigger_that_is_gone_is_answered() {
    let mut table = Table::set(vec![triggered("s", &[], &["every 15m"])], &steps(4));
    table.wake();
    check(&table.wake(), "wait s: it runs already, and runs once more afterwards");
    let gone = table.reload(vec![triggered("s", &[], &["webhook w"])], &steps(4));
    check(&gone, "skip s: the asset does not have the trigger any more");
    check(&table.unchanged("s"), "");
}

#[test]
fn an_asset_that_is_gone_keeps_its_place_until_its_step_ends_and_may_come_back() {
    let both = || vec![triggered("s", &[], &["webhook w"]), triggered("t", &[], &["webhook v"])];
    let mut table = Table::set(both(), &steps(1));
    table.webhook("w");
    check(&table.reload(vec![triggered("t", &[], &["webhook v"])], &steps(1)), "");
    check(
        &table.webhook("v"),
        "note t: webhook v
        wait t: as many steps run as may at once",
    );
    check(&table.reload(both(), &steps(2)), "start t (webhook v)");
    check(
        &table.webhook("w"),
        "note s: webhook w
        wait s: it runs already, and runs once more afterwards",
    );
    check(&table.unchanged("s"), "start s (webhook w)");
}

#[test]
fn a_step_keeps_the_places_with_which_it_began() {
    let pooled =
        |pool: &str| ScheduledAsset { pools: vec![pool.into()], ..triggered("s", &[], &["webhook w"]) };
    let other = || ScheduledAsset { pools: vec!["p".into()], ..triggered("t", &[], &["webhook v"]) };
    let mut limits = steps(4);
    limits.pools = [("p", 1), ("q", 1)].map(|(name, max)| (name.into(), max.try_into().unwrap())).into();
    let mut table = Table::set(vec![pooled("p"), other()], &limits);
    table.webhook("w");
    table.reload(vec![pooled("q"), other()], &limits);
    check(
        &table.webhook("v"),
        "note t: webhook v
        wait t: the pool `p` is full",
    );
    check(&table.unchanged("s"), "start t (webhook v)");
}

#[test]
fn a_project_with_a_fault_changes_nothing() {
    let mut table = Table::set(vec![triggered("s", &[], &["every 15m"])], &steps(4));
    let faulty = vec![triggered("s", &[], &["after s"])];
    table.scheduler.replace_graph(faulty, &steps(4), table.now).unwrap_err();
    check(&table.wake(), "start s (every 15m)");
}

#[test]
fn triggers_that_went_while_the_process_was_down_are_forgotten() {
    let mut table =
        Table::set(vec![triggered("s", &[], &["every 15m"]), triggered("t", &[], &["every 15m"])], &steps(4));
    table.later("1d");
    table.restart(vec![triggered("s", &[], &["every 1h"])], &steps(4), &[]);
    // Had its old ticks been kept, there would be a day of them to make up for.
    table.later("1m");
    let assets = vec![triggered("s", &[], &["every 15m"]), triggered("t", &[], &["every 15m"])];
    check(&table.restart(assets, &steps(4), &[]), "");
}

#[test]
fn watching_begins_and_ends_with_a_decision_that_can_be_recorded() {
    let mut table = Table::set(vec![triggered("s", &[], &["every 15m"])], &steps(4));
    let decisions = table
        .scheduler
        .replace_graph(vec![triggered("s", &[], &["webhook w"])], &steps(4), table.now)
        .unwrap();
    assert!(
        matches!(decisions.as_slice(), [Decision::Unwatch { .. }, Decision::Watch { .. }]),
        "{decisions:?}"
    );
}
