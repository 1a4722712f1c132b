//! Recovery: a process that dies between the lake's commit and the record, lost stores, a clock that goes back.

use millstream_state::Moment::{After, Before};

use crate::harness::{Call, Harm, Step, Step::*, check as check_story};

const PROJECT: &str = "
=== sources/orders.yaml
connector: {type: scripted, place: orders}
contract: {columns: {id: {type: int64, required: true}, size: {type: int64}}, on_violation: quarantine}
=== tables/silver/added.sql
/*---
materialize: incremental
---*/
SELECT id, size FROM bronze.orders
=== tables/gold/total.sql
SELECT count(*) AS rows, sum(size) AS size FROM silver.added
";

/// The contents after every recovery: each row once.
const END: &str = r#"(nothing)
bronze.orders:
id: 1, size: 10
id: 2, size: 20
id: 3, size: 30
bronze.orders__rejected:
_check: type(id), _reason: `id` is `no`, not an int64, _row: {"id":"no","size":"1"}
_check: type(id), _reason: `id` is `nor`, not an int64, _row: {"id":"nor","size":"1"}
silver.added:
id: 1, size: 10
id: 2, size: 20
id: 3, size: 30
gold.total:
rows: 3, size: 60
a up to 3
b up to 2"#;

/// Lands a part and builds; a second part comes, then `steps`, a run that does `done`, and one more that has nothing to do.
#[track_caller]
fn check(steps: &[Step], done: &str) {
    let begin = [
        Put("orders/a", "id,size\n1,10\n2,20\nno,1"),
        Run,
        Pass(60),
        Put("orders/b", "id,size\n3,30\nnor,1"),
    ];
    let end = [
        Run,
        Run,
        Rows("bronze.orders"),
        Rows("bronze.orders__rejected"),
        Rows("silver.added"),
        Rows("gold.total"),
        Positions("orders"),
    ];
    let built = "bronze.orders built +2, 1 rejected\nsilver.added built +2\ngold.total built +1";
    check_story(PROJECT, &[&begin[..], steps, &end[..]].concat(), &format!("{built}\n{done}\n{END}"));
}

#[test]
fn a_landing_that_was_committed_and_not_recorded_is_found() {
    check(
        &[Die(Before, "state: record the landing")],
        "silver.added built +1\n\
         gold.total built +1 -1",
    );
    check(
        &[Die(After, "lake: put lake/bronze/orders/_delta_log")],
        "silver.added built +1\n\
         gold.total built +1 -1",
    );
}

#[test]
fn a_landing_that_was_not_committed_is_done_again() {
    check(
        &[Die(Before, "lake: put lake/bronze/orders/_delta_log")],
        "bronze.orders built +1, 1 rejected\n\
         silver.added built +1\n\
         gold.total built +1 -1",
    );
}

#[test]
fn rejected_rows_of_a_landing_that_never_came_are_not_kept_twice() {
    check(
        &[Die(After, "lake: put lake/bronze/orders__rejected/_delta_log")],
        "bronze.orders built +1, 1 rejected\n\
         silver.added built +1\n\
         gold.total built +1 -1",
    );
}

#[test]
fn a_build_that_was_committed_and_not_recorded_is_found() {
    check(&[Die(After, "lake: put lake/silver/added/_delta_log")], "gold.total built +1 -1");
}

#[test]
fn a_clock_that_goes_back_does_not_hide_what_was_committed() {
    check(&[Pass(-3_600), Die(After, "lake: put lake/silver/added/_delta_log")], "gold.total built +1 -1");
    check(
        &[Pass(-3_600), Die(After, "lake: put lake/bronze/orders/_delta_log")],
        "silver.added built +1\n\
         gold.total built +1 -1",
    );
}

#[test]
fn a_state_store_that_is_lost_is_made_anew_from_the_lake() {
    check(
        &[LoseState],
        "bronze.orders built +1, 1 rejected\n\
         silver.added built +1\n\
         gold.total built +1 -1",
    );
}

#[test]
fn a_table_that_is_lost_is_made_anew() {
    check(
        &[Lose("lake/bronze/orders"), Lose("lake/bronze/orders__rejected")],
        "bronze.orders built +3, 2 rejected\n\
         silver.added built +3 -2\n\
         gold.total built +1 -1",
    );
    check(
        &[Lose("lake/silver/added")],
        "bronze.orders built +1, 1 rejected\n\
         silver.added built +3\n\
         gold.total built +1 -1",
    );
    check(
        &[Lose("lake/gold/total")],
        "bronze.orders built +1, 1 rejected\n\
         silver.added built +1\n\
         gold.total built +1",
    );
    check(
        &[Lose("lake")],
        "bronze.orders built +3, 2 rejected\n\
         silver.added built +3\n\
         gold.total built +1",
    );
}

/// That happens when a folder of the lake is put back from a copy.
#[test]
fn a_table_that_is_put_back_to_an_earlier_version_is_brought_forward_again() {
    check(
        &[Run, Lose("lake/silver/added/_delta_log/00000000000000000001.json")],
        "bronze.orders built +1, 1 rejected\n\
         silver.added built +1\n\
         gold.total built +1 -1\n\
         silver.added built +1\n\
         gold.total built +1 -1",
    );
}

#[test]
fn stores_that_are_both_lost_are_made_anew() {
    check(
        &[LoseState, Lose("lake")],
        "bronze.orders built +3, 2 rejected\n\
         silver.added built +3\n\
         gold.total built +1",
    );
}

#[test]
fn rejected_rows_of_a_table_that_is_lost_are_not_kept_twice() {
    check(
        &[Lose("lake/bronze/orders")],
        "bronze.orders built +3, 2 rejected\n\
         silver.added built +3 -2\n\
         gold.total built +1 -1",
    );
}

/// After a table was put back, the next version has the number of one that others have read, and other rows.
#[test]
fn what_read_a_version_that_came_again_reads_it_again() {
    let steps = [
        Put("orders/a", "id,size\n1,10\n2,20"),
        Run,
        Put("orders/b", "id,size\n3,30"),
        Run,
        Lose("lake/silver/added/_delta_log/00000000000000000001.json"),
        Put("orders/c", "id,size\n4,40"),
        Run,
        Rows("silver.added"),
        Rows("gold.total"),
        Run,
    ];
    check_story(
        PROJECT,
        &steps,
        "
        bronze.orders built +2
        silver.added built +2
        gold.total built +1
        bronze.orders built +1
        silver.added built +1
        gold.total built +1 -1
        bronze.orders built +1
        silver.added built +2
        gold.total built +1 -1
        silver.added:
        id: 1, size: 10
        id: 2, size: 20
        id: 3, size: 30
        id: 4, size: 40
        gold.total:
        rows: 4, size: 100
        (nothing)
    ",
    );
}

#[test]
fn a_run_whose_process_died_is_recorded_as_interrupted() {
    let steps = [
        Put("orders/a", "id,size\n1,10"),
        Run,
        Pass(60),
        Put("orders/b", "id,size\n2,20"),
        Die(Before, "state: record the landing"),
        Pass(60),
        Run,
        Pass(60),
        Put("orders/b", "id,size\nno,20"),
        Fail("orders", Call::Read, Harm::Lasting, 1),
        Run,
        Runs,
    ];
    check_story(
        PROJECT,
        &steps,
        "
        bronze.orders built +1
        silver.added built +1
        gold.total built +1
        silver.added built +1
        gold.total built +1 -1
        ! bronze.orders failed: MS-0302 source `orders` cannot be read: the script says so
        ! silver.added skipped for bronze.orders
        ! gold.total skipped for bronze.orders
        failed
        succeeded
        interrupted
        succeeded
    ",
    );
}

/// One source with this at the end of its contract.
fn landed_under(contract: &str) -> String {
    let columns = "  columns: {id: {type: int64}, note: {type: string}}\n";
    format!(
        "=== sources/orders.yaml\nconnector: {{type: scripted, place: orders}}\ncontract:\n{columns}{contract}"
    )
}

/// A version that a process landed before it died counts as the version before.
#[test]
fn a_volume_that_is_far_from_the_one_before_halts_after_a_death_too() {
    let project = landed_under("  checks:\n    - row_count: {change: 50%}\n");
    let more = Append("orders/a", "3,x\n4,x\n5,x\n6,x\n7,x\n8,x\n9,x\n10,x\n11,x\n12,x");
    for (landed, said) in [
        (Run, "bronze.orders built +2"),
        (Die(Before, "state: record the landing"), ""),
        (Die(Before, "state: record the step"), ""),
    ] {
        let steps =
            [Put("orders/a", "id,note\n1,x\n2,y"), landed, Run, more.clone(), Run, Positions("orders")];
        let expected = format!(
            "{said}
            (nothing)
            ! bronze.orders halted: check row_count failed: the table has 12 rows: 500% more than the 2 of the version before, allowed are 50%
            a up to 2"
        );
        check_story(&project, &steps, &expected);
    }
}

#[test]
fn a_change_of_schema_is_recorded_after_a_death_too() {
    let project = landed_under("  evolution: add_columns\n");
    for (landed, said) in [
        (Run, "bronze.orders built +1\n"),
        (Die(After, "lake: put lake/bronze/orders/_delta_log"), ""),
        (Die(Before, "state: record the schema"), ""),
    ] {
        let steps = [
            Put("orders/a", "id,note\n1,x"),
            Run,
            Put("orders/b", "id,note,more\n2,y,7"),
            landed,
            Run,
            Schemas("orders"),
            Positions("orders"),
        ];
        let expected = format!(
            "bronze.orders built +1
            {said}(nothing)
            schema 1: first landing
            schema 2: added column `more` (int64), first seen in b
            a up to 1
            b up to 1"
        );
        check_story(&project, &steps, &expected);
    }
}

#[test]
fn every_change_of_a_schema_is_recorded() {
    let steps = [
        Put("orders/a", "id,note\n1,x"),
        Run,
        Put("orders/b", "id,note,more\n2,y,7"),
        Put("orders/c", "id,note,most\n3,z,8"),
        Run,
        Schemas("orders"),
        LoseState,
        Run,
        Schemas("orders"),
    ];
    let schemas = "schema 1: first landing
        schema 2: added column `more` (int64), first seen in b
        schema 3: added column `most` (int64), first seen in c";
    let expected = format!(
        "bronze.orders built +1
        bronze.orders built +2
        {schemas}
        (nothing)
        {schemas}"
    );
    check_story(&landed_under("  evolution: add_columns\n"), &steps, &expected);
}

/// One part with a rejected row and one with none; then the first part is replaced by a run that dies at `moment` of the
/// commit at `point`, and is as it was before when the next run looks.
#[track_caller]
fn check_replaced_and_put_back(moment: millstream_state::Moment, point: &'static str) {
    let steps = [
        Put("orders/a", "id,size\n1,10\nno,1"),
        Put("orders/b", "id,size\n2,20"),
        Run,
        Put("orders/a", "id,size\n1,11\nno,2\nnor,2"),
        Die(moment, point),
        Put("orders/a", "id,size\n1,10\nno,1"),
        Run,
        Run,
        Rows("bronze.orders"),
        Rows("bronze.orders__rejected"),
    ];
    let rows = r#"bronze.orders:
id: 1, size: 10
id: 2, size: 20
bronze.orders__rejected:
_check: type(id), _reason: `id` is `no`, not an int64, _row: {"id":"no","size":"1"}"#;
    let begin = "bronze.orders built +2, 1 rejected\nsilver.added built +2\ngold.total built +1\n";
    let done = "bronze.orders unchanged\nsilver.added unchanged\ngold.total unchanged";
    check_story(PROJECT, &steps, &format!("{begin}{done}\n(nothing)\n{rows}"));
}

#[test]
fn rejected_rows_of_a_part_whose_replacement_never_came_are_kept() {
    check_replaced_and_put_back(After, "lake: put lake/bronze/orders__rejected/_delta_log");
    check_replaced_and_put_back(Before, "lake: put lake/bronze/orders/_delta_log");
}

#[test]
fn rejected_rows_of_a_part_that_was_replaced_before_a_death_leave() {
    let steps = [
        Put("orders/a", "id,size\n1,10\nno,1"),
        Run,
        Put("orders/a", "id,size\n1,11\nno,2"),
        Die(After, "lake: put lake/bronze/orders/_delta_log"),
        Run,
        Run,
        Rows("bronze.orders__rejected"),
    ];
    check_story(
        PROJECT,
        &steps,
        r#"bronze.orders built +1, 1 rejected
silver.added built +1
gold.total built +1
bronze.orders unchanged
silver.added built +1 -1
gold.total built +1 -1
(nothing)
bronze.orders__rejected:
_check: type(id), _reason: `id` is `no`, not an int64, _row: {"id":"no","size":"2"}"#,
    );
}

#[test]
fn rejected_rows_of_a_table_whose_next_version_never_came_are_kept() {
    let with = |check: &str| {
        format!(
            "
=== sources/orders.yaml
connector: {{type: scripted, place: orders}}
contract: {{columns: {{id: {{type: int64, required: true}}, size: {{type: int64}}}}}}
=== tables/silver/all.sql
/*---
materialize: table
on_violation: quarantine
checks: [{{expression: {check}, severity: quarantine}}]
---*/
SELECT id, size FROM bronze.orders
"
        )
    };
    let (first, second) = (with("size < 20"), with("size > 10"));
    let point = "lake: put lake/silver/all__rejected/_delta_log";
    let steps = [
        Put("orders/a", "id,size\n1,10\n2,20"),
        Run,
        Define(second),
        Die(After, point),
        Define(first.clone()),
        Run,
        Rows("silver.all"),
        Rows("silver.all__rejected"),
    ];
    // The rows of the version that never came stay with those of a halted build until the table is built again.
    check_story(
        &first,
        &steps,
        r#"bronze.orders built +2
silver.all built +1, 1 rejected
(nothing)
silver.all:
id: 1, size: 10
silver.all__rejected:
_check: expression(size < 20), _reason: `size < 20` is false, _row: {"id":2,"size":20}
_check: expression(size > 10), _reason: `size > 10` is false, _row: {"id":1,"size":10}"#,
    );
}

#[test]
fn obsolete_rejected_rows_are_not_taken_in_by_a_reprocessing() {
    let steps = [
        Put("orders/a", "id,size\n1,10\n2,no"),
        Run,
        Put("orders/a", "id,size\n1,11\n2,nor"),
        Die(After, "lake: put lake/bronze/orders/_delta_log"),
        Reprocess("bronze.orders"),
        Rows("bronze.orders__rejected"),
    ];
    check_story(
        PROJECT,
        &steps,
        r#"bronze.orders built +1, 1 rejected
silver.added built +1
gold.total built +1
bronze.orders unchanged, 1 rejected
bronze.orders__rejected:
_check: type(size), _reason: `size` is `nor`, not an int64, _row: {"id":"2","size":"nor"}"#,
    );
}

#[test]
fn a_table_that_was_deleted_beside_its_rejected_rows_is_built_again_and_again() {
    let project = |size: u32| {
        format!(
            "
=== sources/orders.yaml
connector: {{type: scripted, place: orders}}
contract: {{columns: {{id: {{type: int64, required: true}}, size: {{type: int64}}}}}}
=== tables/silver/all.sql
/*---
materialize: table
checks: [{{expression: size < {size}, severity: quarantine}}]
---*/
SELECT id, size FROM bronze.orders
"
        )
    };
    let define = |size| Define(project(size));
    let steps = [
        Put("orders/a", "id,size\n1,10\n2,20"),
        Run,
        define(19),
        Run,
        define(18),
        Run,
        Lose("lake/silver/all/"),
        Run,
        define(17),
        Run,
        define(16),
        Run,
        Rows("silver.all"),
        Rows("silver.all__rejected"),
    ];
    check_story(
        &project(20),
        &steps,
        r#"bronze.orders built +2
silver.all built +1, 1 rejected
silver.all built +1 -1, 1 rejected
silver.all built +1 -1, 1 rejected
silver.all built +1, 1 rejected
silver.all built +1 -1, 1 rejected
silver.all built +1 -1, 1 rejected
silver.all:
id: 1, size: 10
silver.all__rejected:
_check: expression(size < 16), _reason: `size < 16` is false, _row: {"id":2,"size":20}"#,
    );
}

#[test]
fn rejected_rows_of_keys_whose_next_version_never_came_are_kept() {
    let project = |check: &str| {
        format!(
            "
=== sources/orders.yaml
connector: {{type: scripted, place: orders}}
contract: {{columns: {{id: {{type: int64, required: true}}, size: {{type: int64}}}}}}
=== tables/silver/all.sql
/*---
materialize: incremental
key: id
checks: [{{expression: {check}, severity: quarantine}}]
---*/
SELECT id, size FROM bronze.orders
"
        )
    };
    let steps = [
        Put("orders/a", "id,size\n1,10\n2,20"),
        Run,
        Define(project("size > 10")),
        Die(Before, "lake: put lake/silver/all/_delta_log"),
        Define(project("size < 20")),
        Run,
        Rows("silver.all"),
        Rows("silver.all__rejected"),
        Define(project("size > 10")),
        Die(After, "lake: put lake/silver/all/_delta_log"),
        Run,
        Run,
        Rows("silver.all"),
        Rows("silver.all__rejected"),
    ];
    check_story(
        &project("size < 20"),
        &steps,
        r#"bronze.orders built +2
silver.all built +1, 1 rejected
(nothing)
silver.all:
id: 1, size: 10
silver.all__rejected:
_check: expression(size < 20), _reason: `size < 20` is false, _row: {"id":2,"size":20}
_check: expression(size > 10), _reason: `size > 10` is false, _row: {"id":1,"size":10}
silver.all built +1 -1, 1 rejected
(nothing)
silver.all:
id: 2, size: 20
silver.all__rejected:
_check: expression(size > 10), _reason: `size > 10` is false, _row: {"id":1,"size":10}"#,
    );
}
