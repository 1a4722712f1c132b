//! serde's view of options that are JSON, with the place of every fault.

use std::{cell::RefCell, collections::HashSet};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, Expected, IntoDeserializer, Unexpected, Visitor},
    forward_to_deserialize_any,
};
use serde_json::{Map, Value};

use super::{
    OptionProblem,
    fault::{FaultKind, OptionFault},
    nearest,
};

type Result<T> = std::result::Result<T, OptionFault>;

/// What is known of the options so far, over all rounds of decoding.
pub(super) struct Decoding<'a> {
    root: &'a Value,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    problems: Vec<OptionProblem>,
    /// The addresses of values that are faulty and reported: they count as absent, but are not missed.
    left_out: HashSet<usize>,
    /// The addresses of mappings whose unknown keys are reported.
    searched: HashSet<usize>,
}

/// A value is known by its address: the tree stays where it is while it is decoded.
fn address(value: &Value) -> usize {
    std::ptr::from_ref(value).addr()
}

impl<'a> Decoding<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        Self { root, state: RefCell::default() }
    }

    pub(super) fn into_problems(self) -> Vec<OptionProblem> {
        self.state.into_inner().problems
    }

    /// Reports the fault and leaves its value out; whether decoding may start again.
    pub(super) fn report(&self, fault: OptionFault, schema: impl FnOnce() -> Value) -> bool {
        let Some(at) = fault.address else { return false };
        let Some(path) = path_to(self.root, at) else { return false };
        let key = path.iter().rev().find(|step| step.parse::<usize>().is_err()).cloned();
        let key = key.unwrap_or_default();
        let (message, hint) = match fault.kind {
            FaultKind::Missing { key } => {
                self.missing(&path, key, &schema());
                return self.leave_out(at);
            }
            FaultKind::Expected(what) => (format!("`{key}` must be {what}"), None),
            FaultKind::NoSuchWord { word, words } => {
                let hint =
                    nearest(&word, words.iter().copied()).map(|near| format!("did you mean `{near}`?"));
                (format!("`{word}` is not a `{key}`: it is one of {}", words.join(", ")), hint)
            }
            FaultKind::Said(message) => (message, None),
        };
        self.state.borrow_mut().problems.push(OptionProblem { path, message, hint });
        self.leave_out(at)
    }

    /// Reports every key that the mapping at `path` has to have and lacks; serde names only the first. A key whose
    /// value was left out is not missing.
    fn missing(&self, path: &[String], first: &str, schema: &Value) {
        let mapping = path.iter().try_fold(self.root, |value, step| child(value, step));
        let properties = path.iter().try_fold(schema, |schema, step| schema.get("properties")?.get(step));
        let required = properties.and_then(|schema| schema.get("required")?.as_array());
        let mut keys: Vec<&str> = required.into_iter().flatten().filter_map(Value::as_str).collect();
        if !keys.contains(&first) {
            keys.push(first);
        }
        let is_absent = |key: &&str| mapping.and_then(|value| value.get(*key)).is_none_or(Value::is_null);
        for key in keys.into_iter().filter(is_absent) {
            let example =
                properties.and_then(|schema| example(schema, key)).unwrap_or_else(|| "…".to_owned());
            let (message, hint) = (format!("`{key}` is missing"), format!("write `{key}: {example}`"));
            let problem = OptionProblem { path: path.to_vec(), message, hint: Some(hint) };
            self.state.borrow_mut().problems.push(problem);
        }
    }

    /// Leaves out the value at the address; returns whether decoding may start again, which a faulty root does not
    /// allow.
    fn leave_out(&self, at: usize) -> bool {
        let is_new = self.state.borrow_mut().left_out.insert(at);
        is_new && at != address(self.root)
    }

    fn is_left_out(&self, value: &Value) -> bool {
        self.state.borrow().left_out.contains(&address(value))
    }

    /// Reports the keys of a mapping that its struct does not have, once.
    fn unknown_keys(&self, mapping: &Value, known: &[&str]) {
        let Value::Object(entries) = mapping else { return };
        let mut state = self.state.borrow_mut();
        if !state.searched.insert(address(mapping)) {
            return;
        }
        let Some(path) = path_to(self.root, address(mapping)) else { return };
        for key in entries.keys().filter(|key| !known.contains(&key.as_str())) {
            let hint = match nearest(key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known options: {}", known.join(", ")),
            };
            let path = path.iter().chain([key]).cloned().collect();
            let message = format!("unknown option `{key}`");
            state.problems.push(OptionProblem { path, message, hint: Some(hint) });
        }
    }
}

fn child<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    match value {
        Value::Object(entries) => entries.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    }
}

/// The keys and indexes that lead to the value at an address.
fn path_to(value: &Value, at: usize) -> Option<Vec<String>> {
    if address(value) == at {
        return Some(Vec::new());
    }
    let below = |step: String, value: &Value| {
        let mut path = path_to(value, at)?;
        path.insert(0, step);
        Some(path)
    };
    match value {
        Value::Object(entries) => entries.iter().find_map(|(key, value)| below(key.clone(), value)),
        Value::Array(items) => items.iter().enumerate().find_map(|(at, value)| below(at.to_string(), value)),
        _ => None,
    }
}

/// The first example that a schema has for a key.
fn example(schema: &Value, key: &str) -> Option<String> {
    let example = schema.get("properties")?.get(key)?.get("examples")?.get(0)?;
    Some(example.as_str().map_or_else(|| example.to_string(), str::to_owned))
}

/// A value about to be decoded.
#[derive(Clone, Copy)]
pub(super) struct OptionDecoder<'a> {
    value: &'a Value,
    decoding: &'a Decoding<'a>,
}

impl<'a> OptionDecoder<'a> {
    pub(super) fn of(value: &'a Value, decoding: &'a Decoding<'a>) -> Self {
        Self { value, decoding }
    }

    /// Says where a fault is, unless a deeper value did already.
    pub(super) fn locate(&self, mut fault: OptionFault) -> OptionFault {
        fault.address.get_or_insert(address(self.value));
        fault
    }

    fn unfit(&self, visitor: &dyn Expected) -> OptionFault {
        OptionFault::invalid_type(Unexpected::Other("another value"), visitor)
    }

    /// Numbers, also written as text: that is what a variable gives.
    fn number<V: Visitor<'a>>(self, visitor: V, may_have_fraction: bool) -> Result<V::Value> {
        match self.value {
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (.., Some(number)) if may_have_fraction => visitor.visit_f64(number),
                _ => Err(self.unfit(&visitor)),
            },
            Value::String(text) => match (text.trim().parse::<i64>(), text.trim().parse::<f64>()) {
                (Ok(number), _) => visitor.visit_i64(number),
                (_, Ok(number)) if may_have_fraction => visitor.visit_f64(number),
                _ => Err(self.unfit(&visitor)),
            },
            _ => Err(self.unfit(&visitor)),
        }
    }

    fn text<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::String(text) => visitor.visit_str(text),
            _ => Err(self.unfit(&visitor)),
        }
    }
}

macro_rules! numbers {
    ($($method:ident: $fraction:literal;)*) => {$(
        fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
            self.number(visitor, $fraction)
        }
    )*};
}

impl<'a> Deserializer<'a> for OptionDecoder<'a> {
    type Error = OptionFault;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(_) => self.number(visitor, true),
            Value::String(text) => visitor.visit_str(text),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(_) => self.deserialize_map(visitor),
        }
    }

    numbers! {
        deserialize_i8: false;
        deserialize_i16: false;
        deserialize_i32: false;
        deserialize_i64: false;
        deserialize_u8: false;
        deserialize_u16: false;
        deserialize_u32: false;
        deserialize_u64: false;
        deserialize_f32: true;
        deserialize_f64: true;
    }

    fn deserialize_bool<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::String(text) if text == "true" || text == "false" => visitor.visit_bool(text == "true"),
            _ => Err(self.unfit(&visitor)),
        }
    }

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        self.text(visitor)
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::Array(items) => visitor.visit_seq(Items { items: items.iter(), decoding: self.decoding }),
            _ => Err(self.unfit(&visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value> {
        let Value::Object(entries) = self.value else { return Err(self.unfit(&visitor)) };
        let entries = entries.iter().map(|(key, value)| (key.as_str(), value)).collect();
        visitor.visit_map(Entries::new(entries, None, self))
    }

    /// The fields in the order of their declaration, which is the order of the problems; what the mapping has besides
    /// comes last.
    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let Value::Object(entries) = self.value else { return Err(self.unfit(&visitor)) };
        let given = |entries: &'a Map<String, Value>, field: &&'static str| {
            entries.get(*field).filter(|value| !value.is_null()).map(|value| (*field, value))
        };
        let found = fields.iter().filter_map(|field| given(entries, field)).collect();
        visitor.visit_map(Entries::new(found, Some(fields), self))
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _name: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.value {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(OptionFault::expected(&format!("one of {}", words.join(", ")))),
        }
    }

    forward_to_deserialize_any! {
        <V: Visitor<'a>>
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// The items of a list, without those left out.
struct Items<'a> {
    items: std::slice::Iter<'a, Value>,
    decoding: &'a Decoding<'a>,
}

impl<'a> serde::de::SeqAccess<'a> for Items<'a> {
    type Error = OptionFault;

    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let decoding = self.decoding;
        let Some(value) = self.items.find(|value| !decoding.is_left_out(value)) else { return Ok(None) };
        let decoder = OptionDecoder { value, decoding };
        seed.deserialize(decoder).map(Some).map_err(|fault| decoder.locate(fault))
    }
}

/// The entries of a mapping, without those left out.
struct Entries<'a> {
    entries: std::vec::IntoIter<(&'a str, &'a Value)>,
    value: Option<OptionDecoder<'a>>,
    /// The keys that the struct has; `None` for a mapping with free keys.
    fields: Option<&'static [&'static str]>,
    mapping: OptionDecoder<'a>,
}

impl<'a> Entries<'a> {
    fn new(
        entries: Vec<(&'a str, &'a Value)>,
        fields: Option<&'static [&'static str]>,
        mapping: OptionDecoder<'a>,
    ) -> Self {
        Self { entries: entries.into_iter(), value: None, fields, mapping }
    }
}

impl<'a> serde::de::MapAccess<'a> for Entries<'a> {
    type Error = OptionFault;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        let decoding = self.mapping.decoding;
        let Some((key, value)) = self.entries.find(|(_, value)| !decoding.is_left_out(value)) else {
            if let Some(fields) = self.fields {
                decoding.unknown_keys(self.mapping.value, fields);
            }
            return Ok(None);
        };
        let decoder = OptionDecoder { value, decoding };
        self.value = Some(decoder);
        seed.deserialize(key.into_deserializer()).map(Some).map_err(|fault| decoder.locate(fault))
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value> {
        let decoder = self.value.take().ok_or_else(|| OptionFault::custom("a value without a key"))?;
        seed.deserialize(decoder).map_err(|fault| decoder.locate(fault))
    }
}
