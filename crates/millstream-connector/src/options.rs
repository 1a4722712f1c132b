//! A connector's options: declared once, as a type with serde and schemars, and read with every fault instead of the first.
//!
//! [`read_options`] decodes the type; what one value alone cannot tell is judged by the connector afterwards, which adds
//! to the same list.

mod decoder;
mod fault;

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, Visitor},
};
use serde_json::Value;

use decoder::{Decoding, OptionDecoder};

/// One fault in a connector's options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionProblem {
    /// Keys from the options' root to the faulty value; a list's items by their index as text.
    pub path: Vec<String>,
    pub message: String,
    pub hint: Option<String>,
}

/// Everything that is wrong with the options of one connector or connection.
#[derive(Debug, Default)]
pub struct OptionProblems(Vec<OptionProblem>);

impl OptionProblems {
    /// Adds a problem at `path`, the keys from the root to the value.
    pub fn add(&mut self, path: &[&str], message: impl Into<String>, hint: Option<String>) {
        let path = path.iter().map(|key| (*key).to_owned()).collect();
        self.0.push(OptionProblem { path, message: message.into(), hint });
    }

    /// The value if nothing is wrong, else all that is. A value that could not be made has its problem already.
    pub fn result<T>(self, value: Option<T>) -> Result<T, Vec<OptionProblem>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self.0),
        }
    }
}

/// Faulty values of one set of options that are reported; looking for more would help nobody.
const FAULTS_MAX: usize = 100;

/// Decodes options. A faulty value is reported and left out, and decoding starts again, until the rest decodes or what is
/// left makes no value: then there is `None`. Unknown keys are reported on the way.
#[must_use]
pub fn read_options<T: DeserializeOwned + JsonSchema>(options: &Value) -> (Option<T>, OptionProblems) {
    let mut problems = OptionProblems::default();
    let none = Value::Object(serde_json::Map::new());
    let root = match options {
        Value::Object(_) => options,
        Value::Null => &none,
        _ => {
            problems.add(&[], "options are a mapping of names to values", None);
            &none
        }
    };
    let decoding = Decoding::new(root);
    let mut value = None;
    for _ in 0..FAULTS_MAX {
        let decoder = OptionDecoder::of(root, &decoding);
        match T::deserialize(decoder) {
            Ok(decoded) => {
                value = Some(decoded);
                break;
            }
            Err(fault) => {
                if !decoding.report(decoder.locate(fault), options_schema::<T>) {
                    break;
                }
            }
        }
    }
    problems.0.extend(decoding.into_problems());
    (value, problems)
}

/// The JSON Schema of a type of options, for [`crate::ConnectorFactory::schema`].
#[must_use]
pub fn options_schema<T: JsonSchema>() -> Value {
    // The schema becomes a part of another one, so it may not refer to definitions of its own.
    schemars::generate::SchemaSettings::draft2020_12()
        .for_deserialize()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// A text, or a number or truth value taken as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionText(pub String);

impl<'de> Deserialize<'de> for OptionText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl Visitor<'_> for TextVisitor {
            type Value = OptionText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a single value")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<OptionText, E> {
                Ok(OptionText(text.to_owned()))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<OptionText, E> {
                Ok(OptionText(value.to_string()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<OptionText, E> {
                Ok(OptionText(value.to_string()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<OptionText, E> {
                Ok(OptionText(value.to_string()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<OptionText, E> {
                Ok(OptionText(value.to_string()))
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}

impl JsonSchema for OptionText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OptionText".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["boolean", "number", "string"]})
    }
}

/// The known word that is most like `word`, when one is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
