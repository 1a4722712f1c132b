//! Tests of the small types that every connector shares.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use arrow::datatypes::{DataType, TimeUnit};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use millstream_connector::{
    BuildContext, Connection, ConnectionConfig, Connections, ConnectorError, OptionText, Secret, arrow_type,
    column_type, nearest, read_options,
};
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

#[derive(Debug)]
struct Door {
    opened: AtomicUsize,
}

#[derive(Debug)]
struct Room(usize);

#[derive(Debug)]
struct OtherRoom;

impl Connection for Room {}

impl Connection for OtherRoom {}

impl ConnectionConfig for Door {
    fn open(&self, _root: &Path) -> Result<Arc<dyn Connection>, ConnectorError> {
        match self.opened.fetch_add(1, Ordering::SeqCst) {
            0 => Err(ConnectorError::Changed { part: "door".into() }),
            times => Ok(Arc::new(Room(times))),
        }
    }
}

#[test]
fn a_connection_is_opened_once_and_again_only_after_a_fault() {
    let door = Arc::new(Door { opened: AtomicUsize::new(0) });
    let config: Arc<dyn ConnectionConfig> = door.clone();
    let connections = Connections::new(BTreeMap::from([("room".to_owned(), config)]));
    let context = BuildContext { connections: Arc::new(connections), ..BuildContext::new(".".into()) };
    assert_eq!(door.opened.load(Ordering::SeqCst), 0);
    assert!(context.connection::<Room>("room").is_err());
    let first = context.connection::<Room>("room").unwrap();
    let second = context.connection::<Room>("room").unwrap();
    assert!(Arc::ptr_eq(&first, &second) && first.0 == 1);
    let error = context.connection::<OtherRoom>("room").unwrap_err();
    assert_eq!(error.to_string(), "the connection `room` is of another type");
    assert_eq!(context.connection::<Room>("hall").unwrap_err().to_string(), "there is no connection `hall`");
}

#[derive(Debug, Deserialize, JsonSchema)]
#[allow(dead_code, reason = "only its decoding is looked at")]
struct Strict {
    #[schemars(example = "data/*.csv")]
    path: String,
    inner: StrictInner,
    kind: Word,
    password: Secret,
    list: Vec<u8>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[allow(dead_code, reason = "only its decoding is looked at")]
struct StrictInner {
    #[schemars(example = 5)]
    depth: u8,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code, reason = "only its decoding is looked at")]
enum Word {
    One,
    Two,
}

#[test]
fn every_fault_of_options_is_said_in_the_order_of_their_declaration() {
    let told = |options: serde_json::Value| {
        let (_, problems) = read_options::<Strict>(&options);
        let problems = problems.result(None::<()>).unwrap_err();
        let told = problems.iter().map(|problem| {
            let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{}: {}{hint}", problem.path.join("."), problem.message)
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(
        told(
            json!({"list": [1, "2", 300, -1, 2.5, {}], "password": {}, "kind": "tow", "inner": {"depth": true}, "path": 1})
        ),
        [
            "path: `path` must be text",
            "inner.depth: `depth` must be a whole number from 0 on",
            "kind: `tow` is not a `kind`: it is one of one, two (did you mean `two`?)",
            "password: `password` must be a single value",
            "list.2: `list` must be a whole number from 0 on",
            "list.3: `list` must be a whole number from 0 on",
            "list.4: `list` must be a whole number from 0 on",
            "list.5: `list` must be a whole number from 0 on",
        ]
    );
    assert_eq!(
        told(json!({"list": 1})),
        [
            "list: `list` must be a list",
            ": `path` is missing (write `path: data/*.csv`)",
            ": `inner` is missing (write `inner: …`)",
            ": `kind` is missing (write `kind: …`)",
            ": `password` is missing (write `password: …`)",
        ]
    );
    assert_eq!(
        told(json!({"path": "a", "inner": {"dpeth": 1}})),
        [
            "inner.dpeth: unknown option `dpeth` (did you mean `depth`?)",
            "inner: `depth` is missing (write `depth: 5`)",
            ": `kind` is missing (write `kind: …`)",
            ": `password` is missing (write `password: …`)",
            ": `list` is missing (write `list: …`)",
        ]
    );
    assert_eq!(told(json!(["a"]))[0], ": options are a mapping of names to values");
}

#[test]
fn a_secret_does_not_show() {
    assert_eq!(format!("{:?}", Some(Secret::new("hunter2".into()))), "Some(\"***\")");
}
