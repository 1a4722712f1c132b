//! The parts of lists, mappings and located values, one after another, without those left out.

use serde::{
    Deserializer,
    de::{DeserializeSeed, IntoDeserializer, Visitor},
    forward_to_deserialize_any,
};

use super::{DecodeError, Faults, decoder::NodeDecoder, values::LOCATED};
use crate::{Diagnostic, Located, Location, Node, NodeKind, codes, words};

type Result<T> = std::result::Result<T, DecodeError>;

/// The items of a list.
pub(super) struct SeqAccess<'a> {
    items: std::slice::Iter<'a, Node>,
    faults: &'a Faults,
}

impl<'a> SeqAccess<'a> {
    pub(super) fn new(items: &'a [Node], faults: &'a Faults) -> Self {
        Self { items: items.iter(), faults }
    }
}

impl<'a> serde::de::SeqAccess<'a> for SeqAccess<'a> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let faults = self.faults;
        let Some(node) = self.items.find(|node| !faults.is_left_out(node)) else { return Ok(None) };
        let decoder = NodeDecoder { node, key: node.at, faults };
        seed.deserialize(decoder).map(Some).map_err(|error| decoder.locate(error))
    }
}

/// The entries of a mapping.
pub(super) struct MapAccess<'a> {
    entries: std::slice::Iter<'a, (Located<String>, Node)>,
    /// The keys that the struct has; `None` for a mapping with free keys.
    fields: Option<&'static [&'static str]>,
    value: Option<NodeDecoder<'a>>,
    faults: &'a Faults,
}

impl<'a> MapAccess<'a> {
    pub(super) fn all(entries: &'a [(Located<String>, Node)], faults: &'a Faults) -> Self {
        Self { entries: entries.iter(), fields: None, value: None, faults }
    }

    /// The entries for a struct: unknown keys are reported and skipped, and a key without a value counts as absent.
    pub(super) fn of_struct(
        entries: &'a [(Located<String>, Node)],
        fields: &'static [&'static str],
        faults: &'a Faults,
    ) -> Self {
        let is_unknown = |key: &Located<String>| !fields.contains(&key.value.as_str());
        for (key, _) in entries.iter().filter(|(key, _)| is_unknown(key)) {
            if faults.is_full() {
                break;
            }
            let is_free = |field: &&str| !entries.iter().any(|(given, _)| given.value == **field);
            let free = fields.iter().copied().filter(is_free);
            let mut diagnostic =
                Diagnostic::error(codes::UNKNOWN_KEY, format!("unknown key `{key}`"), key.at);
            let given = words::nearest(&key.value, fields.iter().copied());
            diagnostic.hint = match (words::nearest(&key.value, free.clone()), given) {
                (None, Some(given)) => Some(format!("`{given}` is given already; remove one of the two")),
                _ => words::hint(&key.value, free),
            };
            faults.push(diagnostic);
        }
        Self { entries: entries.iter(), fields: Some(fields), value: None, faults }
    }
}

impl<'a> serde::de::MapAccess<'a> for MapAccess<'a> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        let (faults, fields) = (self.faults, self.fields);
        let entry = self.entries.find(|(key, value)| {
            let wanted = fields.is_none_or(|fields| {
                fields.contains(&key.value.as_str()) && !matches!(value.kind, NodeKind::Null)
            });
            wanted && !faults.is_left_out(value)
        });
        let Some((key, node)) = entry else { return Ok(None) };
        let value = NodeDecoder { node, key: key.at, faults };
        self.value = Some(value);
        seed.deserialize(KeyDecoder { key }).map(Some).map_err(|error| value.locate(error))
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value> {
        let decoder = self.value.take().ok_or_else(|| serde::de::Error::custom("a value without a key"))?;
        seed.deserialize(decoder).map_err(|error| decoder.locate(error))
    }
}

/// A mapping's key: its text, with its place where a `Located` is asked for.
#[derive(Clone, Copy)]
struct KeyDecoder<'a> {
    key: &'a Located<String>,
}

impl<'de> Deserializer<'de> for KeyDecoder<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_str(&self.key.value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        if name == LOCATED {
            visitor.visit_map(LocatedAccess { at: self.key.at, value: self, step: 0 })
        } else {
            self.deserialize_any(visitor)
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The fields of a `Located`: file, start, end, value.
pub(super) struct LocatedAccess<D> {
    at: Location,
    value: D,
    step: usize,
}

impl<'a> LocatedAccess<NodeDecoder<'a>> {
    pub(super) fn new(decoder: NodeDecoder<'a>) -> Self {
        Self { at: decoder.node.at, value: decoder, step: 0 }
    }
}

impl<'de, D: Deserializer<'de, Error = DecodeError> + Copy> serde::de::MapAccess<'de> for LocatedAccess<D> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if self.step > 3 {
            return Ok(None);
        }
        seed.deserialize(().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        let step = self.step;
        self.step += 1;
        match step {
            0 => seed.deserialize(u64::from(self.at.file.0).into_deserializer()),
            1 => seed.deserialize(self.at.start.into_deserializer()),
            2 => seed.deserialize(self.at.end.into_deserializer()),
            _ => seed.deserialize(self.value),
        }
    }
}
