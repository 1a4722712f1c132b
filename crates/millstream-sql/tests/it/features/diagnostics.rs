//! What is said about each mistake.

use insta::assert_snapshot;
use millstream_project::Level;
use millstream_sql::features::PushProjection;

use super::{CUSTOMER, shop, view};

/// All problems of a file of features.
fn features(text: &str) -> String {
    let shop = shop(&[("features/customer.yaml", text)]);
    assert!(shop.features.services.is_empty());
    shop.problems()
}

fn check(cases: &[&str]) -> String {
    cases.iter().map(|case| format!("{case}\n{}\n", features(case))).collect()
}

#[test]
fn wrong_columns_and_types_are_all_reported() {
    assert_snapshot!(features(&view(
        "      a: {sum: amont}
      b: {sum: category}
      c: {mean: embedding}
      d: {max: \"amount + categry\"}
      e: {sum: amount, where: \"status\"}
      f: {sum: amount, where: \"stats = 'paid'\"}
      g: {sum: amount, where: \"status = 5\"}
      h: {count_if: amount}
      i: {max: \"sum(amount)\"}
      j: {max: \"(SELECT 1)\"}
      k: {count_if: \"ordered_at > now()\"}
      l: {max: random()}
      m: {max: \"amount +\"}
      n: {max: amount AS total}
      o: {column: embedding}
      p: {column: amount, where: \"status = 'paid'\"}
      q: {column: \"NULL\"}
      r: {vector_sum: embedding}
      s: {ratio: {numerator: {max: category}, denominator: {sum: status}}}
      t: {histogram: {column: amount, edges: [1]}}
      u: {max: 'uper(category)'}
      v: {max: $1}
      x: {rate: {per: 1h}}
      w: {count: embedding, where: \"now() > ordered_at\"}
"
    )));
}

#[test]
fn defaults_must_be_values_of_the_type() {
    assert_snapshot!(features(&view(
        "      a: {count: \"*\", default: none}
      b: {sum: amount, default: 1.555}
      c: {sum: quantity, default: 9223372036854775808}
      d: {last: category, default: 5}
      e: {last: paid_on, default: yesterday}
      f: {max: ordered_at, default: 5}
      g: {last: status = 'paid', default: \"true\"}
      h: {last_k: {column: amount, k: 2}, default: 5}
      i: {last: quantity, default: 2147483648}
      j: {mean: amount, default: .nan}
"
    )));
}

#[test]
fn views_need_their_keys_and_a_time() {
    let head = "entity: {name: customer, key: [customer_id, shop_id]}\nviews:\n";
    assert_snapshot!(check(&[
        &format!("{head}  v: {{from: silver.orders, time: orderd_at, features: {{n: {{count: \"*\"}}}}}}\n"),
        &format!("{head}  v: {{from: silver.shops, time: shop_id, features: {{n: {{count: \"*\"}}}}}}\n"),
        &format!(
            "{head}  v: {{from: silver.orders, sql: \"SELECT shop_id, at FROM silver.shops\", time: at, features: {{n: {{count: \"*\"}}}}}}\n"
        ),
        &format!(
            "{head}  v: {{from: silver.shops, sql: \"SELECT shop_id, at FROM silver.shops\", time: at, features: {{n: {{count: \"*\"}}}}}}\n"
        ),
        &format!(
            "{head}  v: {{from: silver.shops, sql: \"SELECT *, now() AS _ingested_at FROM silver.shops\", time: at, features: {{n: {{count: \"*\"}}}}}}\n"
        ),
        &format!(
            "{head}  v: {{from: silver.shops, sql: \"SELECT *, shop_id AS _ingested_at, 1.5 AS _sequence FROM silver.shops\", time: at, features: {{n: {{count: \"*\"}}}}}}\n"
        ),
        &format!(
            "{head}  v: {{from: silver.shops, sql: \"SELECT * FROM silver.shop\", time: at, features: {{n: {{count: \"*\"}}}}}}\n"
        ),
        &format!(
            "{head}  v: {{from: silver.shops, sql: \"SELECT *, at FROM silver.shops\", time: at, features: {{n: {{count: \"*\"}}}}}}\n"
        ),
        &format!(
            "{head}  v: {{from: silver.shops, sql: \"SELECT * FROM silver.shops VERSION AS OF 3\", time: at, features: {{n: {{count: \"*\"}}}}}}\n"
        ),
        &format!(
            "{head}  v: {{from: silver.shops, sql: \"DELETE FROM silver.shops\", time: at, features: {{n: {{count: \"*\"}}}}}}\n"
        ),
        &format!(
            "{head}  v: {{from: silver.shops, sql: \"SELECT shp_id FROM silver.shops\", time: at, features: {{n: {{count: \"*\"}}}}}}\n"
        ),
    ]));
}

#[test]
fn keys_of_one_entity_agree() {
    let other = "  texts:\n    from: silver.texts\n    time: at\n    features:\n      n: {count: \"*\"}\n";
    let nested = "entity: {name: e, key: embedding}\nviews:\n  v: {from: silver.orders, time: ordered_at, features: {n: {count: \"*\"}}}\n";
    let reserved = "entity: {name: e, key: c0}\nviews:\n  v: {from: silver.orders, sql: \"SELECT order_id AS c0, ordered_at AS at FROM silver.orders\", time: at, features: {n: {count: \"*\"}}}\n";
    assert_snapshot!(check(&[&format!("{}{other}", view("      n: {count: \"*\"}\n")), nested, reserved]));
}

#[test]
fn on_demand_features_name_what_exists() {
    let head = CUSTOMER.split("on_demand").next().unwrap();
    let case = |text: &str| format!("{head}on_demand:\n{text}");
    let problems = |text: &str| features(&case(text));
    assert_snapshot!(problems(
        "  a: \"order.spend_30d * 2\"
  b: \"orders.spend_30 * 2\"
  c: \"spend_30d * 2\"
  d: \"orders.spend_30d *\"
  e: \"sum(orders.spend_30d)\"
  f: \"now() - orders.spend_30d\"
  g: \"orders.last_category > 5\"
  h: \"orders.last_category - x\"
  i: \"NULL\"
  j: \"nulif(orders.spend_30d, 0)\"
  k: \"j + a\"
"
    ));
    assert_snapshot!(problems("  a: \"b + 1\"\n  b: \"c * a\"\n  c: \"a\"\n  d: \"a\"\n  e: \"e\"\n"));
    assert_snapshot!(problems("  a: \"x * 2\"\n  b: \"x AND orders.spend_30d > 0\"\n"));
}

#[test]
fn what_follows_from_another_mistake_is_not_reported() {
    let text = CUSTOMER.replace("silver.orders", "silver.nothing");
    let problems = features(&text);
    assert_eq!(problems.matches("MS-").count(), 1, "{problems}");
    let text = CUSTOMER.replace("mean: amount", "mean: amont");
    let problems = features(&text);
    assert_eq!(problems.matches("MS-").count(), 1, "{problems}");
}

#[test]
fn long_expressions_are_computed_or_refused() {
    let sum = |terms: usize| vec!["quantity"; terms].join(" + ");
    let shop = shop(&[("features/customer.yaml", &view(&format!("      a: {{max: {}}}\n", sum(1_000))))]);
    assert_eq!(shop.problems(), "");
    PushProjection::compile(&shop.features.views["orders"].definition).unwrap();
    let problems = features(&view(&format!("      a: {{max: {}}}\n", sum(3_000))));
    assert!(problems.contains("more than 2000 operators"), "{problems}");
    let nested = format!("{}quantity{}", "(".repeat(500), ")".repeat(500));
    assert!(features(&view(&format!("      a: {{max: \"{nested}\"}}\n"))).contains("nested too deeply"));
}

/// Features that divide are mostly meant as shares; a cast of the quotient says that whole numbers are meant.
#[test]
fn a_division_of_whole_numbers_is_warned_of() {
    for (feature, on_demand, warned) in [
        ("{count: \"*\", window: 1d}", "orders.f / 2", true),
        ("{count: \"*\", window: 1d}", "orders.f / nullif(orders.f, 0)", true),
        ("{count: \"*\", window: 1d}", "1.0 + orders.f / 2", true),
        ("{count: \"*\", window: 1d}", "orders.f / 2.0", false),
        ("{count: \"*\", window: 1d}", "cast(orders.f as double) / 2", false),
        ("{count: \"*\", window: 1d}", "cast(orders.f / 2 as bigint)", false),
        ("{mean: amount, window: 1d}", "orders.f / 2", false),
        ("{mean: quantity / 2, window: 1d}", "1", true),
        ("{mean: amount / 2, window: 1d}", "1", false),
        ("{count: \"*\", where: quantity / 2 > 1, window: 1d}", "1", true),
    ] {
        let text = format!("{}on_demand:\n  d: \"{on_demand}\"\n", view(&format!("      f: {feature}\n")));
        let shop = shop(&[("features/customer.yaml", &text)]);
        let found = shop.problems();
        assert_eq!(found.contains("MS-0246"), warned, "{feature}, {on_demand}: {found}");
        assert!(shop.features.diagnostics.iter().all(|one| one.level == Level::Warning), "{found}");
    }
}
