//! Why a value does not decode, in the project's words.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use crate::{Diagnostic, Location, codes, words};

/// A fault on its way from the value to the decoder's loop.
#[derive(Debug)]
pub(crate) struct DecodeError {
    pub(super) fault: Fault,
    pub(super) place: Option<Place>,
}

#[derive(Debug)]
pub(super) enum Fault {
    Wrong {
        code: &'static str,
        message: String,
        hint: Option<String>,
    },
    Missing {
        key: &'static str,
    },
    /// The fault follows from one that is reported already.
    Silent,
}

/// Which value is faulty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) value: Location,
    /// The place of the key that holds the value; the value's own place in lists and at the root.
    pub(super) key: Location,
}

impl DecodeError {
    pub(super) fn wrong(code: &'static str, message: String, hint: Option<String>) -> Self {
        Self { fault: Fault::Wrong { code, message, hint }, place: None }
    }

    /// The diagnostic, unless the fault follows from another.
    pub(super) fn diagnostic(self, at: Place) -> Option<Diagnostic> {
        match self.fault {
            Fault::Silent => None,
            Fault::Wrong { code, message, hint } => {
                let mut diagnostic = Diagnostic::error(code, message, at.value);
                diagnostic.hint = hint;
                Some(diagnostic)
            }
            Fault::Missing { key } => Some(
                Diagnostic::error(codes::MISSING_KEY, format!("`{key}` is missing"), at.key)
                    .with_hint(format!("add `{key}: …`")),
            ),
        }
    }
}

impl Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::wrong(codes::WRONG_TEXT, message.to_string(), None)
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::wrong(codes::WRONG_KIND, format!("expected {expected}, found {unexpected}"), None)
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let value = match unexpected {
            Unexpected::Signed(value) => format!("`{value}`"),
            Unexpected::Unsigned(value) => format!("`{value}`"),
            other => other.to_string(),
        };
        let wanted = match expected.to_string().as_str() {
            "i8" => "a whole number from -128 to 127".to_owned(),
            "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0 on".to_owned(),
            other => other.to_owned(),
        };
        Self::wrong(codes::WRONG_KIND, format!("{value} is out of range: expected {wanted}"), None)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let hint = match words::nearest(variant, expected.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("use one of {}", expected.join(", ")),
        };
        Self::wrong(codes::UNKNOWN_WORD, format!("`{variant}` is not known here"), Some(hint))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { fault: Fault::Missing { key: field }, place: None }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Fault::Wrong { message, .. } => f.write_str(message),
            Fault::Missing { key } => write!(f, "`{key}` is missing"),
            Fault::Silent => f.write_str("part of the value is faulty"),
        }
    }
}

impl std::error::Error for DecodeError {}
