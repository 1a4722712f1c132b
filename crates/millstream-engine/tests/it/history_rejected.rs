//! Rejected states of a history: each is there once however often it is judged, until it is taken in.

use crate::harness::{Step, Step::*, check as check_story};

/// A source of states, and a history of the query's.
fn project(header: &str, sql: &str) -> String {
    format!(
        "=== sources/s.yaml\n\
         connector: {{type: scripted, place: s}}\n\
         contract: {{columns: {{id: {{type: int64}}, v: {{type: int64}}, u: {{type: timestamp}}}}}}\n\
         === tables/g/t.sql\n\
         /*---\nmaterialize: history\nkey: id\n{header}\n---*/\n{sql}\n"
    )
}

const PLAIN: &str = "SELECT id, v, u FROM bronze.s";
/// Numbers over all rows, so that every row is computed each time.
const WHOLE: &str = "SELECT id, v, row_number() OVER (ORDER BY id) AS nth FROM bronze.s";
const TO_TEN: &str = "checks: [{range: {column: v, max: 10}}]";

/// Two states are recorded or rejected, of which the first has `v` 500; then `steps` are played.
#[track_caller]
fn check(header: &str, sql: &str, steps: &[Step], expected: &str) {
    let begin = [Put("s/a", "id,v,u\n1,500,2024-01-01T00:00:00Z\n2,5,2024-01-01T00:00:00Z"), Run, Pass(60)];
    check_story(&project(header, sql), &[&begin[..], steps].concat(), expected);
}

#[test]
fn a_state_that_a_changed_definition_rejects_again_is_there_once() {
    let wider = "SELECT id, v, u, v * 2 AS w FROM bronze.s";
    let steps = |time: &str| {
        let define = |checks: &str, sql: &str| Define(project(&format!("{time}{checks}"), sql));
        [
            define("checks: [{range: {column: v, max: 10}}, {not_null: u}]", PLAIN),
            Run,
            Rejected("g.t"),
            define(TO_TEN, wider),
            Pass(60),
            Run,
            Rejected("g.t"),
            define(TO_TEN, PLAIN),
            Pass(60),
            Run,
            Rejected("g.t"),
            Run,
        ]
    };
    // A state without a time begins with the run that sees it.
    let seen = ["2026-07-01T00:01:00Z", "2026-07-01T00:02:00Z", "2026-07-01T00:03:00Z"];
    for (time, begins, built) in [
        ("", seen, ["built", "built +2 -1", "built +1 -2"]),
        ("time: u\n", ["2024-01-01T00:00:00Z"; 3], ["built", "built +1 -1", "built"]),
    ] {
        let told = (0..3).map(|at| {
            let (built, begin, more) = (built[at], begins[at], ["", ",\"w\":1000", ""][at]);
            format!(
                "g.t {built}, 1 rejected
                range(v): 1 rows, 0 of them halted
                `v` is 500, above the maximum 10: {{\"id\":1,\"v\":500,\"u\":\"2024-01-01T00:00:00Z\"{more},\"valid_from\":\"{begin}\",\"valid_to\":null}}
                "
            )
        });
        let told: String = told.collect();
        let expected = format!("bronze.s built +2\ng.t built +1, 1 rejected\n{}\n(nothing)", told.trim());
        check(&format!("{time}{TO_TEN}"), PLAIN, &steps(time), &expected);
    }
}

/// The values of rejected rows are kept as JSON, and those of states are compared with them.
#[test]
fn a_state_with_values_of_all_types_is_there_once() {
    let typed = "SELECT id, v, u, cast(v AS double) / 3 AS share, cast(v AS decimal(12, 2)) AS amount, v > 1 AS big, \
                 cast(u AS date) AS day, concat('\u{e4}\"', v) AS name, cast(concat('b', v) AS bytea) AS bytes, \
                 [v, 1] AS list, named_struct('a', v, 'b', [u]) AS pair, cast(NULL AS bigint) AS none FROM bronze.s";
    let steps = [
        Define(project("checks: [{range: {column: v, max: 10}}, {not_null: u}]", typed)),
        Run,
        Rejected("g.t"),
    ];
    check(
        TO_TEN,
        typed,
        &steps,
        r#"
        bronze.s built +2
        g.t built +1, 1 rejected
        g.t built, 1 rejected
        range(v): 1 rows, 0 of them halted
        `v` is 500, above the maximum 10: {"id":1,"v":500,"u":"2024-01-01T00:00:00Z","share":166.66666666666666,"amount":"500.00","big":true,"day":"2024-01-01","name":"ä\"500","bytes":"b500","list":[500,1],"pair":{"a":500,"b":["2024-01-01T00:00:00Z"]},"none":null,"valid_from":"2026-07-01T00:01:00Z","valid_to":null}
    "#,
    );
}

#[test]
fn a_state_that_is_computed_with_all_others_and_rejected_again_is_there_once() {
    let steps = [
        Append("s/a", "3,6,2024-01-01T00:00:00Z"),
        Run,
        Rejected("g.t"),
        Append("s/a", "4,7,2024-01-01T00:00:00Z\n5,501,2024-01-01T00:00:00Z"),
        Pass(60),
        Run,
        Rejected("g.t"),
        Rows("g.t"),
    ];
    check(
        TO_TEN,
        WHOLE,
        &steps,
        "
        bronze.s built +2
        g.t built +1, 1 rejected
        bronze.s built +1
        g.t built +1, 1 rejected
        range(v): 1 rows, 0 of them halted
        `v` is 500, above the maximum 10: {\"id\":1,\"v\":500,\"nth\":1,\"valid_from\":\"2026-07-01T00:01:00Z\",\"valid_to\":null}
        bronze.s built +2
        g.t built +1, 2 rejected
        range(v): 2 rows, 0 of them halted
        `v` is 500, above the maximum 10: {\"id\":1,\"v\":500,\"nth\":1,\"valid_from\":\"2026-07-01T00:02:00Z\",\"valid_to\":null}
        `v` is 501, above the maximum 10: {\"id\":5,\"v\":501,\"nth\":5,\"valid_from\":\"2026-07-01T00:02:00Z\",\"valid_to\":null}
        g.t:
        id: 2, v: 5, nth: 2, valid_from: 2026-07-01T00:00:00Z
        id: 3, v: 6, nth: 3, valid_from: 2026-07-01T00:01:00Z
        id: 4, v: 7, nth: 4, valid_from: 2026-07-01T00:02:00Z
    ",
    );
}

#[test]
fn a_rejected_state_that_passes_now_is_taken_in_and_leaves() {
    let steps = |time: &str| {
        let to_thousand = TO_TEN.replace("10", "1000");
        [Define(project(&format!("{time}{to_thousand}"), PLAIN)), Run, Rejected("g.t"), Rows("g.t"), Run]
    };
    for (time, [first, next]) in
        [("", ["2026-07-01T00:00:00Z", "2026-07-01T00:01:00Z"]), ("time: u\n", ["2024-01-01T00:00:00Z"; 2])]
    {
        let expected = format!(
            "bronze.s built +2
            g.t built +1, 1 rejected
            g.t built +1
            (nothing)
            g.t:
            id: 1, v: 500, u: 2024-01-01T00:00:00Z, valid_from: {next}
            id: 2, v: 5, u: 2024-01-01T00:00:00Z, valid_from: {first}
            (nothing)"
        );
        check(&format!("{time}{TO_TEN}"), PLAIN, &steps(time), &expected);
    }
}

/// As a recorded state does.
#[test]
fn a_rejected_state_stays_when_the_inputs_no_longer_have_it() {
    let steps = [
        Put("s/a", "id,v,u\n1,600,2024-02-01T00:00:00Z\n2,5,2024-01-01T00:00:00Z"),
        Run,
        Rejected("g.t"),
        Put("s/a", "id,v,u\n1,7,2024-03-01T00:00:00Z\n2,5,2024-01-01T00:00:00Z"),
        Pass(60),
        Run,
        Rejected("g.t"),
        Define(project(&TO_TEN.replace("10", "1000"), PLAIN)),
        Pass(60),
        Run,
        Rejected("g.t"),
        Rows("g.t"),
        RunAnew(&["g.t"]),
        Rejected("g.t"),
    ];
    let rejected = "
        range(v): 2 rows, 0 of them halted
        `v` is 500, above the maximum 10: {\"id\":1,\"v\":500,\"u\":\"2024-01-01T00:00:00Z\",\"valid_from\":\"2026-07-01T00:00:00Z\",\"valid_to\":null}
        `v` is 600, above the maximum 10: {\"id\":1,\"v\":600,\"u\":\"2024-02-01T00:00:00Z\",\"valid_from\":\"2026-07-01T00:01:00Z\",\"valid_to\":null}";
    let expected = format!(
        "bronze.s built +2
        g.t built +1, 1 rejected
        bronze.s built +2 -2
        g.t built, 1 rejected{rejected}
        bronze.s built +2 -2
        g.t built +1{rejected}
        g.t unchanged{rejected}
        g.t:
        id: 1, v: 7, u: 2024-03-01T00:00:00Z, valid_from: 2026-07-01T00:02:00Z
        id: 2, v: 5, u: 2024-01-01T00:00:00Z, valid_from: 2026-07-01T00:00:00Z
        g.t built +2 -2
        (nothing)"
    );
    check(TO_TEN, PLAIN, &steps, &expected);
}

/// A rejected state ends the one before it, and begins again with each run that computes it.
#[test]
fn a_rejected_state_after_a_recorded_one_is_there_once() {
    let steps = [
        Put("s/a", "id,v,u\n1,500,2024-01-01T00:00:00Z\n2,50,2024-01-01T00:00:00Z"),
        Run,
        Append("s/a", "3,6,2024-01-01T00:00:00Z"),
        Pass(60),
        Run,
        Rejected("g.t"),
        Rows("g.t"),
    ];
    check(
        TO_TEN,
        WHOLE,
        &steps,
        "
        bronze.s built +2
        g.t built +1, 1 rejected
        bronze.s built +2 -2
        g.t built +1 -1, 2 rejected
        bronze.s built +1
        g.t built +1, 2 rejected
        range(v): 2 rows, 0 of them halted
        `v` is 500, above the maximum 10: {\"id\":1,\"v\":500,\"nth\":1,\"valid_from\":\"2026-07-01T00:02:00Z\",\"valid_to\":null}
        `v` is 50, above the maximum 10: {\"id\":2,\"v\":50,\"nth\":2,\"valid_from\":\"2026-07-01T00:02:00Z\",\"valid_to\":null}
        g.t:
        id: 2, v: 5, nth: 2, valid_from: 2026-07-01T00:00:00Z, valid_to: 2026-07-01T00:01:00Z
        id: 3, v: 6, nth: 3, valid_from: 2026-07-01T00:02:00Z
    ",
    );
}

#[test]
fn a_state_that_a_halted_step_rejects_again_is_there_once() {
    let checks = "checks: [{range: {column: v, max: 10}}, {row_count: {max: 2}}]";
    let steps = [
        Append("s/a", "3,6,2024-01-01T00:00:00Z\n4,7,2024-01-01T00:00:00Z\n5,501,2024-01-01T00:00:00Z"),
        Run,
        Rejected("g.t"),
        Pass(60),
        Run,
        Rejected("g.t"),
    ];
    check(
        checks,
        WHOLE,
        &steps,
        "
        bronze.s built +2
        g.t built +1, 1 rejected
        ! bronze.s built +3
        ! g.t halted: check row_count failed: the table has 3 rows: the maximum is 2
        range(v): 2 rows, 1 of them halted
        `v` is 500, above the maximum 10: {\"id\":1,\"v\":500,\"nth\":1,\"valid_from\":\"2026-07-01T00:00:00Z\",\"valid_to\":null}
        `v` is 501, above the maximum 10: {\"id\":5,\"v\":501,\"nth\":5,\"valid_from\":\"2026-07-01T00:01:00Z\",\"valid_to\":null}
        ! g.t halted: check row_count failed: the table has 3 rows: the maximum is 2
        range(v): 2 rows, 1 of them halted
        `v` is 500, above the maximum 10: {\"id\":1,\"v\":500,\"nth\":1,\"valid_from\":\"2026-07-01T00:00:00Z\",\"valid_to\":null}
        `v` is 501, above the maximum 10: {\"id\":5,\"v\":501,\"nth\":5,\"valid_from\":\"2026-07-01T00:02:00Z\",\"valid_to\":null}
    ",
    );
}
