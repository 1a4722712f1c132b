//! What a call costs, counted in assets that were looked at.

use millstream_schedule::ScheduledAsset;
use millstream_types::AssetId;

use crate::harness::{Table, asset, steps, triggered};

/// Assets that do nothing, each with a trigger of its own that is far away.
fn idle(count: usize) -> Vec<ScheduledAsset> {
    (0..count).map(|at| triggered(&format!("idle.{at}"), &[], &["cron 0 0 1 1 *", "change"])).collect()
}

#[test]
fn a_hundred_thousand_idle_assets_cost_nothing_on_a_tick() {
    let busy = [triggered("s", &[], &["every 1m"]), asset("t", &["s"]), asset("u", &["t"])];
    let mut table = Table::set(idle(100_000).into_iter().chain(busy).collect(), &steps(4));
    let before = table.scheduler.visits();
    assert_eq!(table.tick(), "");
    assert_eq!(table.scheduler.visits(), before);
    for _ in 0..10 {
        table.wake();
        table.built("s");
        table.built("t");
        table.unchanged("u");
    }
    let visits = table.scheduler.visits() - before;
    assert!(visits < 10 * 30, "{visits}");
}

#[test]
fn a_commit_looks_at_what_reads_the_table_and_not_at_what_is_further_down() {
    let mut assets = vec![triggered("s", &[], &["manual"]), triggered("stop", &["s"], &["webhook w"])];
    assets.extend((0..1_000).map(|at| asset(&format!("d.{at}"), &["stop"])));
    let mut table = Table::set(assets, &steps(4));
    let before = table.scheduler.visits();
    table.commit("s");
    assert!(table.scheduler.visits() - before < 5);
}

#[test]
fn a_chain_of_ten_thousand_costs_as_much_for_each_link() {
    let mut assets = vec![triggered("c.0", &[], &["webhook w"])];
    assets.extend((1..10_000).map(|at| asset(&format!("c.{at}"), &[&format!("c.{}", at - 1)])));
    let mut table = Table::set(assets, &steps(4));
    let before = table.scheduler.visits();
    table.webhook("w");
    for at in 0..10_000 {
        table.scheduler.committed(
            &AssetId::new(&format!("c.{at}")),
            millstream_types::AssetVersion::numbered(1),
            table.now,
        );
        let ending = millstream_schedule::Ending::Well;
        table.scheduler.ended(&AssetId::new(&format!("c.{at}")), ending, "1s".parse().unwrap(), table.now);
    }
    let visits = (table.scheduler.visits() - before) / 10_000;
    assert!(visits < 20, "{visits} a link");
}

#[test]
fn a_full_pool_does_not_cost_a_look_at_each_asset_that_waits_for_it() {
    let mut assets: Vec<ScheduledAsset> =
        (0..5_000).map(|at| triggered(&format!("s.{at}"), &[], &["webhook w"])).collect();
    assets.iter_mut().for_each(|asset| asset.pools = vec!["p".into()]);
    let mut limits = steps(100);
    limits.pools = [("p".to_owned(), 1.try_into().unwrap())].into();
    let mut table = Table::set(assets, &limits);
    table.webhook("w");
    let before = table.scheduler.visits();
    for at in 0..1_000 {
        table.scheduler.ended(
            &AssetId::new(&format!("s.{at}")),
            millstream_schedule::Ending::Well,
            "1s".parse().unwrap(),
            table.now,
        );
    }
    assert!(table.scheduler.visits() - before < 1_000 * 10);
}

#[test]
fn what_comes_of_all_assets_costs_as_much_as_is_asked_for() {
    let assets = (0..5_000).map(|at| triggered(&format!("s.{at}"), &[], &["every 1s", "cron * * * * *"]));
    let mut table = Table::set(assets.collect(), &steps(4));
    let before = table.scheduler.visits();
    assert_eq!(table.scheduler.upcoming_of_all(1_000).len(), 1_000);
    assert!(table.scheduler.visits() - before <= 5_000 + 1_000);
}
