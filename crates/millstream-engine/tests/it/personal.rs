//! Personal data in the messages of failures, and in rows that were rejected earlier.

use crate::harness::{Step, Step::*, check as check_story};

fn source(pii: &str, rest: &str) -> String {
    format!(
        "=== sources/people.yaml
connector: {{type: scripted, place: people}}
contract:
  columns:
    id: {{type: int64}}
    email: {{type: string{pii}, one_of: [ann@home]}}
    age: {{type: int64{pii}, range: [0, 99]}}
    joined: {{type: string}}
    at: {{type: timestamp}}
  on_violation: quarantine
{rest}"
    )
}

/// The engine names the value that it could not cast, except for a table that reads a personal column, be it in a condition
/// or behind a view.
#[test]
fn failures_over_personal_columns_say_no_values() {
    let tables = "
=== tables/silver/plain.sql
SELECT cast(joined AS int) AS joined FROM bronze.people
=== tables/silver/unmarked.sql
SELECT id FROM bronze.people WHERE cast(joined AS int) > 0
=== tables/silver/chosen.sql
SELECT id FROM bronze.people WHERE cast(email AS int) > 0
=== tables/silver/behind.sql
/*---
materialize: view
---*/
SELECT id FROM bronze.people WHERE cast(email AS int) > 0
=== tables/gold/through.sql
SELECT count(*) AS n FROM silver.behind
=== tables/silver/large.sql
SELECT id, age * 9223372036854775807 AS large FROM bronze.people
=== features/person.yaml
entity: {name: person, key: id}
views:
  people:
    from: bronze.people
    time: at
    features: {number: {sum: \"cast(email as int)\"}}
";
    let rows = "id,email,age,joined,at\n1,ann@home,44,yesterday,2026-06-01T00:00:00Z";
    check_story(
        &source(", pii: true", tables),
        &[Put("people/a", rows), Run, Materialize],
        "
        ! bronze.people built +1
        ! gold.through failed: MS-0222 the SQL of `gold.through` failed: a value cannot be cast: ***
        ! silver.chosen failed: MS-0222 the SQL of `silver.chosen` failed: a value cannot be cast: ***
        ! silver.large failed: MS-0222 the SQL of `silver.large` failed: Overflow happened on ***
        ! silver.plain failed: MS-0222 the SQL of `silver.plain` failed: Cannot cast string 'yesterday' to value of int32 type
        ! silver.unmarked failed: MS-0222 the SQL of `silver.unmarked` failed: Cannot cast string 'yesterday' to value of int32 type
        ! `people` cannot be materialised: MS-0222
    ",
    );
}

/// The reasons of rows that were rejected before their columns were marked quote the values.
#[test]
fn reasons_from_before_a_column_was_personal_are_masked_where_they_are_shown() {
    let rows =
        "id,email,age,joined,at\n1,bob@work,44,x,2026-06-01T00:00:00Z\n2,ann@home,144,x,2026-06-01T00:00:00Z";
    let long = "3,bob.with.a.very.long.name.that.goes.on.and.on.and.on.and.on@a.very.long.place.where.he.works.at,7,x,";
    let steps = |define: Option<String>| -> Vec<Step> {
        let mut steps = vec![Put("people/a", rows), Append("people/a", long), Run];
        steps.extend(define.map(Define));
        steps.push(Rejected("bronze.people"));
        steps
    };
    check_story(
        &source("", ""),
        &steps(Some(source(", pii: true", ""))),
        "
        bronze.people built, 3 rejected
        one_of(email): 2 rows, 0 of them halted
        `email` is `***`, not one of ann@home: {\"age\":\"***\",\"at\":\"2026-06-01T00:00:00Z\",\"email\":\"***\",\"id\":\"1\",\"joined\":\"x\"}
        ***: {\"age\":\"***\",\"at\":null,\"email\":\"***\",\"id\":\"3\",\"joined\":\"x\"}
        range(age): 1 rows, 0 of them halted
        `age` is ***, above the maximum 99: {\"age\":\"***\",\"at\":\"2026-06-01T00:00:00Z\",\"email\":\"***\",\"id\":\"2\",\"joined\":\"x\"}
    ",
    );
}
