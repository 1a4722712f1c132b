//! The shop from `init` to every question that its README suggests.

use crate::harness::{Folder, assert_said};

#[test]
fn the_shop_runs_and_answers() {
    let folder = Folder::empty();
    folder.stdout(&["init", "shop"]);
    assert_said!(folder.run(&["run", "--concurrency", "1"]));
    assert_said!(folder.run(&["run"]));
    assert_said!(folder.run(&["test"]));
    assert_said!(folder.run(&["lineage", "gold.customer_value.spent"]));
    let country =
        "select country, orders, revenue from gold.revenue_by_country order by revenue desc limit 3";
    assert_said!(folder.run(&["query", country]));
    let first = folder.json(&["query", "select count(*) as n from silver.orders version as of 0", "--json"]);
    assert!(first[0]["n"].as_u64().unwrap() > 6_000, "{first}");
    let rejected = folder.json(&["rejected", "bronze.orders", "--json"]);
    assert!(rejected["groups"].as_array().unwrap().len() >= 6, "{rejected}");
}

#[test]
fn the_demo_says_what_happened_and_what_to_try() {
    let folder = Folder::empty();
    let said = folder.run(&["demo", "--once", "--rows", "5000", "--path", "shop"]);
    assert!(said.starts_with("exit: 0"), "{said}");
    for word in
        ["Shop created", "landed", "rejected", "Rejected rows and why", "built", "Try next", "cd shop"]
    {
        assert!(said.contains(word), "`{word}` is missing in\n{said}");
    }
    let again = folder.run(&["demo", "--once", "--rows", "5000", "--path", "shop"]);
    assert!(again.starts_with("exit: 2"), "{again}");
}

#[test]
fn a_failing_test_shows_the_difference() {
    let folder = Folder::empty();
    folder.stdout(&["init", "shop"]);
    folder.write(
        "tests/orders.yaml",
        "name: test orders are left out\n\
         table: silver.orders\n\
         given:\n\
        \x20 bronze.orders:\n\
        \x20   - {order_id: 1, amount: \"12.50\", status: paid}\n\
        \x20   - {order_id: 2, amount: \"99.00\", status: paid}\n\
         expect:\n\
        \x20 - {order_id: 1, amount: \"12.00\", status: paid}\n",
    );
    assert_said!(folder.run(&["test", "silver.orders"]));
}
