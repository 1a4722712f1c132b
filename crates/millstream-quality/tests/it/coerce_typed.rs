//! Typed values to contract types.

use std::sync::Arc;

use arrow::{
    array::*,
    buffer::OffsetBuffer,
    datatypes::{ArrowPrimitiveType, DataType, Field, Float16Type, Int32Type, i256},
};

use crate::make::{batch, compile, converted, failing, texts};

type Half = <Float16Type as ArrowPrimitiveType>::Native;

fn check(column_type: &str, raw: impl Array + 'static, expected: &[&str]) {
    let raw: ArrayRef = Arc::new(raw);
    assert_eq!(converted(column_type, raw.clone()), expected, "{:?} as {column_type}", raw.data_type());
    // A slice starts in the middle of its buffers.
    let tail = raw.slice(1, raw.len() - 1);
    assert_eq!(converted(column_type, tail), expected[1..], "a slice of {:?}", raw.data_type());
}

#[test]
fn integers() {
    check("int64", Int32Array::from(vec![Some(1), None, Some(-5)]), &["1", "null", "-5"]);
    check("int8", Int64Array::from(vec![127, 128, -128, -129]), &["127", "✗", "-128", "✗"]);
    check("int64", UInt64Array::from(vec![1, u64::MAX]), &["1", "✗"]);
    check(
        "int64",
        Float64Array::from(vec![Some(5.0), Some(5.5), Some(f64::NAN), Some(f64::INFINITY), None, Some(-0.0)]),
        &["5", "✗", "✗", "✗", "null", "0"],
    );
    check("int64", Float64Array::from(vec![9.2e18, 9.3e18, -9.3e18]), &["9200000000000000000", "✗", "✗"]);
    check("int32", Float32Array::from(vec![2.0, 0.1]), &["2", "✗"]);
    let decimals = Decimal128Array::from(vec![500, 550]).with_precision_and_scale(10, 2).unwrap();
    check("int64", decimals, &["5", "✗"]);
    check("int64", BooleanArray::from(vec![true, false]), &["✗", "✗"]);
    check("int64", Date32Array::from(vec![1, 2]), &["✗", "✗"]);
}

#[test]
fn floats() {
    let big = (1_i64 << 53) + 1;
    check("float64", Int64Array::from(vec![1, big, big + 1]), &["1.0", "✗", "9007199254740994.0"]);
    check("float32", Int64Array::from(vec![1, (1 << 24) + 1]), &["1.0", "✗"]);
    check("float64", Float32Array::from(vec![0.5, f32::NAN]), &["0.5", "NaN"]);
    check(
        "float32",
        Float64Array::from(vec![0.5, 0.1, f64::NAN, f64::INFINITY]),
        &["0.5", "✗", "NaN", "inf"],
    );
    let decimals =
        Decimal128Array::from(vec![10, 1_000_000_000_000_000]).with_precision_and_scale(20, 2).unwrap();
    check("float64", decimals, &["0.1", "✗"]);
    check("float64", Float16Array::from(vec![Half::from_f32(0.5), Half::NAN]), &["0.5", "NaN"]);
}

#[test]
fn decimals() {
    let decimals =
        |values: Vec<i128>, scale| Decimal128Array::from(values).with_precision_and_scale(20, scale).unwrap();
    check("decimal(12,2)", decimals(vec![15000, 15001, -15000], 4), &["1.50", "✗", "-1.50"]);
    check("decimal(4,2)", decimals(vec![99, 100], 0), &["99.00", "✗"]);
    check("decimal(12,2)", Int64Array::from(vec![5, i64::MAX]), &["5.00", "✗"]);
    check("decimal(12,2)", Float64Array::from(vec![0.1, 1.25, 0.125, f64::NAN]), &["0.10", "1.25", "✗", "✗"]);
    let wide =
        Decimal256Array::from(vec![i256::from_i128(150), i256::MAX]).with_precision_and_scale(76, 2).unwrap();
    check("decimal(12,2)", wide, &["1.50", "✗"]);
}

#[test]
fn booleans_strings_and_binary() {
    check("bool", Int8Array::from(vec![0, 1, 2]), &["false", "true", "✗"]);
    check("string", Int64Array::from(vec![5, -7]), &["5", "-7"]);
    check("string", Float64Array::from(vec![5.0, 0.1]), &["✗", "✗"]);
    check("string", BinaryArray::from(vec![b"ok".as_slice(), b"\xFF"]), &["ok", "✗"]);
    check("string", LargeStringArray::from(vec![Some("a"), None]), &["a", "null"]);
    check("string", StringViewArray::from(vec![Some("a"), None]), &["a", "null"]);
    let dictionary: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("a")].into_iter().collect();
    check("string", dictionary, &["a", "null", "a"]);
    check("binary", BinaryViewArray::from(vec![b"\xFF".as_slice(), b""]), &["ff", ""]);
    check("int64", NullArray::new(2), &["null", "null"]);
}

#[test]
fn dates_and_instants() {
    const DAY: i64 = 86_400_000;
    check("date", Date64Array::from(vec![DAY, DAY + 1]), &["1970-01-02", "✗"]);
    check("date", TimestampMillisecondArray::from(vec![DAY, DAY + 1]), &["1970-01-02", "✗"]);
    check("timestamp", Date32Array::from(vec![1, 0]), &["1970-01-02T00:00:00Z", "1970-01-01T00:00:00Z"]);
    check(
        "timestamp",
        TimestampNanosecondArray::from(vec![1_000, 1_001]),
        &["1970-01-01T00:00:00.000001Z", "✗"],
    );
    check("timestamp", TimestampSecondArray::from(vec![1, i64::MAX]), &["1970-01-01T00:00:01Z", "✗"]);
    let berlin = TimestampMicrosecondArray::from(vec![0, 1]).with_timezone("Europe/Berlin");
    check("timestamp", berlin, &["1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000001Z"]);
    let naive = TimestampMicrosecondArray::from(vec![3_600_000_000, 0]);
    check("timestamp(Europe/Berlin)", naive, &["1970-01-01T00:00:00Z", "1969-12-31T23:00:00Z"]);
    check("timestamp", Int64Array::from(vec![0, 1]), &["✗", "✗"]);
}

#[test]
fn lists_convert_element_by_element() {
    let values = Int64Array::from(vec![1, 300, 2, 3]);
    let offsets = OffsetBuffer::new(vec![0, 1, 2, 2, 4].into());
    let nulls = Some(vec![true, true, false, true].into());
    let field = Arc::new(Field::new("item", DataType::Int64, true));
    let lists = ListArray::new(field.clone(), offsets, Arc::new(values), nulls);
    check("list<int8>", lists.clone(), &["[1]", "✗", "null", "[2, 3]"]);
    check("list<string>", lists.clone(), &["[1]", "[300]", "null", "[2, 3]"]);
    check("struct<a: int64>", lists, &["✗", "✗", "null", "✗"]);
    let large = LargeListArray::new(
        field,
        OffsetBuffer::new(vec![0_i64, 1, 1].into()),
        Arc::new(Int64Array::from(vec![7])),
        None,
    );
    check("list<int64>", large, &["[7]", "[]"]);
}

#[test]
fn structs_convert_member_by_member_and_lose_nothing() {
    let members = |b: Vec<Option<i64>>| {
        let a: ArrayRef = texts(&[Some("1"), Some("x"), Some("3")]);
        StructArray::try_from(vec![("a", a), ("b", Arc::new(Int64Array::from(b)) as ArrayRef)]).unwrap()
    };
    check(
        "struct<a: int64, b: int64>",
        members(vec![Some(1), None, None]),
        &["{a: 1, b: 1}", "✗", "{a: 3, b: }"],
    );
    check("struct<a: int64>", members(vec![Some(1), None, None]), &["✗", "✗", "{a: 3}"]);
    check(
        "struct<b: int64, z: string>",
        StructArray::try_from(vec![("b", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]).unwrap(),
        &["{b: 1, z: }", "{b: 2, z: }"],
    );
}

#[test]
fn absent_columns_are_null_and_extra_ones_pass_untouched() {
    use millstream_quality::{Contract, ContractOptions, Relations};
    let extra = [
        Arc::new(Field::new("more", DataType::Utf8, true)),
        Arc::new(Field::new("gone", DataType::Int64, true)),
    ];
    let checks = [crate::make::not_null("a")];
    let options = ContractOptions {
        checks: &checks,
        type_severity: millstream_types::Severity::Quarantine,
        relations: &Relations::new(),
        extra: &extra,
        now: crate::make::NOW,
    };
    let contract =
        Contract::compile(&crate::make::columns(&[("a", "int64"), ("b", "int64")]), &options).unwrap();
    let raw = batch(vec![
        ("ignored", texts(&[Some("i")])),
        ("more", texts(&[Some(" m ")])),
        ("b", texts(&[Some("1")])),
    ]);
    let evaluated = contract.evaluate(&raw).unwrap();
    assert_eq!(failing(&contract, &evaluated), [["not_null(a)"]]);
    let names: Vec<_> = evaluated.rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["a", "b", "more", "gone"]);
    assert_eq!(crate::make::shown(evaluated.rows.column(2), 0), " m ");
    assert!(evaluated.rows.column(3).is_null(0));
    let wrong = batch(vec![("more", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
    assert_eq!(contract.evaluate(&wrong).unwrap_err().code(), "MS-0503");
}

#[test]
fn an_empty_batch_and_an_unknown_zone() {
    let contract = compile(&[("a", "int64"), ("l", "list<int64>")], &[crate::make::not_null("a")]);
    let raw = batch(vec![("a", texts(&[])), ("l", texts(&[]))]);
    assert_eq!(contract.evaluate(&raw).unwrap().rows.num_rows(), 0);
    let unknown = crate::make::try_compile(&crate::make::columns(&[("t", "timestamp(Mars/Olympus)")]), &[]);
    assert_eq!(unknown.unwrap_err().to_string(), "column `t` has the unknown time zone `Mars/Olympus`");
}
