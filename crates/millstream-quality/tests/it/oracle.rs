//! The contract pass against a naive judge that looks at one row after the other, for random rows.

use std::collections::HashSet;

use arrow::array::RecordBatch;
use millstream_project::{CheckSpec, NamedPattern, Scalar};
use millstream_quality::{Contract, Tally, UniqueIndex};
use millstream_types::{CheckId, Severity};
use proptest::prelude::*;

use crate::make::*;

type Row = [Option<String>; 5];

const TYPES: [(&str, &str); 5] = [
    ("id", "int64"),
    ("amount", "decimal(6,2)"),
    ("score", "float64"),
    ("status", "string"),
    ("at", "timestamp"),
];

fn checks() -> Vec<CheckSpec> {
    let called = |id: &str, mut spec: CheckSpec| {
        spec.id = CheckId::new(id);
        with(Severity::Warn, spec)
    };
    vec![
        not_null("id"),
        unique(&["id"]),
        range("amount", Some(number("-0.5")), Some(Scalar::Int(100))),
        range("score", Some(Scalar::Int(0)), Some(number("1.5"))),
        with(Severity::Warn, length("status", Some(1), Some(3))),
        one_of("status", vec![text("a"), text("bb"), text("日本"), text("long one")]),
        called("regex(status)", regex("status", "[a-z日本 ]*")),
        expression("score IS NULL OR id IS NULL OR score <= id"),
        unique(&["status", "amount"]),
        with(Severity::Warn, unique(&["at"])),
        called("json(status)", form("status", NamedPattern::Json)),
    ]
}

fn cell(values: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        1 => Just(None),
        12 => proptest::sample::select(values).prop_map(|text| Some(text.to_owned())),
        1 => "\\PC{0,6}".prop_map(Some),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    (
        cell(&["1", "2", "3", "4", "5", "-7", "007", "9223372036854775808", "x", "", "1.0"]),
        cell(&[
            "1", "1.00", "2.5", "100", "100.01", "-0.5", "-0.51", "9999.99", "10000", "1.005", "abc", ".",
        ]),
        cell(&["0", "0.5", "1.5", "1.6", "-1", "nan", "inf", "1e999", "2e0"]),
        cell(&["a", "bb", "日本", "long one", "A", "", "zz9"]),
        cell(&[
            "2024-05-01T00:00:00Z",
            "2024-05-01",
            "2024-05-01T02:00:00+02:00",
            "2024-05-02 00:00:00.5",
            "2024-02-30",
        ]),
    )
        .prop_map(|(a, b, c, d, e)| [a, b, c, d, e])
}

fn raw(rows: &[Row]) -> RecordBatch {
    let column = |at: usize| texts(&rows.iter().map(|row| row[at].as_deref()).collect::<Vec<_>>());
    batch(TYPES.iter().enumerate().map(|(at, (name, _))| (*name, column(at))).collect())
}

/// Judges one row after the other, by the slowest and plainest means.
struct Judge {
    ids: HashSet<i64>,
    pairs: HashSet<(String, i64)>,
    instants: HashSet<i64>,
}

impl Judge {
    fn row(&mut self, row: &Row) -> Vec<&'static str> {
        let [id, amount, score, status, at] = row;
        let id_value = id.as_ref().and_then(|text| whole(text));
        let amount_value = amount.as_ref().and_then(|text| hundredths(text));
        let score_value = score.as_ref().and_then(|text| float(text));
        let at_value = at.as_ref().and_then(|text| instant(text));
        let mut failed = Vec::new();
        let mut fails = |condition: bool, check: &'static str| {
            if condition {
                failed.push(check);
            }
        };
        fails(id.is_some() && id_value.is_none(), "type(id)");
        fails(amount.is_some() && amount_value.is_none(), "type(amount)");
        fails(score.is_some() && score_value.is_none(), "type(score)");
        fails(at.is_some() && at_value.is_none(), "type(at)");
        fails(id.is_none(), "not_null(id)");
        fails(amount_value.is_some_and(|value| !(-50..=10_000).contains(&value)), "range(amount)");
        fails(score_value.is_some_and(|value| !(0.0..=1.5).contains(&value)), "range(score)");
        let allowed = ["a", "bb", "日本", "long one"];
        fails(status.as_ref().is_some_and(|text| !allowed.contains(&text.as_str())), "one_of(status)");
        let condition = score_value.zip(id_value).is_some_and(|(score, id)| above(score, id));
        fails(condition, "expression(score IS NULL OR id IS NULL OR score <= id)");
        let mut warned = Vec::new();
        if let Some(text) = status {
            if !(1..=3).contains(&text.chars().count()) {
                warned.push("length(status)");
            }
            if !text.chars().all(|c| c.is_ascii_lowercase() || "日本 ".contains(c)) {
                warned.push("regex(status)");
            }
            if serde_json::from_str::<serde_json::Value>(text).is_err() {
                warned.push("json(status)");
            }
        }
        if failed.is_empty() {
            self.keys(id_value, status.clone().zip(amount_value), at_value, &mut failed);
        }
        failed.extend(warned);
        failed
    }

    fn keys(
        &mut self,
        id: Option<i64>,
        pair: Option<(String, i64)>,
        instant: Option<i64>,
        failed: &mut Vec<&'static str>,
    ) {
        if id.is_some_and(|id| self.ids.contains(&id)) {
            failed.push("unique(id)");
        }
        if pair.as_ref().is_some_and(|pair| self.pairs.contains(pair)) {
            failed.push("unique(status,amount)");
        }
        let rejected = !failed.is_empty();
        if instant.is_some_and(|instant| self.instants.contains(&instant)) {
            failed.push("unique(at)");
        }
        if !rejected {
            self.ids.extend(id);
            self.pairs.extend(pair);
            self.instants.extend(instant);
        }
    }
}

/// SQL orders NaN above every number.
fn above(score: f64, id: i64) -> bool {
    score.is_nan() || score > id as f64
}

fn whole(text: &str) -> Option<i64> {
    scaled(text, 0)
}

fn hundredths(text: &str) -> Option<i64> {
    scaled(text, 2).filter(|value| value.abs() < 1_000_000)
}

/// The number times 10^`places`, if that is a whole number: the point moves through the written digits.
fn scaled(text: &str, places: i32) -> Option<i64> {
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let digits = number.strip_prefix(['-', '+']).unwrap_or(number);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let written = whole.to_owned() + fraction;
    if written.is_empty() || !written.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let moved = exponent.parse::<i32>().ok()? + places - i32::try_from(fraction.len()).ok()?;
    let digits = written.trim_start_matches('0');
    let kept = match usize::try_from(moved) {
        _ if digits.is_empty() => String::new(),
        Ok(zeros) if zeros < 20 => digits.to_owned() + &"0".repeat(zeros),
        Ok(_) => return None,
        Err(_) => {
            let (kept, gone) =
                digits.split_at_checked(digits.len().checked_sub(moved.unsigned_abs() as usize)?)?;
            (gone.bytes().all(|byte| byte == b'0')).then(|| kept.to_owned())?
        }
    };
    let sign = if number.starts_with('-') { "-" } else { "" };
    format!("{sign}0{kept}").parse().ok()
}

fn float(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    (value.is_finite() || !text.contains(|c: char| c.is_ascii_digit())).then_some(value)
}

fn instant(text: &str) -> Option<i64> {
    use chrono::{DateTime, NaiveDate, NaiveDateTime};
    let whole = DateTime::parse_from_rfc3339(text).ok().map(|instant| instant.timestamp_micros());
    let naive = || NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok();
    let date = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    whole.or_else(|| naive().or_else(date).map(|naive| naive.and_utc().timestamp_micros()))
}

fn judged(contract: &Contract, rows: &[Row], size: usize) -> (Vec<HashSet<String>>, Tally) {
    let mut index = UniqueIndex::new(contract, 0);
    let mut tally = Tally::default();
    let mut found = Vec::new();
    for part in rows.chunks(size) {
        let mut evaluated = contract.evaluate(&raw(part)).unwrap();
        index.check(&mut evaluated);
        tally.merge(&Tally::of(&evaluated));
        found.extend(failing(contract, &evaluated).into_iter().map(HashSet::from_iter));
    }
    (found, tally)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_pass_equals_a_naive_judge_for_any_batch_size(
        rows in proptest::collection::vec(row(), 1..150),
        size in 1_usize..150,
    ) {
        let contract = compile(&TYPES, &checks());
        let mut judge = Judge { ids: HashSet::new(), pairs: HashSet::new(), instants: HashSet::new() };
        let (found, tally) = judged(&contract, &rows, rows.len());
        for (row, found) in rows.iter().zip(&found) {
            let expected: HashSet<String> = judge.row(row).into_iter().map(str::to_owned).collect();
            prop_assert_eq!(found, &expected, "{:?}", row);
        }
        prop_assert_eq!((found, tally), judged(&contract, &rows, size));
    }
}
