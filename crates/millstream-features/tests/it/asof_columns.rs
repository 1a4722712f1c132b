//! The types of keys, times and features in the point-in-time join, and columns that it refuses.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
        StringViewArray, UInt32Array,
    },
    compute::{cast, take},
    datatypes::{DataType, Field, Int32Type, Int64Type, Schema, TimeUnit},
};
use millstream_features::asof::{
    AsofBuilder, AsofError, AsofOptions, FeatureRows, KeyColumn, LabelRows, MatchStatus, Side,
};

use crate::asof::{Keys, definitions, instants, keys, row, threads};

/// Joins one view row per key at time 0 with labels at time 1.
fn statuses_of(
    view: &[ArrayRef],
    labels: &[ArrayRef],
    options: AsofOptions,
) -> Result<Vec<MatchStatus>, AsofError> {
    let times = |rows: usize, time: i64| instants(std::iter::repeat_n(Some(time), rows));
    let mut builder = AsofBuilder::new(&definitions(view), options)?;
    let time = times(view[0].len(), 0);
    builder.push(&FeatureRows { keys: view, time: &time, known: None, sequence: None })?;
    let time = times(labels[0].len(), 1);
    let labels = LabelRows { keys: labels, time: &time, as_known: None };
    Ok(builder.build().join(&labels)?.statuses().to_vec())
}

#[test]
fn pairs_of_numbers_that_read_the_same_when_joined_stay_apart() {
    let pair = |a: i64, b: i64| -> Vec<ArrayRef> {
        vec![Arc::new(Int64Array::from(vec![a])), Arc::new(Int64Array::from(vec![b]))]
    };
    let answer = statuses_of(&pair(1, 12), &pair(11, 2), AsofOptions::default()).unwrap();
    assert_eq!(answer, [MatchStatus::NotFound]);
}

#[test]
fn every_scalar_type_is_a_key() {
    let types = [
        DataType::Boolean,
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::UInt64,
        DataType::Float16,
        DataType::Float32,
        DataType::Float64,
        DataType::Utf8,
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Binary,
        DataType::LargeBinary,
        DataType::BinaryView,
        DataType::Date32,
        DataType::Date64,
        DataType::Timestamp(TimeUnit::Second, None),
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Decimal128(20, 2),
        DataType::Decimal256(40, 2),
    ];
    let zero_one: ArrayRef = Arc::new(Int32Array::from(vec![Some(0), Some(1), None]));
    let one: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
    for data_type in types {
        let typed = |array: &ArrayRef| {
            let through = match &data_type {
                DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
                    cast(array, &DataType::Utf8).unwrap()
                }
                DataType::Date64 | DataType::Timestamp(_, _) => cast(array, &DataType::Int64).unwrap(),
                _ => array.clone(),
            };
            cast(&through, &data_type).unwrap()
        };
        let present = [MatchStatus::Present, MatchStatus::NotFound];
        let label = typed(&one);
        let answer = statuses_of(&[typed(&zero_one)], std::slice::from_ref(&label), AsofOptions::default());
        assert_eq!(answer.unwrap(), present, "{data_type}");
        // The zero is another key, alone and beside a second column.
        let zero = typed(&zero_one).slice(0, 1);
        let answer = statuses_of(&[zero], std::slice::from_ref(&label), AsofOptions::default());
        assert_eq!(answer.unwrap(), [MatchStatus::NotFound; 2], "{data_type}");
        let pair = [typed(&zero_one), typed(&zero_one)];
        let answer = statuses_of(&pair, &[label.clone(), label], AsofOptions::default());
        assert_eq!(answer.unwrap(), present, "{data_type} twice");
    }
}

#[test]
fn floats_are_equal_when_their_values_are() {
    let view: ArrayRef = Arc::new(Float64Array::from(vec![0.0, f64::NAN]));
    let other_nan = f64::from_bits(f64::NAN.to_bits() | 1);
    let labels: ArrayRef = Arc::new(Float64Array::from(vec![-0.0, -other_nan, 1.0]));
    let answer = statuses_of(&[view], &[labels], AsofOptions::default()).unwrap();
    assert_eq!(answer, [MatchStatus::Present, MatchStatus::Present, MatchStatus::NotFound]);
}

#[test]
fn the_encoding_of_a_key_does_not_matter() {
    let view: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let labels: [ArrayRef; 2] = [
        Arc::new(StringViewArray::from(vec!["b", "c"])),
        Arc::new(["b", "c"].into_iter().collect::<DictionaryArray<Int32Type>>()),
    ];
    for labels in labels {
        let answer = statuses_of(std::slice::from_ref(&view), &[labels], AsofOptions::default()).unwrap();
        assert_eq!(answer, [MatchStatus::Present, MatchStatus::NotFound]);
    }
}

#[test]
fn a_key_of_another_type_is_an_error_that_names_both() {
    let view: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let labels: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
    let error = statuses_of(&[view], &[labels], AsofOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the key `key_0` has type Utf8 in the labels and type Int64 in the view's definition"
    );
    assert_eq!(
        error.hint().unwrap(),
        "cast the labels' `key_0` to Int64, or change the type in the view's table"
    );
}

#[test]
fn wrong_columns_are_refused() {
    let number = |values: Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(values)) };
    let check = |result: Result<Vec<MatchStatus>, AsofError>, expected: &str| {
        assert_eq!(result.unwrap_err().to_string(), expected);
    };
    let options = AsofOptions::default();
    let one = number(vec![1]);
    check(
        statuses_of(&[one.clone(), one.clone()], std::slice::from_ref(&one), options),
        "the labels bring 1 key columns, the view's entity has 2",
    );
    check(
        statuses_of(&[one.clone(), one.clone()], &[one.clone(), number(vec![])], options),
        "the column of the key in the labels has 0 rows, not 1",
    );
    let as_known = AsofOptions { as_known: true, ..options };
    check(
        statuses_of(std::slice::from_ref(&one), std::slice::from_ref(&one), as_known),
        "the labels ask for what was known at a time, but the view has no known time",
    );
    assert!(matches!(AsofBuilder::new(&[], options), Err(AsofError::NoKey)));
    let list = DataType::new_list(DataType::Int64, true);
    let nested = KeyColumn { name: "tags".into(), data_type: list };
    assert!(matches!(AsofBuilder::new(&[nested], options), Err(AsofError::KeyNotScalar { .. })));

    let mut builder = AsofBuilder::new(&definitions(std::slice::from_ref(&one)), options).unwrap();
    let seconds = cast(&one, &DataType::Timestamp(TimeUnit::Second, None)).unwrap();
    let keys = std::slice::from_ref(&one);
    let error = builder.push(&FeatureRows { keys, time: &seconds, known: None, sequence: None }).unwrap_err();
    assert!(matches!(error, AsofError::ColumnType { what: "event time", side: Side::View, .. }), "{error}");
    let time = instants([Some(1)].into_iter());
    let error =
        builder.push(&FeatureRows { keys, time: &time, known: None, sequence: Some(&time) }).unwrap_err();
    assert!(matches!(error, AsofError::ColumnType { what: "sequence", .. }), "{error}");
    // A refused batch leaves nothing behind.
    assert_eq!(builder.build().rows(), 0);
}

#[test]
fn features_keep_their_types() {
    let view = [row((1, "a"), 1, 1), row((2, "a"), 1, 2)];
    let labels = [row((2, "a"), 5, 0), row((3, "a"), 5, 0)];
    let dictionary: DictionaryArray<Int32Type> = ["x", "y"].into_iter().collect();
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([
        Some(vec![Some(1)]),
        Some(vec![None, Some(i64::MAX)]),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(dictionary),
        Arc::new(lists),
        cast(&Int64Array::from(vec![1, 2]), &DataType::Decimal128(20, 2)).unwrap(),
        Arc::new(StringViewArray::from(vec!["short", "one that is longer than twelve bytes"])),
    ];
    let fields: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| Field::new(at.to_string(), column.data_type().clone(), true))
        .collect();
    let features = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.clone()).unwrap();
    let mut builder =
        AsofBuilder::new(&definitions(&keys(&[], Keys::Number)), AsofOptions::default()).unwrap();
    let time = instants(view.iter().map(|row| row.time));
    builder
        .push(&FeatureRows { keys: &keys(&view, Keys::Number), time: &time, known: None, sequence: None })
        .unwrap();
    let time = instants(labels.iter().map(|row| row.time));
    let label_rows = LabelRows { keys: &keys(&labels, Keys::Number), time: &time, as_known: None };
    let matches = builder.build().join(&label_rows).unwrap();
    assert_eq!(matches.rows(), &UInt32Array::from(vec![Some(1), None]));
    for batches in [vec![features.clone()], vec![features.slice(0, 1), features.slice(1, 1)]] {
        for (taken, column) in matches.take(&batches, threads(2)).unwrap().iter().zip(&columns) {
            assert_eq!(taken.data_type(), column.data_type());
            let expected = take(column, matches.rows(), None).unwrap();
            let text = |array: &ArrayRef| {
                format!("{:?}", cast(array, &DataType::Utf8).unwrap_or_else(|_| array.clone()))
            };
            assert_eq!(text(taken), text(&expected));
        }
    }
    let error = matches.take(&[features.slice(0, 1)], threads(1)).unwrap_err();
    assert_eq!(error.to_string(), "the features have 1 rows, the joined view had 2");
}
