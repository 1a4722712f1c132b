//! Building blocks of the `*File` types: values that know their place, and forms with a short spelling.

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::{FileId, Located, Location, Node, NodeKind, Scalar, yaml};

/// Names by which these types ask the decoder for more than serde's data model holds.
pub(super) const LOCATED: &str = "$millstream::Located";
pub(super) const ONE_OR_MANY: &str = "$millstream::OneOrMany";
pub(super) const BOUNDS: &str = "$millstream::Bounds";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Parts<T> {
            type Value = Located<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with its place")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Located<T>, A::Error> {
                let (_, file): (IgnoredAny, u64) = entry(&mut map)?;
                let (_, start): (IgnoredAny, usize) = entry(&mut map)?;
                let (_, end): (IgnoredAny, usize) = entry(&mut map)?;
                let (_, value): (IgnoredAny, T) = entry(&mut map)?;
                let file = FileId(u32::try_from(file).map_err(A::Error::custom)?);
                Ok(Located::new(value, Location { file, start, end }))
            }
        }

        fn entry<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
            map: &mut A,
        ) -> Result<(IgnoredAny, T), A::Error> {
            map.next_entry()?.ok_or_else(|| A::Error::custom("a place has four parts"))
        }

        deserializer.deserialize_struct(LOCATED, &["file", "start", "end", "value"], Parts(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Located { value: kind, at } = Located::<NodeKind>::deserialize(deserializer)?;
        Ok(Self { kind, at })
    }
}

impl<'de> Deserialize<'de> for NodeKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = NodeKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<NodeKind, E> {
        Ok(NodeKind::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<NodeKind, E> {
        Ok(NodeKind::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<NodeKind, E> {
        Ok(NodeKind::Int(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<NodeKind, E> {
        Ok(NodeKind::Text(text.into()))
    }

    /// The decoder sends the text of a number with a fraction this way.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<NodeKind, D::Error> {
        let text = String::deserialize(deserializer)?;
        let value = yaml::float(&text).ok_or_else(|| D::Error::custom("not a number"))?;
        Ok(NodeKind::Float(value, text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<NodeKind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(NodeKind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NodeKind, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(NodeKind::Map(entries))
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        let found = node.describe();
        match node.kind {
            NodeKind::Bool(value) => Ok(Self::Bool(value)),
            NodeKind::Int(value) => Ok(Self::Int(value)),
            NodeKind::Float(_, text) => Ok(Self::Number(text)),
            NodeKind::Text(text) => Ok(Self::Text(text)),
            NodeKind::Null | NodeKind::List(_) | NodeKind::Map(_) => {
                Err(D::Error::custom(format!("expected a single value, found {found}")))
            }
        }
    }
}

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["boolean", "number", "string"]})
    }
}

/// Text, or a number or truth value taken as text.
#[derive(Clone, Debug)]
pub(crate) struct TextLike(pub(crate) String);

impl<'de> Deserialize<'de> for TextLike {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Scalar::deserialize(deserializer)? {
            Scalar::Bool(value) => value.to_string(),
            Scalar::Int(value) => value.to_string(),
            Scalar::Number(text) | Scalar::Text(text) => text,
        }))
    }
}

impl JsonSchema for TextLike {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TextLike".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Scalar::json_schema(generator)
    }
}

/// A value with a text form of its own, such as `5%`. A bare number is refused in that form's words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written<T>(pub(crate) T);

impl<'de, T> Deserialize<'de> for Written<T>
where
    T: FromStr<Err: fmt::Display>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let TextLike(text) = TextLike::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

/// The entries of a mapping with free keys, in the order of the file, with the places of the keys.
#[derive(Clone, Debug)]
pub(crate) struct Entries<T>(pub(crate) Vec<(Located<String>, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Entries_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }
}

/// One value, or a list of them.
#[derive(Clone, Debug)]
pub(crate) struct OneOrMany<T>(pub(crate) Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMany<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(OneOrMany(items))
            }
        }

        deserializer.deserialize_struct(ONE_OR_MANY, &[], Items(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
    }
}

/// `[min, max]` (null leaves a side open) or `{min: …, max: …}`.
#[derive(Clone, Debug)]
pub(crate) struct BoundsFile<T> {
    pub(crate) min: Option<Located<T>>,
    pub(crate) max: Option<Located<T>>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for BoundsFile<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sides<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Sides<T> {
            type Value = BoundsFile<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`[min, max]`")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<BoundsFile<T>, A::Error> {
                let two =
                    || A::Error::custom("bounds are two values: `[min, max]`; `null` leaves a side open");
                let min = seq.next_element()?.ok_or_else(two)?;
                let max = seq.next_element()?.ok_or_else(two)?;
                match seq.next_element::<IgnoredAny>()? {
                    Some(_) => Err(two()),
                    None => Ok(BoundsFile { min, max }),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BoundsFile<T>, A::Error> {
                let (mut min, mut max) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    let side = if key == "min" { &mut min } else { &mut max };
                    *side = map.next_value()?;
                }
                Ok(BoundsFile { min, max })
            }
        }

        deserializer.deserialize_struct(BOUNDS, &["min", "max"], Sides(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for BoundsFile<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Bounds_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let side = Option::<T>::json_schema(generator).to_value();
        let described = |about: &str| {
            let mut side = side.clone();
            side["description"] = about.into();
            side
        };
        json_schema!({"anyOf": [
            {"type": "array", "items": side, "minItems": 2, "maxItems": 2},
            {
                "type": "object",
                "properties": {
                    "min": described("The lowest that is allowed; open when absent."),
                    "max": described("The highest that is allowed; open when absent.")
                },
                "minProperties": 1,
                "additionalProperties": false
            }
        ]})
    }
}
