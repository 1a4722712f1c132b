//! Columns of a JSON body by name, before their types are known: each one is a slice of the body.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// `{"name": [...], ...}` in the order of the body. A name that comes twice is an error: one of its columns would be lost.
#[derive(Debug, Default)]
pub struct Columns<'a>(pub Vec<(String, &'a RawValue)>);

/// A number of columns that no sensible request reaches; it bounds the search for duplicates.
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
