//! Secrets: texts that nothing shows, and the places in a message where one of them stands all the same.
//!
//! A secret is known to the whole process from the moment on at which it is read, because the library that repeats it in
//! the words of its error, and the code that prints these words, have never heard of the file it came from. Nothing is
//! decided by what is known here: a text is covered with it, and that is all.

use std::{
    borrow::Cow,
    fmt::{self, Write},
    ops::Range,
    sync::{Arc, PoisonError, RwLock},
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

/// What stands where a secret stood.
pub const COVER: &str = "***";

/// Shorter values are no secrets, and covering them would garble every message.
const BYTES_MIN: usize = 4;
/// Forms of secrets that are known at once; the oldest are forgotten when there are more, as in a server that has run
/// through many of them.
const FORMS_MAX: usize = 4096;

static FORMS: RwLock<Vec<Arc<str>>> = RwLock::new(Vec::new());

/// A text that is a credential: neither `Debug` nor `Display` shows it, and messages cover it wherever they repeat it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(text: String) -> Self {
        know_secret(&text);
        Self(text)
    }

    /// The text itself, for the call that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{COVER}\"")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(COVER)
    }
}

/// As an option: a text, or a number or truth value taken as text.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SecretVisitor;

        impl Visitor<'_> for SecretVisitor {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a single value")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret::new(text.to_owned()))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Secret, E> {
                Ok(Secret::new(value.to_string()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Secret, E> {
                Ok(Secret::new(value.to_string()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Secret, E> {
                Ok(Secret::new(value.to_string()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Secret, E> {
                Ok(Secret::new(value.to_string()))
            }
        }

        deserializer.deserialize_any(SecretVisitor)
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["boolean", "number", "string"], "writeOnly": true})
    }
}

/// Whether an option of this name holds a credential: `password`, `aws_secret_access_key`, `sas_token`.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    const PARTS: [&str; 6] = ["secret", "password", "passphrase", "passwd", "token", "credential"];
    let name = name.to_ascii_lowercase().replace('-', "_");
    let is_key =
        ["access_key", "access_key_id", "account_key", "api_key", "master_key", "private_key", "sas_key"]
            .iter()
            .any(|key| name == *key || name.ends_with(&format!("_{key}")));
    is_key || name == "google_service_account_key" || PARTS.iter().any(|part| name.contains(part))
}

/// Makes a value known, in each form in which a library may write it: as it is, escaped as in a quoted text, and encoded
/// as in a URL.
pub fn know_secret(value: &str) {
    if value.len() < BYTES_MIN {
        return;
    }
    let mut known = FORMS.write().unwrap_or_else(PoisonError::into_inner);
    for form in [value.to_owned(), value.escape_debug().to_string(), percent_encoded(value)] {
        if !known.iter().any(|one| **one == *form) {
            known.push(form.into());
        }
    }
    let too_many = known.len().saturating_sub(FORMS_MAX);
    known.drain(..too_many);
}

fn percent_encoded(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a text does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Where known secrets stand in a text; ranges may overlap.
#[must_use]
pub fn secrets_in(text: &str) -> Vec<Range<usize>> {
    let known = FORMS.read().unwrap_or_else(PoisonError::into_inner);
    let places = |form: &Arc<str>| {
        text.match_indices(&**form).map(|(at, found)| at..at + found.len()).collect::<Vec<_>>()
    };
    known.iter().flat_map(places).collect()
}
