//! Which rows are shown as rejected: those that stand in the way now.

use crate::harness::{Folder, SMALL, assert_said};

#[test]
fn the_rows_that_halted_a_step_can_be_looked_at_and_leave_with_the_halt() {
    let folder = Folder::with(SMALL);
    let halting = SMALL[1].1.to_owned() + "  halt_above: 5%\n";
    folder.write("sources/orders.yaml", &halting);
    folder.run(&["run"]);
    folder.run(&["run"]);
    assert_said!(folder.run(&["rejected", "orders"]));
    assert_eq!(folder.json(&["rejected", "orders", "--json"])["groups"][0]["halted"], 1);
    // No row landed, so `reprocess` takes no rejected row in alone.
    folder.write("sources/orders.yaml", &halting.replace("[0, 1000]", "[-10, 1000]"));
    folder.stdout(&["reprocess", "source:orders"]);
    folder.stdout(&["run"]);
    assert_eq!(folder.json(&["rejected", "orders", "--json"])["rows"], 0);
    let rows = folder.json(&["query", "select count(*) as n from bronze.orders", "--json"]);
    assert_eq!(rows[0]["n"], 3);
}

#[test]
fn reprocessing_leaves_the_rows_of_a_halted_landing_to_the_next_one() {
    let folder = Folder::with(SMALL);
    folder.stdout(&["run"]);
    let halting = SMALL[1].1.to_owned() + "  halt_above: 50%\n";
    folder.write("sources/orders.yaml", &halting);
    folder.write("data/b.csv", "id,amount,day\n10,-1.00,2026-01-02\n11,-2.00,2026-01-02\n");
    folder.run(&["run"]);
    let group = &folder.json(&["rejected", "orders", "--json"])["groups"][0];
    assert_eq!((&group["rows"], &group["halted"]), (&3.into(), &2.into()));
    folder.write("sources/orders.yaml", &halting.replace("[0, 1000]", "[-10, 1000]"));
    folder.stdout(&["reprocess", "orders"]);
    let count =
        || folder.json(&["query", "select count(*) as n from bronze.orders", "--json"])[0]["n"].clone();
    assert_eq!(count(), 3);
    folder.stdout(&["run"]);
    assert_eq!(count(), 5);
    assert_eq!(folder.json(&["rejected", "orders", "--json"])["rows"], 0);
}

#[test]
fn a_merged_row_that_comes_right_is_no_longer_rejected() {
    let folder = Folder::with(SMALL);
    folder.write(
        "tables/silver/best.sql",
        "/*---\nmaterialize: incremental\nkey: day\nchecks:\n  - range: {column: best, min: 20}\n    \
         severity: quarantine\n---*/\nSELECT day, max(amount) AS best FROM bronze.orders GROUP BY day\n",
    );
    folder.write("data/b.csv", "id,amount,day\n10,3.00,2026-02-01\n11,4.00,2026-02-02\n");
    folder.stdout(&["run"]);
    let standing = || {
        let rejected = folder.json(&["rejected", "silver.best", "--json"])["rows"].clone();
        let sql = "select count(*) as n from silver.best where day >= '2026-02-01'";
        (rejected, folder.json(&["query", sql, "--json"])[0]["n"].clone())
    };
    let before = standing();
    assert_eq!(before.1, 0);
    folder.write("data/c.csv", "id,amount,day\n12,30.00,2026-02-01\n");
    folder.stdout(&["run"]);
    let after = standing();
    assert_eq!(after.1, 1);
    assert_eq!(after.0.as_i64().unwrap(), before.0.as_i64().unwrap() - 1);
}
