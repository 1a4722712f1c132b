//! The fast way through a line that looks like lines before it.
//!
//! Between two values of a line stand the same bytes as in most lines: `,"amount":`. Once serde_json has
//! parsed a line, these bytes are known to be right and to lead to a certain column; a later line that repeats
//! them needs no parsing there, only its values do. Simple values are recognised here, all others are given
//! to serde_json. A line that differs in any way goes to serde_json as a whole.

use serde::de::IgnoredAny;

use super::columns::JsonColumns;

/// Ways to go on from one column; more are not learned, because looking through them costs more than it saves.
const STEPS_MAX: usize = 4;

const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
const EACH_BYTE: u64 = 0x0101_0101_0101_0101;

/// What may follow a value, learned from lines that serde_json has parsed.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// The steps by the column of the value before them, plus one; those from the line's start come first.
    steps: Vec<Vec<Step>>,
}

#[derive(Debug)]
struct Step {
    /// All bytes up to the value: the comma, the key, the colon and blanks.
    prefix: Box<[u8]>,
    column: usize,
}

impl Shape {
    /// Whether another step from `before` would be kept.
    pub(crate) fn wants(&self, before: Option<usize>) -> bool {
        self.steps_from(before).len() < STEPS_MAX
    }

    pub(crate) fn learn(&mut self, before: Option<usize>, prefix: &[u8], column: usize) {
        let index = before.map_or(0, |column| column + 1);
        if self.steps.len() <= index {
            self.steps.resize_with(index + 1, Vec::new);
        }
        let steps = &mut self.steps[index];
        if steps.len() < STEPS_MAX && steps.iter().all(|step| *step.prefix != *prefix) {
            steps.push(Step { prefix: prefix.into(), column });
        }
    }

    /// Adds the line's members to the columns; false when it is not of a known shape, and then some of its
    /// members may have been added.
    pub(crate) fn read(&self, text: &str, columns: &mut JsonColumns) -> bool {
        let bytes = text.as_bytes();
        let mut before = None;
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            let step = self.steps_from(before).iter().find(|step| rest.starts_with(&step.prefix));
            let Some(step) = step else { return before.is_some() && is_end(rest) };
            let start = at + step.prefix.len();
            if columns.columns[step.column].len() > columns.rows {
                return false;
            }
            match read_value(text, start, columns, step.column) {
                Some(end) => at = end,
                None => return false,
            }
            before = Some(step.column);
        }
    }

    fn steps_from(&self, before: Option<usize>) -> &[Step] {
        self.steps.get(before.map_or(0, |column| column + 1)).map_or(&[], Vec::as_slice)
    }
}

/// Adds the value at `start`; gives where it ends, or nothing when it is not a right value.
fn read_value(text: &str, start: usize, columns: &mut JsonColumns, column: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let column = &mut columns.columns[column];
    let rest = bytes.get(start..)?;
    let first = *rest.first()?;
    if first == b'"' {
        if let Some(length) = plain_string(&rest[1..]) {
            column.push(&rest[1..=length]);
            return Some(start + length + 2);
        }
        let mut values = serde_json::Deserializer::from_str(text.get(start..)?).into_iter::<String>();
        let value = values.next()?.ok()?;
        column.push(value.as_bytes());
        return Some(start + values.byte_offset());
    }
    let length = match plain_number(rest) {
        Some(length) => length,
        None => {
            let mut values = serde_json::Deserializer::from_str(text.get(start..)?).into_iter::<IgnoredAny>();
            values.next()?.ok()?;
            values.byte_offset()
        }
    };
    if first == b'n' {
        column.push_null();
    } else {
        column.push(rest.get(..length)?);
    }
    Some(start + length)
}

/// Length of a string's text when it ends without an escape; `bytes` start behind its opening quote.
#[inline]
fn plain_string(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quotes = zero_bytes(word ^ (u64::from(b'"') * EACH_BYTE));
        let escapes = zero_bytes(word ^ (u64::from(b'\\') * EACH_BYTE));
        // Exact for the lowest byte that is below a blank; only bytes above it may be taken for one wrongly.
        let controls = word.wrapping_sub(0x20 * EACH_BYTE) & !word & HIGH_BITS;
        let found = quotes | escapes | controls;
        if found != 0 {
            let byte = usize::try_from(found.trailing_zeros() / 8).unwrap_or(0);
            let is_quote = quotes & (0x80 << (8 * byte)) != 0;
            return is_quote.then_some(8 * index + byte);
        }
    }
    let found = rest.iter().position(|byte| matches!(byte, b'"' | b'\\') || *byte < 0x20)?;
    (rest[found] == b'"').then_some(8 * words.len() + found)
}

/// Length of a number without an exponent, followed by what may follow a value.
#[inline]
fn plain_number(bytes: &[u8]) -> Option<usize> {
    let digits = |start: usize| bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(sign);
    if whole == 0 || (whole > 1 && bytes[sign] == b'0') {
        return None;
    }
    let mut length = sign + whole;
    if bytes.get(length) == Some(&b'.') {
        let fraction = digits(length + 1);
        if fraction == 0 {
            return None;
        }
        length += 1 + fraction;
    }
    matches!(bytes.get(length), Some(b',' | b'}' | b' ' | b'\t' | b'\r')).then_some(length)
}

/// Whether nothing follows but the object's end.
fn is_end(rest: &[u8]) -> bool {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
    let mut left = rest.iter().skip_while(|byte| blank(byte));
    left.next() == Some(&b'}') && left.all(blank)
}

/// The top bit of each byte that is zero, and no other bit.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    !(((word & LOW_BITS) + LOW_BITS) | word | LOW_BITS)
}
