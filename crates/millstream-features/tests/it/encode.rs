//! Encodings: what they learn, what they make of what they have not seen, and that they are stored to the bit.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int8Array, Int64Array, StringArray},
    array::{AsArray, TimestampMicrosecondArray, new_null_array},
    compute::cast,
    datatypes::{DataType, Float64Type, Int8Type},
};
use millstream_features::encode::{
    Cuts, Encoding, FITTED_VERSION, Fitted, Limits, apply_chain, chain_columns, fit, fit_chain,
};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::world::{cell, shown};

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<StringArray>())
}

fn floats(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

/// All rows are for training.
fn all(column: &ArrayRef) -> BooleanArray {
    vec![true; column.len()].into()
}

fn learn(encoding: &Encoding, column: &ArrayRef) -> Fitted {
    fit(encoding, column, None, &all(column)).unwrap()
}

/// Applies through the stored form, and shows the values of each column.
fn applied(fitted: &Fitted, column: &ArrayRef) -> Vec<Vec<String>> {
    let stored = Fitted::from_json(&fitted.to_json()).unwrap();
    assert_eq!(stored, *fitted);
    let columns = stored.apply(column).unwrap();
    let fields = stored.columns("f");
    assert_eq!(columns.len(), fields.len());
    for (column, field) in columns.iter().zip(&fields) {
        assert_eq!(column.data_type(), field.data_type());
        assert!(field.is_nullable() || column.null_count() == 0);
    }
    let shown_cell = |column: &ArrayRef, row: usize| match column.data_type() {
        DataType::Int8 => column.as_primitive::<Int8Type>().value(row).to_string(),
        _ => shown(&cell(column, row)),
    };
    columns.iter().map(|column| (0..column.len()).map(|row| shown_cell(column, row)).collect()).collect()
}

fn check(encoding: &Encoding, training: &ArrayRef, column: &ArrayRef, expected: &[&str]) {
    let found = applied(&learn(encoding, training), column);
    assert_eq!(found, [expected], "{encoding:?}");
}

#[test]
fn one_hot_keeps_the_most_frequent_and_puts_the_unseen_with_the_others() {
    let training = texts(&[Some("b"), Some("a"), Some("b"), Some("c"), Some("a"), None, Some("d")]);
    let fitted = learn(&Encoding::OneHot { max_categories: 3 }, &training);
    let names: Vec<_> = fitted.columns("color").iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["color=a", "color=b", "color=c", "color_other"]);
    assert_eq!(fitted.values(), 6);
    let found = applied(&fitted, &texts(&[Some("a"), Some("d"), Some("zebra"), None, Some("c")]));
    assert_eq!(
        found,
        [["1", "0", "0", "0", "0"], ["0"; 5], ["0", "0", "0", "0", "1"], ["0", "1", "1", "0", "0"]]
    );
}

#[test]
fn ordinal_goes_by_the_order_of_texts() {
    let training = texts(&[Some("b"), Some("é"), Some("a"), Some("b"), None]);
    let column = texts(&[Some("a"), Some("b"), Some("é"), Some("c"), None]);
    check(&Encoding::Ordinal, &training, &column, &["Int(0)", "Int(1)", "Int(2)", "Int(-1)", "Null"]);
}

#[test]
fn hashing_is_the_same_for_ever_and_for_every_form_of_text() {
    let encoding = Encoding::Hashing { buckets: 1000 };
    let column = texts(&[Some("books"), Some(""), None, Some("books")]);
    let expected = ["Int(19)", "Int(138)", "Null", "Int(19)"];
    check(&encoding, &column, &column, &expected);
    let view = cast(&column, &DataType::Utf8View).unwrap();
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    check(&encoding, &view, &cast(&column, &dictionary).unwrap(), &expected);
}

#[test]
fn frequency_is_the_share_of_the_training_rows_with_a_category() {
    let training = texts(&[Some("a"), Some("a"), Some("b"), None, Some("a")]);
    let column = texts(&[Some("a"), Some("b"), Some("c"), None]);
    check(&Encoding::Frequency, &training, &column, &["Float(0.75)", "Float(0.25)", "Float(0.0)", "Null"]);
}

#[test]
fn target_draws_rare_categories_to_the_overall_mean() {
    let column = texts(&[Some("a"), Some("a"), Some("b"), None, Some("b")]);
    let target: ArrayRef =
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), Some(true), Some(false), None]));
    let fitted = fit(&Encoding::Target { smoothing: 2.0 }, &column, Some(&target), &all(&column)).unwrap();
    assert_eq!(fitted.values(), 4, "a row without target is none");
    // Overall 2 of 4; a: (1 + 2 · 0.5) / 4, b: (1 + 2 · 0.5) / 3.
    let found = applied(&fitted, &texts(&[Some("a"), Some("b"), Some("new"), None]));
    assert_eq!(found, [["Float(0.5)", "Float(0.6666666666666666)", "Float(0.5)", "Float(0.5)"]]);
}

#[test]
fn numbers_become_categories_by_their_values() {
    let column = floats(&[-0.0, 0.0, f64::NAN, -f64::NAN, 1.5, f64::INFINITY]);
    let found = applied(&learn(&Encoding::Frequency, &column), &column);
    let share = |count: i32| format!("Float({:?})", f64::from(count) / 6.0);
    assert_eq!(found, [[share(2), share(2), share(2), share(2), share(1), share(1)]]);
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]));
    check(&Encoding::Ordinal, &flags, &flags, &["Int(1)", "Int(0)", "Null"]);
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0, 1, 0]).with_timezone("UTC"));
    check(&Encoding::Ordinal, &times, &times, &["Int(0)", "Int(1)", "Int(0)"]);
}

#[test]
fn log_has_no_value_below_zero() {
    let column: ArrayRef = Arc::new(Float64Array::from(vec![
        Some(0.0),
        Some(-0.0),
        Some(-0.5),
        Some(f64::INFINITY),
        Some(f64::NEG_INFINITY),
        Some(f64::NAN),
        None,
    ]));
    let expected = ["Float(0.0)", "Float(-0.0)", "Null", "Float(inf)", "Null", "Float(NaN)", "Null"];
    check(&Encoding::Log, &column, &column, &expected);
    let decimals = cast(&floats(&[0.0, 1.0]), &DataType::Decimal128(9, 2)).unwrap();
    check(&Encoding::Log, &decimals, &decimals, &["Float(0.0)", "Float(0.6931471805599453)"]);
}

#[test]
fn buckets_are_counted_by_their_lower_edges() {
    let column = floats(&[-1.0, 0.0, 5.0, 10.0, f64::INFINITY, f64::NAN]);
    let edges = Encoding::Bucketize(Cuts::Edges(vec![0.0, 10.0]));
    check(&edges, &column, &column, &["Int(0)", "Int(1)", "Int(1)", "Int(2)", "Int(2)", "Null"]);
    let training = floats(&[4.0, 1.0, 3.0, 2.0, f64::NAN, f64::INFINITY]);
    let halves = Encoding::Bucketize(Cuts::Quantiles(2));
    check(&halves, &training, &floats(&[2.4, 2.5, 9.0]), &["Int(0)", "Int(1)", "Int(1)"]);
    let constant = floats(&[7.0; 5]);
    let quarters = Encoding::Bucketize(Cuts::Quantiles(4));
    check(&quarters, &constant, &floats(&[6.0, 7.0]), &["Int(0)", "Int(1)"]);
}

#[test]
fn clip_moves_what_is_outside_to_the_limits() {
    let column = floats(&[-5.0, 0.5, 5.0, f64::NEG_INFINITY, f64::NAN]);
    let bounds = Encoding::Clip(Limits::Bounds { low: Some(0.0), high: Some(1.0) });
    check(&bounds, &column, &column, &["Float(0.0)", "Float(0.5)", "Float(1.0)", "Float(0.0)", "Float(NaN)"]);
    let above = Encoding::Clip(Limits::Bounds { low: None, high: Some(1.0) });
    check(
        &above,
        &column,
        &column,
        &["Float(-5.0)", "Float(0.5)", "Float(1.0)", "Float(-inf)", "Float(NaN)"],
    );
    let training: ArrayRef = Arc::new((0..=100).collect::<Int64Array>());
    let tails = Encoding::Clip(Limits::Quantiles { low: 0.1, high: 0.9 });
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![0, 50, 1000]));
    check(&tails, &training, &ints, &["Float(10.0)", "Float(50.0)", "Float(90.0)"]);
}

#[test]
fn standardise_gives_mean_zero_and_deviation_one_and_zero_for_a_constant() {
    let column = floats(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0, f64::NAN, f64::INFINITY]);
    let expected = ["Float(-1.5)", "Float(2.0)", "Float(0.0)", "Float(NaN)"];
    check(&Encoding::Standardise, &column, &floats(&[2.0, 9.0, 5.0, f64::NAN]), &expected);
    let constant = floats(&[0.1; 7]);
    check(&Encoding::Standardise, &constant, &floats(&[0.1, 3.0]), &["Float(0.0)", "Float(0.0)"]);
    check(&Encoding::Standardise, &floats(&[3.0]), &floats(&[3.0]), &["Float(0.0)"]);
    let wide = floats(&[1e308, -1e308, 1e308]);
    check(&Encoding::Standardise, &wide, &wide, &["Null"; 3]);
}

fn every_encoding() -> Vec<Encoding> {
    vec![
        Encoding::OneHot { max_categories: 2 },
        Encoding::Ordinal,
        Encoding::Hashing { buckets: 8 },
        Encoding::Target { smoothing: 1.0 },
        Encoding::Frequency,
        Encoding::Log,
        Encoding::Bucketize(Cuts::Edges(vec![0.5])),
        Encoding::Bucketize(Cuts::Quantiles(3)),
        Encoding::Clip(Limits::Bounds { low: Some(0.0), high: None }),
        Encoding::Clip(Limits::Quantiles { low: 0.0, high: 0.5 }),
        Encoding::Standardise,
    ]
}

#[test]
fn without_a_training_value_nothing_is_known() {
    let column = floats(&[1.0]);
    let target = floats(&[1.0]);
    let nothing = new_null_array(&DataType::Float64, 1);
    for (training, is_training) in [(&column, false), (&nothing, true)] {
        let found = every_encoding().into_iter().map(|encoding| {
            let fitted = fit(&encoding, training, Some(&target), &vec![is_training].into()).unwrap();
            applied(&fitted, &column)
                .into_iter()
                .map(|column| column[0].clone())
                .collect::<Vec<_>>()
                .join(" ")
        });
        // Only the row without category counts for the overall mean of the target.
        let mean = if is_training { "Float(1.0)" } else { "Null" };
        let hashed = "Int(6)";
        let expected = [
            "1",
            "Int(-1)",
            hashed,
            mean,
            "Float(0.0)",
            "Float(0.6931471805599453)",
            "Int(1)",
            "Null",
            "Float(1.0)",
            "Null",
            "Null",
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn rows_that_are_not_for_training_are_not_looked_at() {
    let random = &mut SmallRng::seed_from_u64(3);
    for _ in 0..20 {
        let values: Vec<f64> = (0..40).map(|_| f64::from(random.random_range(-4..4))).collect();
        let targets: Vec<f64> = (0..40).map(|_| random.random_range(0.0..1.0)).collect();
        let training: BooleanArray =
            (0..40).map(|_| [Some(true), Some(false), None][random.random_range(0..3)]).collect();
        let other = |values: &[f64]| -> ArrayRef {
            let each = values.iter().zip(&training);
            Arc::new(
                each.map(|(value, training)| if training == Some(true) { *value } else { 1e9 })
                    .collect::<Float64Array>(),
            )
        };
        for encoding in every_encoding() {
            let fitted = fit(&encoding, &floats(&values), Some(&floats(&targets)), &training).unwrap();
            let changed = fit(&encoding, &other(&values), Some(&other(&targets)), &training).unwrap();
            assert_eq!(fitted, changed, "{encoding:?}");
        }
    }
}

#[test]
fn the_order_of_the_rows_does_not_matter() {
    let random = &mut SmallRng::seed_from_u64(4);
    let values: Vec<f64> = (0..200).map(|_| f64::from(random.random_range(-9..9)) / 7.0).collect();
    let targets: Vec<f64> = (0..200).map(|_| random.random_range(-1e9..1e9)).collect();
    let turned = |values: &[f64]| floats(&values.iter().rev().copied().collect::<Vec<_>>());
    for encoding in every_encoding() {
        let column = floats(&values);
        let fitted = fit(&encoding, &column, Some(&floats(&targets)), &all(&column)).unwrap();
        assert_eq!(fitted, fit(&encoding, &turned(&values), Some(&turned(&targets)), &all(&column)).unwrap());
    }
}

#[test]
fn a_chain_fits_each_step_on_what_the_one_before_gives() {
    let column = floats(&[0.0, 1.0, 3.0, -7.0]);
    let chain = fit_chain(&[Encoding::Log, Encoding::Standardise], &column, None, &all(&column)).unwrap();
    let found = apply_chain(&chain, &column).unwrap();
    let logs: Vec<f64> = [0.0_f64, 1.0, 3.0].map(f64::ln_1p).into();
    let mean = logs.iter().sum::<f64>() / 3.0;
    let deviation = (logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / 3.0).sqrt();
    for (found, log) in found[0].as_primitive::<Float64Type>().iter().zip(&logs) {
        assert!((found.unwrap() - (log - mean) / deviation).abs() < 1e-12);
    }
    assert!(found[0].is_null(3));
    let field = arrow::datatypes::Field::new("amount", DataType::Float64, true);
    assert_eq!(chain_columns(&chain, &field)[0].name(), "amount");
    assert_eq!(chain_columns(&[], &field), [field]);
    assert_eq!(apply_chain(&[], &column).unwrap()[0].len(), 4);
    let hot = [Encoding::Bucketize(Cuts::Edges(vec![2.0])), Encoding::OneHot { max_categories: 5 }];
    let hot = fit_chain(&hot, &column, None, &all(&column)).unwrap();
    assert_eq!(apply_chain(&hot, &column).unwrap()[0].as_ref(), &Int8Array::from(vec![1, 1, 0, 1]));
}

#[test]
fn what_cannot_be_is_refused() {
    let (numbers, words) = (floats(&[1.0]), texts(&[Some("a")]));
    let bytes: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"a"]));
    let refused = |encoding: &Encoding, column: &ArrayRef, code: &str| {
        let error = fit(encoding, column, None, &all(column)).unwrap_err();
        assert_eq!(error.code(), code, "{encoding:?}: {error}");
    };
    for encoding in [
        Encoding::OneHot { max_categories: 0 },
        Encoding::Hashing { buckets: 0 },
        Encoding::Target { smoothing: -1.0 },
        Encoding::Target { smoothing: f64::NAN },
        Encoding::Bucketize(Cuts::Edges(vec![])),
        Encoding::Bucketize(Cuts::Edges(vec![1.0, 1.0])),
        Encoding::Bucketize(Cuts::Edges(vec![f64::NAN])),
        Encoding::Bucketize(Cuts::Quantiles(1)),
        Encoding::Clip(Limits::Bounds { low: None, high: None }),
        Encoding::Clip(Limits::Bounds { low: Some(2.0), high: Some(1.0) }),
        Encoding::Clip(Limits::Quantiles { low: 0.9, high: 0.1 }),
        Encoding::Clip(Limits::Quantiles { low: -0.1, high: 0.1 }),
    ] {
        refused(&encoding, &numbers, "MS-0931");
    }
    refused(&Encoding::Log, &words, "MS-0932");
    refused(&Encoding::Ordinal, &bytes, "MS-0932");
    refused(&Encoding::Target { smoothing: 1.0 }, &words, "MS-0933");
    assert_eq!(
        fit(&Encoding::Target { smoothing: 1.0 }, &words, Some(&words), &all(&words)).unwrap_err().code(),
        "MS-0933"
    );
    assert_eq!(learn(&Encoding::Ordinal, &words).apply(&numbers).unwrap_err().code(), "MS-0932");
    assert_eq!(fit(&Encoding::Log, &numbers, None, &vec![true, true].into()).unwrap_err().code(), "MS-0923");
    let hot = [Encoding::OneHot { max_categories: 1 }, Encoding::Log];
    assert_eq!(fit_chain(&hot, &words, None, &all(&words)).unwrap_err().code(), "MS-0931");
    let later = learn(&Encoding::Log, &numbers).to_json().replace("\"version\":1", "\"version\":99");
    assert!(Fitted::from_json(&later).unwrap_err().to_string().contains("version 99"));
    assert_eq!(Fitted::from_json("{").unwrap_err().code(), "MS-0934");
}

/// One line for each encoding, as version 1 wrote it. A line never changes; a new version gets a new file.
const SAMPLES: &str = include_str!("../data/fitted_v1.jsonl");

#[test]
fn samples_of_version_1_are_still_written_and_read() {
    assert_eq!(FITTED_VERSION, 1);
    let column = floats(&[0.1, 0.2, 0.2, -3.0]);
    let target = floats(&[1.0, 0.0, 0.3, 7.0]);
    let line =
        |encoding: Encoding| fit(&encoding, &column, Some(&target), &all(&column)).unwrap().to_json() + "\n";
    let now: String = every_encoding().into_iter().map(line).collect();
    assert!(now == SAMPLES, "the text of a fitted encoding changed:\n{now}");
    for line in SAMPLES.lines() {
        assert_eq!(Fitted::from_json(line).unwrap().to_json(), line);
    }
}
