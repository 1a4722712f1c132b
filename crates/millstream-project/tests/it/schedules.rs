//! `schedule` of sources, tables, feature views and datasets, and the pools that they name.

use insta::assert_snapshot;
use millstream_project::{Loaded, ScheduleSpec};
use millstream_schedule::{CatchUp, Trigger};
use millstream_types::AssetId;

use crate::scratch::{load, render};

const POOLS: &str = "name: shop\npools: {heavy: 2, light: 4}\n";
const SOURCE: &str = "connector: {type: files, path: a.csv}\ncontract: {columns: {id: {type: int64}, at: {type: timestamp}}}\n";
const FEATURES: &str = "entity: {name: one, key: id}\nviews:\n  spend: {from: silver.orders, time: at, features: {n: {count: \"*\", window: 1d}}";

/// A project with one asset of each kind; `schedule` is that of the one that is named, the header of `tables/gold/sales.sql`
/// included.
fn project(owner: &str, schedule: &str) -> Loaded {
    let of = |asset: &str| if asset == owner { format!("schedule: {schedule}\n") } else { String::new() };
    let header = format!("/*---\n{}---*/\nSELECT 1 AS id\n", of("gold.sales"));
    let in_view = if owner == "view:spend" { format!(", schedule: {schedule}") } else { String::new() };
    load(&[
        ("millstream.yaml", POOLS),
        ("sources/orders.yaml", &format!("{SOURCE}{}", of("source:orders"))),
        ("tables/silver/orders.sql", "SELECT id, at FROM bronze.orders\n"),
        ("tables/silver/recent.sql", "/*---\nmaterialize: view\n---*/\nSELECT id FROM bronze.orders\n"),
        ("tables/gold/sales.sql", &header),
        ("features/one.yaml", &format!("{FEATURES}{in_view}}}\n")),
        (
            "datasets/churn.yaml",
            &format!(
                "labels: {{from: silver.orders, entity: one, time: at}}\nfeatures: [spend.*]\n{}",
                of("dataset:churn")
            ),
        ),
    ])
}

fn schedule(loaded: &Loaded, owner: &str) -> ScheduleSpec {
    let spec = loaded.spec.as_ref().unwrap();
    let found = match owner {
        "source:orders" => spec.sources[0].schedule.clone(),
        "view:spend" => spec.features.views[0].schedule.clone(),
        "dataset:churn" => spec.datasets[0].schedule.clone(),
        table => spec.tables.iter().find(|spec| spec.name.to_string() == table).unwrap().schedule.clone(),
    };
    found.unwrap()
}

#[test]
fn every_kind_of_asset_takes_every_form() {
    for owner in ["source:orders", "gold.sales", "view:spend", "dataset:churn"] {
        for (written, triggers) in [
            ("every 15m", "every 15m"),
            ("'0 6 * * MON-FRI'", "cron 0 6 * * 1-5"),
            ("'0 6 * * * Europe/Berlin'", "cron 0 6 * * * Europe/Berlin"),
            ("'@daily'", "cron 0 0 * * *"),
            ("{every: 1h}", "every 1h"),
            (
                "{cron: ['0 6 * * *', '0 18 * * *'], zone: Europe/Berlin}",
                "cron 0 6 * * * Europe/Berlin, cron 0 18 * * * Europe/Berlin",
            ),
            ("{cron: '0 6 * * * Asia/Tokyo'}", "cron 0 6 * * * Asia/Tokyo"),
            ("{after: silver.orders}", "after silver.orders"),
            ("{after: ['source:orders', 'view:spend']}", "after bronze.orders, after view:spend"),
            ("{webhook: orders, freshness: 1h, every: 1d}", "every 1d, webhook orders, fresher than 1h"),
            ("{priority: 3}", "by hand"),
        ] {
            let loaded = project(owner, written);
            assert_eq!(render(&loaded), "", "{owner}: {written}");
            assert_eq!(schedule(&loaded, owner).schedule.to_string(), triggers, "{owner}: {written}");
        }
    }
}

#[test]
fn a_mapping_says_how_the_asset_takes_its_place() {
    let written = "{every: 15m, new_files: 1m, catch_up: all, priority: -5, pools: [heavy, light]}";
    let loaded = project("source:orders", written);
    assert_eq!(render(&loaded), "");
    let found = schedule(&loaded, "source:orders").schedule;
    assert_eq!((found.catch_up, found.priority), (CatchUp::All, -5));
    assert_eq!(found.pools, ["heavy", "light"]);
    let minutes = |text: &str| text.parse().unwrap();
    let triggers = [Trigger::Every(minutes("15m")), Trigger::NewFiles { poll: minutes("1m") }];
    assert_eq!(found.triggers, triggers);
    let pools = loaded.spec.unwrap().pools;
    assert_eq!(
        pools.iter().map(|(name, steps)| (name.as_str(), steps.get())).collect::<Vec<_>>(),
        [("heavy", 2), ("light", 4)]
    );
}

#[test]
fn an_own_trigger_stands_beside_what_is_written_and_by_hand_gives_way_to_it() {
    let after = Trigger::After(AssetId::new("silver.orders"));
    let written = schedule(&project("dataset:churn", "{after: silver.orders}"), "dataset:churn");
    let bare = schedule(&project("dataset:churn", "{priority: 2}"), "dataset:churn");
    let triggers = |own, written| ScheduleSpec::beside(own, written).triggers;
    assert_eq!(triggers(Trigger::OnChange, None), [Trigger::OnChange]);
    assert_eq!(triggers(Trigger::OnChange, Some(&written)), [Trigger::OnChange, after.clone()]);
    assert_eq!(triggers(Trigger::Manual, Some(&written)), [after]);
    assert_eq!(triggers(Trigger::Manual, Some(&bare)), [Trigger::Manual]);
    assert_eq!(ScheduleSpec::beside(Trigger::Manual, Some(&bare)).priority, 2);
}

#[test]
fn each_fault_is_reported_at_its_place() {
    let cases = [
        ("gold.sales", "every 5 minutes"),
        ("gold.sales", "every 0m"),
        ("gold.sales", "every 10ms"),
        ("gold.sales", "every 100000w"),
        ("gold.sales", "hourly"),
        ("gold.sales", "[every 5m]"),
        ("gold.sales", "'0 25 * * *'"),
        ("gold.sales", "'0 6 * *'"),
        ("gold.sales", "'0 0 6 * * *'"),
        ("gold.sales", "'0 6 31 2 *'"),
        ("gold.sales", "'0 6 * * * Europe/Berln'"),
        ("gold.sales", "'@dayly'"),
        ("gold.sales", "{}"),
        ("gold.sales", "{evry: 5m}"),
        ("gold.sales", "{every: 0s, freshness: 5}"),
        ("gold.sales", "{cron: ['0 25 * * *', '0 6 * * *', '0 6 * * *']}"),
        ("gold.sales", "{cron: '0 6 * * * Asia/Tokyo', zone: Europe/Berlin}"),
        ("gold.sales", "{cron: ['0 6 * * *', '0 7 * * *'], zone: Mars/Base}"),
        ("gold.sales", "{every: 5m, zone: Europe/Berlin}"),
        ("gold.sales", "{after: silver.orders, catch_up: none}"),
        ("gold.sales", "{every: 5m, catch_up: last}"),
        ("gold.sales", "{every: 5m, priority: 200}"),
        ("gold.sales", "{webhook: 'a b', cron: []}"),
        ("gold.sales", "{new_files: 1m}"),
        ("gold.sales", "{after: silver.order}"),
        ("gold.sales", "{after: [spend, orders, 'dataset:chrn', other.thing]}"),
        ("gold.sales", "{after: silver.recent}"),
        ("gold.sales", "{pools: [hevy, heavy, heavy, other]}"),
        ("view:spend", "{after: nowhere.at_all, pools: gpu}"),
        ("dataset:churn", "{every: 1s, new_files: 1m}"),
        ("source:orders", "{new_files: 500ms}"),
    ];
    let text: String = cases
        .iter()
        .map(|(owner, written)| format!("{owner}: {written}\n{}", render(&project(owner, written))))
        .collect();
    assert_snapshot!(text);
}

#[test]
fn a_list_has_64_entries_at_most() {
    let list = |key: &str, count: usize| {
        let entry = |at: usize| match key {
            "cron" => format!("'{} {} * * *'", at % 60, at / 60),
            "after" => "silver.orders".to_owned(),
            _ => format!("hook_{at}"),
        };
        format!("{{{key}: [{}]}}", (0..count).map(entry).collect::<Vec<_>>().join(", "))
    };
    for key in ["cron", "after", "webhook"] {
        let loaded = project("gold.sales", &list(key, 64));
        assert_eq!(render(&loaded), "", "{key}");
        let said = render(&project("gold.sales", &list(key, 20_000)));
        let expected = format!("`{key}` has 20000 entries, and at most 64 are allowed");
        assert!(said.contains(&expected), "{said}");
        assert_eq!(said.matches("MS-0160").count(), 1, "{said}");
    }
}

#[test]
fn a_view_has_no_schedule() {
    let header = "/*---\nmaterialize: view\nschedule: every 1h\n---*/\nSELECT 1 AS id\n";
    let loaded = load(&[("millstream.yaml", POOLS), ("tables/gold/sales.sql", header)]);
    assert_snapshot!(render(&loaded), @"tables/gold/sales.sql:3:11 `every 1h` error MS-0160: `schedule` on a view: nothing of a view is stored, so nothing of it runs (use `materialize: table`, or schedule a table that reads it)");
}

#[test]
fn pools_and_connections_take_a_number_of_steps() {
    let loaded = load(&[
        ("millstream.yaml", "name: shop\npools: {heavy: 0, 'a b': 2, light: many}\n"),
        ("connections/warehouse.yaml", "type: files\nconcurrency: 0\n"),
        ("tables/gold/sales.sql", "/*---\nschedule: {pools: [heavy, light]}\n---*/\nSELECT 1 AS id\n"),
    ]);
    assert_snapshot!(render(&loaded));
}

#[test]
fn what_may_be_faulty_is_not_unknown() {
    let loaded = load(&[
        ("millstream.yaml", POOLS),
        ("tables/silver/orders.sql", "/*---\nmaterialise: view\n---*/\nSELECT 1 AS id\n"),
        ("datasets/churn.yaml", "labels: 5\n"),
        ("features/one.yaml", "entity: {name: one, key: id}\nviews: {spend: 5}\n"),
        (
            "tables/gold/sales.sql",
            "/*---\nschedule: {after: [silver.orders, 'dataset:churn', 'view:spend']}\n---*/\nSELECT 1 AS id\n",
        ),
    ]);
    let said = render(&loaded);
    assert!(!said.contains("gold/sales"), "{said}");
}

/// A project whose source waits for the webhook `orders`.
fn hooked(webhooks: &str) -> Loaded {
    load(&[
        ("millstream.yaml", &format!("name: shop\nwebhooks: {webhooks}\n")),
        ("sources/orders.yaml", &format!("{SOURCE}schedule: {{webhook: orders}}\n")),
        ("hook", "0123456789abcdef0123456789abcdef\n"),
    ])
}

#[test]
fn the_secret_of_a_webhook_stands_elsewhere_and_cannot_be_guessed() {
    let loaded = hooked("{orders: {secret: '${file:hook}'}}");
    assert_eq!(render(&loaded), "");
    let webhooks = &loaded.spec.unwrap().webhooks;
    assert_eq!(webhooks["orders"].secret.reveal(), "0123456789abcdef0123456789abcdef");
    assert!(!format!("{webhooks:?}").contains("0123456789"));
    let faults = |webhooks: &str| {
        let told = render(&hooked(webhooks));
        assert_eq!(told.lines().count(), 1, "{told}");
        told
    };
    let short = faults("{orders: {secret: '${FIVE}'}}");
    assert!(short.contains("MS-0186") && short.contains("has 1 characters, at least 16"), "{short}");
    let open = faults("{orders: {secret: a-secret-that-stands-here}}");
    assert!(open.contains("`secret` stands in the file"), "{open}");
    let unused = faults("{order: {secret: '${file:hook}'}}");
    assert!(unused.contains("no asset waits for the webhook `order`"), "{unused}");
    assert!(unused.contains("did you mean `orders`?"), "{unused}");
    assert!(faults("{orders: {secret: '${NOT_SET}'}}").contains("NOT_SET"));
    assert!(render(&hooked("{orders: {secre: x}}")).contains("did you mean `secret`?"));
}
