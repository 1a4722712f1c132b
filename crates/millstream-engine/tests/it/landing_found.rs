//! Landing parts that are unusual: broken ones, some without all columns, odd names, and types that samples show.

use millstream_engine::RunRequest;

use crate::{
    harness::{Act, Definition, Line, Step::*, World, block_on, check as check_story},
    landing::{check, project},
};

#[test]
fn a_broken_part_is_left_out_and_tried_again() {
    let others = [Put("orders/a", "id,note\n1,x"), Put("orders/c", "id,note\n3,z")];
    for rows in [0, 4] {
        let broken = [Put("orders/b", "id,note\n2,y\n4,y\n5,y\n6,y\n7,y"), Spoil("orders/b", rows), Run];
        let repaired = [Run, Put("orders/b", "id,note\n2,y"), Run];
        check(
            "",
            &[&others[..], &broken, &repaired].concat(),
            "
            ! bronze.orders built +2
            ! bronze.orders unchanged
            bronze.orders built +1
            bronze.orders:
            id: 1, note: x
            id: 2, note: y
            id: 3, note: z
            a up to 1
            b up to 1
            c up to 1
        ",
        );
    }
}

#[test]
fn rows_of_a_part_that_was_replaced_by_a_broken_one_stay() {
    let steps = [
        Put("orders/a", "id,note\n1,x"),
        Put("orders/b", "id,note\n2,y"),
        Run,
        Put("orders/a", "id,note\n4,x"),
        Put("orders/b", "id,note\n2,q"),
        Spoil("orders/b", 0),
        Run,
        RunAnew(&["bronze.orders"]),
        Notes,
    ];
    check("", &steps, "
        bronze.orders built +2
        ! bronze.orders built +1 -1
        ! bronze.orders failed: MS-0303 source `orders` cannot be read: `b` is broken: it has no header
        bronze.orders begins
        bronze.orders ends
        bronze.orders begins
        bronze.orders: left out, and tried again by the next run: MS-0303 source `orders` cannot be read: `b` is broken: it has no header
        bronze.orders ends
        bronze.orders begins
        bronze.orders ends
        bronze.orders:
        id: 2, note: y
        id: 4, note: x
        a up to 1
        b up to 1
    ");
}

#[test]
fn a_source_with_broken_parts_alone_fails() {
    let steps = [
        Put("orders/a", "id,note\n1,x\n2,x\n3,x\n4,x"),
        Put("orders/b", "id,note\n2,y"),
        Spoil("orders/a", 3),
        Spoil("orders/b", 0),
        Run,
    ];
    check(
        "",
        &steps,
        "
        ! bronze.orders failed: MS-0303 source `orders` cannot be read: `b` is broken: it has no header
        bronze.orders:
        (nothing)
        (nothing)
    ",
    );
}

#[test]
fn the_type_of_a_further_column_holds_what_all_parts_show() {
    let steps = [
        Put("orders/a", "id,n,code,empty\n1,1,7,"),
        Put("orders/b", "id,n,code,empty\n2,1.5,007,2026-01-01"),
        Put("orders/c", "id,n,code,empty\n3,12345678901234567891,8,"),
        Run,
        Schemas("orders"),
        Put("orders/d", "id,n,code,empty\n4,3.25,9,\n5,0012,9,"),
        Run,
        FullRows("bronze.orders__rejected"),
    ];
    check(
        "columns: {id: {type: int64}}\nevolution: add_columns",
        &steps,
        r#"
        bronze.orders built +3
        schema 1: first landing
        bronze.orders built, 2 rejected
        bronze.orders__rejected:
        _rejected_at: 2026-07-01T00:00:00Z, _epoch: 2, _check: type(n), _reason: `n` is `0012`, not a decimal(38,1): the column's type was told from a sample, and would not keep how this is written; declare the column, _source: d, _position: 2, _row: {"id":"5","n":"0012","code":"9","empty":null}
        _rejected_at: 2026-07-01T00:00:00Z, _epoch: 2, _check: type(n), _reason: `n` is `3.25`, not a decimal(38,1), _source: d, _position: 1, _row: {"id":"4","n":"3.25","code":"9","empty":null}
        bronze.orders:
        id: 1, n: 1.0, code: 7
        id: 2, n: 1.5, code: 007, empty: 2026-01-01
        id: 3, n: 12345678901234567891.0, code: 8
        a up to 1
        b up to 1
        c up to 1
        d up to 2
    "#,
    );
}

#[test]
fn a_key_that_json_lines_leave_out_is_null_also_in_a_frozen_source() {
    let steps = [
        Put("orders/a.jsonl", "id,note\n1,x"),
        Run,
        Put("orders/b.jsonl", "id\n2"),
        Run,
        Put("orders/c.csv", "id\n3"),
        Run,
    ];
    check(
        "",
        &steps,
        "
        bronze.orders built +1
        bronze.orders built +1
        ! bronze.orders halted: schema change refused: c.csv has no column `note`
        bronze.orders:
        id: 1, note: x
        id: 2
        a.jsonl up to 1
        b.jsonl up to 1
    ",
    );
}

#[test]
fn names_that_a_table_cannot_hold_are_refused() {
    let land = |header: &'static str| [Put("orders/a", header), Run];
    let contract = "columns: {id: {type: int64}}\nevolution: add_columns";
    for (header, message) in [
        ("id,order no\n1,2", "a has a column `order no`, a name that tables cannot hold"),
        ("id,x\u{0}y\n1,2", "a has a column `x\\0y`, a name that tables cannot hold"),
        (
            "id,ID\n1,2",
            "a has a column `ID`, which differs from the column `id` in upper and lower case only",
        ),
        (
            "id,n,N\n1,2,3",
            "a has a column `N`, which differs from the column `n` in upper and lower case only",
        ),
        ("id,_Source\n1,2", "a has a column `_Source`, a name that landing itself uses"),
    ] {
        let expected = format!("! bronze.orders halted: schema change refused: {message}");
        check_story(&project(contract), &land(header), &expected);
    }
    let expected = "! bronze.orders halted: schema change refused: a has a column `ID`, which differs from the column \
                    `id` in upper and lower case only; a has no column `id`";
    check_story(&project("columns: {id: {type: int64}}"), &land("ID\n1"), expected);
}

/// The same refusal of many parts is told once.
#[test]
fn refusals_are_told_together() {
    let land = |header: &'static str| {
        [Put("orders/a", header), Put("orders/b", header), Put("orders/c", header), Run]
    };
    for (header, told) in [
        (
            "x\n1",
            "a (and 2 other parts) has a further column `x` (int64); a (and 2 other parts) has no column `id`; \
             a (and 2 other parts) has no column `note`",
        ),
        (
            "v,w,x,y,z\n1,2,3,4,5",
            "a (and 2 other parts) has a further column `v` (int64); a (and 2 other parts) has a further column `w` \
             (int64); a (and 2 other parts) has a further column `x` (int64); a (and 2 other parts) has a further \
             column `y` (int64); and 3 more",
        ),
        ("43,x\n44,y", "a (and 2 other parts) has a row where its names should be: `43,x`"),
    ] {
        let expected = format!("! bronze.orders halted: schema change refused: {told}");
        check_story(&project(""), &land(header), &expected);
    }
}

#[test]
fn a_run_looks_at_a_source_once() {
    block_on(async {
        let world = World::new(Definition::of(&project("")));
        world.definition.script.put("orders", "a", "id,note\n1,x");
        for looks in [1, 1] {
            let line = Line::quiet();
            world.act_on(&Act::Run(RunRequest::default()), &line).await;
            let found =
                line.points().iter().filter(|point| point.what.starts_with("source: Discover")).count();
            assert_eq!(found, looks);
        }
    });
}

#[test]
fn a_column_that_no_sample_shows_is_taken_in_on_the_way() {
    let contract = "columns: {id: {type: int64, unique: true}, note: {type: string}}\nevolution: add_columns\n\
                    checks: [{length: {column: note, max: 3}}]";
    let steps = [
        Put("orders/a", "id,note\n1,x\n2,toolong\n3,y\n4,z\nno,x"),
        Put("orders/b", "id,note,+late\n5,x,1\n5,x,2\n6,toolong,3\n7,x,4\n1,x,5"),
        Put("orders/c", "id,+later,+late\n8,a,b"),
        Run,
        Notes,
        Schemas("orders"),
        FullRows("bronze.orders__rejected"),
    ];
    check(
        contract,
        &steps,
        r#"
        bronze.orders built +6, 5 rejected
        bronze.orders begins
        bronze.orders: schema: added column `late` (string), first seen in b; `SELECT *` and other SQL see it once the contract names it
        bronze.orders: schema: added column `later` (string), first seen in c; `SELECT *` and other SQL see it once the contract names it
        bronze.orders ends
        schema 1: first landing
        bronze.orders__rejected:
        _rejected_at: 2026-07-01T00:00:00Z, _epoch: 1, _check: length(note), _reason: `note` `toolong` has 7 characters, more than 3, _source: a, _position: 2, _row: {"id":"2","note":"toolong"}
        _rejected_at: 2026-07-01T00:00:00Z, _epoch: 1, _check: length(note), _reason: `note` `toolong` has 7 characters, more than 3, _source: b, _position: 3, _row: {"id":"6","note":"toolong","late":"3"}
        _rejected_at: 2026-07-01T00:00:00Z, _epoch: 1, _check: type(id), _reason: `id` is `no`, not an int64, _source: a, _position: 5, _row: {"id":"no","note":"x"}
        _rejected_at: 2026-07-01T00:00:00Z, _epoch: 1, _check: unique(id), _reason: `id` 1 is in an earlier row, _source: b, _position: 5, _row: {"id":"1","note":"x","late":"5"}
        _rejected_at: 2026-07-01T00:00:00Z, _epoch: 1, _check: unique(id), _reason: `id` 5 is in an earlier row, _source: b, _position: 2, _row: {"id":"5","note":"x","late":"2"}
        bronze.orders:
        id: 1, note: x
        id: 3, note: y
        id: 4, note: z
        id: 5, note: x, late: 1
        id: 7, note: x, late: 4
        id: 8, late: b, later: a
        a up to 5
        b up to 5
        c up to 1
    "#,
    );
    block_on(async {
        let world = World::new(Definition::of(&project(contract)));
        world.definition.script.put("orders", "a", "id,note\n1,x");
        world.definition.script.put("orders", "b", "id,note,+late\n5,x,1");
        let line = Line::quiet();
        world.act_on(&Act::Run(RunRequest::default()), &line).await;
        let reads = line.points().iter().filter(|point| point.what.starts_with("source: Read")).count();
        assert_eq!(reads, 2, "no part is read twice");
    });
}

#[test]
fn a_column_that_no_sample_shows_is_refused_by_a_frozen_contract() {
    let steps = [Put("orders/a", "id,note\n1,x"), Put("orders/b", "id,note,+late\n5,x,1"), Run];
    check(
        "",
        &steps,
        "
        ! bronze.orders halted: schema change refused: b has a further column `late` (string)
        bronze.orders:
        (nothing)
        (nothing)
    ",
    );
}
