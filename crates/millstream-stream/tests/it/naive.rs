//! The same results in the slowest and plainest way.

use std::collections::BTreeMap;

use crate::world::{Row, SECOND};

/// The aggregates of [`crate::pipelines::aggregates`] over some rows, as cells.
pub(crate) fn aggregates(rows: &[&Row]) -> Vec<String> {
    let shown = |value: Option<String>| value.unwrap_or_else(|| "null".into());
    let amounts: Vec<i64> = rows.iter().filter_map(|row| row.amount).collect();
    let prices: Vec<f64> = rows.iter().filter_map(|row| row.price).collect();
    let words: Vec<&String> = rows.iter().filter_map(|row| row.word.as_ref()).collect();
    let sum = amounts.iter().map(|amount| i128::from(*amount)).sum::<i128>();
    let some = |any: bool, value: String| if any { value } else { "null".into() };
    // As the total order of floats, NaN being the greatest.
    let least = prices.iter().copied().map(positive).min_by(f64::total_cmp);
    let most = prices.iter().copied().map(positive).max_by(f64::total_cmp);
    let mut in_order: Vec<&&Row> = rows.iter().filter(|row| row.amount.is_some()).collect();
    in_order.sort_by_key(|row| (row.at, row.sequence, row.amount));
    let mut different: Vec<&String> = words.clone();
    different.sort();
    different.dedup();
    vec![
        rows.len().to_string(),
        words.len().to_string(),
        some(!amounts.is_empty(), sum.to_string()),
        some(!prices.is_empty(), float(exact_sum(&prices))),
        some(!amounts.is_empty(), decimal(sum, 2)),
        some(!amounts.is_empty(), decimal(sum * 10_000 / i128::try_from(amounts.len().max(1)).unwrap(), 6)),
        shown(least.map(float)),
        shown(most.map(float)),
        shown(words.iter().min().map(|word| (*word).clone())),
        shown(words.iter().max().map(|word| (*word).clone())),
        shown(in_order.first().and_then(|row| row.amount).map(|amount| amount.to_string())),
        shown(in_order.last().and_then(|row| row.amount).map(|amount| amount.to_string())),
        different.len().to_string(),
        different.len().to_string(),
    ]
}

fn positive(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

/// A float as Arrow shows it.
fn float(value: f64) -> String {
    let array = arrow::array::Float64Array::from(vec![value]);
    arrow::util::display::array_value_to_string(&array, 0).unwrap()
}

fn decimal(value: i128, scale: i8) -> String {
    let array = arrow::array::Decimal128Array::from(vec![value]).with_precision_and_scale(38, scale).unwrap();
    arrow::util::display::array_value_to_string(&array, 0).unwrap()
}

/// The float nearest to the true sum: partial sums that do not overlap (Shewchuk), in which nothing is lost.
fn exact_sum(values: &[f64]) -> f64 {
    if values.iter().any(|value| !value.is_finite()) {
        return positive(values.iter().filter(|value| !value.is_finite()).sum());
    }
    let mut partials: Vec<f64> = Vec::new();
    for value in values {
        let mut x = *value;
        let mut kept = Vec::new();
        for partial in &partials {
            let mut y = *partial;
            if x.abs() < y.abs() {
                std::mem::swap(&mut x, &mut y);
            }
            let high = x + y;
            let low = y - (high - x);
            if low != 0.0 {
                kept.push(low);
            }
            x = high;
        }
        kept.push(x);
        partials = kept;
    }
    // From the top, with a last look at a tie that what is below decides.
    let mut rest = partials.into_iter().rev();
    let mut high = rest.next().unwrap_or(0.0);
    let mut low = 0.0;
    for next in rest.by_ref() {
        let x = high;
        high = x + next;
        low = next - (high - x);
        if low != 0.0 {
            break;
        }
    }
    if let Some(next) = rest.next()
        && ((low < 0.0 && next < 0.0) || (low > 0.0 && next > 0.0))
    {
        let twice = low * 2.0;
        let x = high + twice;
        if x - high == twice {
            high = x;
        }
    }
    high + 0.0
}

type Group = (i64, i64, Option<i64>);

/// Rows of windows that begin at every hop, in the order in which they are told.
pub(crate) fn hopping(rows: &[Row], size: i64, hop: i64, offset: i64) -> Vec<String> {
    let (size, hop, offset) = (size * SECOND, hop * SECOND, offset * SECOND);
    let mut groups: BTreeMap<Group, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let at = row.at.unwrap();
        let mut start = (at - offset).div_euclid(hop) * hop + offset;
        while start + size > at {
            groups.entry((start + size, start, row.key)).or_default().push(row);
            start -= hop;
        }
    }
    lines(groups)
}

/// Rows of sessions, in the order in which they are told.
pub(crate) fn sessions(rows: &[Row], gap: i64) -> Vec<String> {
    let gap = gap * SECOND;
    let mut by_key: BTreeMap<Option<i64>, Vec<&Row>> = BTreeMap::new();
    rows.iter().for_each(|row| by_key.entry(row.key).or_default().push(row));
    let mut groups: BTreeMap<Group, Vec<&Row>> = BTreeMap::new();
    for (key, mut rows) in by_key {
        rows.sort_by_key(|row| row.at);
        for session in rows.chunk_by(|left, right| right.at.unwrap() - left.at.unwrap() < gap) {
            let (first, last) = (session[0].at.unwrap(), session[session.len() - 1].at.unwrap());
            groups.insert((last + gap, first, key), session.to_vec());
        }
    }
    lines(groups)
}

fn lines(groups: BTreeMap<Group, Vec<&Row>>) -> Vec<String> {
    let lines = groups.into_iter().map(|((end, start, key), rows)| {
        let key = key.map_or("null".into(), |key| key.to_string());
        let mut cells = vec![key, start.to_string(), end.to_string()];
        cells.extend(aggregates(&rows));
        cells.join("|")
    });
    lines.collect()
}
