//! Histories: keys that close and come back, and definitions that change while recorded states stay.

use std::time::Duration;

use millstream_engine::EngineError;
use tokio_util::sync::CancellationToken;

use crate::harness::{Definition, Line, Step::*, World, block_on, check as check_story};

fn project(header: &str, sql: &str) -> String {
    format!(
        "=== sources/s.yaml\n\
         connector: {{type: scripted, place: s}}\n\
         contract: {{columns: {{id: {{type: int64}}, v: {{type: int64}}, u: {{type: timestamp}}}}}}\n\
         === tables/g/t.sql\n\
         /*---\nmaterialize: history\nkey: id\n{header}\n---*/\n{sql}\n"
    )
}

#[test]
fn a_key_that_comes_back_is_open_with_its_newest_state() {
    let story = [
        Put("s/a", "id,v,u\n1,1,2024-01-01T00:00:00Z"),
        Run,
        Put("s/a", "id,v,u"),
        Pass(60),
        Run,
        Put("s/a", "id,v,u\n1,1,2024-01-01T00:00:00Z"),
        Pass(60),
        Run,
        Put("s/a", "id,v,u\n1,9,2024-03-01T00:00:00Z"),
        Pass(60),
        Run,
        Rows("g.t"),
        Pass(60),
        Run,
    ];
    check_story(
        &project("time: u", "SELECT id, v, u FROM bronze.s"),
        &story,
        "
        bronze.s built +1
        g.t built +1
        bronze.s built -1
        g.t built +1 -1
        bronze.s built +1
        g.t built +1
        bronze.s built +1 -1
        g.t built +4 -2
        g.t:
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2024-01-01T00:00:00Z, valid_to: 2024-03-01T00:00:00Z
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2026-07-01T00:02:00Z, valid_to: 2026-07-01T00:03:00Z
        id: 1, v: 9, u: 2024-03-01T00:00:00Z, valid_from: 2024-03-01T00:00:00Z, valid_to: 2026-07-01T00:01:00Z
        id: 1, v: 9, u: 2024-03-01T00:00:00Z, valid_from: 2026-07-01T00:03:00Z
        (nothing)
    ",
    );
}

/// Changes the definition after two states were recorded, then lands a third.
#[track_caller]
fn check(time: &str, sql: &str, expected: &str) {
    let story = [
        Put("s/a", "id,v,u\n1,1,2024-01-01T00:00:00Z"),
        Run,
        Put("s/a", "id,v,u\n1,2,2024-02-01T00:00:00Z"),
        Pass(60),
        Run,
        Define(project(time, sql)),
        Pass(60),
        Run,
        Rows("g.t"),
        Put("s/a", "id,v,u\n1,3,2024-03-01T00:00:00Z"),
        Pass(60),
        Run,
        Rows("g.t"),
        Run,
    ];
    check_story(&project(time, "SELECT id, v, u FROM bronze.s"), &story, expected);
}

#[test]
fn a_history_takes_a_new_column() {
    check("time: u", "SELECT id, v, u, v * 2 AS w FROM bronze.s", "
        bronze.s built +1
        g.t built +1
        bronze.s built +1 -1
        g.t built +2 -1
        g.t built +1 -1
        g.t:
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2024-01-01T00:00:00Z, valid_to: 2024-02-01T00:00:00Z
        id: 1, v: 2, u: 2024-02-01T00:00:00Z, w: 4, valid_from: 2024-02-01T00:00:00Z
        bronze.s built +1 -1
        g.t built +2 -1
        g.t:
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2024-01-01T00:00:00Z, valid_to: 2024-02-01T00:00:00Z
        id: 1, v: 2, u: 2024-02-01T00:00:00Z, w: 4, valid_from: 2024-02-01T00:00:00Z, valid_to: 2024-03-01T00:00:00Z
        id: 1, v: 3, u: 2024-03-01T00:00:00Z, w: 6, valid_from: 2024-03-01T00:00:00Z
        (nothing)
    ");
    check(
        "time: u",
        "SELECT id, v, u, CAST(NULL AS bigint) AS w FROM bronze.s",
        "
        bronze.s built +1
        g.t built +1
        bronze.s built +1 -1
        g.t built +2 -1
        g.t built
        g.t:
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2024-01-01T00:00:00Z, valid_to: 2024-02-01T00:00:00Z
        id: 1, v: 2, u: 2024-02-01T00:00:00Z, valid_from: 2024-02-01T00:00:00Z
        bronze.s built +1 -1
        g.t built +2 -1
        g.t:
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2024-01-01T00:00:00Z, valid_to: 2024-02-01T00:00:00Z
        id: 1, v: 2, u: 2024-02-01T00:00:00Z, valid_from: 2024-02-01T00:00:00Z, valid_to: 2024-03-01T00:00:00Z
        id: 1, v: 3, u: 2024-03-01T00:00:00Z, valid_from: 2024-03-01T00:00:00Z
        (nothing)
    ",
    );
    check("", "SELECT id, v, u, v * 2 AS w FROM bronze.s", "
        bronze.s built +1
        g.t built +1
        bronze.s built +1 -1
        g.t built +2 -1
        g.t built +2 -1
        g.t:
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2026-07-01T00:00:00Z, valid_to: 2026-07-01T00:01:00Z
        id: 1, v: 2, u: 2024-02-01T00:00:00Z, valid_from: 2026-07-01T00:01:00Z, valid_to: 2026-07-01T00:02:00Z
        id: 1, v: 2, u: 2024-02-01T00:00:00Z, w: 4, valid_from: 2026-07-01T00:02:00Z
        bronze.s built +1 -1
        g.t built +2 -1
        g.t:
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2026-07-01T00:00:00Z, valid_to: 2026-07-01T00:01:00Z
        id: 1, v: 2, u: 2024-02-01T00:00:00Z, valid_from: 2026-07-01T00:01:00Z, valid_to: 2026-07-01T00:02:00Z
        id: 1, v: 2, u: 2024-02-01T00:00:00Z, w: 4, valid_from: 2026-07-01T00:02:00Z, valid_to: 2026-07-01T00:03:00Z
        id: 1, v: 3, u: 2024-03-01T00:00:00Z, w: 6, valid_from: 2026-07-01T00:03:00Z
        (nothing)
    ");
}

#[test]
fn a_history_takes_a_new_type() {
    check(
        "time: u",
        "SELECT id, cast(v AS string) AS v, u FROM bronze.s",
        "
        bronze.s built +1
        g.t built +1
        bronze.s built +1 -1
        g.t built +2 -1
        g.t built
        g.t:
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2024-01-01T00:00:00Z, valid_to: 2024-02-01T00:00:00Z
        id: 1, v: 2, u: 2024-02-01T00:00:00Z, valid_from: 2024-02-01T00:00:00Z
        bronze.s built +1 -1
        g.t built +2 -1
        g.t:
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2024-01-01T00:00:00Z, valid_to: 2024-02-01T00:00:00Z
        id: 1, v: 2, u: 2024-02-01T00:00:00Z, valid_from: 2024-02-01T00:00:00Z, valid_to: 2024-03-01T00:00:00Z
        id: 1, v: 3, u: 2024-03-01T00:00:00Z, valid_from: 2024-03-01T00:00:00Z
        (nothing)
    ",
    );
    check(
        "",
        "SELECT id, cast(v AS string) AS v, u FROM bronze.s",
        "
        bronze.s built +1
        g.t built +1
        bronze.s built +1 -1
        g.t built +2 -1
        g.t built
        g.t:
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2026-07-01T00:00:00Z, valid_to: 2026-07-01T00:01:00Z
        id: 1, v: 2, u: 2024-02-01T00:00:00Z, valid_from: 2026-07-01T00:01:00Z
        bronze.s built +1 -1
        g.t built +2 -1
        g.t:
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2026-07-01T00:00:00Z, valid_to: 2026-07-01T00:01:00Z
        id: 1, v: 2, u: 2024-02-01T00:00:00Z, valid_from: 2026-07-01T00:01:00Z, valid_to: 2026-07-01T00:03:00Z
        id: 1, v: 3, u: 2024-03-01T00:00:00Z, valid_from: 2026-07-01T00:03:00Z
        (nothing)
    ",
    );
    check("time: u", "SELECT id, v > 1 AS v, u FROM bronze.s", "
        bronze.s built +1
        g.t built +1
        bronze.s built +1 -1
        g.t built +2 -1
        ! g.t failed: MS-0270 `g.t` cannot be kept up to date: the recorded value `2` of `v` cannot become bool without a change
        g.t:
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2024-01-01T00:00:00Z, valid_to: 2024-02-01T00:00:00Z
        id: 1, v: 2, u: 2024-02-01T00:00:00Z, valid_from: 2024-02-01T00:00:00Z
        ! bronze.s built +1 -1
        ! g.t failed: MS-0270 `g.t` cannot be kept up to date: the recorded value `2` of `v` cannot become bool without a change
        g.t:
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2024-01-01T00:00:00Z, valid_to: 2024-02-01T00:00:00Z
        id: 1, v: 2, u: 2024-02-01T00:00:00Z, valid_from: 2024-02-01T00:00:00Z
        ! g.t failed: MS-0270 `g.t` cannot be kept up to date: the recorded value `2` of `v` cannot become bool without a change
    ");
}

#[test]
fn a_history_loses_a_column() {
    check(
        "time: u",
        "SELECT id, u FROM bronze.s",
        "
        bronze.s built +1
        g.t built +1
        bronze.s built +1 -1
        g.t built +2 -1
        g.t built +1 -2
        g.t:
        id: 1, u: 2024-01-01T00:00:00Z, valid_from: 2024-01-01T00:00:00Z
        bronze.s built +1 -1
        g.t unchanged
        g.t:
        id: 1, u: 2024-01-01T00:00:00Z, valid_from: 2024-01-01T00:00:00Z
        (nothing)
    ",
    );
    check(
        "",
        "SELECT id, v FROM bronze.s",
        "
        bronze.s built +1
        g.t built +1
        bronze.s built +1 -1
        g.t built +2 -1
        g.t built
        g.t:
        id: 1, v: 1, valid_from: 2026-07-01T00:00:00Z, valid_to: 2026-07-01T00:01:00Z
        id: 1, v: 2, valid_from: 2026-07-01T00:01:00Z
        bronze.s built +1 -1
        g.t built +2 -1
        g.t:
        id: 1, v: 1, valid_from: 2026-07-01T00:00:00Z, valid_to: 2026-07-01T00:01:00Z
        id: 1, v: 2, valid_from: 2026-07-01T00:01:00Z, valid_to: 2026-07-01T00:03:00Z
        id: 1, v: 3, valid_from: 2026-07-01T00:03:00Z
        (nothing)
    ",
    );
}

#[test]
fn a_history_changes_its_key() {
    check(
        "time: u",
        "SELECT v AS id, v, u FROM bronze.s",
        "
        bronze.s built +1
        g.t built +1
        bronze.s built +1 -1
        g.t built +2 -1
        g.t built +2 -1
        g.t:
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2024-01-01T00:00:00Z, valid_to: 2024-02-01T00:00:00Z
        id: 1, v: 2, u: 2024-02-01T00:00:00Z, valid_from: 2024-02-01T00:00:00Z, valid_to: 2026-07-01T00:02:00Z
        id: 2, v: 2, u: 2024-02-01T00:00:00Z, valid_from: 2024-02-01T00:00:00Z
        bronze.s built +1 -1
        g.t built +2 -1
        g.t:
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2024-01-01T00:00:00Z, valid_to: 2024-02-01T00:00:00Z
        id: 1, v: 2, u: 2024-02-01T00:00:00Z, valid_from: 2024-02-01T00:00:00Z, valid_to: 2026-07-01T00:02:00Z
        id: 2, v: 2, u: 2024-02-01T00:00:00Z, valid_from: 2024-02-01T00:00:00Z, valid_to: 2026-07-01T00:03:00Z
        id: 3, v: 3, u: 2024-03-01T00:00:00Z, valid_from: 2024-03-01T00:00:00Z
        (nothing)
    ",
    );
}

/// The past states of a history cannot be computed again.
#[test]
fn a_history_forgets_only_when_it_is_named() {
    let story = [
        Put("s/a", "id,v,u\n1,1,2024-01-01T00:00:00Z"),
        Run,
        Put("s/a", "id,v,u\n1,2,2024-02-01T00:00:00Z"),
        Pass(60),
        Run,
        RunAnew(&[]),
        RunAnew(&["g.*"]),
        Rows("g.t"),
        RunAnew(&["g.t"]),
        Rows("g.t"),
    ];
    check_story(
        &project("time: u", "SELECT id, v, u FROM bronze.s"),
        &story,
        "
        bronze.s built +1
        g.t built +1
        bronze.s built +1 -1
        g.t built +2 -1
        g.t unchanged
        g.t unchanged
        g.t:
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2024-01-01T00:00:00Z, valid_to: 2024-02-01T00:00:00Z
        id: 1, v: 2, u: 2024-02-01T00:00:00Z, valid_from: 2024-02-01T00:00:00Z
        g.t built +1 -2
        g.t:
        id: 1, v: 2, u: 2024-02-01T00:00:00Z, valid_from: 2024-02-01T00:00:00Z
    ",
    );
}

#[test]
fn a_table_that_becomes_a_history_begins_anew() {
    let text = project("time: u", "SELECT id, v, u FROM bronze.s");
    let plain = text.replace("materialize: history\nkey: id\ntime: u\n", "materialize: table\n");
    let story = [
        Put("s/a", "id,v,u\n1,5,2024-01-01T00:00:00Z"),
        Run,
        Define(text),
        Run,
        Put("s/a", "id,v,u\n1,50,2024-02-01T00:00:00Z"),
        Pass(60),
        Run,
        Rows("g.t"),
        Define(plain.clone()),
        Run,
        Rows("g.t"),
    ];
    check_story(
        &plain,
        &story,
        "
        bronze.s built +1
        g.t built +1
        g.t built +1 -1
        bronze.s built +1 -1
        g.t built +2 -1
        g.t:
        id: 1, v: 5, u: 2024-01-01T00:00:00Z, valid_from: 2024-01-01T00:00:00Z, valid_to: 2024-02-01T00:00:00Z
        id: 1, v: 50, u: 2024-02-01T00:00:00Z, valid_from: 2024-02-01T00:00:00Z
        g.t built +1 -2
        g.t:
        id: 1, v: 50, u: 2024-02-01T00:00:00Z
    ",
    );
}

/// Rows without a key or without a time cannot be states.
#[test]
fn a_history_keeps_out_null_keys_where_a_check_does() {
    let checks = "checks:\n  - not_null: id\n  - not_null: u";
    let story = [
        Put("s/a", "id,v,u\n1,1,2024-01-01T00:00:00Z\n,2,2024-01-01T00:00:00Z\n3,3,"),
        Run,
        Append("s/a", "1,4,2024-02-01T00:00:00Z\n,5,2024-01-01T00:00:00Z"),
        Pass(60),
        Run,
        Rows("g.t"),
        Rejected("g.t"),
        Put("s/a", "id,v,u\n1,1,2024-01-01T00:00:00Z"),
        Run,
        Rejected("g.t"),
        Run,
    ];
    // Rows with a key and a time become states, the others are rejected, each once.
    let timed = "
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2024-01-01T00:00:00Z, valid_to: 2024-02-01T00:00:00Z
        id: 1, v: 4, u: 2024-02-01T00:00:00Z, valid_from: 2024-02-01T00:00:00Z";
    let rejected = "
        not_null(id): 2 rows, 0 of them halted
        `id` is missing: {\"id\":null,\"v\":2,\"u\":\"2024-01-01T00:00:00Z\",\"valid_from\":null,\"valid_to\":null}
        `id` is missing: {\"id\":null,\"v\":5,\"u\":\"2024-01-01T00:00:00Z\",\"valid_from\":null,\"valid_to\":null}
        not_null(u): 1 rows, 0 of them halted
        `u` is missing: {\"id\":3,\"v\":3,\"u\":null,\"valid_from\":null,\"valid_to\":null}";
    let expected = format!(
        "bronze.s built +3
        g.t built +1, 2 rejected
        bronze.s built +2
        g.t built +2 -1, 2 rejected
        g.t:{timed}{rejected}
        bronze.s built +1 -5
        g.t built +2 -1{rejected}
        (nothing)"
    );
    check_story(&project(&format!("time: u\n{checks}"), "SELECT id, v, u FROM bronze.s"), &story, &expected);
}

/// Several rows with the same state count as one state; two different states of one key need a time that tells them apart.
#[test]
fn identical_rows_are_one_state_and_contradicting_ones_are_refused() {
    let twice = Put("s/a", "id,v,u\n1,1,2024-01-01T00:00:00Z\n1,1,2024-01-01T00:00:00Z");
    let story = [
        twice,
        Run,
        Append("s/a", "1,1,2024-01-01T00:00:00Z"),
        Run,
        Rows("g.t"),
        Append("s/a", "1,2,2024-01-01T00:00:00Z"),
        Run,
    ];
    for (time, from, refused) in [
        (
            "time: u",
            "2024-01-01T00:00:00Z",
            "MS-0266 `g.t` cannot be kept up to date: `id` = 1 has two different states that begin at `u` = 2024-01-01T00:00:00Z",
        ),
        (
            "",
            "2026-07-01T00:00:00Z",
            "MS-0264 `g.t` cannot be kept up to date: the key is not unique: 4 rows have `id` = 1",
        ),
    ] {
        let expected = format!(
            "bronze.s built +2
            g.t built +1
            bronze.s built +1
            g.t unchanged
            g.t:
            id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: {from}
            ! bronze.s built +1
            ! g.t failed: {refused}"
        );
        check_story(&project(time, "SELECT id, v, u FROM bronze.s"), &story, &expected);
    }
}

/// The states of a history stay whatever its input says now, and are judged like other stored rows.
#[test]
fn recorded_states_are_judged_by_changed_checks() {
    let checked =
        |check: &str| project(&format!("time: u\nchecks: [{check}]"), "SELECT id, v, u FROM bronze.s");
    let story = [
        Put("s/a", "id,v,u\n1,500,2024-01-01T00:00:00Z"),
        Run,
        Put("s/a", "id,v,u\n1,5,2024-02-01T00:00:00Z"),
        Pass(60),
        Run,
        Define(checked("{range: {column: v, max: 10}}")),
        Put("s/a", "id,v,u\n1,6,2024-03-01T00:00:00Z"),
        Pass(60),
        Run,
        Checks("g.t"),
        Run,
    ];
    check_story(
        &checked("{not_null: v}"),
        &story,
        "
        bronze.s built +1
        g.t built +1
        bronze.s built +1 -1
        g.t built +2 -1
        bronze.s built +1 -1
        g.t built +2 -1
        built 0 s ago
        range(v) failed: 1
        (nothing)
    ",
    );
}

/// The newest state begins, or begins again, at the time of the run.
#[test]
fn a_recorded_state_stays_when_another_takes_its_instant() {
    let story = [
        Put("s/a", "id,v,u\n1,1,2024-01-01T00:00:00Z"),
        Run,
        Put("s/a", "id,v,u\n1,7,2024-01-01T00:00:00Z"),
        Pass(60),
        Run,
        Rows("g.t"),
        Put("s/a", "id,v,u\n1,8,2024-01-01T00:00:00Z\n1,9,2024-02-01T00:00:00Z"),
        Pass(60),
        Run,
        Rows("g.t"),
        Pass(60),
        Run,
    ];
    check_story(
        &project("time: u", "SELECT id, v, u FROM bronze.s"),
        &story,
        "
        bronze.s built +1
        g.t built +1
        bronze.s built +1 -1
        g.t built +2 -1
        g.t:
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2024-01-01T00:00:00Z, valid_to: 2026-07-01T00:01:00Z
        id: 1, v: 7, u: 2024-01-01T00:00:00Z, valid_from: 2026-07-01T00:01:00Z
        bronze.s built +2 -1
        g.t built +4 -2
        g.t:
        id: 1, v: 1, u: 2024-01-01T00:00:00Z, valid_from: 2024-01-01T00:00:00Z, valid_to: 2024-02-01T00:00:00Z
        id: 1, v: 7, u: 2024-01-01T00:00:00Z, valid_from: 2026-07-01T00:01:00Z, valid_to: 2026-07-01T00:02:00Z
        id: 1, v: 9, u: 2024-02-01T00:00:00Z, valid_from: 2024-02-01T00:00:00Z, valid_to: 2026-07-01T00:01:00Z
        id: 1, v: 9, u: 2024-02-01T00:00:00Z, valid_from: 2026-07-01T00:02:00Z
        (nothing)
    ",
    );
}

/// A state that begins in the future ends right after its beginning when its key goes.
#[test]
fn states_of_the_future_stay_when_their_key_goes() {
    let story = [
        Put("s/a", "id,v,u\n1,1,2099-01-01T00:00:00Z"),
        Run,
        Put("s/a", "id,v,u"),
        Pass(60),
        Run,
        Put("s/a", "id,v,u\n1,1,2099-01-01T00:00:00Z\n1,2,2099-02-01T00:00:00Z"),
        Pass(60),
        Run,
        Put("s/a", "id,v,u"),
        Pass(60),
        Run,
        Rows("g.t"),
    ];
    check_story(
        &project("time: u", "SELECT id, v, u FROM bronze.s"),
        &story,
        "
        bronze.s built +1
        g.t built +1
        bronze.s built -1
        g.t built +1 -1
        bronze.s built +2
        g.t built +1
        bronze.s built -2
        g.t built +1 -1
        g.t:
        id: 1, v: 1, u: 2099-01-01T00:00:00Z, valid_from: 2099-01-01T00:00:00Z, valid_to: 2099-01-01T00:00:00.000001Z
        id: 1, v: 2, u: 2099-02-01T00:00:00Z, valid_from: 2099-02-01T00:00:00Z, valid_to: 2099-02-01T00:00:00.000001Z
    ",
    );
}

#[test]
fn a_history_is_not_reprocessed_because_it_would_forget_its_states() {
    block_on(async {
        let text = project("", "SELECT id, v, u FROM bronze.s");
        let world = World::new(Definition::of(&text));
        drop(world.online(&Line::quiet()).await);
        let engine = world.engine(&Line::quiet()).await;
        let (table, events) = ("g.t".parse().unwrap(), engine.begin("test"));
        let refused =
            engine.reprocess(&table, "test", Duration::ZERO, events, CancellationToken::new()).await;
        let Err(error @ EngineError::Refused { .. }) = refused else { panic!("{refused:?}") };
        assert!(error.to_string().contains("would forget the states"), "{error}");
        assert!(error.hint().unwrap().contains("run g.t --full-refresh"));
    });
}
