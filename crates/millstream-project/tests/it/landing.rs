//! `landing` of a source and the `key` of its contract.

use millstream_project::LandingMode;

use crate::scratch::{PROJECT, load, render};

/// The source file with these lines, and the contract with those.
fn source(lines: &str, contract: &str) -> String {
    let columns = "  columns:\n    id: {type: int64, required: true, severity: warn}\n    shop: {type: string}\n    mail: {type: string}\n";
    format!("connector: {{type: files, path: a.csv}}\n{lines}contract:\n{columns}{contract}")
}

/// How the source lands, and the checks of its contract.
fn meaning(lines: &str, contract: &str) -> String {
    let loaded = load(&[PROJECT, ("sources/orders.yaml", &source(lines, contract))]);
    assert_eq!(render(&loaded), "");
    let spec = loaded.spec.unwrap();
    let source = &spec.sources[0];
    let key: Vec<_> = source.contract.key.iter().map(|column| column.value.as_str()).collect();
    let checks = source.contract.checks.iter();
    let checks: Vec<_> = checks.map(|check| format!("{} {}", check.id, check.severity.as_str())).collect();
    let mode = if source.landing == LandingMode::Merge { "merge" } else { "append" };
    format!("{mode} by [{}]: {}", key.join(", "), checks.join(", "))
}

/// A key promises that it is there, whatever its column says, and that it is unique.
#[test]
fn a_key_is_checked() {
    for (lines, contract, expected) in [
        ("", "", "append by []: not_null(id) warn"),
        ("", "  key: id\n", "append by [id]: not_null(id) quarantine, unique(id) quarantine"),
        (
            "landing: merge\n",
            "  key: [shop, id]\n",
            "merge by [shop, id]: not_null(id) quarantine, not_null(shop) quarantine, unique(shop, id) quarantine",
        ),
        (
            "landing: append\n",
            "  key: [shop, id]\n  checks: [{unique: [id, shop]}]\n  on_violation: halt\n",
            "append by [shop, id]: not_null(id) quarantine, unique(id, shop) halt, not_null(shop) halt",
        ),
        (
            "landing: merge\n",
            "  key: id\n  checks: [{unique: [id, shop]}]\n",
            "merge by [id]: not_null(id) quarantine, unique(id, shop) quarantine, unique(id) quarantine",
        ),
    ] {
        assert_eq!(meaning(lines, contract), expected);
    }
}

#[test]
fn what_cannot_land_is_refused() {
    for (lines, contract, expected) in [
        (
            "landing: merge\n",
            "",
            "sources/orders.yaml:2:10 `merge` error MS-0169: `landing: merge` needs the `key` by which rows are merged (add \
             `key: order_id` to the contract)\n",
        ),
        (
            "landing: merged\n",
            "  key: id\n",
            "sources/orders.yaml:2:10 `merged` error MS-0113: `merged` is not known here (did you mean `merge`?)\n",
        ),
        (
            "landing: merge\n",
            "  key: [id, id, ship]\n",
            "sources/orders.yaml:8:13 `id` error MS-0169: the key names `id` twice (remove one of the two)\n\
             sources/orders.yaml:8:17 `ship` error MS-0150: the key names a column `ship` that the contract does not have (did \
             you mean `shop`?)\n",
        ),
        (
            "landing: merge\n",
            "  key: id\n  checks: [{unique: mail}]\n",
            "sources/orders.yaml:9:13 `unique` error MS-0169: `unique(mail)` cannot be judged while rows are merged by another \
             key: the row with the same value may be about to change (check it in a SQL table that reads this source)\n",
        ),
    ] {
        let loaded = load(&[PROJECT, ("sources/orders.yaml", &source(lines, contract))]);
        assert_eq!(render(&loaded), expected);
    }
}

/// A key of a column that is faulty itself is not told of as well.
#[test]
fn a_faulty_column_is_told_of_once() {
    let text = source("landing: merge\n", "  key: shop\n").replace("shop: {type: string}", "shop: [string]");
    let loaded = load(&[PROJECT, ("sources/orders.yaml", &text)]);
    let told = render(&loaded);
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("MS-0111"), "{told}");
}
