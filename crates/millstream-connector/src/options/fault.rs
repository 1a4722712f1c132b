//! Why an option does not decode, in words for a message.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

/// A fault on its way from the value to the loop that reports it.
#[derive(Debug)]
pub(super) struct OptionFault {
    pub(super) kind: FaultKind,
    /// The address of the faulty value, or of the mapping that misses a key; told by the deepest decoder that knows it.
    pub(super) address: Option<usize>,
}

#[derive(Debug)]
pub(super) enum FaultKind {
    /// The value must be something else, which is named.
    Expected(String),
    /// The word is none of those that the option knows.
    NoSuchWord {
        word: String,
        words: &'static [&'static str],
    },
    Missing {
        key: &'static str,
    },
    /// The message of the option's type about the value.
    Said(String),
}

impl OptionFault {
    pub(super) fn expected(what: &str) -> Self {
        Self { kind: FaultKind::Expected(what.to_owned()), address: None }
    }
}

/// serde's names of kinds in the words of a project file.
fn plain(expected: &str) -> String {
    let word = match expected {
        "a string" => "text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a mapping of names to values",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0 on",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        other if other.starts_with("struct ") => "a mapping of names to values",
        other => other,
    };
    word.to_owned()
}

impl Error for OptionFault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { kind: FaultKind::Said(message.to_string()), address: None }
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::expected(&plain(&expected.to_string()))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::expected(&plain(&expected.to_string()))
    }

    fn unknown_variant(word: &str, words: &'static [&'static str]) -> Self {
        Self { kind: FaultKind::NoSuchWord { word: word.to_owned(), words }, address: None }
    }

    fn missing_field(key: &'static str) -> Self {
        Self { kind: FaultKind::Missing { key }, address: None }
    }
}

impl fmt::Display for OptionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            FaultKind::Expected(what) => write!(f, "it must be {what}"),
            FaultKind::NoSuchWord { word, .. } => write!(f, "`{word}` is not known"),
            FaultKind::Missing { key } => write!(f, "`{key}` is missing"),
            FaultKind::Said(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for OptionFault {}
