//! Landing: what a source offers becomes rows of its table, each once.

use millstream_types::SourceName;

use crate::harness::{Call, Definition, Harm, Step, Step::*, World, block_on, check as check_story};

/// One source, `orders`, with these lines in its contract.
pub(crate) fn project(contract: &str) -> String {
    let mut text =
        "=== sources/orders.yaml\nconnector: {type: scripted, place: orders}\ncontract:\n".to_owned();
    let contract = if contract.is_empty() {
        "columns: {id: {type: int64, required: true}, note: {type: string}}"
    } else {
        contract
    };
    for line in contract.trim().lines() {
        text.push_str("  ");
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Plays the steps, then tells the rows and positions.
#[track_caller]
pub(crate) fn check(contract: &str, steps: &[Step], expected: &str) {
    let end = [Rows("bronze.orders"), Positions("orders")];
    check_story(&project(contract), &[steps, &end].concat(), expected);
}

const KEYED: &str = "columns: {id: {type: int64, required: true, unique: true}, note: {type: string}}";

#[test]
fn a_new_part_is_landed_once() {
    check(
        "",
        &[Put("orders/a", "id,note\n1,x\n2,y\n3,\n4,z"), Run, Run],
        "
        bronze.orders built +4
        (nothing)
        bronze.orders:
        id: 1, note: x
        id: 2, note: y
        id: 3
        id: 4, note: z
        a up to 4
    ",
    );
}

#[test]
fn parts_are_landed_together() {
    check(
        "",
        &[Put("orders/a", "id,note\n1,x"), Put("orders/b", "id,note\n2,y"), Run, Run],
        "
        bronze.orders built +2
        (nothing)
        bronze.orders:
        id: 1, note: x
        id: 2, note: y
        a up to 1
        b up to 1
    ",
    );
}

#[test]
fn of_a_grown_part_the_new_rows_are_landed() {
    check(
        "",
        &[Put("orders/a", "id,note\n1,x"), Run, Append("orders/a", "2,y\n3,z"), Run],
        "
        bronze.orders built +1
        bronze.orders built +2
        bronze.orders:
        id: 1, note: x
        id: 2, note: y
        id: 3, note: z
        a up to 3
    ",
    );
}

#[test]
fn rows_of_a_replaced_part_leave() {
    let steps = [
        Put("orders/a", "id,note\n1,x\n2,y"),
        Put("orders/b", "id,note\n3,z"),
        Run,
        Put("orders/a", "id,note\n1,other"),
        Run,
    ];
    check(
        "",
        &steps,
        "
        bronze.orders built +3
        bronze.orders built +1 -2
        bronze.orders:
        id: 1, note: other
        id: 3, note: z
        a up to 1
        b up to 1
    ",
    );
}

#[test]
fn a_full_refresh_lands_every_part_anew() {
    let steps = [
        Put("orders/a", "id,note\n1,x"),
        Run,
        Append("orders/a", "2,y"),
        Run,
        RunAnew(&["bronze.orders"]),
        Run,
    ];
    check(
        "",
        &steps,
        "
        bronze.orders built +1
        bronze.orders built +1
        bronze.orders built +2 -2
        (nothing)
        bronze.orders:
        id: 1, note: x
        id: 2, note: y
        a up to 2
    ",
    );
}

#[test]
fn a_touched_part_is_not_read_again() {
    check(
        "",
        &[Put("orders/a", "id,note\n1,x"), Run, Touch("orders/a"), Run, Run],
        "
        bronze.orders built +1
        (nothing)
        (nothing)
        bronze.orders:
        id: 1, note: x
        a up to 1
    ",
    );
}

/// Without that, each look at the source would read the whole part to see that nothing changed.
#[test]
fn a_touched_part_is_remembered_as_it_is_now() {
    block_on(async {
        let world = World::new(Definition::of(&project("")));
        world.definition.script.put("orders", "a", "id,note\n1,x");
        world.run().await;
        world.definition.script.touch("orders", "a");
        world.run().await;
        let landing = world.state().await.landing(&SourceName::new("orders").unwrap()).await.unwrap();
        assert!(landing.parts[0].version.contains("\"touched\":1"), "{landing:?}");
    });
}

#[test]
fn a_row_says_when_and_from_where_it_came() {
    let steps = [
        Put("orders/a", "id,note\n1,x\nno,y"),
        Put("orders/b", "id,note\n2,q"),
        Run,
        Pass(60),
        Append("orders/a", "3,z\nnor,w"),
        Run,
        FullRows("bronze.orders"),
        FullRows("bronze.orders__rejected"),
    ];
    check(
        "",
        &steps,
        r#"
        bronze.orders built +2, 1 rejected
        bronze.orders built +1, 1 rejected
        bronze.orders:
        id: 1, note: x, _ingested_at: 2026-07-01T00:00:00Z, _sequence: 0, _source: a, _position: 1
        id: 2, note: q, _ingested_at: 2026-07-01T00:00:00Z, _sequence: 1, _source: b, _position: 1
        id: 3, note: z, _ingested_at: 2026-07-01T00:01:00Z, _sequence: 2, _source: a, _position: 3
        bronze.orders__rejected:
        _rejected_at: 2026-07-01T00:00:00Z, _epoch: 1, _check: type(id), _reason: `id` is `no`, not an int64, _source: a, _position: 2, _row: {"id":"no","note":"y"}
        _rejected_at: 2026-07-01T00:01:00Z, _epoch: 2, _check: type(id), _reason: `id` is `nor`, not an int64, _source: a, _position: 4, _row: {"id":"nor","note":"w"}
        bronze.orders:
        id: 1, note: x
        id: 2, note: q
        id: 3, note: z
        a up to 4
        b up to 1
    "#,
    );
}

#[test]
fn a_part_that_changes_while_it_is_read_is_read_again() {
    let steps =
        [Put("orders/a", "id,note\n1,x"), Meanwhile("orders/a", Call::Finish, "2,y"), Run, Notes, Run];
    check(
        "",
        &steps,
        "
        bronze.orders built +2
        bronze.orders begins
        bronze.orders fails at attempt 1
        bronze.orders ends
        (nothing)
        bronze.orders:
        id: 1, note: x
        id: 2, note: y
        a up to 2
    ",
    );
}

#[test]
fn a_part_that_waits_is_told_and_left() {
    let steps = [Put("orders/a", "id,note\n1,x"), Hold("orders/b", "is still being written"), Run, Notes];
    check(
        "",
        &steps,
        "
        bronze.orders built +1
        bronze.orders begins
        bronze.orders: b waits: is still being written
        bronze.orders ends
        bronze.orders:
        id: 1, note: x
        a up to 1
    ",
    );
}

#[test]
fn rows_that_break_the_contract_are_kept_apart() {
    let steps = [
        Put("orders/a", "id,note\n1,x\nno,y\n1,again\n2,ok\nbroken\n,none"),
        Run,
        Rows("bronze.orders__rejected"),
        Append("orders/a", "2,twice\n3,ok"),
        Run,
        Rows("bronze.orders__rejected"),
    ];
    check(
        KEYED,
        &steps,
        r#"
        bronze.orders built +2, 4 rejected
        bronze.orders__rejected:
        _check: malformed, _reason: 1 values for 2 columns, _text: broken
        _check: not_null(id), _reason: `id` is missing, _row: {"id":null,"note":"none"}
        _check: type(id), _reason: `id` is `no`, not an int64, _row: {"id":"no","note":"y"}
        _check: unique(id), _reason: `id` 1 is in an earlier row, _row: {"id":"1","note":"again"}
        bronze.orders built +1, 1 rejected
        bronze.orders__rejected:
        _check: malformed, _reason: 1 values for 2 columns, _text: broken
        _check: not_null(id), _reason: `id` is missing, _row: {"id":null,"note":"none"}
        _check: type(id), _reason: `id` is `no`, not an int64, _row: {"id":"no","note":"y"}
        _check: unique(id), _reason: `id` 1 is in an earlier row, _row: {"id":"1","note":"again"}
        _check: unique(id), _reason: `id` 2 is in an earlier row, _row: {"id":"2","note":"twice"}
        bronze.orders:
        id: 1, note: x
        id: 2, note: ok
        id: 3, note: ok
        a up to 8
    "#,
    );
}

#[test]
fn rejected_rows_of_a_replaced_part_leave_too() {
    let steps = [
        Put("orders/a", "id,note\n1,x\nno,y"),
        Put("orders/b", "id,note\n2,x\nnor,y"),
        Run,
        Put("orders/a", "id,note\n3,x"),
        Run,
        Rows("bronze.orders__rejected"),
    ];
    check(
        "",
        &steps,
        r#"
        bronze.orders built +2, 2 rejected
        bronze.orders built +1 -1
        bronze.orders__rejected:
        _check: type(id), _reason: `id` is `nor`, not an int64, _row: {"id":"nor","note":"y"}
        bronze.orders:
        id: 2, note: x
        id: 3, note: x
        a up to 1
        b up to 2
    "#,
    );
}

#[test]
fn the_breaker_keeps_the_last_good_version() {
    let contract = format!("{KEYED}\nhalt_above: 30%");
    let steps = [
        Put("orders/a", "id,note\n1,x\n2,y"),
        Run,
        Put("orders/b", "id,note\n3,x\nno,y"),
        Run,
        Rows("bronze.orders"),
        Rows("bronze.orders__rejected"),
        Put("orders/b", "id,note\n3,x\n4,y"),
        Run,
        Rows("bronze.orders__rejected"),
    ];
    check(
        &contract,
        &steps,
        r#"
        bronze.orders built +2
        ! bronze.orders halted: 1 of 2 rows were rejected, more than 30% allows (type(id) 1)
        bronze.orders:
        id: 1, note: x
        id: 2, note: y
        bronze.orders__rejected:
        _check: type(id), _reason: `id` is `no`, not an int64, _row: {"id":"no","note":"y"}
        bronze.orders built +2
        bronze.orders__rejected:
        (nothing)
        bronze.orders:
        id: 1, note: x
        id: 2, note: y
        id: 3, note: x
        id: 4, note: y
        a up to 2
        b up to 2
    "#,
    );
}

#[test]
fn a_landing_that_stays_halted_keeps_its_rejected_rows_once() {
    let contract = format!("{KEYED}\nhalt_above: 30%");
    let steps = [
        Put("orders/a", "id,note\n1,x\n2,y"),
        Run,
        Put("orders/b", "id,note\n3,x\nno,y"),
        Run,
        Run,
        Rows("bronze.orders__rejected"),
    ];
    check(
        &contract,
        &steps,
        r#"
        bronze.orders built +2
        ! bronze.orders halted: 1 of 2 rows were rejected, more than 30% allows (type(id) 1)
        ! bronze.orders halted: 1 of 2 rows were rejected, more than 30% allows (type(id) 1)
        bronze.orders__rejected:
        _check: type(id), _reason: `id` is `no`, not an int64, _row: {"id":"no","note":"y"}
        bronze.orders:
        id: 1, note: x
        id: 2, note: y
        a up to 2
    "#,
    );
}

#[test]
fn a_bad_row_is_landed_kept_apart_or_stops_all() {
    let contract = |rule: &str| {
        format!(
            "columns: {{id: {{type: int64, range: [0, 5]}}, note: {{type: string}}}}\non_violation: {rule}"
        )
    };
    let steps = [Put("orders/a", "id,note\n1,x\n9,y"), Run];
    check(
        &contract("warn"),
        &steps,
        "
        bronze.orders built +2
        bronze.orders:
        id: 1, note: x
        id: 9, note: y
        a up to 2
    ",
    );
    check(
        &contract("quarantine"),
        &steps,
        "
        bronze.orders built +1, 1 rejected
        bronze.orders:
        id: 1, note: x
        a up to 2
    ",
    );
    check(
        &contract("halt"),
        &steps,
        "
        ! bronze.orders halted: check range(id) failed for 1 row
        bronze.orders:
        (nothing)
        (nothing)
    ",
    );
}

#[test]
fn a_table_check_that_halts_keeps_the_last_good_version() {
    let contract = "columns: {id: {type: int64}, note: {type: string}}\nchecks:\n  - row_count: {max: 2}";
    let steps = [Put("orders/a", "id,note\n1,x"), Run, Append("orders/a", "2,y\n3,z"), Run];
    check(
        contract,
        &steps,
        "
        bronze.orders built +1
        ! bronze.orders halted: check row_count failed: the table has 3 rows: the maximum is 2
        bronze.orders:
        id: 1, note: x
        a up to 1
    ",
    );
}

#[test]
fn a_part_that_was_read_by_the_wrong_rules_is_no_new_column() {
    let steps = [Put("orders/a", "id;note\n1;x"), Run, Put("orders/a", "PAR1zz\n"), Run];
    let contract = "columns: {id: {type: int64}, note: {type: string}}\nevolution: add_columns";
    check(
        contract,
        &steps,
        "
        ! bronze.orders halted: schema change refused: a has a single column, `id;note`
        ! bronze.orders halted: schema change refused: a is Parquet, and was read as text
        bronze.orders:
        (nothing)
        (nothing)
    ",
    );
}

#[test]
fn a_further_column_is_refused_or_taken_in() {
    let steps = [Put("orders/a", "id,note\n1,x"), Run, Put("orders/b", "id,note,more\n2,y,7"), Run];
    check(
        "",
        &steps,
        "
        bronze.orders built +1
        ! bronze.orders halted: schema change refused: b has a further column `more` (int64)
        bronze.orders:
        id: 1, note: x
        a up to 1
    ",
    );
    let contract = "columns: {id: {type: int64}, note: {type: string}}\nevolution: add_columns";
    check(
        contract,
        &[&steps[..], &[Notes]].concat(),
        "
        bronze.orders built +1
        bronze.orders built +1
        bronze.orders begins
        bronze.orders ends
        bronze.orders begins
        bronze.orders: schema: added column `more` (int64), first seen in b; `SELECT *` and other SQL see it once the contract names it
        bronze.orders ends
        bronze.orders:
        id: 1, note: x
        id: 2, note: y, more: 7
        a up to 1
        b up to 1
    ",
    );
}

#[test]
fn a_column_that_widens_rewrites_what_is_there() {
    let contract = "columns: {id: {type: int64}}\nevolution: widen";
    let steps = [
        Put("orders/a", "id,size:int32\n1,7"),
        Run,
        Put("orders/b", "id,size:int64\n2,8000000000\n3,large"),
        Run,
        Notes,
    ];
    check(
        contract,
        &steps,
        "
        bronze.orders built +1
        bronze.orders built +1, 1 rejected
        bronze.orders begins
        bronze.orders: schema: added column `size` (int32), first seen in a; `SELECT *` and other SQL see it once the contract names it
        bronze.orders ends
        bronze.orders begins
        bronze.orders: schema: widened `size` from int32 to int64, first seen in b
        bronze.orders ends
        bronze.orders:
        id: 1, size: 7
        id: 2, size: 8000000000
        a up to 1
        b up to 2
    ",
    );
    let wider = project("columns: {id: {type: int64}, size: {type: int64}}\nevolution: widen");
    let steps = [Put("orders/a", "id,size:int32\n1,7"), Run, Define(wider), Run, Notes];
    check(
        contract,
        &steps,
        "
        bronze.orders built +1
        bronze.orders built
        bronze.orders begins
        bronze.orders: schema: added column `size` (int32), first seen in a; `SELECT *` and other SQL see it once the contract names it
        bronze.orders ends
        bronze.orders begins
        bronze.orders: schema: widened `size` from int32 to int64, by the contract
        bronze.orders ends
        bronze.orders:
        id: 1, size: 7
        a up to 1
    ",
    );
}

#[test]
fn a_fault_that_passes_is_tried_again_and_one_that_stays_is_not() {
    for (call, harm, times, fails) in [
        (Call::Describe, Harm::Passing, 1, 1),
        (Call::Read, Harm::Passing, 2, 2),
        (Call::Block, Harm::Passing, 3, 3),
        (Call::Finish, Harm::Passing, 1, 1),
        (Call::Describe, Harm::Lasting, 1, 0),
        (Call::Read, Harm::Passing, 4, 3),
        (Call::Block, Harm::Lasting, 1, 0),
    ] {
        let attempts: String =
            (1..=fails).map(|attempt| format!("bronze.orders fails at attempt {attempt}\n")).collect();
        let notes = format!("bronze.orders begins\n{attempts}bronze.orders ends");
        let (first, second) = match harm {
            Harm::Passing if times == fails => ("bronze.orders built +1", "(nothing)"),
            Harm::Passing => (
                "! bronze.orders failed: MS-0301 source `orders` cannot be read: cannot reach `orders`: the script says so",
                "bronze.orders built +1",
            ),
            _ => (
                "! bronze.orders failed: MS-0302 source `orders` cannot be read: the script says so",
                "bronze.orders built +1",
            ),
        };
        let steps = [Put("orders/a", "id,note\n1,x"), Fail("orders", call, harm, times), Run, Notes, Run];
        let expected = format!("{first}\n{notes}\n{second}\nbronze.orders:\nid: 1, note: x\na up to 1");
        check("", &steps, &expected);
    }
}
