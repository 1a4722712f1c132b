//! Reprocessing: rejected rows are judged again by the contract as it is now, and enter once.

use millstream_state::Moment::After;

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

/// The rows entered, and are still among the rejected ones: whatever runs next takes them out there.
#[test]
fn a_run_completes_a_reprocessing_whose_process_died() {
    let reprocess = || Box::new(Reprocess("bronze.orders"));
    let steps =
        [Define(project(30)), DieIn(reprocess(), After, "lake: put lake/bronze/orders/_delta_log"), Run];
    check(
        &steps,
        r#"
        bronze.orders built +1, 5 rejected
        silver.orders built +1
        bronze.orders unchanged
        silver.orders built +2
        bronze.orders:
        id: 1, size: 5
        id: 2, size: 20
        id: 3, size: 30
        bronze.orders__rejected:
        _check: malformed, _reason: 1 values for 2 columns, _text: broken
        _check: range(size), _reason: `size` is 20, above the maximum 10, _row: {"id":"1","size":"20"}
        _check: range(size), _reason: `size` is 50, above the maximum 10, _row: {"id":"4","size":"50"}
        silver.orders:
        id: 1, size: 5
        id: 2, size: 20
        id: 3, size: 30
        a up to 6
        (nothing)
    "#,
    );
}

/// A contract is followed after a reprocessing as it is without one, also when its process died.
#[test]
fn a_column_that_came_with_the_wider_contract_is_added() {
    let wider = project(30).replace("range: [0, 30]}", "range: [0, 30]}\n    note: {type: string}");
    let wider = wider.replace("SELECT id, size", "SELECT id, size, note");
    let reprocess = || Box::new(Reprocess("bronze.orders"));
    for reprocessed in [
        vec![*reprocess()],
        vec![DieIn(reprocess(), After, "lake: put lake/bronze/orders/_delta_log"), *reprocess()],
    ] {
        let said = match reprocessed.len() {
            1 => "bronze.orders built +2, 3 rejected",
            _ => "bronze.orders unchanged, 3 rejected",
        };
        let begin =
            [Put("orders/a", "id,size\n1,5\n2,20\nbroken\n3,30\n1,20\n4,50"), Run, Define(wider.clone())];
        let end = [Run, Rows("silver.orders"), Run];
        let steps = [&begin[..], &reprocessed[..], &end[..]].concat();
        let expected = format!(
            "bronze.orders built +1, 5 rejected
            silver.orders built +1
            {said}
            bronze.orders built
            silver.orders built +3 -1
            silver.orders:
            id: 1, size: 5
            id: 2, size: 20
            id: 3, size: 30
            (nothing)"
        );
        check_story(&project(10), &steps, &expected);
    }
}

#[test]
fn a_table_check_that_halts_keeps_all_rows_where_they_are() {
    let few = project(30).replace("=== tables", "  checks:\n    - row_count: {max: 2}\n=== tables");
    check(
        &[Define(few), Reprocess("bronze.orders")],
        r#"
        bronze.orders built +1, 5 rejected
        silver.orders built +1
        ! bronze.orders halted: check row_count failed: the table has 3 rows: the maximum is 2
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
        bronze.orders unchanged
        silver.orders unchanged
    "#,
    );
}

#[test]
fn rows_of_a_halted_landing_wait_for_the_next_one() {
    let halting = |max: u32| project(max).replace("=== tables", "  halt_above: 50%\n=== tables");
    let steps = [
        Put("orders/a", "id,size\n1,5\n2,6\n3,20"),
        Run,
        Put("orders/b", "id,size\n4,20\n5,20\n6,7"),
        Run,
        Define(halting(30)),
        Reprocess("bronze.orders"),
        Rows("bronze.orders"),
        Run,
        Rows("bronze.orders"),
        Rows("bronze.orders__rejected"),
        Run,
    ];
    check_story(
        &halting(10),
        &steps,
        "
        bronze.orders built +2, 1 rejected
        silver.orders built +2
        ! bronze.orders halted: 2 of 3 rows were rejected, more than 50% allows (range(size) 2)
        ! silver.orders skipped for bronze.orders
        bronze.orders built +1
        bronze.orders:
        id: 1, size: 5
        id: 2, size: 6
        id: 3, size: 20
        bronze.orders built +3
        silver.orders built +4
        bronze.orders:
        id: 1, size: 5
        id: 2, size: 6
        id: 3, size: 20
        id: 4, size: 20
        id: 5, size: 20
        id: 6, size: 7
        bronze.orders__rejected:
        (nothing)
        (nothing)
    ",
    );
}

#[test]
fn what_has_no_rejected_rows_is_left_and_what_is_unknown_is_named() {
    check_story(
        &project(10),
        &[Reprocess("bronze.orders"), Put("orders/a", "id,size\n1,5"), Run, Reprocess("bronze.orders"), Run],
        "
        bronze.orders unchanged
        bronze.orders built +1
        silver.orders built +1
        bronze.orders unchanged
        (nothing)
    ",
    );
    check_story(&project(10), &[Reprocess("bronze.order")], "! no asset named `bronze.order`");
}
