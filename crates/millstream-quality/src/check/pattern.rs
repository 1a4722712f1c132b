//! `pattern`: a regular expression for the whole text, or a named form.

use std::net::{Ipv4Addr, Ipv6Addr};

use arrow::{
    array::{Array, AsArray},
    buffer::BooleanBuffer,
    datatypes::DataType,
};
use millstream_project::{NamedPattern, Pattern};
use serde::de::IgnoredAny;
use url::Url;

use super::{Problem, RowCheck, Rows, whole_text::WholeText, wrong_type};
use crate::{QualityError, bitmap, coerce::iso_date, column::Column};

#[derive(Debug)]
struct PatternCheck {
    column: Column,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Named(NamedPattern),
    Regex(Box<WholeText>),
}

pub(super) fn compile(column: &Column, pattern: &Pattern) -> Result<Box<dyn RowCheck>, Problem> {
    if column.data_type() != &DataType::Utf8 {
        return Err(wrong_type(column, "a string"));
    }
    let test = match pattern {
        Pattern::Named(named) => Test::Named(*named),
        Pattern::Regex(written) => Test::Regex(Box::new(WholeText::new(written).map_err(Problem::new)?)),
    };
    Ok(Box::new(PatternCheck { column: column.clone(), test }))
}

impl RowCheck for PatternCheck {
    fn columns(&self) -> Vec<String> {
        vec![self.column.name().to_owned()]
    }

    fn failures(&self, rows: &Rows<'_>) -> Result<Option<BooleanBuffer>, QualityError> {
        let texts = self.column.array(rows.typed).as_string::<i32>();
        let each = |matches: &dyn Fn(&str) -> bool| {
            bitmap::of_rows(texts.len(), texts.nulls(), |row| !matches(texts.value(row)))
        };
        Ok(match &self.test {
            Test::Regex(regex) => regex.failures(texts),
            Test::Named(NamedPattern::Email) => {
                let (offsets, bytes) = (texts.value_offsets(), texts.value_data());
                let text = |row: usize| bytes.get(offsets[row] as usize..offsets[row + 1] as usize);
                bitmap::of_rows(texts.len(), texts.nulls(), |row| !text(row).is_some_and(is_email))
            }
            Test::Named(NamedPattern::Uuid) => each(&|text| is_uuid(text.as_bytes())),
            Test::Named(NamedPattern::Url) => each(&is_url),
            Test::Named(NamedPattern::IsoDate) => each(&|text| iso_date(text.as_bytes()).is_some()),
            Test::Named(NamedPattern::Ipv4) => each(&|text| text.parse::<Ipv4Addr>().is_ok()),
            Test::Named(NamedPattern::Ipv6) => each(&|text| text.parse::<Ipv6Addr>().is_ok()),
            Test::Named(NamedPattern::Json) => each(&|text| serde_json::from_str::<IgnoredAny>(text).is_ok()),
        })
    }

    fn reason(&self, rows: &Rows<'_>, row: usize) -> String {
        let value = self.column.shown(self.column.array(rows.typed), row);
        let name = self.column.name();
        let form = match &self.test {
            Test::Regex(regex) => return format!("`{name}` {value} does not match `{}`", regex.written()),
            Test::Named(NamedPattern::Email) => "an email",
            Test::Named(NamedPattern::Uuid) => "a UUID",
            Test::Named(NamedPattern::Url) => "a URL",
            Test::Named(NamedPattern::IsoDate) => "a date of the form YYYY-MM-DD",
            Test::Named(NamedPattern::Ipv4) => "an IPv4 address",
            Test::Named(NamedPattern::Ipv6) => "an IPv6 address",
            Test::Named(NamedPattern::Json) => "JSON",
        };
        format!("`{name}` {value} is not {form}")
    }
}

/// What a byte may be in an email address: each is a bit of its class.
const IN_LOCAL: u8 = 1;
const IN_DOMAIN: u8 = 2;
const DOT: u8 = 4;
/// Twice `DOT`, so that a shift compares the two.
const HYPHEN: u8 = 8;

const EMAIL_BYTES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            classes[byte as usize] = IN_LOCAL | IN_DOMAIN;
        }
        byte += 1;
    }
    let local = b"!#$%&'*+/=?^_`{|}~";
    let mut at = 0;
    while at < local.len() {
        classes[local[at] as usize] = IN_LOCAL;
        at += 1;
    }
    classes[b'.' as usize] = IN_LOCAL | IN_DOMAIN | DOT;
    classes[b'-' as usize] = IN_LOCAL | IN_DOMAIN | HYPHEN;
    classes
};

/// The addresses that mail systems accept in practice: dot-separated ASCII words, an `@`, a domain of at least
/// two labels of which the last is no number; no quoted local parts, comments or literal addresses.
fn is_email(text: &[u8]) -> bool {
    // Faults are collected without a branch a byte: nearly all addresses are read to their end anyway.
    let (mut allowed, mut fault, mut previous) = (IN_LOCAL, 0, DOT);
    let mut bytes = text.iter().enumerate();
    let at = loop {
        let Some((place, byte)) = bytes.next() else { return false };
        if *byte == b'@' {
            break place;
        }
        let class = EMAIL_BYTES[usize::from(*byte)];
        allowed &= class;
        fault |= class & previous & DOT;
        previous = class;
    };
    let local_fits = allowed != 0 && fault == 0 && previous & DOT == 0 && at <= 64 && text.len() <= 254;

    let (mut allowed, mut fault, mut previous, mut last_dot) = (IN_DOMAIN, 0, DOT, text.len());
    for (place, byte) in bytes {
        let class = EMAIL_BYTES[usize::from(*byte)];
        allowed &= class;
        // A dot or a hyphen after a dot, a dot after a hyphen.
        fault |= (class | class >> 1) & previous & DOT | class & previous >> 1 & DOT;
        last_dot = if class & DOT == 0 { last_dot } else { place };
        previous = class;
    }
    let top = text.get(last_dot + 1..).unwrap_or_default();
    let top_fits =
        top.len() >= 2 && previous & HYPHEN == 0 && top.first().is_some_and(u8::is_ascii_alphabetic);
    let domain = text.get(at + 1..).unwrap_or_default();
    let labels_fit = domain.len() <= 63 || domain.split(|byte| *byte == b'.').all(|label| label.len() <= 63);
    local_fits && allowed != 0 && fault == 0 && top_fits && labels_fit
}

/// Hyphenated hexadecimal digits, 8-4-4-4-12.
fn is_uuid(text: &[u8]) -> bool {
    let Ok(text) = <&[u8; 36]>::try_from(text) else { return false };
    text.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

/// An absolute URL with a host. The parser drops blanks and control characters, so they are refused first.
fn is_url(text: &str) -> bool {
    let clean = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    clean && Url::parse(text).is_ok_and(|url| url.has_host())
}
