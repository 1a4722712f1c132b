//! One line of JSON into the columns.
//!
//! serde_json parses and judges the line. The text of numbers and nested values is then taken from the line
//! itself, so that it arrives as it was written: `1.50` stays `1.50`, and a number with 30 digits keeps them.

use std::{borrow::Cow, fmt};

use memchr::memchr2;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::{columns::JsonColumns, shape::Shape};

/// Adds the line's members to the columns. On an error (a sentence for people) some of them may have been
/// added; the caller takes them back.
pub(crate) fn parse_line(text: &str, columns: &mut JsonColumns, shape: &mut Shape) -> Result<(), String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = Members { text, columns, shape };
    deserializer.deserialize_map(members).and_then(|()| deserializer.end()).map_err(|error| {
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = error.to_string();
        format!("{} (at byte {})", message.strip_suffix(&place).unwrap_or(&message), error.column())
    })
}

struct Members<'a, 'c> {
    text: &'a str,
    columns: &'c mut JsonColumns,
    shape: &'c mut Shape,
}

impl<'a> Visitor<'a> for Members<'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<(), A::Error> {
        let bytes = self.text.as_bytes();
        let mut value_start = None;
        let mut before = None;
        while let Some(key) = members.next_key_seed(Key)? {
            let key_end = match &key {
                Cow::Borrowed(key) => (key.as_ptr().addr() - self.text.as_ptr().addr()) + key.len() + 1,
                Cow::Owned(_) => escaped_key_end(bytes, value_start),
            };
            let start = skip_blanks(bytes, key_end, b':');
            let index = self.columns.index(&key).map_err(A::Error::custom)?;
            let column = &mut self.columns.columns[index];
            match bytes.get(start) {
                Some(b'"') => match members.next_value_seed(Key)? {
                    Cow::Borrowed(value) => column.push(value.as_bytes()),
                    Cow::Owned(value) => column.push(value.as_bytes()),
                },
                first => {
                    members.next_value::<IgnoredAny>()?;
                    if first == Some(&b'n') {
                        column.push_null();
                    } else {
                        column.push(bytes.get(start..value_end(bytes, start)).unwrap_or_default());
                    }
                }
            }
            // Only now is all up to the value known to be right, the colon included.
            if self.shape.wants(before) {
                let end = value_start.map_or(0, |start| value_end(bytes, start));
                self.shape.learn(before, bytes.get(end..start).unwrap_or_default(), index);
            }
            (before, value_start) = (Some(index), Some(start));
        }
        Ok(())
    }
}

/// A string, borrowed from the line where it holds no escape.
struct Key;

impl<'a> DeserializeSeed<'a> for Key {
    type Value = Cow<'a, str>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Key {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// The byte after the closing quote of the key that follows the value at `value_start` (or opens the object).
fn escaped_key_end(bytes: &[u8], value_start: Option<usize>) -> usize {
    let start = match value_start {
        Some(start) => skip_blanks(bytes, value_end(bytes, start), b','),
        None => skip_blanks(bytes, 0, b'{'),
    };
    value_end(bytes, start)
}

/// The next byte that is neither blank nor `punctuation`.
fn skip_blanks(bytes: &[u8], start: usize, punctuation: u8) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    let blanks = rest.iter().take_while(|byte| **byte == punctuation || byte.is_ascii_whitespace()).count();
    start + blanks
}

/// The end of the value at `start`, in a text that serde_json has found to be right.
fn value_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at + 1),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            b',' if depth == 0 => return at,
            byte if depth == 0 && byte.is_ascii_whitespace() => return at,
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

/// The byte after the closing quote of the string whose first byte is at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(index) = memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        if bytes[at + index] == b'"' {
            return at + index + 1;
        }
        at += index + 2;
    }
    bytes.len()
}
