//! Types at the border of the lake.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray, TimestampNanosecondArray, UInt64Array,
    },
    datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType},
};
use datafusion::common::DFSchema;
use millstream_sql::{conform, storable_schema, storable_type, type_name};

#[test]
fn every_type_has_its_stored_form() {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let list = |inner: DataType, name: &str| DataType::List(Arc::new(Field::new(name, inner, true)));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View));
    let cases = [
        (DataType::Utf8View, DataType::Utf8),
        (DataType::LargeUtf8, DataType::Utf8),
        (dictionary, DataType::Utf8),
        (DataType::UInt8, DataType::Int16),
        (DataType::UInt64, DataType::Int64),
        (DataType::Float16, DataType::Float32),
        (DataType::Date64, DataType::Date32),
        (DataType::Timestamp(TimeUnit::Nanosecond, None), utc.clone()),
        (DataType::Timestamp(TimeUnit::Second, Some("Europe/Berlin".into())), utc),
        (DataType::FixedSizeBinary(4), DataType::Binary),
        (DataType::Decimal256(30, -2), DataType::Decimal128(32, 0)),
        (list(DataType::Utf8View, "item"), list(DataType::Utf8, "element")),
    ];
    for (from, to) in cases {
        assert_eq!(storable_type(&from), Some(to), "{from}");
    }
    for refused in [
        DataType::Null,
        DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::Time64(TimeUnit::Nanosecond),
        DataType::Duration(TimeUnit::Second),
        DataType::Decimal256(60, 2),
        list(DataType::Null, "item"),
    ] {
        assert_eq!(storable_type(&refused), None, "{}", type_name(&refused));
    }
}

#[test]
fn every_column_that_cannot_be_stored_is_named() {
    let schema = Schema::new(vec![
        Field::new("a", DataType::Int64, false),
        Field::new("b", DataType::Null, true),
        Field::new("c", DataType::Time32(TimeUnit::Second), true),
    ]);
    let errors = storable_schema(&DFSchema::try_from(schema).unwrap()).unwrap_err();
    let messages: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        [
            "column `b` is null, which a table cannot store",
            "column `c` is time of day, which a table cannot store"
        ]
    );
}

#[test]
fn rows_are_cast_without_loss() {
    let batch = RecordBatch::try_from_iter([
        ("s", Arc::new(StringViewArray::from(vec!["x"])) as ArrayRef),
        ("t", Arc::new(TimestampNanosecondArray::from(vec![1_500_000])) as ArrayRef),
        ("u", Arc::new(UInt64Array::from(vec![7])) as ArrayRef),
    ])
    .unwrap();
    let schema = storable_schema(&DFSchema::try_from(batch.schema().as_ref().clone()).unwrap()).unwrap();
    let conformed = conform(&batch, &schema).unwrap();
    assert_eq!(conformed.schema(), schema);
    assert_eq!(conformed.column(1).as_primitive::<TimestampMicrosecondType>().value(0), 1_500);
    let wide: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    let batch = RecordBatch::try_from_iter([("u", wide)]).unwrap();
    let signed: SchemaRef = Arc::new(Schema::new(vec![Field::new("u", DataType::Int64, true)]));
    assert!(conform(&batch, &signed).is_err());
    let wide: ArrayRef = Arc::new(Int64Array::from(vec![1_i64 << 40]));
    let batch = RecordBatch::try_from_iter([("n", wide)]).unwrap();
    let narrow: SchemaRef = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, true)]));
    assert!(conform(&batch, &narrow).is_err());
}
