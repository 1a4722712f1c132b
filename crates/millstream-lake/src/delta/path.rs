//! Paths of data files in the log are URIs; inside Millstream they are plain.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// What a URI cannot hold as it is, and what would change its meaning. Slashes stay: they divide folders.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'*')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

pub(super) fn serialize<S: Serializer>(path: &str, serializer: S) -> Result<S::Ok, S::Error> {
    utf8_percent_encode(path, ENCODED).to_string().serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let encoded = String::deserialize(deserializer)?;
    decode(&encoded).map_err(D::Error::custom)
}

pub(crate) fn decode(encoded: &str) -> Result<String, std::str::Utf8Error> {
    Ok(percent_decode_str(encoded).decode_utf8()?.into_owned())
}
