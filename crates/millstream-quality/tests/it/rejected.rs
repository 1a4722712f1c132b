//! Rejected rows: what is kept, and that it comes back as it was.

use std::sync::Arc;

use arrow::{
    array::*,
    datatypes::{DataType, Field, Int64Type, Schema},
    record_batch::RecordBatchOptions,
};
use millstream_connector::{MalformedRow, Positions};
use millstream_project::NamedPattern;
use millstream_quality::{Contract, MALFORMED, RejectedRows, Sources, rejected_schema, restore};
use millstream_types::{RunId, Severity};
use proptest::prelude::*;

use crate::make::*;

fn rejecting() -> RejectedRows {
    RejectedRows { run: RunId::new("run-1"), epoch: 7, now: NOW }
}

fn build(contract: &Contract, raw: &RecordBatch) -> RecordBatch {
    let evaluated = contract.evaluate(raw).unwrap();
    rejecting().build(contract, raw, &evaluated, &Positions::From(2), &Sources::One("orders.csv")).unwrap()
}

fn row(batch: &RecordBatch, row: usize) -> Vec<String> {
    batch.columns().iter().map(|column| shown(column, row)).collect()
}

#[test]
fn a_rejected_row_keeps_everything() {
    let checks = [
        form("email", NamedPattern::Email),
        with(Severity::Warn, length("email", Some(9), None)),
        not_null("id"),
    ];
    let contract = compile(&[("id", "int64"), ("email", "string")], &checks);
    let raw = batch(vec![
        ("email", texts(&[Some("a@b.co"), Some("fo\"o@"), Some("long@enough.com"), None])),
        ("id", texts(&[Some("1"), Some("x1"), Some("3"), None])),
        ("further", texts(&[None, Some("kept"), None, None])),
    ]);
    let rejected = build(&contract, &raw);
    assert_eq!(rejected.schema(), rejected_schema());
    assert_eq!(rejected.num_rows(), 2);
    assert_eq!(
        row(&rejected, 0),
        [
            "2024-05-01T12:00:00Z",
            "run-1",
            "7",
            "type(id)",
            "`id` is `x1`, not an int64; `email` `fo\"o@` is not an email; `email` `fo\"o@` has 5 characters, less than 9",
            "orders.csv",
            "3",
            "id",
            r#"{"email":"fo\"o@","id":"x1","further":"kept"}"#,
            "null",
        ]
    );
    assert_eq!(row(&rejected, 1)[3..5], ["not_null(id)", "`id` is missing"]);
    assert_eq!(row(&rejected, 1)[6], "5");
}

#[test]
fn a_warning_before_the_rejecting_check_does_not_name_the_row() {
    let checks = [with(Severity::Warn, length("c", Some(9), None)), form("c", NamedPattern::Email)];
    let rejected = build(&compile(&[("c", "string")], &checks), &batch(vec![("c", texts(&[Some("x")]))]));
    assert_eq!(row(&rejected, 0)[3], "pattern(c)");
}

#[test]
fn nothing_rejected_is_an_empty_batch() {
    let contract = compile(&[("c", "string")], &[not_null("c")]);
    let rejected = build(&contract, &batch(vec![("c", texts(&[Some("x")]))]));
    assert_eq!((rejected.num_rows(), rejected.schema()), (0, rejected_schema()));
    assert_eq!(restore(&rejected).unwrap().rows.num_rows(), 0);
}

#[test]
fn malformed_rows_keep_their_text() {
    let malformed = [MalformedRow {
        position: 9,
        text: "a,b,c".into(),
        bytes: None,
        reason: "3 fields, expected 2".into(),
    }];
    let rejected = rejecting().malformed(&malformed, "orders.csv").unwrap();
    assert_eq!(
        row(&rejected, 0)[3..],
        [MALFORMED, "3 fields, expected 2", "orders.csv", "9", "", "null", "a,b,c"]
    );
    let restored = restore(&rejected).unwrap();
    assert_eq!((restored.rows.num_rows(), restored.malformed), (0, vec![0]));
}

#[test]
fn malformed_rows_keep_the_bytes_that_no_text_can_stand_for() {
    let row_of = |text: &str, bytes: Option<&[u8]>| MalformedRow {
        position: 9,
        text: text.into(),
        bytes: bytes.map(<[u8]>::to_vec),
        reason: "it is not valid UTF-8".into(),
    };
    let malformed = [row_of("caf\u{fffd}", Some(b"caf\xe9")), row_of("plain", None)];
    let rejected = rejecting().malformed(&malformed, "orders.csv").unwrap();
    assert_eq!(row(&rejected, 0)[8..], [r#"{"$binary":"636166e9"}"#, "caf\u{fffd}"]);
    assert_eq!(row(&rejected, 1)[8..], ["null", "plain"]);
    let restored = restore(&rejected).unwrap();
    assert_eq!((restored.rows.num_rows(), restored.malformed), (0, vec![0, 1]));
    let source = || "orders.csv".to_owned();
    assert_eq!(restored.malformed_rows, malformed.map(|row| (source(), row)));
}

#[test]
fn rows_of_several_landings_come_back_together() {
    let contract = compile(&[("a", "int64"), ("b", "int64")], &[]);
    let first = build(&contract, &batch(vec![("a", texts(&[Some("x")])), ("b", texts(&[Some("2")]))]));
    let malformed = rejecting()
        .malformed(
            &[MalformedRow { position: 1, text: "?".into(), bytes: None, reason: "r".into() }],
            "other",
        )
        .unwrap();
    let second = build(&contract, &batch(vec![("c", texts(&[None])), ("b", texts(&[Some("y")]))]));
    let all = arrow::compute::concat_batches(&rejected_schema(), &[first, malformed, second]).unwrap();
    let restored = restore(&all).unwrap();
    let expected = batch(vec![
        ("a", texts(&[Some("x"), None])),
        ("b", texts(&[Some("2"), Some("y")])),
        ("c", texts(&[None, None])),
    ]);
    assert_eq!(restored.rows, expected);
    assert_eq!((restored.places, restored.malformed), (vec![0, 2], vec![1]));
    assert_eq!(restored.positions.values().as_ref(), [2, 2]);
    assert_eq!(restored.sources, StringArray::from(vec!["orders.csv", "orders.csv"]));
}

#[test]
fn a_row_that_is_no_object_is_an_error_that_names_it() {
    let contract = compile(&[("a", "int64")], &[]);
    let rejected = build(&contract, &batch(vec![("a", texts(&[Some("x")]))]));
    let mut columns = rejected.columns().to_vec();
    columns[8] = texts(&[Some("[1]")]);
    let broken = RecordBatch::try_new(rejected_schema(), columns).unwrap();
    let fault = restore(&broken).unwrap_err();
    assert_eq!((fault.to_string().as_str(), fault.code()), ("rejected row 0 cannot be read back", "MS-0505"));
}

/// Typed rows are restored as text; judged again, they have the same values as the first time.
#[test]
fn typed_rows_are_judged_alike_after_they_come_back() {
    let types = [
        ("i", "int64"),
        ("w", "int64"),
        ("f", "float64"),
        ("d", "decimal(12,2)"),
        ("t", "timestamp"),
        ("day", "date"),
        ("b", "binary"),
        ("flag", "bool"),
        ("l", "list<float64>"),
        ("st", "struct<x: int64, y: string>"),
        ("bad", "int8"),
    ];
    let contract = compile(&types, &[]);
    let list = ListArray::from_iter_primitive::<arrow::datatypes::Float64Type, _, _>([
        Some(vec![Some(0.1), None]),
        None,
    ]);
    let members = StructArray::try_from(vec![
        ("x", Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef),
        ("y", texts(&[Some("é"), None])),
    ])
    .unwrap();
    let raw = batch(vec![
        ("i", Arc::new(Int64Array::from(vec![Some(i64::MIN), None])) as ArrayRef),
        ("w", Arc::new(Float64Array::from(vec![5.0, -3.0]))),
        ("f", Arc::new(Float64Array::from(vec![f64::NAN, 1e300]))),
        ("d", Arc::new(Decimal128Array::from(vec![150, -1]).with_precision_and_scale(10, 2).unwrap())),
        ("t", Arc::new(TimestampNanosecondArray::from(vec![1_714_564_800_123_456_000, 0]))),
        ("day", Arc::new(Date64Array::from(vec![86_400_000, 0]))),
        ("b", Arc::new(BinaryArray::from(vec![b"\x00\xFF".as_slice(), b"text"]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("l", Arc::new(list)),
        ("st", Arc::new(members)),
        ("bad", Arc::new(Int64Array::from(vec![1000, 1000]))),
    ]);
    let first = contract.evaluate(&raw).unwrap();
    let restored = restore(&build(&contract, &raw)).unwrap();
    let again = contract.evaluate(&restored.rows).unwrap();
    assert_eq!(failing(&contract, &first), failing(&contract, &again));
    for (column, (name, _)) in types.iter().enumerate() {
        for row in 0..2 {
            let (before, after) = (first.rows.column(column), again.rows.column(column));
            assert_eq!(shown(before, row), shown(after, row), "{name} in row {row}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever text a row holds, it comes back as it was, at its position.
    #[test]
    fn text_rows_come_back_as_they_were(
        names in proptest::collection::hash_set("\\PC{1,8}", 0..4),
        cells in proptest::collection::vec(proptest::collection::vec(proptest::option::of(any::<String>()), 4), 0..6),
    ) {
        let names: Vec<String> = names.into_iter().collect();
        let fields: Vec<Field> =
            names.iter().map(|name| Field::new(name, DataType::Utf8, true)).chain([Field::new("always bad", DataType::Utf8, true)]).collect();
        let mut arrays: Vec<ArrayRef> = (0..names.len())
            .map(|column| texts(&cells.iter().map(|row| row[column].as_deref()).collect::<Vec<_>>()))
            .collect();
        arrays.push(texts(&vec![Some("x"); cells.len()]));
        let options = RecordBatchOptions::new().with_row_count(Some(cells.len()));
        let raw = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).unwrap();
        prop_assume!(!names.iter().any(|name| name == "always bad"));
        let contract = compile(&[("always bad", "int64")], &[]);
        let rejected = build(&contract, &raw);
        prop_assert_eq!(rejected.num_rows(), cells.len());
        let restored = restore(&rejected).unwrap();
        if !cells.is_empty() {
            prop_assert_eq!(&restored.rows, &raw);
        }
        let expected: Vec<i64> = (2..).take(cells.len()).collect();
        prop_assert_eq!(restored.positions.values().to_vec(), expected);
        prop_assert!(rejected.column(6).as_primitive::<Int64Type>().values().iter().all(|position| *position >= 2));
    }
}
