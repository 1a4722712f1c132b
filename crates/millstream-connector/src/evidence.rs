//! What a sample shows of the type of values that were written as text.
//!
//! A type is inferred only where it gives back what was written: a number of twenty digits is no float, because two
//! such numbers may be one float, and `007` is no number, because its zeros would be lost. What several samples show
//! can be joined, so that the type does not depend on which of them was looked at first.

use std::fmt;

use arrow::array::StringArray;
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use millstream_types::{ColumnType, Field};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Digits of the widest decimal.
const DIGITS_MAX: usize = 38;

/// Values that are nested deeper are text: no contract has so deep a type, and a text may be nested without end.
const DEPTH_MAX: usize = 12;

/// Objects with more different keys are text: their keys are data, not members.
const MEMBERS_MAX: usize = 500;

/// What the values that have been seen may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Evidence {
    /// No value has been seen, only nulls.
    #[default]
    Nothing,
    Scalars(Scalars),
    List(Box<Evidence>),
    /// Members in the order in which they were met.
    Struct(Vec<(String, Evidence)>),
    /// Values of different shapes, which only a text can hold.
    Mixed,
}

/// The types that fit every scalar that has been seen; where none does, they are strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scalars {
    bool: bool,
    int: bool,
    float: bool,
    decimal: Option<Digits>,
    date: bool,
    timestamp: bool,
}

/// Places that the longest numbers take before and behind the point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Digits {
    whole: usize,
    fraction: usize,
}

impl Evidence {
    /// The evidence of a column of text, as CSV and JSON lines give it: scalars as written, lists and structs as JSON.
    #[must_use]
    pub fn of_column(texts: &StringArray) -> Self {
        texts.iter().flatten().fold(Self::Nothing, |seen, text| seen.join(Self::of_text(text)))
    }

    /// The evidence of one text.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let nested =
            text.starts_with(['[', '{']).then(|| serde_json::from_str::<&RawValue>(text).ok()).flatten();
        nested.map_or_else(|| Self::Scalars(Scalars::of_text(text)), |value| Self::of_json(value, 1))
    }

    /// The evidence of a value in JSON, whose strings are strings whatever they look like.
    fn of_json(value: &RawValue, depth: usize) -> Self {
        let text = value.get();
        if depth > DEPTH_MAX {
            return Self::Mixed;
        }
        match text.as_bytes().first() {
            Some(b'n') => Self::Nothing,
            Some(b'"') => Self::Scalars(Scalars::STRING),
            Some(b'[') => match serde_json::from_str::<Vec<&RawValue>>(text) {
                Ok(elements) => {
                    let joined = elements
                        .into_iter()
                        .map(|element| Self::of_json(element, depth + 1))
                        .fold(Self::Nothing, Self::join);
                    Self::List(Box::new(joined))
                }
                Err(_) => Self::Mixed,
            },
            Some(b'{') => match serde_json::from_str::<Members<'_>>(text) {
                Ok(Members(members)) => {
                    let members =
                        members.into_iter().map(|(name, value)| (name, Self::of_json(value, depth + 1)));
                    Self::with_members(Vec::new(), members)
                }
                Err(_) => Self::Mixed,
            },
            _ => Self::Scalars(Scalars::of_text(text)),
        }
    }

    /// What this evidence and the other show together.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, other) | (other, Self::Nothing) => other,
            (Self::Scalars(a), Self::Scalars(b)) => Self::Scalars(a.join(b)),
            (Self::List(a), Self::List(b)) => Self::List(Box::new(a.join(*b))),
            (Self::Struct(members), Self::Struct(others)) => Self::with_members(members, others.into_iter()),
            _ => Self::Mixed,
        }
    }

    /// A struct with more members, each joined with what is known of it.
    fn with_members(mut members: Vec<(String, Self)>, more: impl Iterator<Item = (String, Self)>) -> Self {
        for (name, evidence) in more {
            let is_full = members.len() >= MEMBERS_MAX;
            match members.iter_mut().find(|(known, _)| *known == name) {
                Some((_, member)) => *member = std::mem::take(member).join(evidence),
                None if is_full => return Self::Mixed,
                None => members.push((name, evidence)),
            }
        }
        Self::Struct(members)
    }

    /// The narrowest type that holds every value as it was written.
    #[must_use]
    pub fn column_type(&self) -> ColumnType {
        self.known_type().unwrap_or(ColumnType::String)
    }

    /// The narrowest type; `None` where the type of some value is not known.
    fn known_type(&self) -> Option<ColumnType> {
        match self {
            Self::Nothing | Self::Mixed => None,
            Self::Scalars(scalars) => Some(scalars.column_type()),
            Self::List(element) => Some(ColumnType::List(Box::new(element.known_type()?))),
            Self::Struct(members) if members.is_empty() => None,
            Self::Struct(members) => {
                let field = |(name, member): &(String, Self)| {
                    Some(Field { name: name.clone(), column_type: member.known_type()? })
                };
                members.iter().map(field).collect::<Option<_>>().map(ColumnType::Struct)
            }
        }
    }
}

impl Scalars {
    const STRING: Self =
        Self { bool: false, int: false, float: false, decimal: None, date: false, timestamp: false };

    fn of_text(text: &str) -> Self {
        let number = is_number(text);
        let date = is_date(text);
        Self {
            bool: text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
            int: number && text != "-0" && text.parse::<i64>().is_ok(),
            float: number && is_exact_float(text),
            decimal: Digits::of_text(text).filter(|_| number),
            date,
            timestamp: date || is_timestamp(text),
        }
    }

    fn join(self, other: Self) -> Self {
        Self {
            bool: self.bool && other.bool,
            int: self.int && other.int,
            float: self.float && other.float,
            decimal: self.decimal.zip(other.decimal).and_then(|(a, b)| a.join(b)),
            date: self.date && other.date,
            timestamp: self.timestamp && other.timestamp,
        }
    }

    fn column_type(&self) -> ColumnType {
        match *self {
            Self { bool: true, .. } => ColumnType::Bool,
            Self { int: true, .. } => ColumnType::Int64,
            Self { float: true, .. } => ColumnType::Float64,
            // A sample does not say how long numbers get, so they are given all the room there is.
            Self { decimal: Some(digits), .. } => {
                ColumnType::Decimal { precision: 38, scale: u8::try_from(digits.fraction).unwrap_or(0) }
            }
            Self { date: true, .. } => ColumnType::Date,
            Self { timestamp: true, .. } => ColumnType::Timestamp { zone: None },
            _ => ColumnType::String,
        }
    }
}

impl Digits {
    /// The digits of a number that is written without an exponent.
    fn of_text(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        (!whole.is_empty() && all_digits(whole) && all_digits(fraction))
            .then_some(Self { whole: whole.len(), fraction: fraction.len() })
            .and_then(Self::within)
    }

    fn join(self, other: Self) -> Option<Self> {
        let (whole, fraction) = (self.whole.max(other.whole), self.fraction.max(other.fraction));
        Self { whole, fraction }.within()
    }

    fn within(self) -> Option<Self> {
        (self.whole + self.fraction <= DIGITS_MAX).then_some(self)
    }
}

/// Whether a column of an inferred type may hold the value of this text, one that fits the type: a code such as `007`
/// or `+49` would lose its first characters, and a float cannot tell long numbers apart.
#[must_use]
pub fn keeps_text(text: &str, column_type: &ColumnType) -> bool {
    match column_type {
        ColumnType::Float32 | ColumnType::Float64 => {
            let has_digits = text.bytes().any(|byte| byte.is_ascii_digit());
            !is_code(text) && (!has_digits || is_exact_float(text))
        }
        ColumnType::Int8 | ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 => !is_code(text),
        ColumnType::Decimal { .. } => !is_code(text),
        _ => true,
    }
}

/// Whether a text begins as numbers are not written.
fn is_code(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    text.starts_with('+')
        || (digits.starts_with('0') && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit))
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|first: char| first.is_ascii_digit()) && !is_code(text)
}

/// Whether the shortest text of the nearest float is the same number.
fn is_exact_float(text: &str) -> bool {
    let Some(float) = text.parse::<f64>().ok().filter(|float| float.is_finite()) else { return false };
    scientific(text).is_some_and(|written| scientific(&format!("{float:e}")) == Some(written))
}

/// A number as its sign, its digits without zeros at either end, and the exponent of the last one.
fn scientific(text: &str) -> Option<(bool, String, i64)> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_end_matches('0');
    let places =
        i64::try_from(fraction.len()).ok()? - i64::try_from(digits.len() - significant.len()).ok()?;
    let significant = significant.trim_start_matches('0');
    let exponent = if significant.is_empty() { 0 } else { exponent.checked_sub(places)? };
    Some((negative, significant.to_owned(), exponent))
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && !text.starts_with("0000") && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

fn is_timestamp(text: &str) -> bool {
    let naive = |format| NaiveDateTime::parse_from_str(text, format).is_ok();
    let looks_so = text.as_bytes().first().is_some_and(u8::is_ascii_digit) && !text.starts_with("0000");
    looks_so
        && (DateTime::parse_from_rfc3339(text).is_ok()
            || naive("%Y-%m-%dT%H:%M:%S%.f")
            || naive("%Y-%m-%d %H:%M:%S%.f"))
}

/// The members of an object, values as they were written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<(String, &'de RawValue)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            members.push((name, value));
        }
        Ok(Members(members))
    }
}
