//! Uniqueness across batches: the first row with a key wins.

use std::sync::Arc;

use arrow::array::*;
use millstream_project::{CheckSpec, Scalar};
use millstream_quality::{Contract, UniqueIndex};
use millstream_types::Severity;

use crate::make::*;

/// Rows (as one text a column) in batches of `size`; the failing checks of each row.
fn judge(contract: &Contract, index: &mut UniqueIndex, raw: &RecordBatch, size: usize) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for first in (0..raw.num_rows()).step_by(size) {
        let part = raw.slice(first, size.min(raw.num_rows() - first));
        let mut evaluated = contract.evaluate(&part).unwrap();
        index.check(&mut evaluated);
        found.extend(failing(contract, &evaluated));
    }
    found
}

fn check(types: &[(&str, &str)], checks: &[CheckSpec], rows: &[(&[Option<&str>], &[&str])]) {
    let contract = compile(types, checks);
    let columns = types.iter().enumerate().map(|(at, (name, _))| {
        (*name, texts(&rows.iter().map(|(values, _)| values[at]).collect::<Vec<_>>()))
    });
    let raw = batch(columns.collect());
    for size in [1, 2, 3, rows.len()] {
        let mut index = UniqueIndex::new(&contract, 0);
        let found = judge(&contract, &mut index, &raw, size);
        for ((values, expected), found) in rows.iter().zip(found) {
            assert_eq!(found, *expected, "{values:?} in batches of {size}");
        }
    }
}

#[test]
fn the_first_row_with_a_key_wins() {
    for column_type in ["int64", "int8", "string", "decimal(9,2)", "float64", "binary"] {
        check(
            &[("k", column_type)],
            &[unique(&["k"])],
            &[
                (&[Some("1")], &[]),
                (&[Some("2")], &[]),
                (&[Some("1")], &["unique(k)"]),
                (&[None], &[]),
                (&[None], &[]),
                (&[Some("2")], &["unique(k)"]),
                (&[Some("1")], &["unique(k)"]),
                (&[Some("-1")], &[]),
            ],
        );
    }
}

#[test]
fn values_are_compared_not_their_texts() {
    check(
        &[("k", "int64")],
        &[unique(&["k"])],
        &[
            (&[Some("7")], &[]),
            (&[Some("007")], &["unique(k)"]),
            (&[Some("0")], &[]),
            (&[Some("-0")], &["unique(k)"]),
        ],
    );
    check(
        &[("k", "float64")],
        &[unique(&["k"])],
        &[
            (&[Some("0.0")], &[]),
            (&[Some("-0.0")], &["unique(k)"]),
            (&[Some("nan")], &[]),
            (&[Some("NaN")], &["unique(k)"]),
        ],
    );
    check(
        &[("k", "bool")],
        &[unique(&["k"])],
        &[(&[Some("true")], &[]), (&[Some("1")], &["unique(k)"]), (&[Some("0")], &[])],
    );
    check(
        &[("k", "timestamp")],
        &[unique(&["k"])],
        &[(&[Some("2024-01-01T12:00:00+01:00")], &[]), (&[Some("2024-01-01T11:00:00Z")], &["unique(k)"])],
    );
    check(
        &[("k", "int64")],
        &[unique(&["k"])],
        &[
            (&[Some("9223372036854775807")], &[]),
            (&[Some("-9223372036854775808")], &[]),
            (&[Some("9223372036854775807")], &["unique(k)"]),
            (&[Some("-9223372036854775808")], &["unique(k)"]),
        ],
    );
}

#[test]
fn keys_of_several_columns() {
    check(
        &[("a", "string"), ("b", "string")],
        &[unique(&["a", "b"])],
        &[
            (&[Some("x"), Some("yz")], &[]),
            (&[Some("xy"), Some("z")], &[]),
            (&[Some("x"), Some("yz")], &["unique(a,b)"]),
            (&[Some("x"), None], &[]),
            (&[Some("x"), None], &[]),
            (&[Some("yz"), Some("x")], &[]),
        ],
    );
    check(
        &[("a", "int64"), ("b", "date"), ("c", "string")],
        &[unique(&["a", "b", "c"])],
        &[
            (&[Some("1"), Some("2024-01-01"), Some("")], &[]),
            (&[Some("1"), Some("2024-01-02"), Some("")], &[]),
            (&[Some("1"), Some("2024-01-01"), Some("")], &["unique(a,b,c)"]),
        ],
    );
}

#[test]
fn rows_that_are_rejected_take_no_key() {
    let checks = [unique(&["k"]), range("v", Some(Scalar::Int(0)), None)];
    check(
        &[("k", "int64"), ("v", "int64")],
        &checks,
        &[
            (&[Some("1"), Some("-5")], &["range(v)"]),
            (&[Some("1"), Some("5")], &[]),
            (&[Some("1"), Some("-5")], &["range(v)"]),
            (&[Some("1"), Some("x")], &["type(v)"]),
            (&[Some("1"), Some("6")], &["unique(k)"]),
        ],
    );
}

#[test]
fn a_row_that_one_key_rejects_takes_no_other_key() {
    check(
        &[("a", "int64"), ("b", "string")],
        &[unique(&["a"]), unique(&["b"])],
        &[
            (&[Some("1"), Some("x")], &[]),
            (&[Some("1"), Some("y")], &["unique(a)"]),
            (&[Some("2"), Some("y")], &[]),
            (&[Some("2"), Some("x")], &["unique(a)", "unique(b)"]),
            (&[Some("3"), None], &[]),
            (&[None, Some("y")], &["unique(b)"]),
        ],
    );
}

#[test]
fn a_warning_keeps_the_row_and_its_key() {
    let checks = [with(Severity::Warn, unique(&["a"])), unique(&["b"])];
    check(
        &[("a", "int64"), ("b", "int64")],
        &checks,
        &[
            (&[Some("1"), Some("1")], &[]),
            (&[Some("1"), Some("2")], &["unique(a)"]),
            (&[Some("3"), Some("2")], &["unique(b)"]),
            (&[Some("3"), Some("3")], &[]),
        ],
    );
}

#[test]
fn preloaded_keys_count_in_any_encoding() {
    let contract = compile(&[("a", "int64"), ("s", "string")], &[unique(&["a"]), unique(&["s", "a"])]);
    let mut index = UniqueIndex::new(&contract, 10);
    assert_eq!(index.key_columns(), ["a", "s"]);
    let stored = batch(vec![
        ("s", Arc::new(StringViewArray::from(vec![Some("x"), None])) as ArrayRef),
        ("a", Arc::new(Int64Array::from(vec![1, 2]))),
        ("other", Arc::new(Int64Array::from(vec![0, 0]))),
    ]);
    index.preload(&stored).unwrap();
    let raw = batch(vec![
        ("a", texts(&[Some("1"), Some("2"), Some("3")])),
        ("s", texts(&[Some("x"), Some("y"), Some("x")])),
    ]);
    let found = judge(&contract, &mut index, &raw, 10);
    assert_eq!(found, [vec!["unique(a)", "unique(s,a)"], vec!["unique(a)"], vec![]]);
}

/// A table whose files are older than a column has no keys of it yet.
#[test]
fn a_check_takes_no_keys_from_rows_without_its_columns() {
    let contract = compile(&[("a", "int64"), ("s", "string")], &[unique(&["a"]), unique(&["s", "a"])]);
    let mut index = UniqueIndex::new(&contract, 10);
    index.preload(&batch(vec![("a", Arc::new(Int64Array::from(vec![1])) as ArrayRef)])).unwrap();
    let raw = batch(vec![("a", texts(&[Some("1"), Some("2")])), ("s", texts(&[Some("x"), Some("x")]))]);
    assert_eq!(judge(&contract, &mut index, &raw, 10), [vec!["unique(a)"], vec![]]);
}

/// Enough keys for the tables to grow many times, with neighbours, far ones and repetitions.
#[test]
fn many_keys() {
    let scattered = |row: i64| (row % 70_000).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed());
    for key in [|row: i64| row % 70_000, scattered] {
        let ids: Vec<i64> = (0..200_000).map(key).collect();
        for column_type in ["int64", "string"] {
            let contract = compile(&[("k", column_type)], &[unique(&["k"])]);
            let raw = batch(vec![("k", Arc::new(Int64Array::from(ids.clone())) as ArrayRef)]);
            let found = judge(&contract, &mut UniqueIndex::new(&contract, 0), &raw, 8_191);
            let wrong = found.iter().enumerate().find(|(row, failed)| failed.is_empty() != (*row < 70_000));
            assert_eq!(wrong, None, "{column_type}");
        }
    }
}
