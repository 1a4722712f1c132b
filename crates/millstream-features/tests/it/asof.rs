//! The point-in-time join against a naive double loop, and the wrong answers of others by name.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::{num::NonZeroUsize, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Int64Type, Schema},
};
use millstream_features::asof::{
    AsofBuilder, AsofOptions, FeatureRows, KeyColumn, LabelRows, MatchStatus, Matches, partitions,
};
use millstream_types::Span;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::SliceRandom};

/// A view's row, or a label, with the key (number, text).
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) key: (Option<i64>, Option<String>),
    pub(crate) time: Option<i64>,
    /// Of a label: its cut-off.
    known: Option<i64>,
    sequence: Option<i64>,
    value: Option<i64>,
}

/// Which key columns are joined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Keys {
    Number,
    Text,
    Both,
}

pub(crate) fn instants(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<TimestampMicrosecondArray>())
}

pub(crate) fn keys(rows: &[Row], which: Keys) -> Vec<ArrayRef> {
    let numbers: Int64Array = rows.iter().map(|row| row.key.0).collect();
    let texts: StringArray = rows.iter().map(|row| row.key.1.clone()).collect();
    match which {
        Keys::Number => vec![Arc::new(numbers)],
        Keys::Text => vec![Arc::new(texts)],
        Keys::Both => vec![Arc::new(numbers), Arc::new(texts)],
    }
}

pub(crate) fn definitions(columns: &[ArrayRef]) -> Vec<KeyColumn> {
    let key = |(at, column): (usize, &ArrayRef)| KeyColumn {
        name: format!("key_{at}"),
        data_type: column.data_type().clone(),
    };
    columns.iter().enumerate().map(key).collect()
}

fn values(rows: &[Row]) -> RecordBatch {
    let values: Int64Array = rows.iter().map(|row| row.value).collect();
    let schema = Schema::new(vec![Field::new("value", DataType::Int64, true)]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(values)]).unwrap()
}

/// Value, event time and status of each label.
type Answer = Vec<(Option<i64>, Option<i64>, MatchStatus)>;

/// Joins with the view cut into these batches.
fn join(view: &[&[Row]], labels: &[Row], which: Keys, options: AsofOptions) -> Answer {
    let mut builder = AsofBuilder::new(&definitions(&keys(&[], which)), options).unwrap();
    for rows in view {
        let sequence: ArrayRef = Arc::new(rows.iter().map(|row| row.sequence).collect::<Int64Array>());
        let batch = FeatureRows {
            keys: &keys(rows, which),
            time: &instants(rows.iter().map(|row| row.time)),
            known: Some(&instants(rows.iter().map(|row| row.known))),
            sequence: Some(&sequence),
        };
        builder.push(&batch).unwrap();
    }
    let index = builder.build();
    let cut = instants(labels.iter().map(|row| row.known));
    let matches = index
        .join(&LabelRows {
            keys: &keys(labels, which),
            time: &instants(labels.iter().map(|row| row.time)),
            as_known: options.as_known.then_some(&cut),
        })
        .unwrap();
    assert_eq!(matches.len(), labels.len());
    let batches: Vec<_> = view.iter().map(|rows| values(rows)).collect();
    let taken = matches.take(&batches, options.threads).unwrap();
    let empty: ArrayRef = Arc::new(Int64Array::new_null(labels.len()));
    answer(&matches, taken.first().unwrap_or(&empty))
}

fn answer(matches: &Matches, values: &ArrayRef) -> Answer {
    let values = values.as_primitive::<Int64Type>().iter();
    let each = values.zip(matches.event_times()).zip(matches.statuses());
    each.map(|((value, event), status)| (value, event, *status)).collect()
}

/// The definition, read aloud.
fn naive(view: &[Row], labels: &[Row], which: Keys, options: AsofOptions) -> Answer {
    let has_key = |row: &Row| match which {
        Keys::Number => row.key.0.is_some(),
        Keys::Text => row.key.1.is_some(),
        Keys::Both => row.key.0.is_some() && row.key.1.is_some(),
    };
    let is_same = |one: &Row, other: &Row| match which {
        Keys::Number => one.key.0 == other.key.0,
        Keys::Text => one.key.1 == other.key.1,
        Keys::Both => one.key == other.key,
    };
    let find = |label: &Row| {
        let (time, mut best) = (label.time?, None::<&Row>);
        for row in view {
            let Some(event) = row.time else { continue };
            let is_past = event < time || (options.include_same_instant && event == time);
            let is_known =
                !options.as_known || label.known.zip(row.known).is_some_and(|(cut, known)| known <= cut);
            let order = |row: &Row| (row.time, row.known.unwrap_or(0), row.sequence.unwrap_or(0));
            let is_newer = |best: &Row| order(row) > order(best);
            if has_key(row) && is_same(row, label) && is_past && is_known && best.is_none_or(is_newer) {
                best = Some(row);
            }
        }
        let best = best?;
        let age = time - best.time?;
        Some(match options.ttl {
            Some(ttl) if age > ttl.ms() as i64 * 1_000 => (None, best.time, MatchStatus::Expired),
            _ => (best.value, best.time, MatchStatus::Present),
        })
    };
    labels.iter().map(|label| find(label).unwrap_or((None, None, MatchStatus::NotFound))).collect()
}

fn random_rows(random: &mut SmallRng, rows: usize, keys: i64, instants: i64) -> Vec<Row> {
    let maybe = |random: &mut SmallRng, value: i64| random.random_bool(0.95).then_some(value);
    let row = |sequence: usize| {
        let (number, text) = (random.random_range(0..keys), random.random_range(0..keys));
        let (time, known) = (random.random_range(0..instants), random.random_range(0..instants));
        let value = random.random_range(-9_007_199_254_740_993..=9_007_199_254_740_993);
        Row {
            key: (
                maybe(random, number),
                maybe(random, text).map(|text| "k".repeat(text as usize % 5) + &text.to_string()),
            ),
            time: maybe(random, time * 1_000),
            known: maybe(random, known * 1_000),
            sequence: Some(sequence as i64),
            value: maybe(random, value),
        }
    };
    (0..rows).map(row).collect()
}

pub(crate) fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

#[test]
fn equals_the_naive_double_loop_in_any_order_and_any_batches() {
    for seed in 0..240 {
        let mut random = SmallRng::seed_from_u64(seed);
        let which = [Keys::Number, Keys::Text, Keys::Both][seed as usize % 3];
        let options = AsofOptions {
            include_same_instant: random.random_bool(0.5),
            ttl: random.random_bool(0.5).then(|| Span::from_ms(random.random_range(1..20))),
            as_known: random.random_bool(0.5),
            threads: threads(1),
        };
        let (rows, key_count) = (random.random_range(0..300), random.random_range(1..8));
        let instant_count = random.random_range(1..60);
        let mut view = random_rows(&mut random, rows, key_count, instant_count);
        let labels = random_rows(&mut random, 60, key_count + 1, instant_count + 5);
        let expected = naive(&view, &labels, which, options);
        assert_eq!(join(&[&view], &labels, which, options), expected, "seed {seed}");

        view.shuffle(&mut random);
        let cut = random.random_range(0..=view.len());
        let (one, other) = view.split_at(cut);
        let batches = [one, &[], other];
        assert_eq!(join(&batches, &labels, which, options), expected, "seed {seed}, shuffled and cut");

        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.shuffle(&mut random);
        let shuffled: Vec<_> = order.iter().map(|at| labels[*at].clone()).collect();
        let moved: Answer = order.iter().map(|at| expected[*at]).collect();
        assert_eq!(join(&[&view], &shuffled, which, options), moved, "seed {seed}, labels shuffled");
    }
}

#[test]
fn rows_of_the_future_change_nothing() {
    for seed in 0..40 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut view = random_rows(&mut random, 200, 5, 50);
        let labels = random_rows(&mut random, 50, 5, 50);
        let options = AsofOptions::default();
        let before = join(&[&view], &labels, Keys::Both, options);
        let future = random_rows(&mut random, 200, 5, 50).into_iter();
        view.extend(future.map(|row| Row { time: row.time.map(|time| time + 50_000), ..row }));
        view.shuffle(&mut random);
        assert_eq!(join(&[&view], &labels, Keys::Both, options), before);
    }
}

#[test]
fn threads_change_nothing() {
    let mut random = SmallRng::seed_from_u64(1);
    for keys in [1, 3, 700, 90_000] {
        let view = random_rows(&mut random, 100_000, keys, 100_000);
        let labels = random_rows(&mut random, 70_000, keys, 100_000);
        let with = |count| AsofOptions { as_known: true, threads: threads(count), ..AsofOptions::default() };
        let one = join(&[&view], &labels, Keys::Number, with(1));
        assert!(join(&[&view], &labels, Keys::Number, with(4)) == one);
        assert!(join(&[&view[..777], &view[777..]], &labels, Keys::Number, with(3)) == one);
        // The naive loop is slow: a few labels will do.
        assert_eq!(naive(&view, &labels[..40], Keys::Number, with(1)), one[..40]);
    }
}

#[test]
fn a_hot_key_with_late_corrections_is_searched_through_the_tree() {
    // Every row became known long after its time, so that a walk back from the label's time would visit all of them.
    let rows = 300_000;
    let row = |at: i64| Row {
        key: (Some(1), None),
        time: Some(at),
        known: Some(if at == 17 || at == 1_057 { at } else { 1_000_000 + at }),
        sequence: Some(at),
        value: Some(at),
    };
    let view: Vec<_> = (0..rows).map(row).collect();
    let label = |at: i64| Row { time: Some(at), known: Some(at), ..row(0) };
    let labels: Vec<_> = (0..rows).step_by(7).map(label).collect();
    let options = AsofOptions { as_known: true, ..AsofOptions::default() };
    for ((value, _, _), label) in join(&[&view], &labels, Keys::Number, options).iter().zip(&labels) {
        let time = label.time.unwrap();
        let expected = if time > 1_057 { Some(1_057) } else { (time > 17).then_some(17) };
        assert_eq!(*value, expected, "at {time}");
    }
}

pub(crate) fn row(key: (i64, &str), time: i64, value: i64) -> Row {
    Row {
        key: (Some(key.0), Some(key.1.into())),
        time: Some(time),
        known: Some(time),
        sequence: Some(value),
        value: Some(value),
    }
}

fn found(value: i64, time: i64) -> (Option<i64>, Option<i64>, MatchStatus) {
    (Some(value), Some(time), MatchStatus::Present)
}

const NOTHING: (Option<i64>, Option<i64>, MatchStatus) = (None, None, MatchStatus::NotFound);

#[test]
fn labels_with_equal_key_and_time_all_stay() {
    let labels = vec![row((1, "a"), 10, 0); 3];
    let answer = join(&[&[row((1, "a"), 5, 7)]], &labels, Keys::Both, AsofOptions::default());
    assert_eq!(answer, vec![found(7, 5); 3]);
}

#[test]
fn labels_whose_rows_are_all_in_the_future_or_expired_stay_without_features() {
    let view = [row((1, "a"), 50_000, 1), row((2, "b"), 1_000, 2)];
    let labels = [row((1, "a"), 10_000, 0), row((2, "b"), 20_000, 0)];
    let options = AsofOptions { ttl: Some(Span::from_ms(5)), ..AsofOptions::default() };
    let expired = (None, Some(1_000), MatchStatus::Expired);
    assert_eq!(join(&[&view], &labels, Keys::Number, options), vec![NOTHING, expired]);
}

#[test]
fn labels_that_differ_in_the_second_key_only_are_two() {
    let view = [row((1, "a"), 1, 1), row((1, "b"), 1, 2)];
    let labels = [row((1, "b"), 5, 0), row((1, "a"), 5, 0)];
    let expected = vec![found(2, 1), found(1, 1)];
    assert_eq!(join(&[&view], &labels, Keys::Both, AsofOptions::default()), expected);
}

#[test]
fn ties_go_by_known_time_then_sequence_not_by_place() {
    let tie = |known: i64, sequence: i64| Row {
        known: Some(known),
        sequence: Some(sequence),
        value: Some(known * 10 + sequence),
        ..row((1, "a"), 5, 0)
    };
    let mut view = [tie(6, 3), tie(7, 1), tie(7, 2), tie(5, 9)];
    for _ in 0..view.len() {
        view.rotate_left(1);
        let answer = join(&[&view], &[row((1, "a"), 9, 0)], Keys::Number, AsofOptions::default());
        assert_eq!(answer, vec![found(72, 5)]);
    }
}

#[test]
fn keys_that_read_the_same_when_joined_stay_apart() {
    let view = [row((1, "12"), 1, 1), row((11, "2"), 1, 2), row((112, ""), 1, 3)];
    let labels = [row((11, "2"), 5, 0), row((1, "12"), 5, 0), row((112, ""), 5, 0), row((1, "1"), 5, 0)];
    let expected = vec![found(2, 1), found(1, 1), found(3, 1), NOTHING];
    assert_eq!(join(&[&view], &labels, Keys::Both, AsofOptions::default()), expected);
}

#[test]
fn a_null_key_or_time_matches_nothing_not_even_another_null() {
    let nothing = |key: (Option<i64>, Option<&str>), time| Row {
        key: (key.0, key.1.map(Into::into)),
        time,
        ..row((1, "a"), 1, 1)
    };
    let rows = [
        nothing((None, Some("a")), Some(1)),
        nothing((Some(1), None), Some(1)),
        nothing((None, None), Some(1)),
        nothing((Some(1), Some("a")), None),
    ];
    let labels: Vec<_> =
        rows.iter().map(|row| Row { time: row.time.map(|time| time + 9), ..row.clone() }).collect();
    let answer = join(&[&rows], &labels, Keys::Both, AsofOptions::default());
    assert_eq!(answer, vec![NOTHING; 4]);
}

#[test]
fn integers_beyond_two_to_the_53_stay_exact_beside_a_miss() {
    let exact = (1 << 53) + 1;
    let labels = [row((1, "a"), 5, 0), row((9, "z"), 5, 0)];
    let answer = join(&[&[row((1, "a"), 1, exact)]], &labels, Keys::Number, AsofOptions::default());
    assert_eq!(answer, vec![found(exact, 1), NOTHING]);
}

#[test]
fn a_null_feature_is_the_answer_not_a_reason_to_look_further_back() {
    let view = [row((1, "a"), 1, 1), Row { value: None, ..row((1, "a"), 2, 2) }];
    let answer = join(&[&view], &[row((1, "a"), 5, 0)], Keys::Number, AsofOptions::default());
    assert_eq!(answer, vec![(None, Some(2), MatchStatus::Present)]);
}

#[test]
fn a_row_exactly_as_old_as_the_time_to_live_counts() {
    let options = AsofOptions { ttl: Some(Span::from_ms(10)), ..AsofOptions::default() };
    let labels = [row((1, "a"), 10_000, 0), row((1, "a"), 10_001, 0)];
    let answer = join(&[&[row((1, "a"), 0, 7)]], &labels, Keys::Number, options);
    assert_eq!(answer, vec![found(7, 0), (None, Some(0), MatchStatus::Expired)]);
}

#[test]
fn the_same_instant_is_the_future_unless_asked() {
    let view = [row((1, "a"), 4, 1), row((1, "a"), 5, 2)];
    let label = [row((1, "a"), 5, 0)];
    assert_eq!(join(&[&view], &label, Keys::Number, AsofOptions::default()), vec![found(1, 4)]);
    let options = AsofOptions { include_same_instant: true, ..AsofOptions::default() };
    assert_eq!(join(&[&view], &label, Keys::Number, options), vec![found(2, 5)]);
}

#[test]
fn a_late_correction_is_invisible_to_what_was_known_before() {
    let correction = Row { known: Some(100), ..row((1, "a"), 1, 2) };
    let view = [row((1, "a"), 1, 1), correction];
    let label = |cut: Option<i64>| Row { known: cut, ..row((1, "a"), 50, 0) };
    let labels = [label(Some(99)), label(Some(100)), label(Some(0)), label(None)];
    let options = AsofOptions { as_known: true, ..AsofOptions::default() };
    let expected = vec![found(1, 1), found(2, 1), NOTHING, NOTHING];
    assert_eq!(join(&[&view], &labels, Keys::Number, options), expected);
}

#[test]
fn times_at_the_ends_of_the_range_do_not_overflow() {
    let view = [row((1, "a"), i64::MIN, 1), row((2, "a"), i64::MIN, 2)];
    let labels = [row((1, "a"), i64::MAX, 0), row((2, "a"), i64::MIN, 0)];
    let options = AsofOptions { ttl: Some(Span::from_ms(1)), ..AsofOptions::default() };
    let answer = join(&[&view], &labels, Keys::Number, options);
    assert_eq!(answer, vec![(None, Some(i64::MIN), MatchStatus::Expired), NOTHING]);
}

#[test]
fn an_empty_view_and_no_labels_have_answers() {
    let label = [row((1, "a"), 5, 0)];
    assert_eq!(join(&[], &label, Keys::Both, AsofOptions::default()), vec![NOTHING]);
    assert_eq!(join(&[&[]], &label, Keys::Both, AsofOptions::default()), vec![NOTHING]);
    assert_eq!(join(&[&label], &[], Keys::Both, AsofOptions::default()), vec![]);
}

#[test]
fn joining_part_by_part_is_joining_at_once() {
    let mut random = SmallRng::seed_from_u64(3);
    for which in [Keys::Number, Keys::Text, Keys::Both] {
        let (view, labels) = (random_rows(&mut random, 500, 9, 60), random_rows(&mut random, 200, 9, 60));
        let options = AsofOptions::default();
        let whole = join(&[&view], &labels, which, options);
        let parts = |rows: &[Row]| {
            partitions(&definitions(&keys(&[], which)), &keys(rows, which), rows.len(), 4).unwrap()
        };
        let (view_parts, label_parts) = (parts(&view), parts(&labels));
        for part in 0..4 {
            let of = |rows: &[Row], parts: &[u32]| -> Vec<Row> {
                rows.iter().zip(parts).filter(|(_, of)| **of == part).map(|(row, _)| row.clone()).collect()
            };
            let expected: Answer = whole
                .iter()
                .zip(&label_parts)
                .filter(|(_, of)| **of == part)
                .map(|(answer, _)| *answer)
                .collect();
            let answer = join(&[&of(&view, &view_parts)], &of(&labels, &label_parts), which, options);
            assert_eq!(answer, expected);
        }
        assert!((0..4).all(|part| view_parts.contains(&part)));
    }
}

#[test]
fn cut_offs_hold_for_every_size_of_the_tree_of_known_times() {
    let options = AsofOptions { as_known: true, ..AsofOptions::default() };
    let mut random = SmallRng::seed_from_u64(32);
    for size in [1, 31, 32, 33, 63, 64, 1_023, 1_024, 1_025] {
        let row = |time: i64, known: i64| Row {
            key: (Some(1), None),
            time: Some(time),
            known: Some(known),
            sequence: Some(time),
            value: Some(time),
        };
        let view: Vec<Row> = (0..size).map(|time| row(time, random.random_range(0..size))).collect();
        let labels: Vec<Row> =
            (0..200).map(|_| row(random.random_range(0..=size), random.random_range(0..size))).collect();
        let found = join(&[&view], &labels, Keys::Number, options);
        for (label, (value, ..)) in labels.iter().zip(found) {
            let mut seen = view.iter().filter(|row| row.time < label.time && row.known <= label.known);
            assert_eq!(value, seen.next_back().and_then(|row| row.value), "{size} events, {label:?}");
        }
    }
}
