//! Datasets: label columns, keys, cut-offs, and what is said when they do not fit.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Int32Array, Int64Array, RecordBatch,
    TimestampNanosecondArray,
};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use insta::assert_snapshot;
use millstream_sql::features::LabelColumns;

use super::{CUSTOMER, Shop, shop};

const CHURN: &str = "\
labels: {from: gold.labels, entity: customer, time: as_of, columns: [churned]}
features: churn_v1
split: {by: time, train: 70%, validation: 15%, test: 15%}
";

fn dataset(text: &str) -> Shop {
    shop(&[("features/customer.yaml", CUSTOMER), ("datasets/churn.yaml", text)])
}

fn describe(columns: &LabelColumns) -> String {
    let fields = columns.schema();
    let fields = fields.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
    format!(
        "{}\nkept {}, entities {:?}, time {}, known {:?}, request {:?}",
        fields.collect::<Vec<_>>().join(", "),
        columns.kept,
        columns.entities,
        columns.time,
        columns.as_known,
        columns.request
    )
}

#[test]
fn the_design_document_s_dataset_has_its_columns() {
    let shop = dataset(CHURN);
    assert_eq!(shop.problems(), "");
    let churn = &shop.features.datasets["churn"];
    assert_eq!(churn.service.name, "churn_v1");
    let tables: Vec<_> = churn.dependencies.iter().map(ToString::to_string).collect();
    assert_eq!(tables, ["gold.labels", "silver.orders"]);
    assert_snapshot!(churn.query.as_ref().unwrap());
    assert_snapshot!(describe(churn.labels.as_ref().unwrap()));
}

#[test]
fn labels_may_name_keys_of_their_own() {
    let text = "\
labels:
  sql: SELECT Buyer AS who, as_of, as_of::date AS day, cart_value FROM gold.labels -- all
  keys: {customer_id: who}
  time: day
features: [orders.*, basket_vs_average]
as_known: as_of
";
    let shop = dataset(text);
    assert_eq!(shop.problems(), "");
    let churn = &shop.features.datasets["churn"];
    assert_eq!(churn.service.name, "churn");
    assert_snapshot!(churn.query.as_ref().unwrap());
    assert_snapshot!(describe(churn.labels.as_ref().unwrap()));
}

#[test]
fn rows_of_labels_become_what_is_joined() {
    let text = CHURN
        .replace("from: gold.labels", "file: labels.csv")
        .replace("entity: customer", "entity: customer, keys: {customer_id: buyer}");
    let shop = dataset(&text);
    assert_eq!(shop.problems(), "");
    let churn = &shop.features.datasets["churn"];
    assert!(churn.labels.is_none() && churn.query.is_none());
    let buyer: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), None]));
    let as_of: ArrayRef = Arc::new(Date32Array::from(vec![1, 2]));
    let churned: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
    let cart: ArrayRef = Arc::new(Int64Array::from(vec![5, 6]));
    let rows = RecordBatch::try_from_iter_with_nullable([
        ("cart_value", cart, true),
        ("buyer", buyer, true),
        ("as_of", as_of, true),
        ("churned", churned, true),
    ])
    .unwrap();
    let spec = &shop.spec.datasets[0];
    let find =
        |rows: &RecordBatch| LabelColumns::find(spec, &shop.spec.features, &churn.service, rows.schema_ref());
    let columns = find(&rows).unwrap();
    let found = columns.project(&rows).unwrap();
    assert_eq!(found.schema(), columns.schema());
    let kept: Vec<_> = columns.kept_schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(kept, ["buyer", "as_of", "churned"]);
    let key = found.column(columns.entities["customer"][0]).as_primitive::<Int64Type>();
    assert_eq!(key.iter().collect::<Vec<_>>(), [Some(7), None]);
    let time = found.column(columns.time).as_primitive::<TimestampMicrosecondType>();
    assert_eq!(time.value(0), 86_400_000_000);
    for (nanos, expected) in
        [(1_000, None), (1_001, Some("`1970-01-01T00:00:00.000001001` would lose digits"))]
    {
        let as_of: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![0, nanos]));
        let mut given = rows.columns().to_vec();
        given[2] = as_of;
        let names = ["cart_value", "buyer", "as_of", "churned"];
        let rows = RecordBatch::try_from_iter(names.into_iter().zip(given)).unwrap();
        let found = find(&rows).unwrap().project(&rows).map_err(|error| error.to_string());
        match expected {
            None => assert!(found.is_ok(), "{found:?}"),
            Some(expected) => {
                assert!(found.as_ref().is_err_and(|error| error.contains(expected)), "{found:?}");
            }
        }
    }
    let missing = find(&rows.project(&[0, 1]).unwrap()).unwrap_err();
    let messages: Vec<_> = missing.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
    assert_eq!(
        messages,
        ["the labels have no column `churned`", "the labels have no column `as_of`, the time of the labels"]
    );
}

#[test]
fn what_does_not_fit_is_reported() {
    let cases = [
        CHURN.replace("as_of", "as_off"),
        CHURN.replace("as_of", "name"),
        CHURN.replace("[churned]", "[churnd, churned]"),
        CHURN.replace("entity: customer", "entity: customer, keys: {customer_id: name}"),
        CHURN.replace("entity: customer", "entity: customer, keys: {customer_id: custmer}"),
        CHURN.replace("entity: customer", "entity: shop"),
        CHURN.replace("by: time", "by: hash, entity: shop"),
        CHURN.replace(
            "from: gold.labels",
            "sql: 'SELECT customer_id, as_of, churned, name AS cart_value FROM gold.labels'",
        ),
        CHURN.replace("from: gold.labels", "sql: 'SELECT customer_id, as_of, churned FROM gold.labels'"),
        CHURN.replace("from: gold.labels", "sql: 'SELECT customer_id, as_of FROM gold.lables'"),
        CHURN
            .replace(
                "from: gold.labels",
                "sql: 'SELECT *, 1 AS split, 2 AS basket_vs_average FROM gold.labels'",
            )
            .replace(", columns: [churned]", ""),
        CHURN.replace("features: churn_v1", "features: [visits.n]\nas_known: true"),
        CHURN.replace("features: churn_v1", "features: churn_v1\nas_known: name"),
        CHURN.replace("features: churn_v1", "features: churn_v1\nas_known: knwn"),
    ];
    let visits = "entity: {name: shop, key: shop_id}\nviews:\n  visits: {from: silver.shops, time: at, features: {n: {count: \"*\"}}}\n";
    let mut text = String::new();
    for case in &cases {
        let files = [
            ("features/customer.yaml", CUSTOMER),
            ("features/shop.yaml", visits),
            ("datasets/churn.yaml", case.as_str()),
        ];
        let shop = shop(&files);
        assert!(shop.features.datasets.is_empty(), "{case}");
        text += &format!("{case}{}\n", shop.problems());
    }
    assert_snapshot!(text);
}
