//! Checks against the columns that they judge.

use millstream_project::{
    Bounds, CheckKind, CheckSpec, FileId, Located, Location, NamedPattern, Pattern, Scalar,
};
use millstream_types::{CheckId, Severity};

use crate::support::{self, located, name};

fn spec(kind: CheckKind) -> CheckSpec {
    CheckSpec { id: CheckId::new("a_check"), severity: Severity::Warn, kind, at: support::nowhere() }
}

fn column(text: &str) -> Located<String> {
    located(text.to_owned())
}

/// The messages of one check on a table with the orders' columns.
fn check(kind: CheckKind, expected: &[&str]) {
    let mut project = support::project("--- silver.orders\nSELECT * FROM bronze.orders");
    project.tables[0].checks = vec![spec(kind.clone())];
    let found: Vec<_> = project.analyze().diagnostics.into_iter().map(|found| found.message).collect();
    assert_eq!(found, expected, "{kind:?}");
}

#[test]
fn checks_must_fit_the_columns_of_the_result() {
    check(CheckKind::NotNull { column: column("order_id") }, &[]);
    check(CheckKind::NotNull { column: column("orderid") }, &["there is no column `orderid`"]);
    let range =
        |min| CheckKind::Range { column: column("amount"), bounds: Bounds { min: Some(min), max: None } };
    check(range(Scalar::Int(0)), &[]);
    check(
        CheckKind::Pattern { column: column("amount"), pattern: Pattern::Named(NamedPattern::Email) },
        &["`pattern` cannot judge `amount`, which is `decimal(12,2)`"],
    );
}

#[test]
fn relationships_must_lead_somewhere() {
    let to = |column_name: &str, table: &str, to_column: &str| CheckKind::Relationship {
        column: column(column_name),
        to_table: located(name(table)),
        to_column: to_column.into(),
    };
    check(to("customer_id", "bronze.customers", "customer_id"), &[]);
    check(to("customer_id", "silver.orders", "id"), &["`silver.orders` has no column `id`"]);
    check(
        to("customer_id", "bronze.customers", "email"),
        &["`customer_id` (int64) cannot occur in `bronze.customers.email` (string)"],
    );
}

#[test]
fn conditions_must_plan() {
    let condition = |sql: &str| CheckKind::Expression { sql: column(sql) };
    check(condition("amount > 0 and status <> 'x'"), &[]);
    check(condition("amont > 0"), &["unknown column `amont`"]);
    check(condition("amount"), &["a condition gives true or false, this gives decimal(12,2)"]);
    check(
        condition("sum(amount) > 1"),
        &["a condition sees one row: no aggregates, window functions or subqueries"],
    );
    check(condition("amount >"), &["expected an expression, but the SQL ends here"]);
    check(condition("amount > 0 garbage more"), &["expected end of expression, found `garbage`"]);
}

#[test]
fn a_condition_is_placed_inside_its_quotes() {
    let mut project = support::project("");
    let at = Location { file: FileId(7), start: 50, end: 50 + "\"amont > 0\"".len() };
    project.sources[2].contract.checks =
        vec![spec(CheckKind::Expression { sql: Located::new("amont > 0".into(), at) })];
    let diagnostics = project.analyze().diagnostics;
    let place = diagnostics[0].at.unwrap();
    assert_eq!((place.start, place.end), (51, 56));
    assert_eq!(diagnostics[0].hint.as_deref(), Some("did you mean `amount`?"));
}
