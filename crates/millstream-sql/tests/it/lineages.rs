//! Lineage through a chain of tables.

use millstream_sql::lineage;

use crate::support::{self, name};

const CHAIN: &str = "--- silver.orders
SELECT order_id, customer_id, amount, status FROM bronze.orders WHERE status <> 'test'
--- gold.spent materialize=view
SELECT customer_id, sum(amount) AS spent FROM silver.orders GROUP BY customer_id
--- gold.best
SELECT c.country, max(s.spent) AS top FROM gold.spent s JOIN bronze.customers c ON c.customer_id = s.customer_id GROUP BY c.country
--- gold.other
SELECT customer_id FROM silver.orders WHERE amount > 10
";

fn report(table: &str, column: Option<&str>) -> String {
    let project = support::project(CHAIN);
    let analysis = project.analyze();
    assert!(analysis.diagnostics.is_empty(), "{}", support::render(&analysis.diagnostics, &project.tables));
    match lineage(&analysis, &name(table), column) {
        Ok(report) => serde_json::to_string_pretty(&report).unwrap(),
        Err((message, hint)) => format!("{message} ({})", hint.unwrap_or_default()),
    }
}

#[test]
fn a_column_leads_up_to_its_sources_and_down_to_its_users() {
    insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("lineage_chain", report("silver.orders", Some("amount")));
    });
    let top = report("gold.best", Some("top"));
    assert!(top.contains("\"sources\": [\n    {\n      \"table\": \"bronze.orders\",\n      \"column\": \"amount\"\n    }\n  ]"), "{top}");
    let source = report("bronze.orders", Some("status"));
    assert!(source.contains("\"upstream\": []"), "{source}");
}

#[test]
fn unknown_names_have_hints() {
    assert_eq!(report("silver.order", None), "unknown table `silver.order` (did you mean `silver.orders`?)");
    assert_eq!(
        report("silver.orders", Some("amout")),
        "`silver.orders` has no column `amout` (did you mean `amount`?)"
    );
}
