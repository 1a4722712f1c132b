//! What the writer writes is what a JSON parser reads, for random values of every type.

use std::{fmt::Write, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int64Array,
        ListArray, StringArray, StringViewArray, StructArray, TimestampMicrosecondArray,
        TimestampNanosecondArray, UInt64Array,
    },
    datatypes::{Field, Int64Type},
    temporal_conversions::{date32_to_datetime, timestamp_ns_to_datetime, timestamp_us_to_datetime},
};
use millstream_server::ColumnWriter;
use serde_json::{Value, value::RawValue};

use crate::random::Random;

const ROUNDS: u64 = 200;

fn parsed(array: &dyn Array) -> Vec<Value> {
    let mut out = Vec::new();
    ColumnWriter::new(array).unwrap().write_all(&mut out);
    let text = std::str::from_utf8(&out).unwrap();
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn check<T>(array: impl Array, values: &[Option<T>], expected: impl Fn(&T) -> Value) {
    let expected: Vec<Value> =
        values.iter().map(|value| value.as_ref().map_or(Value::Null, &expected)).collect();
    assert_eq!(parsed(&array), expected);
}

fn values<T>(seed: u64, mut value: impl FnMut(&mut Random) -> T) -> Vec<Option<T>> {
    let mut random = Random(seed);
    let rows = random.below(20);
    (0..rows).map(|_| random.maybe(&mut value)).collect()
}

fn text(random: &mut Random) -> String {
    let letters = ['a', '"', '\\', '\n', '\0', '\u{1f}', '\u{7f}', 'é', '\u{2028}', '😀', '/', '<'];
    let length = random.below(30);
    (0..length).map(|_| letters[random.below(letters.len())]).collect()
}

#[test]
fn integers_floats_and_booleans_read_back_the_same() {
    for seed in 0..ROUNDS {
        let integers = values(seed, |random| random.next().cast_signed() >> random.below(64));
        check(Int64Array::from(integers.clone()), &integers, |value| Value::from(*value));
        let unsigned = values(seed, |random| random.next() >> random.below(64));
        check(UInt64Array::from(unsigned.clone()), &unsigned, |value| Value::from(*value));
        let booleans = values(seed, |random| random.below(2) == 0);
        check(BooleanArray::from(booleans.clone()), &booleans, |value| Value::from(*value));
        // Any bits are a float: subnormals, infinities and NaN among them, which become null.
        let floats = values(seed, |random| f64::from_bits(random.next()));
        // The standard library's parser is exact; serde_json's own is one of the few that may be off by a bit.
        let mut out = Vec::new();
        ColumnWriter::new(&Float64Array::from(floats.clone())).unwrap().write_all(&mut out);
        let read: Vec<&RawValue> = serde_json::from_slice(&out).unwrap();
        let read: Vec<Option<f64>> = read.iter().map(|value| value.get().parse().ok()).collect();
        let finite: Vec<Option<f64>> =
            floats.iter().map(|value| value.filter(|value| value.is_finite())).collect();
        assert_eq!(read, finite);
        let singles = values(seed, |random| f32::from_bits((random.next() >> 32) as u32));
        let mut out = Vec::new();
        ColumnWriter::new(&Float32Array::from(singles.clone())).unwrap().write_all(&mut out);
        let read: Vec<Option<f32>> = serde_json::from_slice(&out).unwrap();
        let finite: Vec<Option<f32>> =
            singles.iter().map(|value| value.filter(|value| value.is_finite())).collect();
        assert_eq!(read, finite);
    }
    check(
        Float64Array::from(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
        &[None::<f64>, None, None],
        |value| Value::from(*value),
    );
}

#[test]
fn texts_and_bytes_read_back_the_same() {
    for seed in 0..ROUNDS {
        let texts = values(seed, text);
        check(StringArray::from(texts.clone()), &texts, |value| Value::from(value.as_str()));
        let views: StringViewArray = texts.iter().map(Option::as_deref).collect();
        check(views, &texts, |value| Value::from(value.as_str()));
        let bytes = values(seed, |random| text(random).into_bytes());
        let array: BinaryArray = bytes.iter().map(Option::as_deref).collect();
        check(array, &bytes, |value| Value::from(naive_base64(value)));
    }
}

/// Bit by bit, as the definition says it.
fn naive_base64(bytes: &[u8]) -> String {
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let mut text = String::new();
    for sextet in bits.chunks(6) {
        let number =
            (0..6).fold(0, |number, bit| number * 2 + usize::from(sextet.get(bit).copied().unwrap_or(0)));
        text.push(alphabet[number]);
    }
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

#[test]
fn instants_and_dates_are_those_of_the_calendar() {
    for seed in 0..ROUNDS {
        // From the year 1 to 9999, and closer to today every other time.
        let micros = values(seed, |random| {
            let years = if random.below(2) == 0 { 300 } else { 7_900 };
            let span = years * 31_556_952_000_000_u64;
            let micros = i64::try_from(random.next() % span).unwrap();
            if years == 300 && random.below(2) == 0 { -micros } else { micros }
        });
        check(TimestampMicrosecondArray::from(micros.clone()), &micros, |value| {
            Value::from(calendar(&timestamp_us_to_datetime(*value).unwrap().to_string()))
        });
        let nanos = values(seed, |random| random.next().cast_signed() >> random.below(20));
        check(TimestampNanosecondArray::from(nanos.clone()), &nanos, |value| {
            Value::from(calendar(&timestamp_ns_to_datetime(*value).unwrap().to_string()))
        });
        let days = values(seed, |random| i32::try_from(random.below(3_600_000)).unwrap() - 700_000);
        check(Date32Array::from(days.clone()), &days, |value| {
            Value::from(date32_to_datetime(*value).unwrap().to_string()[..10].to_owned())
        });
    }
}

/// `2026-11-01 00:00:00.5` as RFC 3339 with 0, 3, 6 or 9 digits.
fn calendar(text: &str) -> String {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut instant = seconds.replace(' ', "T");
    let digits = fraction.trim_end_matches('0').len().div_ceil(3) * 3;
    if digits > 0 {
        write!(instant, ".{fraction:0<digits$}").unwrap();
        instant.truncate(seconds.len() + 1 + digits);
    }
    instant + "Z"
}

#[test]
fn lists_and_structs_read_back_the_same() {
    for seed in 0..ROUNDS {
        let lists =
            values(seed, |random| (0..random.below(5)).map(|_| Some(random.next().cast_signed())).collect());
        let array = ListArray::from_iter_primitive::<Int64Type, Vec<Option<i64>>, _>(lists.clone());
        check(array.clone(), &lists, |value| Value::from(value.clone()));
        // A slice starts in the middle of its offsets.
        let start = lists.len() / 2;
        check(array.slice(start, lists.len() - start), &lists[start..], |value| Value::from(value.clone()));
        let texts = values(seed, text);
        let children: ArrayRef = Arc::new(StringArray::from(texts.clone()));
        let field = Arc::new(Field::new("a \"name\"", children.data_type().clone(), true));
        let structs = StructArray::from(vec![(field, children)]);
        let some: Vec<_> = texts.into_iter().map(Some).collect();
        check(structs, &some, |value| serde_json::json!({"a \"name\"": value}));
    }
}
