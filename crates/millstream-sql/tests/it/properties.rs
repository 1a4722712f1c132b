//! Whatever is written in a table's file, analysis answers.

use proptest::prelude::*;

use crate::support;

/// Pieces of SQL in any order, more likely to get past the parser than random letters.
fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "SELECT",
        "FROM",
        "WHERE",
        "WITH",
        "AS",
        "(",
        ")",
        ",",
        "*",
        "bronze.orders",
        "bronze.customers",
        "silver.x",
        "order_id",
        "amount",
        "status",
        "o",
        "JOIN",
        "LEFT",
        "ON",
        "=",
        "<",
        "+",
        "-",
        "'a'",
        "1",
        "1.5",
        "NULL",
        "GROUP BY",
        "ORDER BY",
        "LIMIT",
        "UNION ALL",
        "EXCEPT",
        "sum(",
        "count(*)",
        "OVER (",
        "PARTITION BY",
        "CASE",
        "WHEN",
        "THEN",
        "END",
        "VERSION AS OF 3",
        "TIMESTAMP AS OF '2024-01-01'",
        "unnest(",
        "generate_series(1, 3)",
        "INTERVAL '1 day'",
        "EXISTS",
        "IN",
        "NOT",
        "[",
        "]",
        "{",
        "}",
        "::",
        "int",
        "CAST(",
        "VALUES",
        ";",
        "--x\n",
        "/*",
        "*/",
        "\"",
        "DISTINCT",
        "RECURSIVE",
        "LATERAL",
        "USING",
        "NATURAL",
        "QUALIFY",
        "ROLLUP(",
        "$1",
        "@v",
        "EXPLAIN",
        "x -> x + 1",
        "'é'",
        "\n",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.join(" "))
}

fn answers(sql: &str) {
    let project = support::project(&format!("--- silver.x\n{}", sql.replace("--- ", "")));
    let analysis = project.analyze();
    assert_eq!(analysis.tables.is_empty(), !analysis.diagnostics.is_empty());
    for diagnostic in &analysis.diagnostics {
        let at = diagnostic.at.unwrap();
        assert!(at.start <= at.end && at.end - support::SQL_START <= sql.len(), "{diagnostic:?}");
    }
    for table in analysis.tables.values() {
        assert_eq!(table.lineage().columns.len(), table.stored_schema.fields().len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn random_text_is_answered(sql in "\\PC{0,200}") {
        answers(&sql);
    }

    #[test]
    fn random_sql_is_answered(sql in words()) {
        answers(&sql);
    }
}

/// Long chains nest deeply; a small stack must do for short ones, and long ones are refused.
#[test]
fn long_chains_do_not_exhaust_the_stack() {
    let chain = |count: usize, part: &str| vec![part; count].join("");
    let cases = [1_500, 200_000].into_iter().flat_map(|count| {
        [
            format!("SELECT 1{} AS x", chain(count, "+1")),
            format!("SELECT order_id FROM bronze.orders WHERE true{}", chain(count, " OR order_id=1")),
            format!("SELECT 1 AS x{}", chain(count, " UNION ALL SELECT 1")),
            format!("SELECT {}1 AS x", chain(count, "NOT ")),
            format!("SELECT {}1 AS x", chain(count, "- ")),
            format!("SELECT 1{} AS x", chain(count, "::int")),
            format!("SELECT {}1 AS x", chain(count, "(")),
            format!("SELECT 1 AS x FROM bronze.orders{}", chain(count, ", bronze.orders")),
            format!("SELECT 1 AS x FROM {}bronze.orders", chain(count, "(SELECT * FROM ")),
            format!("SELECT CASE {} END AS x", chain(count, "WHEN true THEN 1 ")),
            format!("SELECT concat({}'a') AS x", chain(count, "'a',")),
        ]
    });
    let cases: Vec<_> = cases.collect();
    let small = std::thread::Builder::new().stack_size(2 << 20);
    small.spawn(move || cases.iter().for_each(|sql| answers(sql))).unwrap().join().unwrap();
}
