//! Columns of a JSON body by name, before their types are known: each one is a slice of the body.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// `{"name": [...], ...}` in the order of the body. A name that comes twice is an error: one of its columns would be lost.
#[derive(Debug, Default)]
pub(crate) struct Columns<'a>(pub(crate) Vec<(String, &'a RawValue)>);

/// More columns than a request can mean; bounds the search for duplicates.
const MOST_COLUMNS: usize = 10_000;

impl<'de: 'a, 'a> Deserialize<'de> for Columns<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ColumnsVisitor(std::marker::PhantomData)).map(Self)
    }
}

struct ColumnsVisitor<'a>(std::marker::PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for ColumnsVisitor<'a> {
    type Value = Vec<(String, &'a RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list of values for each column")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut columns = Vec::new();
        let mut names = std::collections::HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if columns.len() == MOST_COLUMNS {
                return Err(M::Error::custom(format!("more than {MOST_COLUMNS} columns")));
            }
            if !names.insert(name.clone()) {
                return Err(M::Error::custom(format!("the column `{name}` is there twice")));
            }
            columns.push((name, map.next_value::<&'a RawValue>()?));
        }
        Ok(columns)
    }
}

/// The values of a column.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    /// At most as many as the limit.
    pub(crate) values: Vec<&'a RawValue>,
    /// How many there are.
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
