//! Reprocessing: rejected rows are judged again by the contract as it is now, and enter once.

use std::time::Duration;

use millstream_plan::AssetStatus;
use millstream_state::Moment::{After, Before};
use millstream_types::{AssetId, AssetVersion};

use crate::harness::{
    Act, Definition, Ended, Harm, Injection, Line, Step, Step::*, World, block_on, check as check_story,
};

const HOUR: Duration = Duration::from_secs(3_600);
const MONTH: i64 = 30 * 86_400;

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

/// The rows have entered the table and are still among the rejected ones: the next run removes them there.
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

/// Under the same contract, the interrupted reprocessing alone is a reason to run the source.
#[test]
fn a_run_completes_an_interrupted_reprocessing_under_the_same_contract_too() {
    let related = "
=== sources/customers.yaml
connector: {type: scripted, place: customers}
contract: {columns: {id: {type: int64}}}
=== sources/orders.yaml
connector: {type: scripted, place: orders}
contract:
  columns: {id: {type: int64}, customer: {type: int64}}
  checks:
    - relationship: {column: customer, to: bronze.customers.id}
  on_violation: quarantine
";
    let reprocess = || Box::new(Reprocess("bronze.orders"));
    let steps = [
        Put("customers/a", "id\n1"),
        Put("orders/a", "id,customer\n1,1\n2,2"),
        Run,
        Append("customers/a", "2"),
        Run,
        DieIn(reprocess(), After, "lake: put lake/bronze/orders/_delta_log"),
        Run,
        Rows("bronze.orders"),
        Rows("bronze.orders__rejected"),
        Run,
    ];
    check_story(
        related,
        &steps,
        "
        bronze.customers built +1
        bronze.orders built +1, 1 rejected
        bronze.customers built +1
        bronze.orders unchanged
        bronze.orders:
        id: 1, customer: 1
        id: 2, customer: 2
        bronze.orders__rejected:
        (nothing)
        (nothing)
    ",
    );
}

/// Maintenance compacts the files that the reprocessing added, deletes them, and at last cuts its commit from the log.
#[test]
fn maintenances_do_not_keep_an_interrupted_reprocessing_from_its_end() {
    let alone = |max| project(max).split("=== tables").next().unwrap().to_owned();
    let reprocess = || Box::new(Reprocess("bronze.orders"));
    let dies = DieIn(reprocess(), After, "lake: put lake/bronze/orders/_delta_log");
    for landings in [0, 9] {
        let mut steps = vec![Put("orders/a", "id,size\n1,5\n2,20\nbroken\n3,30\n1,20\n4,50"), Run];
        for &row in
            ["11,1", "12,1", "13,1", "14,1", "15,1", "16,1", "17,1", "18,1", "19,1"].iter().take(landings)
        {
            steps.extend([Append("orders/a", row), Run]);
        }
        steps.extend([Define(alone(30)), dies.clone()]);
        steps.extend([Maintain(HOUR), Pass(MONTH), Maintain(HOUR), Pass(MONTH), Maintain(HOUR)]);
        steps.extend([Run, Rows("bronze.orders__rejected"), Positions("orders"), Run]);
        let landed = "bronze.orders built +1\n".repeat(landings);
        // What the interrupted reprocessing made is published by no run, so that readers still need the version before it.
        let gone = match landings {
            0 => "(nothing)\n(nothing)",
            _ => "bronze.orders: 0 put together, 9 gone\n(nothing)",
        };
        check_story(
            &alone(10),
            &steps,
            &format!(
                r#"bronze.orders built +1, 5 rejected
                {landed}bronze.orders: {} put together, 0 gone
                {gone}
                bronze.orders unchanged
                bronze.orders__rejected:
                _check: malformed, _reason: 1 values for 2 columns, _text: broken
                _check: range(size), _reason: `size` is 20, above the maximum 10, _row: {{"id":"1","size":"20"}}
                _check: range(size), _reason: `size` is 50, above the maximum 10, _row: {{"id":"4","size":"50"}}
                a up to {}
                (nothing)"#,
                landings + 2,
                landings + 6
            ),
        );
    }
}

#[test]
fn a_reprocessing_that_succeeds_after_one_that_failed_is_recorded_as_built() {
    block_on(async {
        let mut world = World::new(Definition::of(&project(10)));
        world.definition.script.put("orders", "a", "id,size\n1,5\n2,20");
        world.run().await;
        world.define(&project(30));
        let act = Act::Reprocess("bronze.orders");
        let line = Line::quiet();
        world.fork().act_on(&act, &line).await;
        let replaces = "lake: put lake/bronze/orders__rejected/_delta_log";
        let at = line.points().iter().position(|point| point.what.contains(replaces)).unwrap();
        let line = Line::harmed(Injection { at, moment: Before, harm: Harm::Lasting });
        assert!(matches!(world.act_on(&act, &line).await, Ended::Badly(_)));
        assert_eq!(world.act(&act).await, Ended::Well("bronze.orders unchanged".to_owned()));
        let recorded =
            world.state().await.recorded().await.unwrap().remove(&AssetId::new("bronze.orders")).unwrap();
        assert_eq!(
            (recorded.status, recorded.version),
            (AssetStatus::Built, Some(AssetVersion::numbered(1)))
        );
        assert_eq!(recorded.rows, Some(2));
    });
}

/// The next run follows a new contract after a reprocessing too, also when the reprocessing's process died.
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
fn a_row_that_halts_keeps_the_others_out_too() {
    let halting = project(40).replace("range: [0, 40]}", "range: [0, 40], severity: halt}");
    check(
        &[Define(halting), Reprocess("bronze.orders")],
        r#"
        bronze.orders built +1, 5 rejected
        silver.orders built +1
        ! bronze.orders halted: check range(size) failed for 1 row
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

/// A source whose size has this type.
fn typed(size: &str) -> String {
    format!(
        "=== sources/orders.yaml\n\
         connector: {{type: scripted, place: orders}}\n\
         contract: {{columns: {{id: {{type: int64}}, size: {{type: {size}}}}}}}\n"
    )
}

#[test]
fn rows_enter_right_after_their_type_was_widened() {
    let steps = [
        Put("orders/a", "id,size\n1,5\n2,5000000000\n3,x"),
        Run,
        Define(typed("int64")),
        Reprocess("bronze.orders"),
        Reprocess("bronze.orders"),
        Run,
        Rows("bronze.orders"),
        Rows("bronze.orders__rejected"),
    ];
    check_story(
        &typed("int32"),
        &steps,
        r#"
        bronze.orders built +1, 2 rejected
        bronze.orders built +1, 1 rejected
        bronze.orders unchanged, 1 rejected
        bronze.orders unchanged
        bronze.orders:
        id: 1, size: 5
        id: 2, size: 5000000000
        bronze.orders__rejected:
        _check: type(size), _reason: `size` is `x`, not an int64, _row: {"id":"3","size":"x"}
    "#,
    );
}

#[test]
fn malformed_rows_enter_when_their_source_can_read_them_now() {
    let steps = [
        Put("orders/a", "id,size\n1,5\n7\n8,9,10\nx"),
        Run,
        Put("orders/a", "id\n1"),
        Reprocess("bronze.orders"),
        Rows("bronze.orders"),
        Rows("bronze.orders__rejected"),
    ];
    check_story(
        &typed("int32"),
        &steps,
        r#"
        bronze.orders built +1, 3 rejected
        bronze.orders built +1, 2 rejected
        bronze.orders:
        id: 1, size: 5
        id: 7
        bronze.orders__rejected:
        _check: malformed, _reason: 3 values for 2 columns, _text: 8,9,10
        _check: type(id), _reason: `id` is `x`, not an int64, _row: {"id":"x"}
    "#,
    );
}
