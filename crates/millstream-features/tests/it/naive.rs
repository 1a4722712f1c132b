//! The plain double loop that windows are compared with: its own arithmetic for every aggregation.

use std::collections::BTreeMap;

use millstream_features::{
    aggregate::{Aggregation, Value},
    window::{DAY, HOUR, MINUTES_5, Operand, Window},
};

use crate::world::{Event, World};

/// What a naive computation expects: the same bits, or about this float.
#[derive(Debug)]
pub(crate) enum Expected {
    Exactly(Value),
    About(f64),
    /// More than the value can hold.
    Outgrown,
    /// The plain formula overflows or cancels where the states do not.
    Unknown,
}

/// The events a label sees, in the total order.
pub(crate) fn seen(world: &World, entity: u32, at: i64, window: Window) -> Vec<&Event> {
    let start = window.length.map_or(i64::MIN, |length| {
        let length = i64::try_from(length.ms()).unwrap() * 1000;
        let hop = if length >= 12 * DAY {
            DAY
        } else if length >= 12 * HOUR {
            HOUR
        } else {
            MINUTES_5
        };
        (at - length).div_euclid(hop) * hop
    });
    let inside = |event: &&Event| {
        let time = event.order.event;
        event.entity == entity && time >= start && (time < at || (window.include_same_instant && time == at))
    };
    let mut rows: Vec<_> = world.events.iter().filter(inside).collect();
    rows.sort_by_key(|event| event.order);
    rows
}

/// Shewchuk's sum, as Python's `fsum`.
pub(crate) fn fsum(values: &[f64]) -> f64 {
    if values.iter().any(|value| !value.is_finite()) {
        return values.iter().filter(|value| !value.is_finite()).sum();
    }
    let mut partials: Vec<f64> = Vec::new();
    for value in values {
        let (mut x, mut kept) = (*value, Vec::new());
        for y in &partials {
            let (big, small) = if x.abs() < y.abs() { (*y, x) } else { (x, *y) };
            let high = big + small;
            let low = small - (high - big);
            if low != 0.0 {
                kept.push(low);
            }
            x = high;
        }
        kept.push(x);
        partials = kept;
    }
    let mut high = partials.pop().unwrap_or(0.0);
    let mut low = 0.0;
    while let Some(y) = partials.pop() {
        let x = high;
        high = x + y;
        low = y - (high - x);
        if low != 0.0 {
            break;
        }
    }
    if let Some(last) = partials.last()
        && ((low < 0.0 && *last < 0.0) || (low > 0.0 && *last > 0.0))
    {
        let y = low * 2.0;
        let x = high + y;
        if y == x - high {
            high = x;
        }
    }
    high + 0.0
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Int(value) => *value as f64,
        Value::Float(value) => *value,
        Value::Decimal(value) => *value as f64 / 100.0,
        other => panic!("{other:?} is no number"),
    }
}

fn order(left: &Value, right: &Value) -> std::cmp::Ordering {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        (Value::Float(left), Value::Float(right)) => left.total_cmp(right),
        (Value::Decimal(left), Value::Decimal(right)) => left.cmp(right),
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        other => panic!("{other:?} have no order"),
    }
}

fn is_nan(value: &Value) -> bool {
    matches!(value, Value::Float(value) if value.is_nan())
}

/// The expected value of one operand over the events that are seen.
pub(crate) fn expected(operand: &Operand, events: &[&Event], at: i64) -> Expected {
    use Expected::Exactly;
    let passing = |event: &&&Event| {
        operand.filter.is_none_or(|filter| event.values[filter] == Value::Bool(true))
            && operand.column.is_none_or(|column| event.values[column] != Value::Null)
    };
    let events: Vec<&Event> = events.iter().filter(passing).copied().collect();
    let values: Vec<&Value> = operand
        .column
        .map_or(Vec::new(), |column| events.iter().map(|event| &event.values[column]).collect());
    let int = |value: usize| Exactly(Value::Int(value as i64));
    let value = |value: Option<Value>| Exactly(value.unwrap_or(Value::Null));
    let list =
        |values: Vec<Value>| Exactly(if values.is_empty() { Value::Null } else { Value::List(values) });
    let sorted = || {
        let mut values: Vec<Value> =
            values.iter().filter(|value| !is_nan(value)).map(|value| (*value).clone()).collect();
        values.sort_by(order);
        values
    };
    let counts = || {
        let mut counts: BTreeMap<String, (Value, usize)> = BTreeMap::new();
        for value in &values {
            let key =
                if let Value::Float(value) = value { Value::Float(*value + 0.0) } else { (*value).clone() };
            let entry = counts.entry(format!("{key:?}")).or_insert((key, 0));
            entry.1 += 1;
        }
        counts
    };
    match &operand.aggregation {
        Aggregation::Count => int(events.len()),
        Aggregation::CountIf => int(values.iter().filter(|value| ***value == Value::Bool(true)).count()),
        Aggregation::Min => value(sorted().first().cloned()),
        Aggregation::Max => value(sorted().last().cloned()),
        Aggregation::First => value(values.first().map(|value| (*value).clone())),
        Aggregation::Last => value(values.last().map(|value| (*value).clone())),
        Aggregation::FirstK(k) => list(values.iter().take(*k).map(|value| (*value).clone()).collect()),
        Aggregation::LastK(k) => list(values.iter().rev().take(*k).map(|value| (*value).clone()).collect()),
        Aggregation::TopK(k) => list(sorted().into_iter().rev().take(*k).collect()),
        Aggregation::ApproxDistinct => int(counts().len()),
        Aggregation::Distinct { bound } if counts().len() > *bound => Expected::Outgrown,
        Aggregation::Distinct { .. } => int(counts().len()),
        Aggregation::MostFrequent { bound } if counts().len() > *bound => Expected::Outgrown,
        Aggregation::MostFrequent { .. } => {
            let mut counts: Vec<_> = counts().into_values().collect();
            counts.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| order(&left.0, &right.0)));
            value(counts.first().map(|(value, _)| value.clone()))
        }
        Aggregation::Histogram(edges) => {
            let mut bins = vec![0_i64; edges.len() + 1];
            for value in sorted() {
                bins[edges.iter().filter(|edge| **edge <= number(&value)).count()] += 1;
            }
            let empty = bins.iter().all(|count| *count == 0);
            list(if empty { Vec::new() } else { bins.into_iter().map(Value::Int).collect() })
        }
        Aggregation::TimeSinceLast => {
            value(events.last().map(|event| Value::Float((at - event.order.event) as f64 / 1e6)))
        }
        Aggregation::Sum => sum(&values),
        _ => computed(operand, &events, &values, at),
    }
}

/// What is computed of numbers and vectors.
fn computed(operand: &Operand, events: &[&Event], values: &[&Value], at: i64) -> Expected {
    use Expected::{About, Exactly};
    match &operand.aggregation {
        Aggregation::VectorSum | Aggregation::VectorMean if values.is_empty() => Exactly(Value::Null),
        Aggregation::VectorSum => {
            let element = |at: usize| {
                let terms: Vec<f64> = values
                    .iter()
                    .map(|value| if let Value::List(items) = value { number(&items[at]) } else { f64::NAN })
                    .collect();
                Value::Float(fsum(&terms))
            };
            Exactly(Value::List((0..3).map(element).collect()))
        }
        Aggregation::VectorMean => Expected::Unknown,
        _ if values.is_empty() => Exactly(Value::Null),
        Aggregation::Mean if !matches!(values[0], Value::Float(_)) => {
            let whole = whole(values) as f64 / values.len() as f64;
            About(if matches!(values[0], Value::Int(_)) { whole } else { whole / 100.0 })
        }
        Aggregation::Mean => {
            About(fsum(&values.iter().map(|value| number(value)).collect::<Vec<_>>()) / values.len() as f64)
        }
        Aggregation::Quantile(q) => {
            let mut sorted: Vec<f64> =
                values.iter().filter(|value| !is_nan(value)).map(|value| number(value)).collect();
            sorted.sort_by(f64::total_cmp);
            if sorted.is_empty() {
                return Exactly(Value::Null);
            }
            let position = q * (sorted.len() - 1) as f64;
            let (low, high) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
            let part = position.fract();
            About(if part == 0.0 || low == high { low } else { low * (1.0 - part) + high * part })
        }
        Aggregation::DecayedSum { half_life } | Aggregation::DecayedMean { half_life } => {
            let half_life = half_life.ms() as f64 * 1000.0;
            let weight = |event: &&Event| (-((at - event.order.event) as f64) / half_life).exp2();
            let weights: Vec<f64> = events.iter().map(weight).collect();
            // An infinity that weighs nothing is NaN in floats.
            if weights.iter().any(|weight| *weight < 1e-280) {
                return Expected::Unknown;
            }
            let terms: Vec<f64> =
                values.iter().zip(&weights).map(|(value, weight)| number(value) * weight).collect();
            let scale: f64 = terms.iter().map(|term| term.abs()).sum();
            let sum = fsum(&terms);
            if sum.abs() < scale * 1e-6 || fsum(&weights) < 1e-280 || (!sum.is_nan() && sum.abs() < 1e-280) {
                return Expected::Unknown;
            }
            let mean = matches!(operand.aggregation, Aggregation::DecayedMean { .. });
            About(if mean { sum / fsum(&weights) } else { sum })
        }
        _ => statistics(operand, events, values),
    }
}

fn whole(values: &[&Value]) -> i128 {
    let one = |value: &&Value| match value {
        Value::Int(value) => i128::from(*value),
        Value::Decimal(value) => *value,
        _ => 0,
    };
    values.iter().map(one).sum()
}

fn sum(values: &[&Value]) -> Expected {
    Expected::Exactly(match values.first() {
        None => Value::Null,
        Some(Value::Int(_)) => match i64::try_from(whole(values)) {
            Ok(sum) => Value::Int(sum),
            Err(_) => return Expected::Outgrown,
        },
        Some(Value::Decimal(_)) => Value::Decimal(whole(values)),
        _ => Value::Float(fsum(&values.iter().map(|value| number(value)).collect::<Vec<_>>())),
    })
}

/// Two-pass moments and slope.
fn statistics(operand: &Operand, events: &[&Event], values: &[&Value]) -> Expected {
    let values: Vec<f64> = values.iter().map(|value| number(value)).collect();
    let n = values.len() as f64;
    let needed = match operand.aggregation {
        Aggregation::Skewness => 3,
        Aggregation::Kurtosis => 4,
        _ => 2,
    };
    if values.len() < needed {
        return Expected::Exactly(Value::Null);
    }
    let finite = values.iter().all(|value| value.is_finite());
    let mean = fsum(&values) / n;
    let central =
        |power: i32| fsum(&values.iter().map(|value| (value - mean).powi(power)).collect::<Vec<_>>());
    let spread = central(2);
    let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    if finite && (largest > 1e60 || spread <= largest * largest * 1e-9) {
        return Expected::Unknown;
    }
    let about = |value: f64| Expected::About(if finite { value } else { f64::NAN });
    match operand.aggregation {
        Aggregation::Variance => about(spread / (n - 1.0)),
        Aggregation::StandardDeviation => about((spread / (n - 1.0)).sqrt()),
        Aggregation::Skewness if central(3).abs() < spread.powf(1.5) * 1e-4 => Expected::Unknown,
        Aggregation::Skewness => {
            about((n * (n - 1.0)).sqrt() / (n - 2.0) * (central(3) / n) / (spread / n).powf(1.5))
        }
        Aggregation::Kurtosis => {
            let excess = n * central(4) / (spread * spread) - 3.0;
            let value = (n - 1.0) / ((n - 2.0) * (n - 3.0)) * ((n + 1.0) * excess + 6.0);
            if value.abs() < 1e-3 { Expected::Unknown } else { about(value) }
        }
        Aggregation::Trend { per } => {
            let first = events.first().map_or(0, |event| event.order.event);
            let times: Vec<f64> = events.iter().map(|event| (event.order.event - first) as f64).collect();
            let middle = fsum(&times) / n;
            let pairs = || times.iter().zip(&values);
            let rise =
                fsum(&pairs().map(|(time, value)| (time - middle) * (value - mean)).collect::<Vec<_>>());
            let run = fsum(&times.iter().map(|time| (time - middle).powi(2)).collect::<Vec<_>>());
            let size: f64 = pairs().map(|(time, value)| ((time - middle) * (value - mean)).abs()).sum();
            match run {
                0.0 => Expected::Exactly(Value::Null),
                _ if finite && rise.abs() < size * 1e-6 => Expected::Unknown,
                _ => about(rise / run * per.ms() as f64 * 1000.0),
            }
        }
        _ => Expected::Unknown,
    }
}
