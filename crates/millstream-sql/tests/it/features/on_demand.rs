//! On-demand features: types, inference of request values, and values.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::Float64Type;
use millstream_sql::features::OnDemandExpressions;

use super::{CUSTOMER, customer};

/// The type of an expression and of its request values, over the features of the shop.
fn types(request: &str, sql: &str) -> String {
    let head = CUSTOMER.split("on_demand").next().unwrap();
    let text = format!("{head}on_demand:\n  it: >-\n    {sql}\nrequest: {{{request}}}\n");
    let shop = customer(&text);
    let it = &shop.features.on_demand["it"];
    let request = it.request.iter().map(|value| format!(", {} {}", value.name, value.data_type));
    format!("{}{}", it.data_type, request.collect::<String>())
}

#[test]
fn request_values_have_the_first_type_with_a_meaning() {
    let cases = [
        ("", "x * 2", "Float64, x Float64"),
        ("", "upper(country)", "Utf8, country Utf8"),
        ("", "country = 'DE'", "Boolean, country Utf8"),
        ("", "country = orders.last_category", "Boolean, country Utf8"),
        ("", "at > TIMESTAMP '2026-01-01T00:00:00Z'", "Boolean, at Utf8"),
        ("at: timestamp", "date_part('hour', at)", "Int32, at Timestamp(µs, \"UTC\")"),
        ("", "is_new AND orders.order_count_7d = 0", "Boolean, is_new Boolean"),
        ("", "CASE WHEN country = 'DE' THEN x ELSE 0 END", "Float64, country Utf8, x Float64"),
        ("n: int64", "n * 2", "Int64, n Int64"),
        ("n: int64", "n + x", "Float64, n Int64, x Float64"),
        ("", "orders.order_count_7d", "Int64"),
        ("", "orders.spend_30d", "Decimal128(38, 2)"),
        ("", "\"X\" + orders.order_count_7d", "Float64, X Float64"),
    ];
    for (request, sql, expected) in cases {
        assert_eq!(types(request, sql), expected, "{sql}");
    }
}

const CHAIN: &str = "
on_demand:
  twice: \"average * 2\"
  average: \"coalesce(orders.avg_basket_90d, fallback)\"
  label: \"concat(orders.last_category, ':', CAST(twice AS string))\"
request: {fallback: float64}
services:
  all: [label, orders.order_count_7d, twice]
";

fn chain() -> String {
    format!("{}{CHAIN}", CUSTOMER.split("on_demand").next().unwrap())
}

#[test]
fn values_are_computed_from_features_requests_and_each_other() {
    let shop = customer(&chain());
    let definition = &shop.features.services["all"].definition;
    let names: Vec<_> = definition.on_demand.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["average", "twice", "label"]);
    let expressions = OnDemandExpressions::compile(&definition.on_demand).unwrap();
    let inputs: Vec<_> = expressions.inputs().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(inputs, ["orders.avg_basket_90d", "fallback", "orders.last_category"]);
    let average: ArrayRef = Arc::new(Float64Array::from(vec![Some(2.5), None]));
    let category: ArrayRef = Arc::new(StringArray::from(vec![Some("tea"), None]));
    // A whole number stands for a request value of float64.
    let fallback: ArrayRef = Arc::new(Int64Array::from(vec![1, 7]));
    let rows = RecordBatch::try_from_iter_with_nullable([
        ("fallback", fallback, true),
        ("orders.last_category", category, true),
        ("orders.avg_basket_90d", average, true),
    ])
    .unwrap();
    let values = expressions.evaluate(&rows).unwrap();
    assert_eq!(values[0].as_primitive::<Float64Type>().values(), &[2.5, 7.0]);
    assert_eq!(values[1].as_primitive::<Float64Type>().values(), &[5.0, 14.0]);
    let label: Vec<_> = values[2].as_string::<i32>().iter().collect();
    assert_eq!(label, [Some("tea:5.0"), Some(":14.0")]);
    for (value, definition) in values.iter().zip(&definition.on_demand) {
        assert_eq!(value.data_type(), &definition.data_type);
    }
    let none = expressions.evaluate(&rows.slice(0, 0)).unwrap();
    assert!(none.iter().all(|array| array.is_empty()));
}

#[test]
fn missing_and_unfit_inputs_are_errors() {
    let shop = customer(CUSTOMER);
    let definition = &shop.features.services["churn_v1"].definition;
    let expressions = OnDemandExpressions::compile(&definition.on_demand).unwrap();
    let value: ArrayRef = Arc::new(StringArray::from(vec!["much"]));
    let average: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
    let rows = RecordBatch::try_from_iter([("orders.avg_basket_90d", average.clone())]).unwrap();
    let error = expressions.evaluate(&rows).unwrap_err().to_string();
    assert_eq!(error, "the on-demand features need `cart_value`, which is not there");
    let rows = RecordBatch::try_from_iter([("orders.avg_basket_90d", average), ("cart_value", value)]);
    let error = expressions.evaluate(&rows.unwrap()).unwrap_err().to_string();
    assert!(error.starts_with("a value of `cart_value` does not fit: "), "{error}");
}

#[test]
fn constants_and_one_row_are_computed_like_many() {
    let head = CUSTOMER.split("on_demand").next().unwrap();
    let text = format!(
        "{head}on_demand: {{one: \"1\", ratio: \"orders.spend_30d / 3\"}}\nservices: {{s: [one, ratio]}}\n"
    );
    let shop = customer(&text);
    let definition = &shop.features.services["s"].definition;
    let expressions = OnDemandExpressions::compile(&definition.on_demand).unwrap();
    let spend =
        Decimal128Array::from(vec![Some(300), None, Some(100)]).with_precision_and_scale(38, 2).unwrap();
    let rows = RecordBatch::try_from_iter([("orders.spend_30d", Arc::new(spend) as ArrayRef)]).unwrap();
    let whole = expressions.evaluate(&rows).unwrap();
    for row in 0..3 {
        let one = expressions.evaluate(&rows.slice(row, 1)).unwrap();
        for (one, whole) in one.iter().zip(&whole) {
            assert_eq!(one.as_ref(), whole.slice(row, 1).as_ref());
        }
    }
}
