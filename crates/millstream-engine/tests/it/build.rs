//! Building: a table follows its inputs, from their changes where it can and as a whole where it must.

use crate::harness::{Step, Step::*, check as check_story};

/// Two sources and one table, `silver.t`, with this header and query.
fn project(header: &str, sql: &str) -> String {
    format!(
        "=== sources/orders.yaml\n\
         connector: {{type: scripted, place: orders}}\n\
         contract: {{columns: {{id: {{type: int64, required: true}}, day: {{type: timestamp}}, size: {{type: int64}}}}}}\n\
         === sources/names.yaml\n\
         connector: {{type: scripted, place: names}}\n\
         contract: {{columns: {{id: {{type: int64, required: true}}, name: {{type: string}}}}}}\n\
         === tables/silver/t.sql\n\
         /*---\n{header}\n---*/\n{sql}\n"
    )
}

/// Lands two parts, builds, changes them, builds again; after each run the rows of the table are told.
#[track_caller]
fn check(header: &str, sql: &str, changes: &[Step], expected: &str) {
    let begin = [
        Put("orders/a", "id,day,size\n1,2026-06-01T10:00:00Z,5\n2,2026-06-02T10:00:00Z,6"),
        Put("names/a", "id,name\n1,one\n2,two"),
        Run,
        Rows("silver.t"),
    ];
    let end = [Run, Rows("silver.t"), Run];
    check_story(&project(header, sql), &[&begin[..], changes, &end[..]].concat(), expected);
}

/// Lets a part grow by one row.
const GROWN: Step = Append("orders/a", "3,2026-06-02T11:00:00Z,7");
/// Replaces a part: row 1 is another one, row 2 is gone.
const REPLACED: Step = Put("orders/a", "id,day,size\n1,2026-06-01T10:00:00Z,50");

#[test]
fn a_table_is_built_as_a_whole() {
    check(
        "materialize: table",
        "SELECT id, size FROM bronze.orders",
        &[GROWN],
        "
        bronze.names built +2
        bronze.orders built +2
        silver.t built +2
        silver.t:
        id: 1, size: 5
        id: 2, size: 6
        bronze.orders built +1
        silver.t built +3 -2
        silver.t:
        id: 1, size: 5
        id: 2, size: 6
        id: 3, size: 7
        (nothing)
    ",
    );
    check(
        "materialize: table",
        "SELECT sum(size) AS size FROM bronze.orders",
        &[REPLACED],
        "
        bronze.names built +2
        bronze.orders built +2
        silver.t built +1
        silver.t:
        size: 11
        bronze.orders built +1 -2
        silver.t built +1 -1
        silver.t:
        size: 50
        (nothing)
    ",
    );
}

#[test]
fn appended_rows_are_added() {
    check(
        "materialize: incremental",
        "SELECT id, size * 2 AS twice FROM bronze.orders",
        &[GROWN],
        "
        bronze.names built +2
        bronze.orders built +2
        silver.t built +2
        silver.t:
        id: 1, twice: 10
        id: 2, twice: 12
        bronze.orders built +1
        silver.t built +1
        silver.t:
        id: 1, twice: 10
        id: 2, twice: 12
        id: 3, twice: 14
        (nothing)
    ",
    );
}

#[test]
fn rows_that_leave_an_input_leave_an_appended_table() {
    check(
        "materialize: incremental",
        "SELECT id, size FROM bronze.orders",
        &[REPLACED],
        "
        bronze.names built +2
        bronze.orders built +2
        silver.t built +2
        silver.t:
        id: 1, size: 5
        id: 2, size: 6
        bronze.orders built +1 -2
        silver.t built +1 -2
        silver.t:
        id: 1, size: 50
        (nothing)
    ",
    );
}

#[test]
fn rows_of_a_key_are_merged() {
    let sql = "SELECT o.id, n.name, o.size FROM bronze.orders AS o JOIN bronze.names AS n ON n.id = o.id";
    let header = "materialize: incremental\nkey: id";
    check(
        header,
        sql,
        &[GROWN, Append("names/a", "3,three")],
        "
        bronze.names built +2
        bronze.orders built +2
        silver.t built +2
        silver.t:
        id: 1, name: one, size: 5
        id: 2, name: two, size: 6
        bronze.names built +1
        bronze.orders built +1
        silver.t built +1
        silver.t:
        id: 1, name: one, size: 5
        id: 2, name: two, size: 6
        id: 3, name: three, size: 7
        (nothing)
    ",
    );
    check(
        header,
        sql,
        &[REPLACED],
        "
        bronze.names built +2
        bronze.orders built +2
        silver.t built +2
        silver.t:
        id: 1, name: one, size: 5
        id: 2, name: two, size: 6
        bronze.orders built +1 -2
        silver.t built +1 -2
        silver.t:
        id: 1, name: one, size: 50
        (nothing)
    ",
    );
    check(
        header,
        sql,
        &[Put("names/a", "id,name\n2,zwei")],
        "
        bronze.names built +2
        bronze.orders built +2
        silver.t built +2
        silver.t:
        id: 1, name: one, size: 5
        id: 2, name: two, size: 6
        bronze.names built +1 -2
        silver.t built +1 -2
        silver.t:
        id: 2, name: zwei, size: 6
        (nothing)
    ",
    );
}

#[test]
fn a_partition_is_computed_anew() {
    let header = "materialize: incremental\ntime: on_day\npartition: day";
    let sql = "SELECT date_trunc('day', day) AS on_day, sum(size) AS size FROM bronze.orders \
               GROUP BY date_trunc('day', day)";
    check(
        header,
        sql,
        &[GROWN],
        "
        bronze.names built +2
        bronze.orders built +2
        silver.t built +2
        silver.t:
        on_day: 2026-06-01T00:00:00Z, size: 5
        on_day: 2026-06-02T00:00:00Z, size: 6
        bronze.orders built +1
        silver.t built +1 -1
        silver.t:
        on_day: 2026-06-01T00:00:00Z, size: 5
        on_day: 2026-06-02T00:00:00Z, size: 13
        (nothing)
    ",
    );
    check(
        header,
        sql,
        &[REPLACED],
        "
        bronze.names built +2
        bronze.orders built +2
        silver.t built +2
        silver.t:
        on_day: 2026-06-01T00:00:00Z, size: 5
        on_day: 2026-06-02T00:00:00Z, size: 6
        bronze.orders built +1 -2
        silver.t built +1 -2
        silver.t:
        on_day: 2026-06-01T00:00:00Z, size: 50
        (nothing)
    ",
    );
}

#[test]
fn a_history_keeps_what_was() {
    let header = "materialize: history\nkey: id\ntime: day";
    let sql = "SELECT id, size, day FROM bronze.orders";
    check(header, sql, &[Append("orders/a", "1,2026-06-05T10:00:00Z,9")], "
        bronze.names built +2
        bronze.orders built +2
        silver.t built +2
        silver.t:
        id: 1, size: 5, day: 2026-06-01T10:00:00Z, valid_from: 2026-06-01T10:00:00Z
        id: 2, size: 6, day: 2026-06-02T10:00:00Z, valid_from: 2026-06-02T10:00:00Z
        bronze.orders built +1
        silver.t built +2 -1
        silver.t:
        id: 1, size: 5, day: 2026-06-01T10:00:00Z, valid_from: 2026-06-01T10:00:00Z, valid_to: 2026-06-05T10:00:00Z
        id: 1, size: 9, day: 2026-06-05T10:00:00Z, valid_from: 2026-06-05T10:00:00Z
        id: 2, size: 6, day: 2026-06-02T10:00:00Z, valid_from: 2026-06-02T10:00:00Z
        (nothing)
    ");
    check(header, sql, &[REPLACED], "
        bronze.names built +2
        bronze.orders built +2
        silver.t built +2
        silver.t:
        id: 1, size: 5, day: 2026-06-01T10:00:00Z, valid_from: 2026-06-01T10:00:00Z
        id: 2, size: 6, day: 2026-06-02T10:00:00Z, valid_from: 2026-06-02T10:00:00Z
        bronze.orders built +1 -2
        silver.t built +3 -2
        silver.t:
        id: 1, size: 5, day: 2026-06-01T10:00:00Z, valid_from: 2026-06-01T10:00:00Z, valid_to: 2026-07-01T00:00:00Z
        id: 1, size: 50, day: 2026-06-01T10:00:00Z, valid_from: 2026-07-01T00:00:00Z
        id: 2, size: 6, day: 2026-06-02T10:00:00Z, valid_from: 2026-06-02T10:00:00Z, valid_to: 2026-07-01T00:00:00Z
        (nothing)
    ");
}

#[test]
fn a_view_has_no_rows_of_its_own() {
    check(
        "materialize: view",
        "SELECT id FROM bronze.orders",
        &[GROWN],
        "
        bronze.names built +2
        bronze.orders built +2
        silver.t:
        (nothing)
        bronze.orders built +1
        silver.t:
        (nothing)
        (nothing)
    ",
    );
}

#[test]
fn rows_that_break_a_check_are_kept_apart_until_their_key_is_computed_anew() {
    let header = "materialize: incremental\nkey: id\nchecks:\n  - range: {column: size, max: 5}";
    let sql = "SELECT id, size FROM bronze.orders";
    let changes = [Rows("silver.t__rejected"), Put("orders/a", "id,day,size\n2,2026-06-02T10:00:00Z,3")];
    check(
        header,
        sql,
        &[&changes[..], &[Run, Rows("silver.t__rejected")]].concat(),
        r#"
        bronze.names built +2
        bronze.orders built +2
        silver.t built +1, 1 rejected
        silver.t:
        id: 1, size: 5
        silver.t__rejected:
        _check: range(size), _reason: `size` is 6, above the maximum 5, _row: {"id":2,"size":6}
        bronze.orders built +1 -2
        silver.t built +1 -1
        silver.t__rejected:
        (nothing)
        (nothing)
        silver.t:
        id: 2, size: 3
        (nothing)
    "#,
    );
}

#[test]
fn a_check_that_halts_keeps_the_last_version_and_is_tried_again() {
    let header = "materialize: table\nchecks:\n  - row_count: {max: 2}";
    check(
        header,
        "SELECT id FROM bronze.orders",
        &[GROWN],
        "
        bronze.names built +2
        bronze.orders built +2
        silver.t built +2
        silver.t:
        id: 1
        id: 2
        ! bronze.orders built +1
        ! silver.t halted: check row_count failed: the table has 3 rows: the maximum is 2
        silver.t:
        id: 1
        id: 2
        ! silver.t halted: check row_count failed: the table has 3 rows: the maximum is 2
    ",
    );
}

#[test]
fn a_key_that_is_not_unique_fails_once_and_keeps_the_last_version() {
    let header = "materialize: incremental\nkey: id";
    let sql = "SELECT id, size FROM bronze.orders";
    let changes =
        [Append("orders/a", "1,2026-06-05T10:00:00Z,9"), Notes, Run, Notes, Rows("silver.t"), REPLACED];
    check(
        header,
        sql,
        &changes,
        "
        bronze.names built +2
        bronze.orders built +2
        silver.t built +2
        silver.t:
        id: 1, size: 5
        id: 2, size: 6
        bronze.names begins
        bronze.names ends
        bronze.orders begins
        bronze.orders ends
        silver.t begins
        silver.t ends
        ! bronze.orders built +1
        ! silver.t failed: MS-0264 `silver.t` cannot be kept up to date: the key is not unique: 2 rows have `id` = 1
        bronze.orders begins
        bronze.orders ends
        silver.t begins
        silver.t ends
        silver.t:
        id: 1, size: 5
        id: 2, size: 6
        bronze.orders built +1 -3
        silver.t built +1 -2
        silver.t:
        id: 1, size: 50
        (nothing)
    ",
    );
}

#[test]
fn what_reads_a_widened_column_becomes_wider_too() {
    let project = "
=== sources/orders.yaml
connector: {type: scripted, place: orders}
contract: {columns: {id: {type: int64}, size: {type: int32}}, evolution: widen}
=== tables/silver/t.sql
/*---
materialize: incremental
---*/
SELECT id, size FROM bronze.orders
";
    let steps = [
        Put("orders/a", "id,size:int32\n1,7"),
        Run,
        Put("orders/b", "id,size:int64\n2,8000000000"),
        Run,
        Rows("silver.t"),
        Run,
    ];
    check_story(
        project,
        &steps,
        "
        bronze.orders built +1
        silver.t built +1
        bronze.orders built +1
        silver.t built +2 -1
        silver.t:
        id: 1, size: 7
        id: 2, size: 8000000000
        (nothing)
    ",
    );
}

#[test]
fn what_reads_a_view_follows_its_inputs_and_its_definition() {
    let project = |view: &str| {
        format!(
            "=== sources/orders.yaml\n\
             connector: {{type: scripted, place: orders}}\n\
             contract: {{columns: {{id: {{type: int64}}}}}}\n\
             === tables/silver/v.sql\n\
             /*---\nmaterialize: view\n---*/\n{view}\n\
             === tables/gold/t.sql\nSELECT id FROM silver.v\n"
        )
    };
    let steps = [
        Put("orders/a", "id\n1\n2"),
        Run,
        Append("orders/a", "3"),
        Run,
        Define(project("SELECT id FROM bronze.orders WHERE id > 1")),
        Run,
        Rows("gold.t"),
        Run,
    ];
    check_story(
        &project("SELECT id FROM bronze.orders"),
        &steps,
        "
        bronze.orders built +2
        gold.t built +2
        bronze.orders built +1
        gold.t built +3 -2
        gold.t built +2 -3
        gold.t:
        id: 2
        id: 3
        (nothing)
    ",
    );
}

#[test]
fn another_definition_builds_all_rows_anew_and_another_format_none() {
    let header = "materialize: incremental\nkey: id";
    let sql = "SELECT id, size FROM bronze.orders";
    let other = Define(project(header, "SELECT id, size + 1 AS size FROM bronze.orders"));
    check(
        header,
        sql,
        &[other],
        "
        bronze.names built +2
        bronze.orders built +2
        silver.t built +2
        silver.t:
        id: 1, size: 5
        id: 2, size: 6
        silver.t built +2 -2
        silver.t:
        id: 1, size: 6
        id: 2, size: 7
        (nothing)
    ",
    );
    let same = Define(project(header, "select id,   size -- a comment\nfrom bronze.orders"));
    check(
        header,
        sql,
        &[same],
        "
        bronze.names built +2
        bronze.orders built +2
        silver.t built +2
        silver.t:
        id: 1, size: 5
        id: 2, size: 6
        (nothing)
        silver.t:
        id: 1, size: 5
        id: 2, size: 6
        (nothing)
    ",
    );
}

#[test]
fn a_full_refresh_gives_what_the_changes_gave() {
    let header = "materialize: incremental\nkey: id";
    let sql = "SELECT id, count(*) AS rows, sum(size) AS size FROM bronze.orders GROUP BY id";
    check(
        header,
        sql,
        &[GROWN, Run, RunAnew(&["silver.t"]), Rows("silver.t")],
        "
        bronze.names built +2
        bronze.orders built +2
        silver.t built +2
        silver.t:
        id: 1, rows: 1, size: 5
        id: 2, rows: 1, size: 6
        bronze.orders built +1
        silver.t built +1
        silver.t built +3 -3
        silver.t:
        id: 1, rows: 1, size: 5
        id: 2, rows: 1, size: 6
        id: 3, rows: 1, size: 7
        (nothing)
        silver.t:
        id: 1, rows: 1, size: 5
        id: 2, rows: 1, size: 6
        id: 3, rows: 1, size: 7
        (nothing)
    ",
    );
}
