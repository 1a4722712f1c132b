//! Views to definitions: columns, types, queries, defaults and lineage.

use insta::assert_snapshot;
use millstream_features::{aggregate::Value, view::ViewDefinition};

use super::{CUSTOMER, Shop, customer, shop, view};

fn definition<'s>(shop: &'s Shop, view: &str) -> &'s ViewDefinition {
    &shop.features.views[view].definition
}

#[test]
fn the_design_document_s_view_has_a_definition() {
    let shop = customer(CUSTOMER);
    let orders = &shop.features.views["orders"];
    assert_snapshot!(serde_json::to_string_pretty(&orders.definition).unwrap());
    assert!(orders.row_wise && orders.has_known);
    assert_eq!(orders.dependencies.iter().map(ToString::to_string).collect::<Vec<_>>(), ["silver.orders"]);
    let stored: ViewDefinition =
        serde_json::from_str(&serde_json::to_string(&orders.definition).unwrap()).unwrap();
    assert_eq!(stored, orders.definition);
}

#[test]
fn equal_expressions_share_a_column() {
    let text = view(
        "      a: {sum: amount, where: \"status = 'paid'\"}
      b: {mean: AMOUNT, where: \"status='paid' /* really */\"}
      c: {sum: amount * quantity}
      d: {max: \"amount*quantity\", where: quantity > 1}
      e: {count_if: \"status = 'paid'\"}
      f: {ratio: {numerator: {sum: amount, where: \"quantity > 1\"}, denominator: {count: \"*\"}}, where: \"status = 'paid'\"}
      g: {column: Gross-Total}
",
    );
    let shop = customer(&text);
    let columns: Vec<_> =
        definition(&shop, "orders").columns.iter().map(|column| column.sql.as_str()).collect();
    assert_eq!(
        columns,
        [
            "amount",
            "status = 'paid'",
            "amount * quantity",
            "quantity > 1",
            "(status = 'paid') AND (quantity > 1)",
            "\"Gross-Total\"",
        ]
    );
}

#[test]
fn every_aggregation_has_its_type() {
    let text = view(
        "      a: {count: category}
      b: {count_if: \"amount > 5\", window: 5m}
      c: {min: amount}
      d: {max: ordered_at}
      e: {first: category}
      f: {first_k: {column: amount, k: 3}}
      g: {last_k: {column: quantity, k: 3}}
      h: {variance: amount}
      i: {sum: quantity}
      j: {sum: amount}
      k: {distinct: category}
      l: {quantile: {column: amount, quantile: 0.5}}
      m: {top_k: {column: paid_on, k: 2}}
      n: {most_frequent: category}
      o: {histogram: {column: quantity, edges: [0, 1.5, 100]}}
      p: {ratio: {numerator: {sum: amount}, denominator: {count: \"*\"}}, window: 2w}
      q: {rate: {per: 1h}, window: 1d}
      r: {time_since_last: \"*\"}
      s: {vector_mean: \"arrow_cast(embedding, 'FixedSizeList(2, Float32)')\"}
      t: {column: \"upper(category)\"}
",
    );
    let shop = customer(&text);
    let features = &definition(&shop, "orders").features;
    let types: Vec<_> =
        features.iter().map(|feature| format!("{} {}", feature.name, feature.data_type)).collect();
    assert_snapshot!(types.join("\n"));
}

#[test]
fn defaults_have_the_type_of_their_feature() {
    let text = view(
        "      a: {count: \"*\", default: 5}
      b: {sum: amount, default: 1.5}
      c: {mean: amount, default: 0}
      d: {last: category, default: none yet}
      e: {last: paid_on, default: \"2026-01-02\"}
      f: {max: ordered_at, default: \"2026-01-02T00:00:00Z\"}
      g: {last: status = 'paid', default: false}
",
    );
    let shop = customer(&text);
    let defaults: Vec<_> =
        definition(&shop, "orders").features.iter().map(|feature| feature.default.clone().unwrap()).collect();
    let expected = [
        Value::Int(5),
        Value::Decimal(150),
        Value::Float(0.0),
        Value::Text("none yet".into()),
        Value::Int(20_455),
        Value::Int(1_767_312_000_000_000),
        Value::Bool(false),
    ];
    assert_eq!(defaults, expected);
}

#[test]
fn a_view_s_own_sql_runs_before_its_features() {
    let text = "\
entity: {name: customer, key: customer_id}
views:
  visits:
    from: silver.visits
    sql: |
      -- only the long ones
      SELECT Customer_ID, date_trunc('day', at) AS day, at::date AS Date, length(session) AS Size
      FROM silver.visits WHERE length(session) > 3
    time: date
    features:
      size: {max: size}
  totals:
    from: silver.visits
    sql: SELECT v.customer_id, max(v.at) AS at, count(*) AS n FROM silver.visits v JOIN silver.orders o USING (customer_id) GROUP BY 1
    time: at
    features:
      n: {last: n}
";
    let shop = customer(text);
    assert_snapshot!(definition(&shop, "visits").query);
    assert!(shop.features.views["visits"].row_wise && !shop.features.views["visits"].has_known);
    let totals = &shop.features.views["totals"];
    assert_snapshot!(totals.definition.query);
    assert!(!totals.row_wise);
    let tables: Vec<_> = totals.dependencies.iter().map(ToString::to_string).collect();
    assert_eq!(tables, ["silver.visits", "silver.orders"]);
}

#[test]
fn an_entity_has_the_widest_type_of_its_keys() {
    let text = format!(
        "{}  visits:\n    from: silver.visits\n    time: at\n    features:\n      n: {{count: \"*\"}}\n",
        view("      n: {count: \"*\"}\n")
    );
    let shop = customer(&text);
    for view in ["orders", "visits"] {
        assert_eq!(definition(&shop, view).keys[0].data_type.to_string(), "Int64", "{view}");
    }
    assert_snapshot!(definition(&shop, "visits").query);
}

#[test]
fn a_view_over_a_sql_view_is_computed_anew() {
    let recent = "/*---\nmaterialize: view\n---*/\nSELECT * FROM silver.visits WHERE session <> ''";
    let features = view("      n: {count: \"*\"}\n").replace("silver.orders", "silver.recent");
    let files = [
        ("tables/silver/recent.sql", recent),
        ("features/customer.yaml", &features.replace("ordered_at", "at")),
    ];
    let shop = shop(&files);
    assert_eq!(shop.problems(), "");
    assert!(!shop.features.views["orders"].row_wise);
}

#[test]
fn features_lead_back_to_the_sources_columns() {
    let shop = customer(CUSTOMER);
    let lineage = shop.features.views["orders"].lineage(&shop.analysis);
    assert_snapshot!(serde_json::to_string_pretty(&lineage["avg_basket_90d"]).unwrap());
    assert!(lineage["order_count_7d"].direct.is_empty());
    assert!(lineage["last_category"].sources.iter().any(|column| column.column == "category"));
}

#[test]
fn a_definition_changes_with_its_meaning_only() {
    let space = |text: &str| definition(&customer(text), "orders").space();
    let base = space(CUSTOMER);
    let same = [
        CUSTOMER.replace("status = 'paid'", "STATUS   =  'paid' -- paid orders"),
        CUSTOMER.replace("{last: category}", "{last: Category, description: d, tags: [a]}"),
    ];
    for text in &same {
        assert_eq!(space(text), base, "{text}");
    }
    let other = [
        CUSTOMER.replace("'paid'", "'Paid'"),
        CUSTOMER.replace("{last: category}", "{last: status}"),
        CUSTOMER.replace("window: 30d", "window: 31d"),
    ];
    for text in &other {
        assert_ne!(space(text), base, "{text}");
    }
}
