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

/// What stands after a `-` is excluded.
fn resolve(text: &str) -> Result<String, SelectionError> {
    let (excluded, terms): (Vec<&str>, Vec<&str>) =
        text.split_whitespace().partition(|term| term.starts_with('-'));
    let terms: Vec<String> = terms.into_iter().map(str::to_owned).collect();
    let excluded: Vec<String> = excluded.into_iter().map(|term| term[1..].to_owned()).collect();
    let selected = Selection::parse(&terms, &excluded)?.resolve(&graph(SHOP))?;
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
fn steps_bound_how_far_a_term_goes() {
    check("1+churn", "gold.churn silver.customers");
    check("2+churn", "bronze.customers gold.churn silver.customers");
    check("0+churn", "gold.churn");
    check("bronze.orders+1", "bronze.orders silver.orders");
    check("1+silver.orders+1", "bronze.orders gold.revenue silver.orders");
    check("1+gold.*", "gold.churn gold.revenue silver.customers silver.orders");
    check("99999999999999999999999+churn", "bronze.customers gold.churn silver.customers");
    check("tag:daily+1", "bronze.orders gold.revenue silver.orders");
}

#[test]
fn a_comma_asks_for_both() {
    check("tag:daily,silver.*", "silver.orders");
    check("+gold.*,source:*", "bronze.customers bronze.orders");
    check("gold.{churn,revenue},tag:report", "gold.revenue");
    check("tag:daily,tag:report", "");
    check("tag:daily,silver.* churn", "gold.churn silver.orders");
}

#[test]
fn a_path_selects_a_file_or_all_of_a_folder() {
    check("path:tables/gold", "gold.churn gold.revenue");
    check("path:./tables/gold/", "gold.churn gold.revenue");
    check("path:tables/silver/orders.sql", "silver.orders");
    check("path:sources", "bronze.customers bronze.orders");
    check("path:sources/orders.yaml+1", "bronze.orders silver.orders");
    check("path:tables/*/orders.sql", "silver.orders");
}

#[test]
fn what_is_excluded_is_not_selected() {
    check("-gold.*", "bronze.customers bronze.orders silver.customers silver.orders");
    check("+churn -source:*", "gold.churn silver.customers");
    check("gold.* -churn -tag:report", "");
    check("-silver.customers+", "bronze.customers bronze.orders silver.orders");
    check_fault("-chrun", "`chrun` matches no asset", Some("did you mean `churn`?"));
}

#[test]
fn terms_that_mean_nothing_say_why_and_what_was_probably_meant() {
    check_fault("chrun", "`chrun` matches no asset", Some("did you mean `churn`?"));
    check_fault("+gold.chrun+", "`+gold.chrun+` matches no asset", Some("did you mean `gold.churn`?"));
    check_fault("tag:dayly", "`tag:dayly` matches no tag", Some("did you mean `tag:daily`?"));
    check_fault("source:order", "`source:order` matches no source", Some("did you mean `source:orders`?"));
    let all = Some(
        "there are `bronze.customers`, `bronze.orders`, `gold.churn`, `gold.revenue`, `silver.customers`, `silver.orders`",
    );
    check_fault("platinum.*", "`platinum.*` matches no asset", all);
    check_fault("qqqq", "`qqqq` matches no asset", all);
    check_fault("tag:qqqq", "`tag:qqqq` matches no tag", Some("there are `tag:daily`, `tag:report`"));
    check_fault(
        "path:tables/gold/chrun.sql",
        "`path:tables/gold/chrun.sql` matches no file of an asset",
        Some("did you mean `path:tables/gold/churn.sql`?"),
    );
    check_fault(
        "orders",
        "`orders` can mean `bronze.orders` or `silver.orders`",
        Some("write the schema too, or `source:name` for the source"),
    );
    let how = Some(
        "write a name, `+name`, `name+`, `2+name+1`, `tag:x`, `source:x`, `path:x`, `view:x` or a pattern like `silver.*`; a \
         comma between two asks for both",
    );
    check_fault("++churn", "`++churn` selects nothing: no name has a `+`", how);
    check_fault("@churn", "`@churn` selects nothing: no name has a `@`", how);
    check_fault("tables/gold", "`tables/gold` selects nothing: no name has a `/`", how);
    check_fault("churn,", "`` selects nothing: a name is missing", how);
    check_fault("+", "`+` selects nothing: a name is missing", how);
    check_fault("tag:", "`tag:` selects nothing: a name is missing", how);
    check_fault(
        "table:x",
        "`table:x` selects nothing: the project has nothing that is written `table:`",
        how,
    );
    assert!(matches!(resolve("silver.[").unwrap_err(), SelectionError::Malformed { .. }));
}

proptest::proptest! {
    #[test]
    fn no_term_panics(term in "\\PC{0,12}|[+:*.,\\[\\]{}0-9a-o]{0,12}") {
        let _ = Selection::parse(&[term], &[]).and_then(|selection| selection.resolve(&graph(SHOP)));
    }
}
