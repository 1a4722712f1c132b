//! What terms on the command line mean.

use millstream_plan::{Selection, SelectionError};

use crate::world::graph;

const SHOP: &str = "
    bronze.orders: source #daily
    bronze.customers: source
    silver.orders: incremental #daily <- bronze.orders
    silver.customers: view <- bronze.customers
    gold.revenue: table #report <- silver.orders, silver.customers
    gold.churn: table <- silver.customers";

fn resolve(terms: &str) -> Result<String, SelectionError> {
    let terms: Vec<String> = terms.split_whitespace().map(str::to_owned).collect();
    let selected = Selection::parse(&terms)?.resolve(&graph(SHOP))?;
    Ok(selected.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

fn check(terms: &str, expected: &str) {
    assert_eq!(resolve(terms).unwrap(), expected, "{terms}");
}

fn check_fault(terms: &str, message: &str, hint: Option<&str>) {
    let error = resolve(terms).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(error.hint().as_deref(), hint);
}

#[test]
fn terms_select() {
    check("", "bronze.customers bronze.orders gold.churn gold.revenue silver.customers silver.orders");
    check("gold.churn", "gold.churn");
    check("churn", "gold.churn");
    check("+churn", "bronze.customers gold.churn silver.customers");
    check("bronze.orders+", "bronze.orders gold.revenue silver.orders");
    check("+silver.orders+", "bronze.orders gold.revenue silver.orders");
    check("tag:daily", "bronze.orders silver.orders");
    check("tag:da*", "bronze.orders silver.orders");
    check("source:orders", "bronze.orders");
    check("source:bronze.orders", "bronze.orders");
    check("source:*", "bronze.customers bronze.orders");
    check("source:customers+", "bronze.customers gold.churn gold.revenue silver.customers");
    check("silver.*", "silver.customers silver.orders");
    check("*.orders", "bronze.orders silver.orders");
    check("rev*", "gold.revenue");
    check("gold.{churn,revenue}", "gold.churn gold.revenue");
    check("churn tag:report churn", "gold.churn gold.revenue");
}

#[test]
fn terms_that_mean_nothing_say_why_and_what_was_probably_meant() {
    check_fault("chrun", "`chrun` matches no source or table", Some("did you mean `churn`?"));
    check_fault(
        "+gold.chrun+",
        "`+gold.chrun+` matches no source or table",
        Some("did you mean `gold.churn`?"),
    );
    check_fault("tag:dayly", "`tag:dayly` matches no tag", Some("did you mean `tag:daily`?"));
    check_fault("source:order", "`source:order` matches no source", Some("did you mean `source:orders`?"));
    check_fault("platinum.*", "`platinum.*` matches no source or table", None);
    check_fault("qqqq", "`qqqq` matches no source or table", None);
    check_fault(
        "orders",
        "`orders` can mean `bronze.orders` or `silver.orders`",
        Some("write the schema too, or `source:name` for the source"),
    );
    let how = Some("write a name, `+name`, `name+`, `tag:x`, `source:x` or a pattern like `silver.*`");
    check_fault("+", "`+` selects nothing: a name is missing", how);
    check_fault("tag:", "`tag:` selects nothing: a name is missing", how);
    check_fault("table:x", "`table:x` selects nothing: `table:` is not known", how);
    assert!(matches!(resolve("silver.[").unwrap_err(), SelectionError::Malformed { .. }));
}

proptest::proptest! {
    #[test]
    fn no_term_panics(term in "\\PC{0,12}|[+:*.\\[\\]{}a-o]{0,12}") {
        let _ = Selection::parse(&[term]).and_then(|selection| selection.resolve(&graph(SHOP)));
    }
}
