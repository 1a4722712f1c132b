//! Tests that a project's owner writes.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use millstream_project::{Located, Node, NodeKind, TestInput, TestSpec};
use millstream_sql::{Verdict, check_test, run_test};

use crate::support::{self, located, name, nowhere};

/// A value from JSON; numbers with a point keep their text.
fn node(value: &serde_json::Value) -> Node {
    use serde_json::Value;
    let kind = match value {
        Value::Null => NodeKind::Null,
        Value::Bool(value) => NodeKind::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => NodeKind::Int(number),
            None => NodeKind::Float(number.as_f64().unwrap(), number.to_string()),
        },
        Value::String(text) => NodeKind::Text(text.clone()),
        Value::Array(items) => NodeKind::List(items.iter().map(node).collect()),
        Value::Object(entries) => NodeKind::Map(
            entries.iter().map(|(key, value)| (Located::new(key.clone(), nowhere()), node(value))).collect(),
        ),
    };
    Node { kind, at: nowhere() }
}

fn rows(json: &str) -> TestInput {
    let values: Vec<serde_json::Value> = serde_json::from_str(json).unwrap();
    TestInput { at: nowhere(), rows: values.iter().map(node).collect() }
}

const SQL: &str = "--- silver.paid materialize=merge key=order_id
SELECT order_id, customer_id, amount, amount * 0.5e0 AS half, ordered_at FROM bronze.orders WHERE status = 'paid'
--- gold.spent
SELECT customer_id, sum(amount) AS spent, count(*) AS n FROM silver.paid GROUP BY customer_id ORDER BY customer_id
--- gold.tags
SELECT event_id, tags, _sequence FROM bronze.events
";

pub(crate) fn spec(table: &str, given: &[(&str, &str)], expect: &str, ordered: bool) -> TestSpec {
    let given: IndexMap<_, _> = given.iter().map(|(table, json)| (name(table), rows(json))).collect();
    TestSpec {
        name: "t".into(),
        at: nowhere(),
        table: located(name(table)),
        given,
        expect: rows(expect),
        ordered,
    }
}

async fn outcome(table: &str, given: &[(&str, &str)], expect: &str, ordered: bool) -> String {
    let project = support::project(SQL);
    let analysis = project.analyze();
    assert!(analysis.diagnostics.is_empty(), "{}", support::render(&analysis.diagnostics, &project.tables));
    let test = spec(table, given, expect, ordered);
    verdict(run_test(&test, &analysis, &project.tables).await.verdict)
}

pub(crate) fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Passed { rows } => format!("passed {rows}"),
        Verdict::Different { columns, expected_rows, actual_rows, missing, unexpected, changed } => {
            let changed: Vec<_> = changed.iter().map(|row| (&row.expected, &row.cells)).collect();
            format!(
                "{columns:?} {expected_rows}/{actual_rows} missing {missing:?} unexpected {unexpected:?} changed {changed:?}"
            )
        }
        Verdict::Invalid(diagnostics) => diagnostics
            .iter()
            .map(|found| format!("{} [{}]", found.message, found.hint.as_deref().unwrap_or_default()))
            .collect::<Vec<_>>()
            .join("; "),
        Verdict::Failed(error) => format!("failed: {error}"),
    }
}

const ORDERS: &str = r#"[
    {"order_id": 1, "customer_id": 7, "amount": 10.10, "status": "paid", "ordered_at": "2026-01-01"},
    {"order_id": 2, "customer_id": 7, "amount": "0.20", "status": "paid"},
    {"order_id": 3, "customer_id": 8, "amount": 5, "status": "open"}
]"#;

#[tokio::test]
async fn expected_rows_are_compared_by_the_named_columns() {
    let given = [("bronze.orders", ORDERS)];
    let check = |expect: &'static str| async move { outcome("silver.paid", &given, expect, false).await };
    assert_eq!(check(r#"[{"order_id": 2, "half": 0.1}, {"order_id": 1, "half": 5.05}]"#).await, "passed 2");
    assert_eq!(
        check(r#"[{"order_id": 1, "ordered_at": "2026-01-01T00:00:00Z"}, {"order_id": 2}]"#).await,
        "passed 2"
    );
    assert_eq!(
        check(r#"[{"order_id": 1, "amount": 10.10}, {"order_id": 2, "amount": 0.3}]"#).await,
        r#"["order_id", "amount"] 2/2 missing [] unexpected [] changed [([Some("2"), Some("0.30")], [ChangedCell { column: 1, expected: Some("0.30"), actual: Some("0.20") }])]"#
    );
    assert_eq!(
        check(r#"[{"order_id": 1}, {"order_id": 9}]"#).await,
        r#"["order_id"] 2/2 missing [[Some("9")]] unexpected [[Some("2")]] changed []"#
    );
    assert!(check("[]").await.contains("0/2"));
}

#[tokio::test]
async fn inputs_between_are_computed_and_absent_ones_are_empty() {
    let expect = r#"[{"customer_id": 7, "spent": 10.3, "n": 2}]"#;
    assert_eq!(outcome("gold.spent", &[("bronze.orders", ORDERS)], expect, true).await, "passed 1");
    let given =
        [("silver.paid", r#"[{"order_id": 1, "customer_id": 7, "amount": 10.3}, {"customer_id": 7}]"#)];
    assert_eq!(outcome("gold.spent", &given, expect, true).await, "passed 1");
    assert_eq!(outcome("gold.spent", &[], "[]", true).await, "passed 0");
}

#[tokio::test]
async fn order_counts_when_asked() {
    let given = [("silver.paid", r#"[{"customer_id": 1, "amount": 1}, {"customer_id": 2, "amount": 2}]"#)];
    let expect = r#"[{"customer_id": 2}, {"customer_id": 1}]"#;
    assert_eq!(outcome("gold.spent", &given, expect, false).await, "passed 2");
    assert!(outcome("gold.spent", &given, expect, true).await.contains("changed [("));
}

#[tokio::test]
async fn landing_columns_and_nested_values_are_filled_in() {
    let given = [("bronze.events", r#"[{"event_id": "a", "tags": ["x", "y"]}, {"event_id": "b"}]"#)];
    let expect =
        r#"[{"event_id": "a", "tags": ["x", "y"], "_sequence": 0}, {"event_id": "b", "_sequence": 1}]"#;
    assert_eq!(outcome("gold.tags", &given, expect, false).await, "passed 2");
}

#[tokio::test]
async fn rows_that_do_not_fit_are_named() {
    let check = |given: &'static str| async move {
        outcome("silver.paid", &[("bronze.orders", given)], "[]", false).await
    };
    assert_eq!(check(r#"[{"ordr_id": 1}]"#).await, "no column `ordr_id` [did you mean `order_id`?]");
    assert_eq!(
        check(r#"[{"order_id": "x"}]"#).await,
        "the text `x` is no value of `order_id`, which is int64 []"
    );
    assert_eq!(
        check(r#"[{"order_id": 1.5}]"#).await,
        "the number `1.5` is no value of `order_id`, which is int64 []"
    );
    assert_eq!(
        check(r#"[{"quantity": 3000000000}]"#).await,
        "the number `3000000000` is no value of `quantity`, which is int32 []"
    );
    assert_eq!(
        check(r#"[{"status": 5}]"#).await,
        "the number `5` is no value of `status`, which is string [write it in quotes]"
    );
    assert_eq!(
        check(r#"[{"amount": 1.234}]"#).await,
        "the number `1.234` is no value of `amount`, which is decimal(12,2) [it has more digits after the point]"
    );
    assert_eq!(
        check(r#"[{"ordered_at": "tomorrow"}]"#).await,
        "the text `tomorrow` is no value of `ordered_at`, which is timestamp [write an instant: `2026-03-01T12:00:00Z`]"
    );
    assert_eq!(
        check("[3]").await,
        "a row is a mapping from columns to values [write `{order_id: 1, amount: 9.5}`]"
    );
    assert_eq!(
        outcome("silver.paid", &[("bronze.customers", "[]")], "[]", false).await,
        "`silver.paid` does not read `bronze.customers` [it reads: `bronze.orders`]"
    );
    assert_eq!(
        outcome("silver.piad", &[], "[]", false).await,
        "`silver.piad` is no table with SQL in this project [did you mean `silver.paid`?]"
    );
}

#[test]
fn a_wrong_test_is_found_without_running_it() {
    let project = support::project(SQL);
    let analysis = project.analyze();
    let check = |table: &str, given: &[(&str, &str)], expect: &str, broken: &[&str]| {
        let broken: BTreeSet<_> = broken.iter().map(|table| name(table)).collect();
        let found = check_test(&spec(table, given, expect, false), &analysis, &project.tables, &broken);
        found.into_iter().map(|found| found.message).collect::<Vec<_>>()
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(
        check("gold.spent", &[("bronze.orders", ORDERS)], r#"[{"customer_id": 7, "n": 2}]"#, &[]),
        none
    );
    let given = [("bronze.orders", r#"[{"ordr_id": 1, "amount": "much"}, {"order_id": true}]"#)];
    let expect = r#"[{"customer": 7, "n": "two"}]"#;
    let all = [
        "no column `ordr_id`",
        "`true` is no value of `order_id`, which is int64",
        "the text `much` is no value of `amount`, which is decimal(12,2)",
        "no column `customer`",
        "the text `two` is no value of `n`, which is int64",
    ];
    assert_eq!(check("gold.spent", &given, expect, &[]), all);
    assert_eq!(check("gold.spent", &given, expect, &["bronze.orders"]), none, "its columns are not known");
    assert_eq!(check("gold.nothing", &given, expect, &[]), none, "the project says that it does not exist");
    let unread = [("bronze.customers", "[]")];
    assert_eq!(check("silver.paid", &unread, "[]", &[]), ["`silver.paid` does not read `bronze.customers`"]);
}

/// Expected rows of a history that name `valid_from` or `valid_to` are those of a first build; others are the SELECT's.
#[tokio::test]
async fn periods_of_a_history_are_tested() {
    let history = |time: &str| {
        format!(
            "--- silver.states materialize=history key=order_id{time}\nSELECT order_id, status, ordered_at FROM bronze.orders\n"
        )
    };
    let given = r#"[
        {"order_id": 1, "status": "open", "ordered_at": "2026-01-01"},
        {"order_id": 1, "status": "paid", "ordered_at": "2026-01-03"}
    ]"#;
    let (with, without) = (history(" time=ordered_at"), history(""));
    for (sql, given, expect, expected) in [
        (
            &with,
            given,
            r#"[{"status": "open", "valid_from": "2026-01-01", "valid_to": "2026-01-03"},
                {"status": "paid", "valid_from": "2026-01-03", "valid_to": null}]"#,
            "passed 2",
        ),
        (&with, given, r#"[{"status": "open"}, {"status": "paid"}]"#, "passed 2"),
        (
            &with,
            given,
            r#"[{"valid_to": "2026-01-02"}, {"valid_to": null}]"#,
            r#"["valid_to"] 2/2 missing [[Some("2026-01-02T00:00:00Z")]] unexpected [[Some("2026-01-03T00:00:00Z")]] changed []"#,
        ),
        (
            &without,
            r#"[{"order_id": 1, "status": "open"}]"#,
            r#"[{"status": "open", "valid_from": "2024-01-01", "valid_to": null}]"#,
            "passed 1",
        ),
        // The same state twice is one state.
        (&without, r#"[{"order_id": 1}, {"order_id": 1}]"#, r#"[{"valid_to": null}]"#, "passed 1"),
        (
            &without,
            r#"[{"order_id": 1, "status": "open"}, {"order_id": 1, "status": "paid"}]"#,
            r#"[{"valid_to": null}]"#,
            "failed: the key is not unique: 2 rows have `order_id` = 1",
        ),
    ] {
        let project = support::project(sql);
        let analysis = project.analyze();
        let test = spec("silver.states", &[("bronze.orders", given)], expect, false);
        assert_eq!(check_test(&test, &analysis, &project.tables, &BTreeSet::new()).len(), 0);
        let told = verdict(run_test(&test, &analysis, &project.tables).await.verdict);
        assert_eq!(told, expected, "{expect}");
    }
}
