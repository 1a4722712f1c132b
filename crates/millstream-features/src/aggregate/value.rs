//! One value of a column, owned or borrowed, and the total order of events.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// The total order of events: event time, then known time, then the sequence of ingestion. The first two are
/// microseconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Order {
    pub event: i64,
    pub known: i64,
    pub sequence: i64,
}

/// An owned value. Dates are days and timestamps microseconds in `Int`; a decimal is its unscaled number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    Null,
    Int(i64),
    Float(f64),
    Decimal(i128),
    Bool(bool),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    List(Vec<Value>),
}

/// A borrowed value, as an aggregation takes it.
#[derive(Debug, Clone, Copy)]
pub enum ValueRef<'a> {
    Null,
    Int(i64),
    Float(f64),
    Decimal(i128),
    Bool(bool),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// One vector; all vectors of a column have the same length.
    Vector(&'a [f64]),
    /// The list form of a vector, as it was read back from an online event.
    List(&'a [Value]),
}

impl ValueRef<'_> {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(crate) fn is_nan(&self) -> bool {
        matches!(self, Self::Float(value) if value.is_nan())
    }

    pub(crate) fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Int(value) => Value::Int(value),
            Self::Float(value) => Value::Float(value),
            Self::Decimal(value) => Value::Decimal(value),
            Self::Bool(value) => Value::Bool(value),
            Self::Text(value) => Value::Text(value.into()),
            Self::Bytes(value) => Value::Bytes(value.into()),
            Self::Vector(values) => Value::List(values.iter().map(|value| Value::Float(*value)).collect()),
            Self::List(values) => Value::List(values.to_vec()),
        }
    }

    /// The number as a float; whole numbers beyond 2^53 and decimals are rounded. The scale of a decimal is left to
    /// the caller.
    #[allow(clippy::cast_precision_loss, reason = "the rounding is what the function says")]
    pub(crate) fn as_float(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Decimal(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// Order of values of one type: floats by IEEE 754 `totalOrder`, texts by their bytes.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => left.cmp(right),
            (Self::Float(left), Self::Float(right)) => left.total_cmp(right),
            (Self::Decimal(left), Self::Decimal(right)) => left.cmp(right),
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (Self::Bytes(left), Self::Bytes(right)) => left.cmp(right),
            (Self::List(left), Self::List(right)) => {
                let elements = left.iter().zip(*right).map(|(left, right)| left.compare(right));
                elements.fold(Ordering::Equal, Ordering::then).then(left.len().cmp(&right.len()))
            }
            _ => self.rank().cmp(&other.rank()).then_with(|| self.elements().cmp(other.elements())),
        }
    }

    /// The elements of a vector as keys in IEEE 754 `totalOrder`.
    fn elements(&self) -> impl Iterator<Item = i64> {
        let (floats, values): (&[f64], &[Value]) = match self {
            Self::Vector(floats) => (floats, &[]),
            Self::List(values) => (&[], values),
            _ => (&[], &[]),
        };
        let of_values = values.iter().map(|value| value.borrowed().as_float().unwrap_or(f64::NAN));
        floats.iter().copied().chain(of_values).map(|value| {
            let bits = value.to_bits().cast_signed();
            bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
        })
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Int(_) => 1,
            Self::Float(_) => 2,
            Self::Decimal(_) => 3,
            Self::Bool(_) => 4,
            Self::Text(_) => 5,
            Self::Bytes(_) => 6,
            Self::Vector(_) | Self::List(_) => 7,
        }
    }
}

impl Value {
    /// The same value, borrowed.
    #[must_use]
    pub fn borrowed(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Int(*value),
            Self::Float(value) => ValueRef::Float(*value),
            Self::Decimal(value) => ValueRef::Decimal(*value),
            Self::Bool(value) => ValueRef::Bool(*value),
            Self::Text(value) => ValueRef::Text(value),
            Self::Bytes(value) => ValueRef::Bytes(value),
            Self::List(values) => ValueRef::List(values),
        }
    }

    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.borrowed().compare(&other.borrowed())
    }
}

/// A value as a key of a set: zeros are one zero, NaN is one NaN.
#[derive(Debug, Clone)]
pub(crate) struct Key(pub(crate) Value);

impl Key {
    pub(crate) fn of(value: ValueRef<'_>) -> Self {
        Self(match value {
            ValueRef::Float(value) if value.is_nan() => Value::Float(f64::NAN),
            ValueRef::Float(value) => Value::Float(value + 0.0),
            ValueRef::List(values) => {
                Value::List(values.iter().map(|value| Self::of(value.borrowed()).0).collect())
            }
            other => other.to_value(),
        })
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.compare(&other.0)
    }
}
