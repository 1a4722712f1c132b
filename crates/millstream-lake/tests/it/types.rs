//! Every column type comes back as it went in, with statistics that never lie.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
        Int8Array, Int16Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StringViewArray,
        StructArray, TimestampMicrosecondArray,
    },
    datatypes::{DataType, Field, Int64Type, Schema},
};
use datafusion::scalar::ScalarValue;
use millstream_lake::{DataFile, LakeTable, TableChange};
use serde_json::{Value, json};

use crate::support::{latest, local, open, session, stage_batch, table};

fn every_type() -> RecordBatch {
    let list =
        ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
    let element = Arc::new(Field::new("element", DataType::Int64, true));
    let list = arrow::compute::cast(&list, &DataType::List(element)).unwrap();
    let inner = Arc::new(Field::new("x", DataType::Int64, true));
    let object = StructArray::new(
        vec![inner].into(),
        vec![Arc::new(Int64Array::from(vec![Some(4), None, Some(6)])) as ArrayRef],
        None,
    );
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("i8", Arc::new(Int8Array::from(vec![Some(-8), None, Some(8)]))),
        ("i16", Arc::new(Int16Array::from(vec![Some(-16), None, Some(16)]))),
        ("i32", Arc::new(Int32Array::from(vec![Some(-32), None, Some(32)]))),
        ("i64", Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)]))),
        ("f32", Arc::new(Float32Array::from(vec![Some(-0.1), None, Some(3.5)]))),
        ("f64", Arc::new(Float64Array::from(vec![Some(f64::NEG_INFINITY), None, Some(f64::NAN)]))),
        ("small", decimal(vec![Some(-125), None, Some(9_999)], 9, 2)),
        ("middle", decimal(vec![Some(-12_500_001), None, Some(99_999_999_999)], 15, 4)),
        ("large", decimal(vec![Some(-1), None, Some(10i128.pow(37))], 38, 10)),
        ("text", Arc::new(StringArray::from(vec![Some("ä"), None, Some(&*"z".repeat(200))]))),
        ("bytes", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\x00\xff"), None, Some(b"")]))),
        ("day", Arc::new(Date32Array::from(vec![Some(-1), None, Some(20_000)]))),
        (
            "at",
            Arc::new(
                TimestampMicrosecondArray::from(vec![Some(-1), None, Some(1_700_000_000_123_456)])
                    .with_timezone("UTC"),
            ),
        ),
        ("list", list),
        ("object", Arc::new(object)),
        ("nothing", Arc::new(Int64Array::from(vec![None, None, None]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .unwrap()
}

fn decimal(values: Vec<Option<i128>>, precision: u8, scale: i8) -> ArrayRef {
    Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale).unwrap())
}

#[tokio::test]
async fn every_type_survives_the_trip() {
    let (folder, lake) = local();
    let batch = every_type();
    let add = stage_batch(&lake, &batch).await;
    let change = TableChange { add, schema: Some(batch.schema()), ..TableChange::default() };
    lake.commit(&table(), None, change).await.unwrap();
    let lake = open(&folder);
    let snapshot = latest(&lake).await;
    assert_eq!(snapshot.schema(), batch.schema());
    let provider = LakeTable::new(&lake, snapshot.schema(), snapshot.files().to_vec()).unwrap();
    let read = session(&lake).read_table(provider).unwrap().collect().await.unwrap();
    let read = arrow::compute::concat_batches(&read[0].schema(), &read).unwrap();
    let show = |batch: &RecordBatch| {
        arrow::util::pretty::pretty_format_batches(std::slice::from_ref(batch)).unwrap().to_string()
    };
    assert_eq!(show(&read), show(&batch));
    assert_eq!(read.schema().fields(), batch.schema().fields());
}

#[tokio::test]
async fn statistics_enclose_the_values() {
    let (_folder, lake) = local();
    let batch = every_type();
    let staged = stage_batch(&lake, &batch).await;
    let file = DataFile::from(&staged[0]);
    assert_eq!(file.rows(), Some(3));
    let column = |name: &str| file.column(name, batch.schema().field_with_name(name).unwrap().data_type());
    let check = |name: &str, min: Option<ScalarValue>, max: Option<ScalarValue>, exact: bool| {
        let bounds = column(name);
        assert_eq!((&bounds.min, &bounds.max, bounds.exact), (&min, &max, exact), "{name}");
    };
    let micros = |v| Some(ScalarValue::TimestampMicrosecond(Some(v), Some("UTC".into())));
    check("flag", Some(ScalarValue::from(false)), Some(ScalarValue::from(true)), true);
    check("i8", Some(ScalarValue::from(-8i8)), Some(ScalarValue::from(8i8)), true);
    check("i64", Some(ScalarValue::from(i64::MIN)), Some(ScalarValue::from(i64::MAX)), true);
    let (low, high) = ((-0.1f32).next_down(), 3.5f32.next_up());
    check("f32", Some(ScalarValue::from(low)), Some(ScalarValue::from(high)), false);
    check("f64", None, None, false);
    let decimal = |v, p, s| Some(ScalarValue::Decimal128(Some(v), p, s));
    check("small", decimal(-125, 9, 2), decimal(9_999, 9, 2), true);
    check("middle", decimal(-12_500_001, 15, 4), decimal(99_999_999_999, 15, 4), true);
    // Only the column's smallest value is within what a JSON number carries exactly.
    check("large", decimal(-1, 38, 10), None, false);
    check("day", Some(ScalarValue::Date32(Some(-1))), Some(ScalarValue::Date32(Some(20_000))), true);
    check("at", micros(-1000), micros(1_700_000_000_123_999), false);
    check("nothing", None, None, false);
    assert_eq!(column("nothing").nulls, Some(3));
    assert_eq!(column("text").nulls, Some(1));
    let (text, long) = (column("text"), "z".repeat(200));
    assert!(!text.exact && text.max == Some(ScalarValue::from("ä")), "{text:?}");
    assert!(matches!(text.min, Some(ScalarValue::Utf8(Some(min))) if long.starts_with(&min)));
}

#[tokio::test]
async fn statistics_enclose_every_float() {
    let (_folder, lake) = local();
    // The random numbers are splitmix64's; any bits are some float.
    let mut state = 7u64;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from_bits(z ^ (z >> 31))
    };
    let edges = [0.1, -0.0, 0.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, 2.2e-308, 1.7e308];
    let values: Vec<f64> =
        edges.into_iter().chain((0..2_000).map(|_| random())).filter(|value| value.is_finite()).collect();
    // Each value has a column for itself, whose bounds are of that value. A file has statistics of 32 columns.
    for values in values.chunks(32) {
        let columns = values.iter().enumerate().map(|(index, value)| {
            (format!("f{index}"), Arc::new(Float64Array::from(vec![*value])) as ArrayRef)
        });
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let staged = stage_batch(&lake, &batch).await;
        let file = DataFile::from(&staged[0]);
        for (index, value) in values.iter().enumerate() {
            let bounds = file.column(&format!("f{index}"), &DataType::Float64);
            let (Some(ScalarValue::Float64(Some(min))), Some(ScalarValue::Float64(Some(max)))) =
                (&bounds.min, &bounds.max)
            else {
                panic!("{value:e}: {bounds:?}");
            };
            assert!(min.total_cmp(value).is_le() && max.total_cmp(value).is_ge(), "{value:e}: {bounds:?}");
            assert!(!bounds.exact, "{value:e}");
        }
    }
}

#[tokio::test]
async fn only_values_of_rows_are_exact() {
    let (_folder, lake) = local();
    let check = |start: &'static str, values: &'static [&'static str], repeat: usize, exact: Option<bool>| {
        let lake = lake.clone();
        async move {
            let texts: Vec<String> =
                values.iter().map(|value| format!("{start}{}", value.repeat(repeat))).collect();
            let column = Arc::new(StringArray::from(texts.clone())) as ArrayRef;
            let staged = stage_batch(&lake, &RecordBatch::try_from_iter([("text", column)]).unwrap()).await;
            let bounds = DataFile::from(&staged[0]).column("text", &DataType::Utf8);
            let (Some(ScalarValue::Utf8(Some(min))), Some(ScalarValue::Utf8(Some(max)))) =
                (&bounds.min, &bounds.max)
            else {
                assert_eq!(exact, None, "{texts:?}: {bounds:?}");
                return;
            };
            assert!(texts.iter().all(|text| min <= text && text <= max), "{texts:?}: {bounds:?}");
            let whole = texts.contains(min) && texts.contains(max);
            assert!(!bounds.exact || whole, "{texts:?}: {bounds:?}");
            assert_eq!(Some(bounds.exact), exact, "{texts:?}");
        }
    };
    check("", &["a", "b"], 31, Some(true)).await;
    check("", &["a", "b"], 100, Some(false)).await;
    check("", &["桜", "藤"], 10, Some(true)).await;
    // These texts have fewer than 32 characters, and more than the 64 bytes that Parquet's footer keeps.
    check("", &["桜", "藤"], 25, Some(false)).await;
    check("", &["🦀", "🦞"], 20, Some(false)).await;
    // Characters that have no next one are dropped; what is left is a bound, and looks like a whole text.
    check("a", &["\u{7ff}"], 50, None).await;
}

#[tokio::test]
async fn bounds_that_are_not_tight_answer_nothing() {
    let (folder, lake) = local();
    let file = |tight: Value| {
        let bounds = json!({"id": 1});
        let counts = json!({"id": 1, "name": 0});
        let stats = json!({"numRecords": 2, "tightBounds": tight, "minValues": bounds, "maxValues": bounds,
            "nullCount": counts});
        crate::support::add_batch(&folder, "one.parquet", &crate::support::rows(&[1, 2]), &stats)
    };
    for (version, (tight, expected)) in
        [(json!(true), (true, Some(1))), (json!(false), (false, None))].into_iter().enumerate()
    {
        let mut actions = vec![file(tight)];
        if version == 0 {
            actions.extend(crate::support::definition());
        }
        crate::support::write_commit(&folder, version as i64, &actions);
        let bounds = latest(&lake).await.files()[0].column("id", &DataType::Int64);
        assert_eq!((bounds.exact, bounds.nulls), expected);
        assert_eq!(bounds.max, Some(ScalarValue::from(1i64)));
    }
}

#[tokio::test]
async fn views_become_plain_and_other_types_are_refused() {
    let (_folder, lake) = local();
    let schema = Arc::new(Schema::new(vec![Field::new("name", DataType::Utf8, true)]));
    let mut writer = lake.writer(&table(), schema, millstream_lake::WriteOptions::default());
    let views = RecordBatch::try_from_iter([(
        "name",
        Arc::new(StringViewArray::from(vec!["a view that is longer than twelve"])) as ArrayRef,
    )])
    .unwrap();
    writer.write(&views).unwrap();
    let wrong =
        RecordBatch::try_from_iter([("name", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    let error = writer.write(&wrong).unwrap_err();
    assert_eq!(error.code(), "MS-0412");
    assert_eq!(error.to_string(), "the schema does not fit silver.orders: column `name` is Utf8, not Int64");
    assert_eq!(writer.finish().await.unwrap()[0].rows(), 1);
}
