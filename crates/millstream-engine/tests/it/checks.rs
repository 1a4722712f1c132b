//! Checks: what they see when nothing new came, what the clock and a changed contract change, and what people are shown of
//! rejected rows.

use std::time::Duration;

use crate::harness::{Step::*, check as check_story, diagnostics};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: i64 = 86_400;

/// One source with this contract, and what stands behind it.
pub(crate) fn source(contract: &str, rest: &str) -> String {
    format!(
        "=== sources/people.yaml\n\
         connector: {{type: scripted, place: people}}\n\
         contract:\n{contract}\n{rest}"
    )
}

#[test]
fn personal_data_stays_masked_in_all_that_is_made_of_it() {
    let contract = "  columns: {id: {type: int64}, email: {type: string, pii: true}, city: {type: string}}";
    let tables = "
=== tables/silver/people.sql
/*---
checks:
  - pattern: {column: address, pattern: email}
  - expression: cast(address as int) > 0
  - one_of: {column: city, values: [Bonn]}
---*/
SELECT id, lower(email) AS address, city, count(*) OVER (PARTITION BY email) AS n FROM bronze.people
=== tables/gold/rejected.sql
/*---
checks:
  - one_of: {column: text, values: [none]}
  - one_of: {column: check, values: [none]}
---*/
SELECT _row AS text, _check AS check FROM silver.people__rejected
=== tables/gold/by_address.sql
/*---
materialize: incremental
key: address
---*/
SELECT lower(email) AS address, id FROM bronze.people
";
    check_story(
        &source(contract, tables),
        &[
            Put("people/a", "id,email,city\n1,ann at home,Bonn\n2,ANN AT HOME,Ulm"),
            Run,
            Rejected("silver.people"),
            Rejected("gold.rejected"),
        ],
        "
        ! bronze.people built +2
        ! gold.by_address failed: MS-0264 `gold.by_address` cannot be kept up to date: the key is not unique: 2 rows have `address` = ***
        ! silver.people built, 2 rejected
        ! gold.rejected built, 2 rejected
        pattern(address): 2 rows, 0 of them halted
        `address` *** is not an email; `cast(address as int) > 0` cannot be computed: ***; `city` is `Ulm`, not one of Bonn: {\"address\":\"***\",\"city\":\"Ulm\",\"id\":2,\"n\":1}
        `address` *** is not an email; `cast(address as int) > 0` cannot be computed: ***: {\"address\":\"***\",\"city\":\"Bonn\",\"id\":1,\"n\":1}
        one_of(text): 2 rows, 0 of them halted
        `text` is ***, not one of none; `check` is `pattern(address)`, not one of none: {\"check\":\"pattern(address)\",\"text\":\"***\"}
        `text` is ***, not one of none; `check` is `pattern(address)`, not one of none: {\"check\":\"pattern(address)\",\"text\":\"***\"}
        ",
    );
}

#[test]
fn freshness_is_judged_by_the_clock_at_each_run() {
    let contract = "  columns: {id: {type: int64}, at: {type: timestamp}}\n  time: at\n  freshness: 2d";
    let tables = "
=== tables/silver/people.sql
/*---
checks:
  - freshness: {column: at, max_age: 4d}
---*/
SELECT id, at FROM bronze.people
";
    check_story(
        &source(contract, tables),
        &[
            Put("people/a", "id,at\n1,2026-06-30T00:00:00Z"),
            Run,
            Run,
            Checks("bronze.people"),
            Pass(2 * DAY),
            Plan,
            Run,
            Checks("bronze.people"),
            Pass(2 * DAY),
            Run,
            Run,
            Checks("silver.people"),
            Append("people/a", "2,2026-07-05T00:00:00Z"),
            Run,
            Run,
        ],
        "
        bronze.people built +1
        silver.people built +1
        (nothing)
        built 0 s ago
        freshness(at) passed: 1d
        type(at) passed: 0
        type(id) passed: 0
        bronze.people: stale
        bronze.people unchanged
        built 172800 s ago
        freshness(at) failed: 3d
        type(at) passed: 0
        type(id) passed: 0
        ! bronze.people unchanged
        ! silver.people halted: check freshness(at) failed: the newest `at` is 5d old: allowed are 4d
        ! bronze.people unchanged
        ! silver.people halted: check freshness(at) failed: the newest `at` is 5d old: allowed are 4d
        built 345600 s ago
        freshness(at) failed: 5d
        bronze.people built +1
        silver.people built +2 -1
        (nothing)
    ",
    );
}

#[test]
fn a_changed_contract_is_judged_by_what_has_landed() {
    let contract = |check: &str| {
        source(
            &format!("  columns: {{id: {{type: int64}}, name: {{type: string}}}}\n  checks: [{check}]"),
            "",
        )
    };
    check_story(
        &contract("{not_null: id}"),
        &[
            Put("people/a", "id,name\n1,ann\n2,bob"),
            Run,
            Pass(60),
            Define(contract("{range: {column: id, min: 2}}")),
            Run,
            Notes,
            Checks("bronze.people"),
            Run,
            Force(&["bronze.people"]),
            Define(contract("{range: {column: id, min: 2}, severity: halt}")),
            Run,
            Run,
            RunAnew(&["bronze.people"]),
            Rejected("bronze.people"),
            Define(contract("{range: {column: id, min: 2}}")),
            RunAnew(&["bronze.people"]),
            Rows("bronze.people"),
            Run,
        ],
        "
        bronze.people built +2
        bronze.people unchanged
        bronze.people begins
        bronze.people ends
        bronze.people begins
        bronze.people: check range(id) failed: 1 row that came before it; it stays until `millstream run bronze.people --full-refresh`
        bronze.people ends
        built 60 s ago
        range(id) failed: 1
        type(id) passed: 0
        type(name) passed: 0
        (nothing)
        bronze.people unchanged
        ! bronze.people halted: check range(id) failed: 1 row that came before it; it stays until `millstream run bronze.people --full-refresh`
        ! bronze.people halted: check range(id) failed: 1 row that came before it; it stays until `millstream run bronze.people --full-refresh`
        ! bronze.people halted: check range(id) failed for 1 row
        range(id): 1 rows, 1 of them halted
        `id` is 1, below the minimum 2: {\"id\":\"1\",\"name\":\"ann\"}
        bronze.people built +1 -2, 1 rejected
        bronze.people:
        id: 2, name: bob
        (nothing)
    ",
    );
}

#[test]
fn a_narrowed_contract_is_refused() {
    let contract = |column_type: &str| source(&format!("  columns: {{id: {{type: {column_type}}}}}"), "");
    check_story(
        &contract("int64"),
        &[
            Put("people/a", "id\n1"),
            Run,
            Define(contract("int16")),
            Run,
            Put("people/b", "id\n100000"),
            Run,
            RunAnew(&["bronze.people"]),
            Rows("bronze.people"),
        ],
        "
        bronze.people built +1
        ! bronze.people halted: schema change refused: column `id` is int64 in the table and int16 in the contract
        ! bronze.people halted: schema change refused: column `id` is int64 in the table and int16 in the contract
        bronze.people built +1 -1, 1 rejected
        bronze.people:
        id: 1
    ",
    );
}

#[test]
fn the_change_of_volume_is_that_against_the_version_before() {
    let contract = "  columns: {id: {type: int64}}\n  checks: [{row_count: {change: 50%}}]";
    let rows = |from: usize, to: usize| (from..to).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
    let rows: Vec<String> = [rows(0, 10), rows(10, 15), rows(15, 22), rows(22, 34)].into();
    let rows: Vec<&'static str> = rows.into_iter().map(|text| &*text.leak()).collect();
    check_story(
        &source(contract, ""),
        &[
            Put("people/a", "id"),
            Run,
            Append("people/a", rows[0]),
            Run,
            Append("people/a", rows[1]),
            Run,
            Append("people/a", rows[2]),
            Run,
            Append("people/a", rows[3]),
            Run,
        ],
        "
        bronze.people built
        bronze.people built +10
        bronze.people built +5
        bronze.people built +7
        ! bronze.people halted: check row_count failed: the table has 34 rows: 54.55% more than the 22 of the version before, allowed are 50%
    ",
    );
}

#[test]
fn what_is_known_of_checks_outlives_a_step_that_changed_nothing() {
    let contract = "  columns: {id: {type: int64, range: [2, 9]}}\n  checks: [{row_count: {min: 1}}]";
    check_story(
        &source(contract, ""),
        &[
            Put("people/a", "id\n1\n2\nx"),
            Run,
            Pass(60),
            Touch("people/a"),
            Run,
            Force(&["bronze.people"]),
            Checks("bronze.people"),
        ],
        "
        bronze.people built +1, 2 rejected
        (nothing)
        bronze.people unchanged
        built 60 s ago
        range(id) passed: 0
        row_count passed: 1
        type(id) failed: 1
    ",
    );
}

#[test]
fn the_breaker_counts_all_rows_that_were_looked_at() {
    let contract = "  columns: {id: {type: int64}, day: {type: timestamp}}";
    // Numbers over all rows, so that every row is computed each time.
    let table = "
=== tables/silver/people.sql
/*---
materialize: incremental
key: id
halt_above: 50%
checks:
  - range: {column: id, max: 100}
---*/
SELECT id, row_number() OVER (ORDER BY day, id) AS nth FROM bronze.people
";
    check_story(
        &source(contract, table),
        &[
            Put(
                "people/a",
                "id,day\n1,2026-06-01\n2,2026-06-01\n3,2026-06-01\n4,2026-06-01\n101,2026-06-01\n102,2026-06-01",
            ),
            Run,
            Append("people/a", "5,2026-06-02"),
            Run,
            Append(
                "people/a",
                "103,2026-06-03\n104,2026-06-03\n105,2026-06-03\n106,2026-06-03\n107,2026-06-03\n108,2026-06-03",
            ),
            Run,
            Rejected("silver.people"),
            Run,
            Rejected("silver.people"),
        ],
        "
        bronze.people built +6
        silver.people built +4, 2 rejected
        bronze.people built +1
        silver.people built +1, 2 rejected
        ! bronze.people built +6
        ! silver.people halted: 8 of 13 rows were rejected, more than 50% allows (range(id) 8)
        range(id): 8 rows, 6 of them halted
        `id` is 101, above the maximum 100: {\"id\":101,\"nth\":5}
        `id` is 102, above the maximum 100: {\"id\":102,\"nth\":6}
        `id` is 103, above the maximum 100: {\"id\":103,\"nth\":8}
        `id` is 104, above the maximum 100: {\"id\":104,\"nth\":9}
        `id` is 105, above the maximum 100: {\"id\":105,\"nth\":10}
        `id` is 106, above the maximum 100: {\"id\":106,\"nth\":11}
        `id` is 107, above the maximum 100: {\"id\":107,\"nth\":12}
        `id` is 108, above the maximum 100: {\"id\":108,\"nth\":13}
        ! silver.people halted: 8 of 13 rows were rejected, more than 50% allows (range(id) 8)
        range(id): 8 rows, 6 of them halted
        `id` is 101, above the maximum 100: {\"id\":101,\"nth\":5}
        `id` is 102, above the maximum 100: {\"id\":102,\"nth\":6}
        `id` is 103, above the maximum 100: {\"id\":103,\"nth\":8}
        `id` is 104, above the maximum 100: {\"id\":104,\"nth\":9}
        `id` is 105, above the maximum 100: {\"id\":105,\"nth\":10}
        `id` is 106, above the maximum 100: {\"id\":106,\"nth\":11}
        `id` is 107, above the maximum 100: {\"id\":107,\"nth\":12}
        `id` is 108, above the maximum 100: {\"id\":108,\"nth\":13}
    ",
    );
}

#[test]
fn a_lost_table_of_rejected_rows_is_noticed() {
    let contract = "  columns: {id: {type: int64, range: [2, 9]}}";
    let table = "
=== tables/silver/people.sql
/*---
checks: [{range: {column: id, max: 8}}]
---*/
SELECT id FROM bronze.people
";
    check_story(
        &source(contract, table),
        &[
            Put("people/a", "id\n1\n5\n9"),
            Run,
            Rejected("bronze.people"),
            Lose("lake/bronze/people__rejected/"),
            Lose("lake/silver/people__rejected/"),
            Rejected("bronze.people"),
            Rejected("silver.people"),
            Append("people/a", "6"),
            Run,
            Notes,
            Rejected("silver.people"),
            Rejected("bronze.people"),
            RunAnew(&["bronze.people"]),
            Rejected("bronze.people"),
        ],
        "
        bronze.people built +2, 1 rejected
        silver.people built +1, 1 rejected
        range(id): 1 rows, 0 of them halted
        `id` is 1, below the minimum 2: {\"id\":\"1\"}
        ! `bronze.people__rejected` has lost rows: it was deleted, or put back to an earlier version
        ! `silver.people__rejected` has lost rows: it was deleted, or put back to an earlier version
        bronze.people built +1
        silver.people built +2 -1, 1 rejected
        bronze.people begins
        bronze.people ends
        silver.people begins
        silver.people ends
        bronze.people begins
        bronze.people: bronze.people__rejected has lost rows; `millstream run bronze.people --full-refresh` judges all rows again
        bronze.people ends
        silver.people begins
        silver.people: silver.people__rejected has lost rows: all rows are judged again
        silver.people ends
        range(id): 1 rows, 0 of them halted
        `id` is 9, above the maximum 8: {\"id\":9}
        ! `bronze.people__rejected` has lost rows: it was deleted, or put back to an earlier version
        bronze.people built +3 -3, 1 rejected
        range(id): 1 rows, 0 of them halted
        `id` is 1, below the minimum 2: {\"id\":\"1\"}
    ",
    );
}

#[test]
fn a_null_in_a_merge_key_is_kept_out_when_a_check_says_so() {
    let contract = "  columns: {id: {type: int64}, part: {type: int64}}";
    let table = |checks: &str| {
        format!(
            "=== tables/silver/people.sql\n/*---\nmaterialize: incremental\nkey: [id, part]\n{checks}---*/\nSELECT id, part FROM bronze.people\n"
        )
    };
    let checked = table("checks: [{not_null: part}]\n");
    check_story(
        &source(contract, &table("")),
        &[
            Put("people/a", "id,part\n1,1\n2,\n2,"),
            Run,
            Define(source(contract, &checked)),
            Run,
            Append("people/a", "3,3\n4,"),
            Run,
            Put("people/a", "id,part\n1,1\n3,3\n5,"),
            Run,
            Rows("silver.people"),
            Rejected("silver.people"),
            Run,
        ],
        "
        ! bronze.people built +3
        ! silver.people failed: MS-0265 `silver.people` cannot be kept up to date: the key column `part` is null in 2 rows
        silver.people built +1, 2 rejected
        bronze.people built +2
        silver.people built +1, 1 rejected
        bronze.people built +3 -5
        silver.people built, 1 rejected
        silver.people:
        id: 1, part: 1
        id: 3, part: 3
        not_null(part): 1 rows, 0 of them halted
        `part` is missing: {\"id\":5,\"part\":null}
        (nothing)
    ",
    );
}

#[test]
fn a_vanished_table_is_told_of() {
    let contract = "  columns: {id: {type: int64}}";
    check_story(
        &source(contract, "=== tables/silver/people.sql\nSELECT id FROM bronze.people\n"),
        &[Put("people/a", "id\n1"), Run, Lose("lake/"), Plan, Run, Plan],
        "
        bronze.people built +1
        silver.people built +1
        bronze.people: the lake has no table any more, it was at version 0
        silver.people: the lake has no table any more, it was at version 0
        bronze.people built +1
        silver.people built +1
        (nothing)
    ",
    );
}

#[test]
fn a_table_with_an_unreadable_log_stops_no_other() {
    let contract = "  columns: {id: {type: int64, range: [2, 9]}}";
    let tables = "
=== tables/silver/people.sql
SELECT id FROM bronze.people
=== tables/silver/bad.sql
SELECT id FROM bronze.people
=== tables/gold/bad.sql
SELECT id FROM silver.bad
";
    check_story(
        &source(contract, tables),
        &[
            Put("people/a", "id\n1\n5"),
            Run,
            Unreadable,
            Garble("lake/silver/bad/_delta_log/00000000000000000001.json"),
            Unreadable,
            Append("people/a", "6"),
            Plan,
            Run,
            Reprocess("bronze.people"),
            Maintain(HOUR),
            Rows("silver.people"),
        ],
        "
        bronze.people built +1, 1 rejected
        silver.bad built +1
        silver.people built +1
        gold.bad built +1
        (nothing)
        silver.bad: MS-0414 the lake failed: the log of silver.bad cannot be read at version 1: key must be a string at line 1 column 2
        bronze.people: new input: a
        silver.bad: cannot be looked at: the log of silver.bad cannot be read at version 1: key must be a string at line 1 column 2
        gold.bad: new input: silver.bad
        silver.people: new input: bronze.people
        ! bronze.people built +1
        ! silver.bad failed: MS-0414 the lake failed: the log of silver.bad cannot be read at version 1: key must be a string at line 1 column 2
        ! gold.bad skipped for silver.bad
        ! silver.people built +2 -1
        bronze.people unchanged, 1 rejected
        ! the lake failed: the log of silver.bad cannot be read at version 1: key must be a string at line 1 column 2
        silver.people:
        id: 5
        id: 6
    ",
    );
}

#[test]
fn relationships_lead_to_tables_that_are_there_before() {
    let project = |people: &str, more: &str| {
        let contract = "  columns: {id: {type: int64}}";
        let table = format!(
            "=== tables/silver/people.sql\n/*---\nchecks: [{{relationship: {{column: id, to: {people}.id}}}}]\n---*/\n\
             SELECT id FROM bronze.people\n=== tables/silver/cities.sql\n{more}\nSELECT id FROM bronze.people\n\
             === tables/gold/people.sql\nSELECT id FROM silver.people\n"
        );
        source(contract, &table)
    };
    let other = "/*---\nchecks: [{relationship: {column: id, to: silver.people.id}}]\n---*/";
    for (to, cities, expected) in [
        ("bronze.people", "", None),
        ("silver.cities", "", None),
        (
            "silver.people",
            "",
            Some("`silver.people` is checked against itself, and has no rows when it is built first"),
        ),
        (
            "gold.people",
            "",
            Some("`gold.people` is built after `silver.people`, so this check can never be judged"),
        ),
        (
            "silver.cities",
            "/*---\nmaterialize: view\n---*/",
            Some("`silver.cities` is a view, which has no rows of its own to look into"),
        ),
        (
            "silver.cities",
            other,
            Some("`silver.cities` is built after `silver.people`, so this check can never be judged"),
        ),
    ] {
        let expected: Vec<_> = expected.iter().map(|message| format!("MS-0713 {message}")).collect();
        assert_eq!(diagnostics(&project(to, cities)), expected, "{to}");
    }
}

#[test]
fn freshness_needs_something_that_says_when() {
    let needs = "nothing says when a row happened, so its freshness cannot be judged";
    let contract = "  columns: {id: {type: int64}, at: {type: timestamp}}\n";
    let table = |check: &str, columns: &str| {
        format!(
            "=== tables/silver/people.sql\n/*---\nchecks: [{{freshness: {check}}}]\n---*/\nSELECT {columns} FROM bronze.people\n"
        )
    };
    for (more, table, expected) in [
        ("  time: at\n  checks: [{freshness: 1d}]", String::new(), None),
        ("  checks: [{freshness: {column: at, max_age: 1d}}]", String::new(), None),
        ("  checks: [{freshness: 1d}]", String::new(), Some("MS-0161")),
        ("  freshness: 1d", String::new(), Some("MS-0161")),
        ("", table("1d", "id, at"), Some("MS-0218")),
        ("", table("1d", "id, _ingested_at"), None),
        ("", table("{column: at, max_age: 1d}", "id, at"), None),
    ] {
        let expected: Vec<_> = expected.iter().map(|code| format!("{code} {needs}")).collect();
        assert_eq!(diagnostics(&source(&format!("{contract}{more}"), &table)), expected, "{more} {table}");
    }
}
