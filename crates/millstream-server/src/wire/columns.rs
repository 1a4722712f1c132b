//! The values of a JSON column, before their type is known: each one is a slice of the body.

use std::fmt;

use millstream_api::Columns;
use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// The values of a column.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    /// The first values of the column, at most as many as the limit.
    pub(crate) values: Vec<&'a RawValue>,
    /// The number of values that the column has, beyond the limit too.
    pub(crate) count: usize,
}

/// Splits a column into its values and keeps no more of them than `limit`; none if it is no list.
pub(crate) fn rows(column: &RawValue, limit: usize) -> Option<Rows<'_>> {
    values(column.get(), limit)
}

/// The elements of a list, no more of them than `limit`; none if the text is no list.
pub(crate) fn values(text: &str, limit: usize) -> Option<Rows<'_>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    RowsSeed { limit }.deserialize(&mut deserializer).ok()
}

/// The members of an object; none if the text is no object, or has a member twice.
pub(crate) fn members(text: &str) -> Option<Vec<(String, &RawValue)>> {
    serde_json::from_str::<Columns<'_>>(text).ok().map(|columns| columns.0)
}

struct RowsSeed {
    limit: usize,
}

impl<'de> DeserializeSeed<'de> for RowsSeed {
    type Value = Rows<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for RowsSeed {
    type Value = Rows<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of values")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut sequence: S) -> Result<Self::Value, S::Error> {
        let mut values = Vec::new();
        while values.len() < self.limit {
            match sequence.next_element::<&'de RawValue>()? {
                Some(value) => values.push(value),
                None => return Ok(Rows { count: values.len(), values }),
            }
        }
        let mut count = values.len();
        while sequence.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Rows { values, count })
    }
}
