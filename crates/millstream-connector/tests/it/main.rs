//! Tests of the small types that every connector shares.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use arrow::datatypes::{DataType, TimeUnit};
use std::collections::BTreeMap;

use millstream_connector::{OptionText, Secret, arrow_type, column_type, nearest, read_options};
use millstream_types::ColumnType;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

#[test]
fn a_contract_type_comes_back_from_its_arrow_type() {
    for text in [
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "float32",
        "float64",
        "decimal(12,2)",
        "decimal(38,38)",
        "string",
        "binary",
        "date",
        "timestamp",
        "list<string>",
        "struct<a: int64, b: list<struct<c: date>>>",
    ] {
        let expected: ColumnType = text.parse().unwrap();
        assert_eq!(column_type(&arrow_type(&expected)), Some(expected), "{text}");
    }
    // The lake keeps instants; the zone is only for reading naive texts.
    let zoned: ColumnType = "timestamp(Europe/Berlin)".parse().unwrap();
    assert_eq!(arrow_type(&zoned), DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
}

#[test]
fn other_arrow_types_have_the_contract_type_that_holds_them() {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View));
    for (data_type, expected) in [
        (DataType::UInt8, Some("int16")),
        (DataType::UInt64, Some("decimal(20,0)")),
        (DataType::Float16, Some("float32")),
        (DataType::LargeUtf8, Some("string")),
        (dictionary, Some("string")),
        (DataType::Decimal128(5, -2), Some("decimal(7,0)")),
        (DataType::Decimal256(50, 2), None),
        (DataType::Timestamp(TimeUnit::Nanosecond, None), Some("timestamp")),
        (DataType::Time64(TimeUnit::Microsecond), None),
    ] {
        let found = column_type(&data_type).map(|found| found.to_string());
        assert_eq!(found.as_deref(), expected, "{data_type}");
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Options {
    count: Option<u32>,
    inner: Option<Inner>,
    texts: BTreeMap<String, OptionText>,
    color: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Inner {
    depth: Option<u32>,
}

#[test]
fn options_report_every_problem_with_its_path() {
    let options =
        json!({"count": "x", "inner": {"depth": 1, "dpeth": 2}, "colour": 1, "texts": {"a": 1, "b": []}});
    let (read, problems) = read_options::<Options>(&options);
    let read = read.unwrap();
    assert_eq!((read.count, read.color), (None, None));
    assert_eq!(read.inner.unwrap().depth, Some(1));
    assert_eq!(read.texts, BTreeMap::from([("a".to_owned(), OptionText("1".to_owned()))]));
    let problems = problems.result(Some(())).unwrap_err();
    let found: Vec<(String, &str)> = problems
        .iter()
        .map(|problem| (problem.path.join("."), problem.hint.as_deref().unwrap_or("")))
        .collect();
    let expected = [
        ("count", ""),
        ("inner.dpeth", "did you mean `depth`?"),
        ("texts.b", ""),
        ("colour", "did you mean `color`?"),
    ];
    assert_eq!(found, expected.map(|(path, hint)| (path.to_owned(), hint)));
}

#[test]
fn a_near_word_is_found_and_a_far_one_is_not() {
    assert_eq!(nearest("delimeter", ["quote", "delimiter"].into_iter()), Some("delimiter"));
    assert_eq!(nearest("zzz", ["quote", "delimiter"].into_iter()), None);
}

#[test]
fn a_secret_does_not_show() {
    assert_eq!(format!("{:?}", Some(Secret::new("hunter2".into()))), "Some(\"***\")");
}
