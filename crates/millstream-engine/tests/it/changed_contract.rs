//! A contract that changes while files come, columns are added, or zones are corrected: what has landed is judged too.

use crate::{
    checks::source,
    harness::{Step, Step::*, check as check_story},
};

/// Two rows land, one with `v` 500; then the contract is another one, and perhaps a file comes in the same step.
#[track_caller]
fn check_judged(severity: &str, v: &str, more: &str, put: Option<Step>, expected: &str) {
    let contract = |v: &str, more: &str| {
        let columns = format!("{{id: {{type: int64}}, v: {{{v}}}{more}}}");
        source(&format!("  on_violation: {severity}\n  columns: {columns}"), "")
    };
    let land = [Put("people/a", "id,v\n1,500\n2,5"), Run, Pass(60), Define(contract(v, more))];
    let look = [Run, Rows("bronze.people"), Checks("bronze.people"), Run];
    let steps: Vec<Step> = land.into_iter().chain(put).chain(look).collect();
    check_story(&contract("type: int32", ""), &steps, expected);
}

#[test]
fn rows_that_landed_before_are_judged_beside_new_ones() {
    check_judged(
        "quarantine",
        "type: int32, range: [0, 10]",
        "",
        Some(Put("people/b", "id,v\n3,7")),
        "
        bronze.people built +2
        bronze.people built +1
        bronze.people:
        id: 1, v: 500
        id: 2, v: 5
        id: 3, v: 7
        built 0 s ago
        range(v) failed: 1
        type(id) passed: 0
        type(v) passed: 0
        (nothing)
    ",
    );
}

#[test]
fn rows_that_landed_before_halt_new_ones() {
    check_judged("halt", "type: int32, range: [0, 10]", "", Some(Put("people/b", "id,v\n3,7")), "
        bronze.people built +2
        ! bronze.people halted: check range(v) failed: 1 row that came before it; it stays until `millstream run bronze.people --full-refresh`
        bronze.people:
        id: 1, v: 500
        id: 2, v: 5
        built 60 s ago
        range(v) failed: 1
        type(id) passed: 0
        type(v) passed: 0
        ! bronze.people halted: check range(v) failed: 1 row that came before it; it stays until `millstream run bronze.people --full-refresh`
    ");
}

#[test]
fn rows_that_landed_before_are_judged_when_a_column_is_widened() {
    check_judged("halt", "type: int64, range: [0, 10]", "", None, "
        bronze.people built +2
        ! bronze.people halted: check range(v) failed: 1 row that came before it; it stays until `millstream run bronze.people --full-refresh`
        bronze.people:
        id: 1, v: 500
        id: 2, v: 5
        built 60 s ago
        range(v) failed: 1
        type(id) passed: 0
        type(v) passed: 0
        ! bronze.people halted: check range(v) failed: 1 row that came before it; it stays until `millstream run bronze.people --full-refresh`
    ");
}

#[test]
fn rows_that_landed_before_are_judged_when_a_column_is_declared() {
    check_judged("halt", "type: int32, range: [0, 10]", ", y: {type: string}", None, "
        bronze.people built +2
        ! bronze.people halted: check range(v) failed: 1 row that came before it; it stays until `millstream run bronze.people --full-refresh`
        bronze.people:
        id: 1, v: 500
        id: 2, v: 5
        built 60 s ago
        range(v) failed: 1
        type(id) passed: 0
        type(v) passed: 0
        type(y) passed: 0
        ! bronze.people halted: check range(v) failed: 1 row that came before it; it stays until `millstream run bronze.people --full-refresh`
    ");
}

#[test]
fn rows_that_landed_before_lack_a_required_column_that_is_new() {
    check_judged(
        "quarantine",
        "type: int32, range: [0, 10]",
        ", y: {type: string, required: true}",
        None,
        "
        bronze.people built +2
        bronze.people built
        bronze.people:
        id: 1, v: 500
        id: 2, v: 5
        built 0 s ago
        not_null(y) failed: 2
        range(v) failed: 1
        type(id) passed: 0
        type(v) passed: 0
        type(y) passed: 0
        (nothing)
    ",
    );
}

#[test]
fn rows_of_a_replaced_file_are_not_judged_again() {
    check_judged(
        "halt",
        "type: int32, range: [0, 10]",
        "",
        Some(Put("people/a", "id,v\n1,7")),
        "
        bronze.people built +2
        bronze.people built +1 -2
        bronze.people:
        id: 1, v: 7
        built 0 s ago
        range(v) passed: 0
        type(id) passed: 0
        type(v) passed: 0
        (nothing)
    ",
    );
}

/// With rows of both zones in one table, the same text would stand for two instants.
#[test]
fn another_zone_is_refused_until_everything_lands_anew() {
    let contract = |zone: &str| source(&format!("  columns: {{t: {{type: {zone}}}}}"), "");
    check_story(
        &contract("timestamp"),
        &[
            Put("people/a", "t\n2024-06-01 12:00:00"),
            Run,
            Define(contract("timestamp(UTC)")),
            Run,
            Define(contract("timestamp(Europe/Berlin)")),
            Run,
            Put("people/b", "t\n2024-06-01 12:00:00"),
            Run,
            RunAnew(&["bronze.people"]),
            Rows("bronze.people"),
            Run,
        ],
        "
        bronze.people built +1
        bronze.people unchanged
        ! bronze.people halted: schema change refused: column `t` is timestamp(Europe/Berlin) in the contract, and times without an offset landed as timestamp before
        ! bronze.people halted: schema change refused: column `t` is timestamp(Europe/Berlin) in the contract, and times without an offset landed as timestamp before
        bronze.people built +2 -1
        bronze.people:
        t: 2024-06-01T10:00:00Z
        t: 2024-06-01T10:00:00Z
        (nothing)
    ",
    );
}
