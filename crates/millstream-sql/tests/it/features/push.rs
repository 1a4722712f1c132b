//! Pushed rows become the events that the view's query would have made of them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Decimal128Type, Int64Type, TimestampMicrosecondType};
use millstream_features::view::ViewDefinition;
use millstream_sql::features::PushProjection;

use super::{CUSTOMER, customer, view};

fn columns(amounts: Vec<Option<i128>>) -> Vec<(&'static str, ArrayRef)> {
    let count = amounts.len();
    let amounts = Decimal128Array::from(amounts).with_precision_and_scale(12, 2).unwrap();
    let times = TimestampMicrosecondArray::from_iter_values(0..i64::try_from(count).unwrap());
    vec![
        ("status", Arc::new(StringArray::from(vec!["paid"; count]))),
        ("amount", Arc::new(amounts)),
        ("category", Arc::new(StringArray::from(vec!["tea"; count]))),
        ("customer_id", Arc::new(Int32Array::from(vec![7; count]))),
        ("ordered_at", Arc::new(times.with_timezone("UTC"))),
        ("beside", Arc::new(Int64Array::from(vec![1; count]))),
    ]
}

fn batch(columns: Vec<(&'static str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

/// The view of the design document, as an old service's definition would bring it back.
fn stored() -> ViewDefinition {
    let shop = customer(CUSTOMER);
    let text = serde_json::to_string(&shop.features.views["orders"].definition).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn rows_need_keys_time_and_what_features_use() {
    let push = PushProjection::compile(&stored()).unwrap();
    let fields: Vec<_> = push
        .push_schema()
        .fields()
        .iter()
        .map(|field| format!("{} {}", field.name(), field.data_type()))
        .collect();
    assert_eq!(
        fields,
        [
            "customer_id Int64",
            "ordered_at Timestamp(µs, \"UTC\")",
            "amount Decimal128(12, 2)",
            "category Utf8",
            "status Utf8",
        ]
    );
}

#[test]
fn rows_become_events() {
    let definition = stored();
    let push = PushProjection::compile(&definition).unwrap();
    let events = push.project(&batch(columns(vec![Some(150), None]))).unwrap();
    assert_eq!(events.schema(), definition.event_schema());
    assert_eq!(events.num_rows(), 2);
    assert_eq!(events.column(0).as_primitive::<Int64Type>().values(), &[7, 7]);
    assert_eq!((events.column(2).null_count(), events.column(3).null_count()), (2, 2));
    let amount = events.column(4).as_primitive::<Decimal128Type>();
    assert_eq!(amount.iter().collect::<Vec<_>>(), [Some(150), None]);
    assert!(events.column(5).as_boolean().value(0));

    let mut stamped = columns(vec![Some(1)]);
    let known = TimestampMicrosecondArray::from(vec![5]).with_timezone("UTC");
    stamped.push(("_known", Arc::new(known)));
    stamped.push(("_sequence", Arc::new(Int64Array::from(vec![9]))));
    let events = push.project(&batch(stamped)).unwrap();
    assert_eq!(events.column(2).as_primitive::<TimestampMicrosecondType>().value(0), 5);
    assert_eq!(events.column(3).as_primitive::<Int64Type>().value(0), 9);
    assert_eq!(push.project(&batch(columns(vec![]))).unwrap().num_rows(), 0);
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let push = PushProjection::compile(&stored()).unwrap();
    let without: Vec<_> = columns(vec![Some(1)]).into_iter().filter(|(name, _)| *name != "amount").collect();
    let error = push.project(&batch(without)).unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("MS-0244", "the pushed rows have no column `amount`")
    );
    let mut wrong = columns(vec![Some(1)]);
    wrong[3].1 = Arc::new(StringArray::from(vec!["seven"]));
    let error = push.project(&batch(wrong)).unwrap_err().to_string();
    assert!(error.starts_with("a value of the pushed column `customer_id` does not fit: "), "{error}");
}

#[test]
fn expressions_dates_and_vectors_are_computed() {
    let text = view(
        "      a: {max: \"upper(category)\"}
      b: {vector_mean: \"arrow_cast(embedding, 'FixedSizeList(2, Float32)')\"}
      c: {sum: Gross-Total}
",
    )
    .replace("ordered_at", "paid_on");
    let shop = customer(&text);
    let definition = &shop.features.views["orders"].definition;
    let push = PushProjection::compile(definition).unwrap();
    let names: Vec<_> = push.push_schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["customer_id", "paid_on", "Gross-Total", "category", "embedding"]);
    assert_eq!(push.push_schema().field(1).data_type().to_string(), "Date32");
    let empty = RecordBatch::new_empty(push.push_schema().clone());
    assert_eq!(push.project(&empty).unwrap().schema(), definition.event_schema());
}
