//! Maintenance: small files are put together and old ones go, and nobody who reads a table notices.

use std::time::Duration;

use millstream_state::Moment::After;

use crate::harness::{Step, Step::*, check as check_story};

const PROJECT: &str = "
=== sources/orders.yaml
connector: {type: scripted, place: orders}
contract: {columns: {id: {type: int64, required: true}, customer_id: {type: int64}, at: {type: timestamp}}}
=== tables/silver/orders.sql
/*---
materialize: incremental
---*/
SELECT id, customer_id, at FROM bronze.orders
=== features/customer.yaml
entity: {name: customer, key: customer_id}
views:
  orders: {from: silver.orders, time: at, features: {orders: {count: \"*\"}}}
services:
  s: [orders.*]
=== datasets/d.yaml
labels: {from: silver.orders, entity: customer, time: at, columns: [customer_id, at, id]}
features: s
";

const HOUR: Duration = Duration::from_secs(3_600);
const MONTH: i64 = 30 * 86_400;

/// Lands a part a day, plays `steps`, then tells the rows and whether a run finds something to do.
#[track_caller]
fn check(steps: &[Step], expected: &str) {
    let mut all = vec![Put("orders/a", "id,customer_id,at\n0,1,2026-05-01T00:00:00Z")];
    for rows in ["1,2,2026-05-02T00:00:00Z", "2,1,2026-05-03T00:00:00Z", "3,1,2026-05-04T00:00:00Z"] {
        all.extend([Run, Pass(86_400), Append("orders/a", rows)]);
    }
    all.push(Run);
    all.extend(steps.iter().cloned());
    all.extend([Rows("silver.orders"), Run]);
    check_story(PROJECT, &all, expected);
}

#[test]
fn small_files_are_put_together_and_no_table_runs_for_it() {
    check(
        &[Maintain(HOUR)],
        "
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        silver.orders built +1
        bronze.orders: 4 put together, 2 gone
        silver.orders: 4 put together, 2 gone
        silver.orders:
        id: 0, customer_id: 1, at: 2026-05-01T00:00:00Z
        id: 1, customer_id: 2, at: 2026-05-02T00:00:00Z
        id: 2, customer_id: 1, at: 2026-05-03T00:00:00Z
        id: 3, customer_id: 1, at: 2026-05-04T00:00:00Z
        (nothing)
    ",
    );
}

#[test]
fn a_change_after_maintenance_is_read_as_a_change() {
    check(
        &[Maintain(HOUR), Append("orders/a", "4,2,2026-05-05T00:00:00Z"), Run],
        "
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        silver.orders built +1
        bronze.orders: 4 put together, 2 gone
        silver.orders: 4 put together, 2 gone
        bronze.orders built +1
        silver.orders built +1
        silver.orders:
        id: 0, customer_id: 1, at: 2026-05-01T00:00:00Z
        id: 1, customer_id: 2, at: 2026-05-02T00:00:00Z
        id: 2, customer_id: 1, at: 2026-05-03T00:00:00Z
        id: 3, customer_id: 1, at: 2026-05-04T00:00:00Z
        id: 4, customer_id: 2, at: 2026-05-05T00:00:00Z
        (nothing)
    ",
    );
}

#[test]
fn what_is_old_goes_at_the_second_time() {
    check(
        &[Maintain(HOUR), Pass(MONTH), Maintain(HOUR), Maintain(HOUR)],
        "
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        silver.orders built +1
        bronze.orders: 4 put together, 2 gone
        silver.orders: 4 put together, 2 gone
        bronze.orders: 0 put together, 7 gone
        silver.orders: 0 put together, 7 gone
        (nothing)
        silver.orders:
        id: 0, customer_id: 1, at: 2026-05-01T00:00:00Z
        id: 1, customer_id: 2, at: 2026-05-02T00:00:00Z
        id: 2, customer_id: 1, at: 2026-05-03T00:00:00Z
        id: 3, customer_id: 1, at: 2026-05-04T00:00:00Z
        (nothing)
    ",
    );
}

#[test]
fn a_version_that_a_dataset_pins_stays() {
    check(
        &[
            Dataset("d"),
            Maintain(HOUR),
            Pass(MONTH),
            Maintain(HOUR),
            RowsAt("silver.orders", 3),
            Dataset("d"),
        ],
        "
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        silver.orders built +1
        d v1
        bronze.orders: 4 put together, 2 gone
        silver.orders: 4 put together, 2 gone
        bronze.orders: 0 put together, 7 gone
        silver.orders: 0 put together, 2 gone
        silver.orders at 3:
        id: 0, customer_id: 1, at: 2026-05-01T00:00:00Z
        id: 1, customer_id: 2, at: 2026-05-02T00:00:00Z
        id: 2, customer_id: 1, at: 2026-05-03T00:00:00Z
        id: 3, customer_id: 1, at: 2026-05-04T00:00:00Z
        d v1, unchanged
        silver.orders:
        id: 0, customer_id: 1, at: 2026-05-01T00:00:00Z
        id: 1, customer_id: 2, at: 2026-05-02T00:00:00Z
        id: 2, customer_id: 1, at: 2026-05-03T00:00:00Z
        id: 3, customer_id: 1, at: 2026-05-04T00:00:00Z
        (nothing)
    ",
    );
}

#[test]
fn versions_that_a_table_has_yet_to_read_stay() {
    let steps = [
        Append("orders/a", "4,2,2026-05-05T00:00:00Z"),
        Force(&["bronze.orders"]),
        Maintain(HOUR),
        Pass(MONTH),
        Maintain(HOUR),
        Run,
    ];
    check(
        &steps,
        "
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        bronze.orders: 5 put together, 2 gone
        silver.orders: 4 put together, 2 gone
        bronze.orders: 0 put together, 2 gone
        silver.orders: 0 put together, 7 gone
        silver.orders built +1
        silver.orders:
        id: 0, customer_id: 1, at: 2026-05-01T00:00:00Z
        id: 1, customer_id: 2, at: 2026-05-02T00:00:00Z
        id: 2, customer_id: 1, at: 2026-05-03T00:00:00Z
        id: 3, customer_id: 1, at: 2026-05-04T00:00:00Z
        id: 4, customer_id: 2, at: 2026-05-05T00:00:00Z
        (nothing)
    ",
    );
}

#[test]
fn no_table_runs_after_a_maintenance_whose_process_died_either() {
    let dies = DieIn(Box::new(Maintain(HOUR)), After, "lake: put lake/bronze/orders/_delta_log");
    check(
        &[dies, Maintain(HOUR)],
        "
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        silver.orders built +1
        bronze.orders built +1
        silver.orders built +1
        bronze.orders: 0 put together, 2 gone
        silver.orders: 4 put together, 2 gone
        silver.orders:
        id: 0, customer_id: 1, at: 2026-05-01T00:00:00Z
        id: 1, customer_id: 2, at: 2026-05-02T00:00:00Z
        id: 2, customer_id: 1, at: 2026-05-03T00:00:00Z
        id: 3, customer_id: 1, at: 2026-05-04T00:00:00Z
        (nothing)
    ",
    );
}

const ORDERS: &str = "
=== sources/orders.yaml
connector: {type: scripted, place: orders}
contract: {columns: {id: {type: int64, required: true}}}
";

/// Eleven landings, and a maintenance that leaves no commit of them: the state store alone knows the parts.
fn landed_and_cut() -> Vec<Step> {
    let mut steps = vec![Put("orders/a", "id\n0"), Run];
    for row in ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"] {
        steps.extend([Append("orders/a", row), Run]);
    }
    steps.extend([Pass(MONTH), Maintain(HOUR), Pass(MONTH), Maintain(HOUR)]);
    steps
}

/// The lines that [`landed_and_cut`] tells.
fn told_of_it() -> String {
    let landed = "bronze.orders built +1\n".repeat(11);
    format!("{landed}bronze.orders: 11 put together, 10 gone\nbronze.orders: 0 put together, 13 gone")
}

#[test]
fn landing_goes_on_where_the_log_was_cut_and_begins_anew_where_the_state_was_lost_too() {
    let mut steps = landed_and_cut();
    steps.extend([Append("orders/a", "11"), Run, Positions("orders")]);
    steps.extend([LoseState, Run, RunAnew(&["bronze.orders"]), Run, Positions("orders")]);
    // From the landing on that replaced everything, the log is enough again.
    steps.extend([LoseState, Run, Positions("orders")]);
    check_story(
        ORDERS,
        &steps,
        &format!(
            "{}
            bronze.orders built +1
            a up to 12
            ! bronze.orders failed: MS-0705 `bronze.orders` was landed up to epoch 12, but the record of epoch 1 is gone \
             from the lake's log and from the state store
            bronze.orders built +12 -12
            (nothing)
            a up to 12
            (nothing)
            a up to 12",
            told_of_it()
        ),
    );
}

/// The rows name their parts, even where no record is left that does.
#[test]
fn a_landing_that_begins_anew_does_not_give_up_rows_of_a_part_that_is_gone() {
    let mut steps = landed_and_cut();
    steps.extend([Put("orders/b", "id\n11"), Remove("orders/a")]);
    steps.extend([LoseState, RunAnew(&["bronze.orders"]), Force(&["bronze.orders"])]);
    check_story(
        ORDERS,
        &steps,
        &format!(
            "{}
            ! bronze.orders failed: MS-0705 `bronze.orders` holds rows of 1 part(s) that are gone from the source, such as a
            ! bronze.orders failed: MS-0705 `bronze.orders` was landed up to epoch 11, but the record of epoch 1 is gone \
             from the lake's log and from the state store",
            told_of_it()
        ),
    );
}
