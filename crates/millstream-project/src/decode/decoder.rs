//! serde's view of a [`Node`].

use serde::{
    Deserializer,
    de::{IntoDeserializer, Visitor, value::StrDeserializer},
};

use millstream_types::ColumnType;

use super::{
    DecodeError, Fault, Faults,
    access::{LocatedAccess, MapAccess, SeqAccess},
    error::Place,
    values::{BOUNDS, LOCATED, ONE_OR_MANY},
};
use crate::{Location, Node, NodeKind, codes, yaml};

/// A node about to be decoded.
#[derive(Clone, Copy)]
pub(super) struct NodeDecoder<'a> {
    pub(super) node: &'a Node,
    /// The place of the key that holds the node.
    pub(super) key: Location,
    pub(super) faults: &'a Faults,
}

type Result<T> = std::result::Result<T, DecodeError>;

impl<'a> NodeDecoder<'a> {
    /// Says where an error happened, unless a deeper value did already.
    pub(super) fn locate(&self, mut error: DecodeError) -> DecodeError {
        if error.place.is_none() {
            if let Fault::Missing { key } = error.fault {
                let value = self.node.get(key);
                if value.is_some_and(|value| self.faults.is_left_out(value)) {
                    error.fault = Fault::Silent;
                }
            }
            error.place = Some(Place { value: self.node.at, key: self.key });
        }
        error
    }

    fn expected(&self, what: &str) -> DecodeError {
        let found = self.node.describe();
        let hint = match (&self.node.kind, what) {
            (NodeKind::Int(_) | NodeKind::Float(..) | NodeKind::Bool(_), "text") => {
                Some("put the value in quotes".to_owned())
            }
            (NodeKind::Text(text), "`true` or `false`") => match text.to_lowercase().as_str() {
                "yes" | "on" | "y" => Some("write `true`".to_owned()),
                "no" | "off" | "n" => Some("write `false`".to_owned()),
                _ => None,
            },
            (NodeKind::Text(text), "a mapping") if text.parse::<ColumnType>().is_ok() => {
                Some(format!("write `{{type: {text}}}`"))
            }
            (NodeKind::List(items), "a mapping") => items.first().and_then(named),
            _ => None,
        };
        DecodeError::wrong(codes::WRONG_KIND, format!("expected {what}, found {found}"), hint)
    }

    /// Numbers, also written as text: that is what a substituted `${VAR}` gives.
    fn number<V: Visitor<'a>>(self, what: &str, fraction: bool, visitor: V) -> Result<V::Value> {
        match &self.node.kind {
            NodeKind::Int(value) => visitor.visit_i64(*value),
            NodeKind::Float(value, _) if fraction => visitor.visit_f64(*value),
            NodeKind::Text(text) => match (text.trim().parse::<i64>(), yaml::float(text.trim())) {
                (Ok(value), _) => visitor.visit_i64(value),
                (_, Some(value)) if fraction => visitor.visit_f64(value),
                _ => Err(self.expected(what)),
            },
            _ => Err(self.expected(what)),
        }
    }

    fn text<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        match &self.node.kind {
            NodeKind::Text(text) => visitor.visit_str(text),
            _ => Err(self.expected("text")),
        }
    }

    fn list<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        match &self.node.kind {
            NodeKind::List(items) => visitor.visit_seq(SeqAccess::new(items, self.faults)),
            NodeKind::Null => visitor.visit_seq(SeqAccess::new(&[], self.faults)),
            _ => Err(self.expected("a list")),
        }
    }

    fn map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        match &self.node.kind {
            NodeKind::Map(entries) => visitor.visit_map(MapAccess::all(entries, self.faults)),
            _ => Err(self.expected("a mapping")),
        }
    }
}

macro_rules! numbers {
    ($($method:ident: $what:literal, $fraction:literal;)*) => {$(
        fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
            self.number($what, $fraction, visitor)
        }
    )*};
}

impl<'a> Deserializer<'a> for NodeDecoder<'a> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        match &self.node.kind {
            NodeKind::Null => visitor.visit_unit(),
            NodeKind::Bool(value) => visitor.visit_bool(*value),
            NodeKind::Int(value) => visitor.visit_i64(*value),
            // The text travels, so that no digit is lost; see `NodeKind`'s `Deserialize`.
            NodeKind::Float(_, text) => {
                let text: StrDeserializer<'_, DecodeError> = text.as_str().into_deserializer();
                visitor.visit_newtype_struct(text)
            }
            NodeKind::Text(text) => visitor.visit_str(text),
            NodeKind::List(_) => self.list(visitor),
            NodeKind::Map(_) => self.map(visitor),
        }
    }

    numbers! {
        deserialize_i8: "a whole number", false;
        deserialize_i16: "a whole number", false;
        deserialize_i32: "a whole number", false;
        deserialize_i64: "a whole number", false;
        deserialize_u8: "a whole number", false;
        deserialize_u16: "a whole number", false;
        deserialize_u32: "a whole number", false;
        deserialize_u64: "a whole number", false;
        deserialize_f32: "a number", true;
        deserialize_f64: "a number", true;
    }

    fn deserialize_bool<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        match &self.node.kind {
            NodeKind::Bool(value) => visitor.visit_bool(*value),
            NodeKind::Text(text) if text == "true" || text == "false" => visitor.visit_bool(text == "true"),
            _ => Err(self.expected("`true` or `false`")),
        }
    }

    fn deserialize_char<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        self.text(visitor)
    }

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        self.text(visitor)
    }

    fn deserialize_bytes<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        self.text(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        self.text(visitor)
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        match &self.node.kind {
            NodeKind::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        match &self.node.kind {
            NodeKind::Null => visitor.visit_unit(),
            _ => Err(self.expected("nothing")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'a>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        self.list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'a>>(self, _len: usize, visitor: V) -> Result<V::Value> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'a>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.list(visitor)
    }

    fn deserialize_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        self.map(visitor)
    }

    fn deserialize_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match (name, &self.node.kind) {
            (LOCATED, _) => visitor.visit_map(LocatedAccess::new(self)),
            (BOUNDS, NodeKind::List(items)) if items.iter().any(|item| self.faults.is_left_out(item)) => {
                Err(DecodeError { fault: Fault::Silent, place: None })
            }
            (ONE_OR_MANY | BOUNDS, NodeKind::List(_)) => self.list(visitor),
            (ONE_OR_MANY, _) => {
                visitor.visit_seq(SeqAccess::new(std::slice::from_ref(self.node), self.faults))
            }
            (BOUNDS, NodeKind::Map(entries)) | (_, NodeKind::Map(entries)) => {
                visitor.visit_map(MapAccess::of_struct(entries, fields, self.faults))
            }
            (BOUNDS, _) => Err(self.expected("`[min, max]`")),
            _ => Err(self.expected("a mapping")),
        }
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match &self.node.kind {
            NodeKind::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(self.expected("a word")),
        }
    }

    fn deserialize_identifier<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        self.text(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }
}

/// The hint for a list whose items say their names: names are written as keys instead.
fn named(item: &Node) -> Option<String> {
    let text = |key: &str| match &item.get(key)?.kind {
        NodeKind::Text(text) => Some(text.as_str()),
        _ => None,
    };
    let name = text("name")?;
    let rest =
        text("type").or_else(|| text("data_type")).map_or("…".to_owned(), |kind| format!("type: {kind}"));
    Some(format!("write the names as keys, without a list: `{name}: {{{rest}}}`"))
}
