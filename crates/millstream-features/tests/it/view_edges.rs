//! A joined view where others go wrong, by name, and what bad input leads to.

use std::{num::NonZeroUsize, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray},
    array::{TimestampMicrosecondArray, UInt32Array, new_null_array},
    datatypes::{DataType, Int64Type},
};
use millstream_features::{
    CODES, FeatureError,
    aggregate::{Aggregation, Value},
    asof::LabelRows,
    view::{
        ColumnDefinition, FeatureDefinition, FeatureValue, JoinOptions, KeyDefinition, Status,
        ViewDefinition, ViewJoin, ViewValues,
    },
    window::{DAY, HOUR, MINUTES_5, Measure, Operand},
};
use millstream_types::Span;

use crate::world::{cell, shown};

const NOW: i64 = 20_000 * DAY;

fn days(days: u64) -> Option<Span> {
    Some(Span::from_ms(days * 86_400_000))
}

fn window(aggregation: Aggregation, column: Option<usize>, window: Option<Span>) -> FeatureValue {
    FeatureValue::Window { measure: Measure::One(Operand::new(aggregation, column)), window }
}

/// A view of entities with one number as key, over an int64 and a float64 column.
fn view(features: &[(FeatureValue, DataType)]) -> ViewDefinition {
    let types = [DataType::Int64, DataType::Float64];
    ViewDefinition {
        name: "orders".into(),
        entity: "customer".into(),
        keys: vec![KeyDefinition { name: "customer_id".into(), data_type: DataType::Int64 }],
        query: String::new(),
        ttl: None,
        include_same_instant: false,
        columns: types.map(|data_type| ColumnDefinition { sql: String::new(), data_type }).into(),
        features: (0..)
            .zip(features)
            .map(|(at, (value, data_type))| FeatureDefinition {
                name: format!("f{at}_y"),
                value: value.clone(),
                data_type: data_type.clone(),
                default: None,
            })
            .collect(),
        rows: Default::default(),
    }
}

fn instants(values: &[i64]) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values.to_vec()).with_timezone("UTC"))
}

/// Key, event time, int64, float64; known at once, in sequence.
type Given = (i64, i64, i64, f64);

fn batch(view: &ViewDefinition, events: &[Given]) -> RecordBatch {
    let times: Vec<i64> = events.iter().map(|event| event.1).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(events.iter().map(|event| event.0).collect::<Int64Array>()),
        instants(&times),
        instants(&times),
        Arc::new((0..events.len() as i64).collect::<Int64Array>()),
        Arc::new(events.iter().map(|event| event.2).collect::<Int64Array>()),
        Arc::new(events.iter().map(|event| event.3).collect::<Float64Array>()),
    ];
    RecordBatch::try_new(view.event_schema(), columns).unwrap()
}

fn join_all(
    view: &ViewDefinition,
    batches: &[RecordBatch],
    labels: &LabelRows<'_>,
) -> Result<ViewValues, FeatureError> {
    let features: Vec<usize> = (0..view.features.len()).collect();
    let options = JoinOptions { as_known: labels.as_known.is_some(), threads: NonZeroUsize::MIN };
    let mut join = ViewJoin::new(view, &features, options)?;
    batches.iter().try_for_each(|batch| join.push(batch))?;
    join.build()?.join(labels)
}

/// The features of labels (key, time), by feature.
fn join(view: &ViewDefinition, events: &[Given], labels: &[(i64, i64)]) -> ViewValues {
    let keys: [ArrayRef; 1] = [Arc::new(labels.iter().map(|label| label.0).collect::<Int64Array>())];
    let times: Vec<i64> = labels.iter().map(|label| label.1).collect();
    let labels = LabelRows { keys: &keys, time: &instants(&times), as_known: None };
    join_all(view, &[batch(view, events)], &labels).unwrap()
}

fn texts(column: &ArrayRef) -> Vec<String> {
    (0..column.len()).map(|row| shown(&cell(column, row))).collect()
}

fn one(feature: FeatureValue, data_type: DataType, events: &[Given], at: i64) -> Value {
    cell(&join(&view(&[(feature, data_type)]), events, &[(1, at)]).features[0], 0)
}

fn sum(window_of: Option<Span>) -> FeatureValue {
    window(Aggregation::Sum, Some(0), window_of)
}

fn ones(times: impl IntoIterator<Item = i64>) -> Vec<Given> {
    times.into_iter().map(|time| (1, time, 1, 1.0)).collect()
}

#[test]
fn edge_1_an_event_exactly_at_the_tail_is_in() {
    let events = ones([NOW - 30 * DAY, NOW - 30 * DAY - 1]);
    assert_eq!(one(sum(days(30)), DataType::Int64, &events, NOW), Value::Int(1));
}

#[test]
fn edge_2_a_window_that_is_no_multiple_of_its_hop_begins_at_a_hop() {
    let window = Some(Span::from_ms(7 * 60_000));
    let events = ones((0..40).map(|half| NOW - half * 30_000_000));
    // From 23:50, the hop in which 23:53 lies, up to midnight, which is out.
    assert_eq!(one(sum(window), DataType::Int64, &events, NOW), Value::Int(20));
    assert_eq!(one(sum(window), DataType::Int64, &events, NOW - MINUTES_5), Value::Int(20));
}

#[test]
fn edge_3_a_history_that_ends_long_before_the_label_is_exact() {
    let events = ones((0..40).map(|day| NOW - day * DAY));
    assert_eq!(one(sum(days(14)), DataType::Int64, &events, NOW), Value::Int(14));
    for lag in 1..9 {
        let found = one(sum(days(14)), DataType::Int64, &events, NOW + lag * DAY);
        assert_eq!(found, Value::Int(15 - lag), "{lag} days");
    }
}

#[test]
fn edge_4_a_late_event_is_in_its_hop_but_not_before_it_was_known() {
    let view = view(&[(sum(days(14)), DataType::Int64)]);
    let rows = batch(&view, &ones([NOW - 3 * DAY, NOW - 2 * DAY]));
    let mut columns = rows.columns().to_vec();
    columns[2] = instants(&[NOW - 3 * DAY, NOW + HOUR]);
    let rows = RecordBatch::try_new(rows.schema(), columns).unwrap();
    let keys: [ArrayRef; 1] = [Arc::new(Int64Array::from(vec![1, 1]))];
    let (time, cuts) = (instants(&[NOW, NOW]), instants(&[NOW, NOW + HOUR]));
    let values =
        join_all(&view, &[rows], &LabelRows { keys: &keys, time: &time, as_known: Some(&cuts) }).unwrap();
    assert_eq!(texts(&values.features[0]), ["Int(1)", "Int(2)"]);
    assert_eq!(values.event_times.values(), &[NOW - 3 * DAY, NOW - 2 * DAY]);
}

#[test]
fn edge_5_an_event_at_the_labels_instant_is_the_future_unless_asked() {
    let mut view = view(&[(sum(days(1)), DataType::Int64), (FeatureValue::Newest(0), DataType::Int64)]);
    let events = [(1, NOW - 1, 1, 0.0), (1, NOW, 2, 0.0)];
    let of = |view: &ViewDefinition| {
        let values = join(view, &events, &[(1, NOW)]);
        values.features.iter().map(|column| cell(column, 0)).collect::<Vec<_>>()
    };
    assert_eq!(of(&view), [Value::Int(1), Value::Int(1)]);
    view.include_same_instant = true;
    assert_eq!(of(&view), [Value::Int(3), Value::Int(2)]);
}

#[test]
fn labels_with_equal_key_and_time_all_stay_in_their_order() {
    let view = view(&[(FeatureValue::Newest(0), DataType::Int64), (sum(days(7)), DataType::Int64)]);
    let values = join(&view, &ones([NOW - 1]), &[(1, NOW), (2, NOW), (1, NOW), (1, NOW - 5), (1, NOW)]);
    assert_eq!(texts(&values.features[0]), ["Int(1)", "Null", "Int(1)", "Null", "Int(1)"]);
    assert_eq!(texts(&values.features[1]), ["Int(1)", "Null", "Int(1)", "Null", "Int(1)"]);
}

#[test]
fn labels_whose_events_are_all_in_the_future_or_expired_stay_with_their_status() {
    let mut view = view(&[
        (FeatureValue::Newest(0), DataType::Int64),
        (window(Aggregation::Count, None, None), DataType::Int64),
    ]);
    view.ttl = days(10);
    let events = [(1, NOW + 1, 1, 0.0), (2, NOW - 11 * DAY, 2, 0.0), (3, NOW - 10 * DAY, 3, 0.0)];
    let values = join(&view, &events, &[(1, NOW), (2, NOW), (3, NOW), (4, NOW)]);
    assert_eq!(texts(&values.features[0]), ["Null", "Null", "Int(3)", "Null"]);
    assert_eq!(texts(&values.features[1]), ["Int(0)", "Null", "Int(1)", "Int(0)"]);
    let expected = [Status::Missing, Status::Expired, Status::Present, Status::Missing];
    for statuses in &values.statuses {
        assert_eq!(statuses.iter().collect::<Vec<_>>(), expected);
    }
    let times: Vec<_> = values.event_times.iter().collect();
    assert_eq!(
        times,
        [None, Some(NOW - 11 * DAY), Some(NOW - 10 * DAY), None],
        "an expired one has its time"
    );
}

#[test]
fn ties_go_by_sequence_then_by_value_and_never_by_place() {
    let features = [
        (FeatureValue::Newest(0), DataType::Int64),
        (FeatureValue::Newest(1), DataType::Float64),
        (window(Aggregation::Last, Some(0), days(7)), DataType::Int64),
        (window(Aggregation::First, Some(1), days(7)), DataType::Float64),
    ];
    let view = view(&features);
    let rows = batch(&view, &[(1, NOW - 1, 5, 9.0), (1, NOW - 1, 7, 1.0), (1, NOW - 1, 7, 3.0)]);
    let keys: [ArrayRef; 1] = [Arc::new(Int64Array::from(vec![1]))];
    let labels = LabelRows { keys: &keys, time: &instants(&[NOW]), as_known: None };
    for order in [[0_i64, 0, 0], [1, 0, 0]] {
        let mut columns = rows.columns().to_vec();
        columns[3] = Arc::new(Int64Array::from(order.to_vec()));
        let tied = RecordBatch::try_new(rows.schema(), columns).unwrap();
        for places in [[0_u32, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let placed =
                arrow::compute::take_record_batch(&tied, &UInt32Array::from(places.to_vec())).unwrap();
            let values = join_all(&view, &[placed.slice(0, 1), placed.slice(1, 2)], &labels).unwrap();
            let found: Vec<_> = values.features.iter().map(|column| shown(&cell(column, 0))).collect();
            let expected = if order == [0, 0, 0] {
                ["Int(7)", "Float(3.0)", "Int(7)", "Float(1.0)"]
            } else {
                ["Int(5)", "Float(9.0)", "Int(5)", "Float(1.0)"]
            };
            assert_eq!(found, expected, "{order:?} at {places:?}");
        }
    }
}

#[test]
fn keys_that_read_the_same_when_joined_stay_apart() {
    let mut view = view(&[(FeatureValue::Newest(0), DataType::Int64), (sum(days(7)), DataType::Int64)]);
    view.keys.push(KeyDefinition { name: "shop".into(), data_type: DataType::Int64 });
    let rows: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1, 11, 1])),
        Arc::new(Int64Array::from(vec![12, 2, 2])),
        instants(&[NOW - 1; 3]),
        instants(&[NOW - 1; 3]),
        Arc::new(Int64Array::from(vec![0, 1, 2])),
        Arc::new(Int64Array::from(vec![100, 200, 300])),
        Arc::new(Float64Array::from(vec![0.0; 3])),
    ];
    let rows = RecordBatch::try_new(view.event_schema(), rows).unwrap();
    let keys: [ArrayRef; 2] = [
        Arc::new(Int64Array::from(vec![Some(11), Some(1), None, Some(1), Some(11)])),
        Arc::new(Int64Array::from(vec![Some(2), Some(12), Some(12), None, Some(12)])),
    ];
    let labels = LabelRows { keys: &keys, time: &instants(&[NOW; 5]), as_known: None };
    let values = join_all(&view, &[rows], &labels).unwrap();
    for column in &values.features {
        assert_eq!(texts(column), ["Int(200)", "Int(100)", "Null", "Null", "Null"]);
    }
}

#[test]
fn integers_beyond_two_to_the_53_stay_exact_beside_a_miss() {
    let big = (1 << 53) + 1;
    let view = view(&[(FeatureValue::Newest(0), DataType::Int64), (sum(days(1)), DataType::Int64)]);
    let values = join(&view, &[(1, NOW - 1, big, 0.0)], &[(1, NOW), (2, NOW)]);
    for column in &values.features {
        assert_eq!(column.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(big), None]);
    }
}

#[test]
fn an_infinity_leaves_the_window_with_its_event() {
    let events = [(1, NOW - 2 * DAY, 0, f64::INFINITY), (1, NOW - HOUR, 0, 2.0)];
    let sum = window(Aggregation::Sum, Some(1), days(1));
    assert_eq!(one(sum.clone(), DataType::Float64, &events, NOW), Value::Float(2.0));
    assert_eq!(one(sum, DataType::Float64, &events, NOW - DAY), Value::Float(f64::INFINITY));
}

#[test]
fn a_large_number_takes_nothing_away_from_the_small_ones_after_it() {
    let mut events = vec![(1, NOW - 2 * DAY, 0, 1e17)];
    events.extend((0..5).map(|second| (1, NOW - HOUR + second, 0, 1.0)));
    let feature = window(Aggregation::Sum, Some(1), days(1));
    assert_eq!(one(feature, DataType::Float64, &events, NOW), Value::Float(5.0));
}

#[test]
fn a_deviation_far_from_zero_does_not_cancel() {
    let events: Vec<Given> =
        (0..10).map(|at| (1, NOW - HOUR + at, 0, 1e8 + f64::from(u8::from(at % 2 == 0)))).collect();
    let feature = window(Aggregation::StandardDeviation, Some(1), days(1));
    let Value::Float(found) = one(feature, DataType::Float64, &events, NOW) else { panic!("a float") };
    assert!((found - (10.0_f64 / 36.0).sqrt()).abs() < 1e-12, "{found}");
}

#[test]
fn an_empty_window_counts_zero_and_has_no_mean_also_when_the_entity_went_quiet() {
    let view = view(&[
        (window(Aggregation::Count, None, days(1)), DataType::Int64),
        (window(Aggregation::Mean, Some(0), days(1)), DataType::Float64),
    ]);
    let values = join(&view, &ones([NOW - 5 * DAY]), &[(1, NOW), (9, NOW)]);
    assert_eq!(texts(&values.features[0]), ["Int(0)", "Int(0)"]);
    assert_eq!(texts(&values.features[1]), ["Null", "Null"]);
    let statuses = |feature: usize| values.statuses[feature].iter().collect::<Vec<_>>();
    assert_eq!(statuses(0), [Status::Present, Status::Missing]);
    assert_eq!(statuses(1), [Status::Null, Status::Missing]);
}

#[test]
fn a_default_stands_where_a_value_is_missing_and_the_status_says_why() {
    let mut view = view(&[(FeatureValue::Newest(0), DataType::Int64), (sum(days(1)), DataType::Int64)]);
    view.ttl = days(3);
    view.features.iter_mut().for_each(|feature| feature.default = Some(Value::Int(-1)));
    let values = join(&view, &ones([NOW - 2 * DAY]), &[(1, NOW), (2, NOW), (1, NOW + 2 * DAY)]);
    assert_eq!(texts(&values.features[0]), ["Int(1)", "Int(-1)", "Int(-1)"]);
    assert_eq!(texts(&values.features[1]), ["Int(-1)", "Int(-1)", "Int(-1)"]);
    let statuses = |feature: usize| values.statuses[feature].iter().collect::<Vec<_>>();
    assert_eq!(statuses(0), [Status::Present, Status::Missing, Status::Expired]);
    assert_eq!(statuses(1), [Status::Null, Status::Missing, Status::Expired]);
}

#[test]
fn an_empty_view_and_no_labels_have_answers() {
    let view = view(&[(FeatureValue::Newest(0), DataType::Int64), (sum(days(1)), DataType::Int64)]);
    assert_eq!(join(&view, &ones([NOW]), &[]).features[0].len(), 0);
    let values = join(&view, &[], &[(1, NOW)]);
    assert!(values.features.iter().all(|column| column.is_null(0)));
    let keys: [ArrayRef; 1] = [Arc::new(Int64Array::from(vec![1]))];
    let labels = LabelRows { keys: &keys, time: &instants(&[NOW]), as_known: None };
    let values = join_all(&view, &[], &labels).unwrap();
    assert!(values.features.iter().all(|column| column.is_null(0)), "not even an empty batch");
    assert_eq!(values.statuses[1].get(0), Some(Status::Missing));
    assert_eq!(values.statuses[1].get(1), None);
}

#[test]
fn a_column_that_is_all_null_is_null_and_counts_nothing() {
    let view = view(&[
        (FeatureValue::Newest(0), DataType::Int64),
        (sum(days(1)), DataType::Int64),
        (window(Aggregation::Count, Some(0), days(1)), DataType::Int64),
    ]);
    let mut columns = batch(&view, &ones([NOW - 1])).columns().to_vec();
    columns[4] = new_null_array(&DataType::Int64, 1);
    let rows = RecordBatch::try_new(view.event_schema(), columns).unwrap();
    let keys: [ArrayRef; 1] = [Arc::new(Int64Array::from(vec![1]))];
    let labels = LabelRows { keys: &keys, time: &instants(&[NOW]), as_known: None };
    let values = join_all(&view, &[rows], &labels).unwrap();
    let found: Vec<_> = values.features.iter().map(|column| shown(&cell(column, 0))).collect();
    assert_eq!(found, ["Null", "Null", "Int(0)"]);
    assert_eq!(values.statuses[0].get(0), Some(Status::Null));
}

#[test]
fn times_at_the_ends_of_the_range_do_not_overflow() {
    let view = view(&[(sum(days(30)), DataType::Int64), (sum(None), DataType::Int64)]);
    let values = join(&view, &ones([i64::MIN, NOW, i64::MAX]), &[(1, i64::MIN), (1, NOW + 1), (1, i64::MAX)]);
    assert_eq!(texts(&values.features[1]), ["Null", "Int(2)", "Int(2)"]);
}

fn refused(result: Result<ViewValues, FeatureError>, code: &str, part: &str) {
    let Err(error) = result else { panic!("not refused: {part}") };
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(part), "{error}");
    assert!(CODES.iter().any(|(known, ..)| *known == code), "{code} is explained");
}

#[test]
fn what_does_not_fit_is_refused_with_both_types_in_the_message() {
    let good = view(&[(FeatureValue::Newest(0), DataType::Int64)]);
    let rows = batch(&good, &ones([NOW]));
    let keys: [ArrayRef; 1] = [Arc::new(Int64Array::from(vec![1]))];
    let time = instants(&[NOW]);
    let labels = LabelRows { keys: &keys, time: &time, as_known: None };
    let with = |at: usize, column: ArrayRef| {
        let mut columns = rows.columns().to_vec();
        columns[at] = column;
        RecordBatch::try_from_iter(
            columns.into_iter().enumerate().map(|(at, column)| (format!("{at}"), column)),
        )
        .unwrap()
    };
    let int32: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
    let refuse =
        |rows: RecordBatch, code: &str, part: &str| refused(join_all(&good, &[rows], &labels), code, part);
    refuse(with(0, int32.clone()), "MS-0953", "Int32");
    refuse(with(1, text.clone()), "MS-0923", "`_time` has type Utf8");
    refuse(with(4, int32.clone()), "MS-0923", "`c0` has type Int32, their view describes Int64");
    refuse(rows.project(&[0, 1, 2]).unwrap(), "MS-0923", "3 columns");
    let of_keys = |keys: &[ArrayRef]| {
        let labels = LabelRows { keys, time: &time, as_known: None };
        join_all(&good, std::slice::from_ref(&rows), &labels)
    };
    refused(of_keys(std::slice::from_ref(&int32)), "MS-0953", "type Int32 in the labels and type Int64");
    refused(of_keys(&[]), "MS-0951", "key columns");
    refused(of_keys(&[Arc::new(Int64Array::from(vec![1, 2]))]), "MS-0955", "2 rows");
    let cut_off = LabelRows { keys: &keys, time: &time, as_known: Some(&time) };
    let options = JoinOptions { as_known: false, threads: NonZeroUsize::MIN };
    refused(ViewJoin::new(&good, &[0], options).unwrap().build().unwrap().join(&cut_off), "MS-0956", "known");
    refused(ViewJoin::new(&good, &[3], options).map(|_| unreachable!()), "MS-0922", "number 3");
    let mut wrong = good.clone();
    wrong.features[0].data_type = DataType::Utf8;
    refused(join_all(&wrong, &[], &labels), "MS-0922", "`orders.f0_y` is defined as Utf8");
    let mut wrong = good.clone();
    wrong.features[0].default = Some(Value::Text("x".into()));
    refused(join_all(&wrong, &[], &labels), "MS-0922", "default of `orders.f0_y`");
    let wrong = view(&[(FeatureValue::Newest(9), DataType::Int64)]);
    refused(join_all(&wrong, &[], &labels), "MS-0922", "number 9");
    let wrong = view(&[(window(Aggregation::VectorSum, Some(0), None), DataType::Int64)]);
    refused(join_all(&wrong, &[], &labels), "MS-0921", "vector_sum");
}

#[test]
fn every_code_is_listed_once() {
    let distinct: std::collections::BTreeSet<_> = CODES.iter().map(|(code, ..)| code).collect();
    assert_eq!(distinct.len(), CODES.len());
    assert!(
        CODES
            .iter()
            .all(|(code, title, text)| code.starts_with("MS-09") && !title.is_empty() && text.len() > 20)
    );
}
