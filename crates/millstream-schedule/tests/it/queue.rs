//! Limits, priorities and fairness.

use std::num::NonZeroUsize;

use millstream_schedule::{AGEING, Limits, RESERVE_AFTER, ScheduledAsset};

use crate::harness::{Table, check, steps, triggered};

fn source(id: &str, priority: i8) -> ScheduledAsset {
    ScheduledAsset { priority, ..triggered(id, &[], &[&format!("webhook {id}")]) }
}

fn limits(steps: usize, connections: &[(&str, usize)], pools: &[(&str, usize)]) -> Limits {
    let named = |named: &[(&str, usize)]| {
        named.iter().map(|(name, max)| ((*name).to_owned(), NonZeroUsize::new(*max).unwrap())).collect()
    };
    Limits { steps: NonZeroUsize::new(steps).unwrap(), connections: named(connections), pools: named(pools) }
}

#[test]
fn no_more_steps_run_than_may_and_those_that_came_first_go_first() {
    let mut table = Table::set(["a", "b", "c", "d"].map(|id| source(id, 0)).to_vec(), &steps(2));
    for id in ["d", "c", "b", "a"] {
        table.later("1s").webhook(id);
    }
    check(&table.unchanged("d"), "start b (webhook b)");
    check(&table.unchanged("b"), "start a (webhook a)");
}

#[test]
fn a_connection_and_a_pool_have_limits_of_their_own_and_hold_up_nobody_else() {
    let over = |id: &str, pools: &[&str]| ScheduledAsset {
        connection: Some("db".into()),
        pools: pools.iter().map(|pool| (*pool).to_owned()).collect(),
        ..source(id, 0)
    };
    let assets = vec![over("a", &[]), over("b", &["gpu"]), over("c", &[]), source("d", 0)];
    let mut table = Table::set(assets, &limits(10, &[("db", 2)], &[("gpu", 1)]));
    table.webhook("a");
    table.webhook("b");
    check(
        &table.webhook("c"),
        "note c: webhook c
        wait c: the connection `db` is busy",
    );
    check(
        &table.webhook("d"),
        "note d: webhook d
        start d (webhook d)",
    );
    check(&table.unchanged("a"), "start c (webhook c)");
}

#[test]
fn the_higher_priority_goes_first_and_waiting_makes_up_for_a_lower_one() {
    let mut table = Table::set(vec![source("low", 0), source("high", 2), source("runs", 0)], &steps(1));
    table.webhook("runs");
    check(
        &table.webhook("low"),
        "note low: webhook low
        wait low: as many steps run as may at once",
    );
    table.later("1m").webhook("high");
    check(&table.unchanged("runs"), "start high (webhook high)");
    table.webhook("runs");
    // Another level of priority would be worth another minute.
    assert_eq!(AGEING.to_string(), "1m");
    table.later("2m").webhook("high");
    check(&table.unchanged("high"), "start low (webhook low)");
}

#[test]
fn waiting_counts_while_the_clock_is_behind_where_it_was() {
    let mut table = Table::set(vec![source("low", 0), source("high", 1), source("runs", 0)], &steps(1));
    table.webhook("runs");
    table.now.0 -= 3_600_000_000;
    table.webhook("low");
    table.later("2m").webhook("high");
    check(&table.unchanged("runs"), "start low (webhook low)");
}

#[test]
fn what_goes_first_for_something_urgent_is_as_urgent() {
    let assets = vec![
        source("runs", 0),
        source("first", 0),
        source("between", 3),
        ScheduledAsset { priority: 9, ..triggered("urgent", &["first"], &["webhook urgent"]) },
    ];
    let mut table = Table::set(assets, &steps(1));
    table.webhook("runs");
    table.webhook("first");
    table.later("1s").webhook("between");
    check(
        &table.later("1s").webhook("urgent"),
        "note urgent: webhook urgent
        wait urgent: `first` goes first",
    );
    check(&table.unchanged("runs"), "start first (webhook first)");
}

#[test]
fn a_step_that_needs_two_places_gets_them_in_the_end() {
    let needs = |id: &str, pools: &[&str]| ScheduledAsset {
        pools: pools.iter().map(|pool| (*pool).to_owned()).collect(),
        ..source(id, 0)
    };
    let assets = vec![
        needs("both", &["p", "q"]),
        needs("p1", &["p"]),
        needs("p2", &["p"]),
        needs("q1", &["q"]),
        needs("q2", &["q"]),
    ];
    let mut table = Table::set(assets, &limits(10, &[], &[("p", 1), ("q", 1)]));
    table.webhook("p1");
    table.webhook("q1");
    table.webhook("both");
    // Those that need one place take turns, and there is never a moment at which both are free.
    let mut turns = 0;
    let (mut p, mut q) = (["p1", "p2"], ["q1", "q2"]);
    loop {
        turns += 1;
        assert!(turns < 40, "it waits for ever");
        table.webhook(p[1]);
        let told = table.later("30s").unchanged(p[0]);
        if told.is_empty() {
            break;
        }
        p.reverse();
        table.webhook(q[1]);
        if table.later("30s").unchanged(q[0]).is_empty() {
            break;
        }
        q.reverse();
    }
    assert_eq!(RESERVE_AFTER.to_string(), "10m");
    assert!(turns > 5);
    let told = [p[0], q[0]].map(|id| table.unchanged(id)).join("");
    assert!(told.contains("start both"), "{told}");
}
