//! Reprocessing: rejected rows are judged again by the contract as it is now, and enter once.

use crate::harness::{Step, Step::*, check as check_story};

/// A source whose sizes go up to `max`.
fn project(max: u32) -> String {
    format!(
        "=== sources/orders.yaml\n\
         connector: {{type: scripted, place: orders}}\n\
         contract:\n\
        \x20 columns:\n\
        \x20   id: {{type: int64, required: true, unique: true}}\n\
        \x20   size: {{type: int64, range: [0, {max}]}}\n\
         === tables/silver/orders.sql\n\
         /*---\nmaterialize: incremental\nkey: id\nchecks:\n  - range: {{column: size, max: 40}}\n---*/\n\
         SELECT id, size FROM bronze.orders\n"
    )
}

/// Lands rows under a narrow contract, plays `steps`, then tells all rows.
#[track_caller]
fn check(steps: &[Step], expected: &str) {
    let begin = [Put("orders/a", "id,size\n1,5\n2,20\nbroken\n3,30\n1,20\n4,50"), Run];
    let end = [
        Rows("bronze.orders"),
        Rows("bronze.orders__rejected"),
        Rows("silver.orders"),
        Positions("orders"),
        Run,
    ];
    check_story(&project(10), &[&begin[..], steps, &end[..]].concat(), expected);
}

#[test]
fn under_the_same_contract_nothing_enters() {
    check(
        &[Reprocess("bronze.orders")],
        r#"
        bronze.orders built +1, 5 rejected
        silver.orders built +1
        bronze.orders unchanged, 5 rejected
        bronze.orders:
        id: 1, size: 5
        bronze.orders__rejected:
        _check: malformed, _reason: 1 values for 2 columns, _text: broken
        _check: range(size), _reason: `size` is 20, above the maximum 10, _row: {"id":"1","size":"20"}
        _check: range(size), _reason: `size` is 20, above the maximum 10, _row: {"id":"2","size":"20"}
        _check: range(size), _reason: `size` is 30, above the maximum 10, _row: {"id":"3","size":"30"}
        _check: range(size), _reason: `size` is 50, above the maximum 10, _row: {"id":"4","size":"50"}
        silver.orders:
        id: 1, size: 5
        a up to 6
        (nothing)
    "#,
    );
}

#[test]
fn rows_that_the_contract_now_allows_enter_once() {
    check(
        &[Define(project(30)), Reprocess("bronze.orders"), Reprocess("bronze.orders")],
        r#"
        bronze.orders built +1, 5 rejected
        silver.orders built +1
        bronze.orders built +2, 3 rejected
        bronze.orders unchanged, 3 rejected
        bronze.orders:
        id: 1, size: 5
        id: 2, size: 20
        id: 3, size: 30
        bronze.orders__rejected:
        _check: malformed, _reason: 1 values for 2 columns, _text: broken
        _check: range(size), _reason: `size` is 50, above the maximum 30, _row: {"id":"4","size":"50"}
        _check: unique(id), _reason: `id` 1 is in an earlier row, _row: {"id":"1","size":"20"}
        silver.orders:
        id: 1, size: 5
        a up to 6
        bronze.orders unchanged
        silver.orders built +2
    "#,
    );
}

#[test]
fn what_entered_goes_on_to_the_tables_behind() {
    check(
        &[Define(project(100)), Reprocess("bronze.orders"), Run],
        r#"
        bronze.orders built +1, 5 rejected
        silver.orders built +1
        bronze.orders built +3, 2 rejected
        bronze.orders unchanged
        silver.orders built +2, 1 rejected
        bronze.orders:
        id: 1, size: 5
        id: 2, size: 20
        id: 3, size: 30
        id: 4, size: 50
        bronze.orders__rejected:
        _check: malformed, _reason: 1 values for 2 columns, _text: broken
        _check: unique(id), _reason: `id` 1 is in an earlier row, _row: {"id":"1","size":"20"}
        silver.orders:
        id: 1, size: 5
        id: 2, size: 20
        id: 3, size: 30
        a up to 6
        (nothing)
    "#,
    );
}

#[test]
fn rows_of_a_part_that_is_replaced_afterwards_leave() {
    check(
        &[Define(project(30)), Reprocess("bronze.orders"), Put("orders/a", "id,size\n9,1"), Run],
        "
        bronze.orders built +1, 5 rejected
        silver.orders built +1
        bronze.orders built +2, 3 rejected
        bronze.orders built +1 -3
        silver.orders built +1 -1
        bronze.orders:
        id: 9, size: 1
        bronze.orders__rejected:
        (nothing)
        silver.orders:
        id: 9, size: 1
        a up to 1
        (nothing)
    ",
    );
}

#[test]
fn a_sql_table_is_built_anew() {
    check(
        &[Reprocess("silver.orders")],
        r#"
        bronze.orders built +1, 5 rejected
        silver.orders built +1
        silver.orders built +1 -1
        bronze.orders:
        id: 1, size: 5
        bronze.orders__rejected:
        _check: malformed, _reason: 1 values for 2 columns, _text: broken
        _check: range(size), _reason: `size` is 20, above the maximum 10, _row: {"id":"1","size":"20"}
        _check: range(size), _reason: `size` is 20, above the maximum 10, _row: {"id":"2","size":"20"}
        _check: range(size), _reason: `size` is 30, above the maximum 10, _row: {"id":"3","size":"30"}
        _check: range(size), _reason: `size` is 50, above the maximum 10, _row: {"id":"4","size":"50"}
        silver.orders:
        id: 1, size: 5
        a up to 6
        (nothing)
    "#,
    );
}
