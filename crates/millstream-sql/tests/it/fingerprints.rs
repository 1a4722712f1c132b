//! What changes a table's fingerprint, and what does not.

use millstream_types::Fingerprint;

use crate::support;

fn fingerprint(sql: &str) -> Fingerprint {
    let project = support::project(&format!("--- silver.x\n{sql}"));
    let analysis = project.analyze();
    assert!(
        analysis.diagnostics.is_empty(),
        "{sql}: {}",
        support::render(&analysis.diagnostics, &project.tables)
    );
    analysis.tables[0].fingerprint
}

const BASE: &str =
    "SELECT order_id, sum(amount) AS total FROM bronze.orders WHERE status <> 'test' GROUP BY order_id";

#[test]
fn writing_it_differently_changes_nothing() {
    for same in [
        "select ORDER_ID, SUM(Amount) as total\n\n from BRONZE.orders -- paid\n where status != 'test' group by order_id",
        "/* why */ SELECT order_id, sum(amount) total FROM bronze.orders WHERE (status <> 'test') GROUP BY 1;",
        "SELECT orders.order_id, sum(orders.amount) AS \"total\" FROM bronze.orders WHERE status <> 'test' GROUP BY order_id",
    ] {
        assert_eq!(fingerprint(same), fingerprint(BASE), "{same}");
    }
}

#[test]
fn meaning_something_else_changes_it() {
    let mut seen = vec![fingerprint(BASE)];
    for other in [
        "SELECT order_id, sum(amount) AS total FROM bronze.orders WHERE status <> 'Test' GROUP BY order_id",
        "SELECT order_id, sum(amount) AS totals FROM bronze.orders WHERE status <> 'test' GROUP BY order_id",
        "SELECT order_id, avg(amount) AS total FROM bronze.orders WHERE status <> 'test' GROUP BY order_id",
        "SELECT order_id, sum(DISTINCT amount) AS total FROM bronze.orders WHERE status <> 'test' GROUP BY order_id",
        "SELECT order_id, sum(amount) FILTER (WHERE quantity > 1) AS total FROM bronze.orders WHERE status <> 'test' GROUP BY order_id",
        "SELECT order_id, sum(amount) AS total FROM bronze.orders WHERE status <> 'test' GROUP BY order_id LIMIT 5",
        "SELECT order_id, sum(amount) AS total FROM bronze.orders WHERE status <> 'test' GROUP BY order_id ORDER BY order_id",
        "SELECT order_id, sum(amount) AS total FROM bronze.orders WHERE status <> 'test' GROUP BY order_id ORDER BY order_id DESC",
        "SELECT order_id, CAST(sum(amount) AS DOUBLE) AS total FROM bronze.orders WHERE status <> 'test' GROUP BY order_id",
        "SELECT order_id, total FROM (VALUES (1,1),(1,2),(1,3),(1,4),(1,5),(1,6),(1,7)) AS t(order_id, total)",
        "SELECT order_id, total FROM (VALUES (1,1),(1,2),(1,3),(1,4),(1,5),(1,6),(1,8)) AS t(order_id, total)",
        "SELECT order_id, X'00112233445566778899aabbccddeeff00' AS total FROM bronze.orders",
        "SELECT order_id, X'00112233445566778899aabbccddeeff01' AS total FROM bronze.orders",
        "SELECT order_id, sum(amount) OVER (ORDER BY order_id ROWS 1 PRECEDING) AS total FROM bronze.orders",
        "SELECT order_id, sum(amount) OVER (ORDER BY order_id ROWS 2 PRECEDING) AS total FROM bronze.orders",
        "SELECT order_id, 1 AS total FROM bronze.orders WHERE order_id IN (SELECT order_id FROM bronze.orders WHERE amount > 1)",
        "SELECT order_id, 1 AS total FROM bronze.orders WHERE order_id IN (SELECT order_id FROM bronze.orders WHERE amount > 2)",
        "SELECT order_id, 1 AS total FROM bronze.orders WHERE order_id NOT IN (SELECT order_id FROM bronze.orders WHERE amount > 2)",
        "SELECT order_id, 1 AS total FROM bronze.orders WHERE status LIKE 'a%'",
        "SELECT order_id, 1 AS total FROM bronze.orders WHERE status ILIKE 'a%'",
        "SELECT a.order_id, 1 AS total FROM bronze.orders a LEFT JOIN bronze.customers b ON a.customer_id = b.customer_id",
        "SELECT a.order_id, 1 AS total FROM bronze.orders a JOIN bronze.customers b ON a.customer_id = b.customer_id",
        "SELECT a.order_id, 1 AS total FROM bronze.orders a JOIN bronze.customers b ON a.order_id = b.customer_id",
        "SELECT order_id, 1 AS total FROM bronze.orders UNION SELECT order_id, 2 FROM bronze.orders",
        "SELECT order_id, 1 AS total FROM bronze.orders UNION ALL SELECT order_id, 2 FROM bronze.orders",
    ] {
        let fingerprint = fingerprint(other);
        assert!(!seen.contains(&fingerprint), "{other}");
        seen.push(fingerprint);
    }
}
