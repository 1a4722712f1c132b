//! Services: what a version is, and when it changes.

use std::collections::BTreeSet;

use insta::assert_snapshot;
use millstream_features::view::ServiceDefinition;

use super::{CUSTOMER, customer};

fn version(text: &str) -> String {
    customer(text).features.services["churn_v1"].version.clone()
}

#[test]
fn a_service_holds_all_that_decides_on_its_values() {
    let shop = customer(CUSTOMER);
    let service = &shop.features.services["churn_v1"];
    let text = serde_json::to_string_pretty(&service.definition).unwrap();
    let stored: ServiceDefinition = serde_json::from_str(&text).unwrap();
    assert_eq!(stored, service.definition);
    assert_eq!(stored.version(), service.version);
    let brief = serde_json::json!({
        "entities": stored.entities,
        "features": stored.features,
        "on_demand": stored.on_demand,
        "views": stored.views.iter().map(|view| &view.name).collect::<Vec<_>>(),
        "request": stored.request(),
    });
    assert_snapshot!(serde_json::to_string_pretty(&brief).unwrap());
    assert_eq!(service.dependencies.len(), 1);
}

#[test]
fn a_version_does_not_change_with_the_way_of_writing() {
    let base = version(CUSTOMER);
    assert_eq!(base.len(), 32);
    let same = [
        CUSTOMER.replace(
            "cart_value / nullif(orders.avg_basket_90d, 0)",
            "CART_VALUE/ NULLIF (Orders.avg_basket_90d,0) -- r",
        ),
        CUSTOMER.replace("status = 'paid'", "status='paid'"),
        CUSTOMER.replace(
            "entity: {name: customer,",
            "# people\nentity: {description: who buys, owner: me, name: customer,",
        ),
        CUSTOMER.replace(
            "{sum: amount, window: 30d}",
            "{sum: {column: amount}, window: 30d, description: money}",
        ),
        CUSTOMER.replace("window: 7d", "window: 168h"),
        CUSTOMER.replace("on_demand:\n", "on_demand:\n  unused: \"orders.spend_30d + 1\"\n"),
        // Features of its views that the service does not read.
        CUSTOMER.replace("      last_category:  {last: category}\n", ""),
        CUSTOMER.replace("{last: category}", "{first: category, window: 1d}"),
        CUSTOMER.replace(
            "    features:\n",
            "    features:\n      biggest: {max: quantity, where: \"quantity > 1\"}\n",
        ),
    ];
    for text in &same {
        assert_eq!(version(text), base, "{text}");
    }
}

#[test]
fn a_version_changes_with_every_meaning() {
    let other = [
        CUSTOMER.to_owned(),
        CUSTOMER.replace("0)", "1)"),
        CUSTOMER.replace("'paid'", "'open'"),
        CUSTOMER.replace("window: 30d", "window: 31d"),
        CUSTOMER.replace("ttl: 90d", "ttl: 91d"),
        CUSTOMER.replace("ttl: 90d", "ttl: 90d\n    include_same_instant: true"),
        CUSTOMER.replace("{sum: amount, window: 30d}", "{sum: amount, window: 30d, default: 0}"),
        CUSTOMER.replace("{sum: amount,", "{max: amount,"),
        CUSTOMER.replace("time: ordered_at", "time: paid_on"),
        CUSTOMER.replace(
            "[orders.order_count_7d, orders.spend_30d,",
            "[orders.spend_30d, orders.order_count_7d,",
        ),
        CUSTOMER.replace("basket_vs_average]", "orders.last_category, basket_vs_average]"),
        format!("{CUSTOMER}request: {{cart_value: int64}}\n"),
        CUSTOMER.replace(
            "from: silver.orders",
            "from: silver.orders\n    sql: SELECT * FROM silver.orders WHERE quantity > 0",
        ),
        CUSTOMER
            .replace("churn_v1:", "a: []\n  churn_v1:")
            .replace("  a: []\n", "")
            .replace("spend_30d", "spent_30d"),
    ];
    let versions: BTreeSet<String> = other.iter().map(|text| version(text)).collect();
    assert_eq!(versions.len(), other.len());
}

#[test]
fn a_version_changes_with_the_types_of_what_its_features_read() {
    let text = CUSTOMER
        .replace(
            "    features:\n",
            "    features:\n      many: {count_if: \"quantity * 0.1 > 1\", window: 7d}\n",
        )
        .replace("churn_v1: [", "churn_v1: [orders.many, ");
    let (_, orders) = super::FILES[1];
    let version = |orders: &str| {
        let shop = super::shop(&[("features/customer.yaml", &text), ("sources/orders.yaml", orders)]);
        assert_eq!(shop.problems(), "");
        shop.features.services["churn_v1"].version.clone()
    };
    // The condition is written the same, and computed in another type.
    let base = version(orders);
    assert_ne!(version(&orders.replace("quantity: {type: int32}", "quantity: {type: float64}")), base);
    // Only `last_category`, which the service does not read, is made of the category.
    assert_eq!(version(&orders.replace("category: {type: string}", "category: {type: int64}")), base);
}

#[test]
fn a_record_from_before_the_rows_were_kept_answers_as_what_it_was_written_of() {
    let before = |text: &str| {
        let mut definition = customer(text).features.services["churn_v1"].definition.clone();
        for view in &mut definition.views {
            view.rows.query.clear();
            view.rows.reads.clear();
        }
        let text = serde_json::to_string(&definition).unwrap();
        assert!(!text.contains("\"reads\""), "{text}");
        serde_json::from_str::<ServiceDefinition>(&text).unwrap()
    };
    let now = customer(CUSTOMER).features.services["churn_v1"].definition.clone();
    assert!(before(CUSTOMER).answers_as(&now));
    assert!(!before(&CUSTOMER.replace("window: 30d", "window: 31d")).answers_as(&now));
    assert!(!before(&CUSTOMER.replace("{last: category}", "{first: category}")).answers_as(&now));
}

#[test]
fn a_service_may_be_about_several_entities() {
    let text = CUSTOMER.to_owned() + "  both: [visits.n, orders.*]\n";
    let visits = "entity: {name: shop, key: shop_id}\nviews:\n  visits: {from: silver.shops, time: at, features: {n: {count: \"*\"}}}\n";
    let shop = super::shop(&[("features/customer.yaml", &text), ("features/shop.yaml", visits)]);
    assert_eq!(shop.problems(), "");
    let definition = &shop.features.services["both"].definition;
    let entities: Vec<_> = definition.entities.iter().map(|entity| entity.name.as_str()).collect();
    assert_eq!(entities, ["shop", "customer"]);
    assert_eq!(definition.features.len(), 5);
}
