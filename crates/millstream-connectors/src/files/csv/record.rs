//! Where a record ends and where its fields stand: the one place that knows quoting.

use std::ops::Range;

use memchr::memchr;

use super::{CsvDialect, marks::Marks};
use crate::files::pump::RECORD_BYTES_MAX;

/// What a record's first bytes say about its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordEnd {
    /// The record is whole; the next one starts here.
    Complete(usize),
    /// A quoted field does not end properly. Only the record's first line is given up.
    Malformed(usize),
    /// The end cannot be known without more data.
    Open,
}

/// Where a quoted field ends, counted from the byte after its opening quote.
enum QuotedEnd {
    /// Position of the closing quote, and whether the text holds escapes.
    Closed {
        quote: usize,
        escaped: bool,
    },
    Open,
}

/// A field's text as it stands in the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawField {
    /// The place of the text in the data, without the quotes.
    pub(super) text: Range<usize>,
    pub(super) quoted: bool,
    /// Whether the text holds doubled quotes or escapes that stand for something else.
    pub(super) escaped: bool,
}

/// Finds the end of the record that starts at `start`. `at_end`: no data follows `data`.
///
/// The answer for a record does not depend on how much data follows it, as long as `data` ends where some
/// record ends: a quote that is not closed within `data` is not closed properly at all. Blocks rely on this.
pub(super) fn record_end(dialect: &CsvDialect, data: &[u8], start: usize, at_end: bool) -> RecordEnd {
    bounded(dialect, walk(dialect, data, start, at_end, |_| {}), data, start, at_end)
}

/// The end of a record, where a record beyond the bound is taken for one whose quote is not closed.
fn bounded(dialect: &CsvDialect, end: RecordEnd, data: &[u8], start: usize, at_end: bool) -> RecordEnd {
    match end {
        RecordEnd::Complete(end) if end - start > RECORD_BYTES_MAX => {
            give_up_first_line(dialect, data, start, at_end)
        }
        RecordEnd::Open if data.len() - start > RECORD_BYTES_MAX => {
            give_up_first_line(dialect, data, start, at_end)
        }
        end => end,
    }
}

/// The end of a record, as `record_end` gives it at the end of the data, with its fields when the record is complete.
pub(super) fn record_fields(
    dialect: &CsvDialect,
    data: &[u8],
    start: usize,
    fields: &mut Vec<RawField>,
) -> RecordEnd {
    fields.clear();
    let end = walk(dialect, data, start, true, |field| fields.push(field));
    bounded(dialect, end, data, start, true)
}

/// Whether the first record of the dialect, whose line end is a carriage return, ends with one, and no line feed stands
/// outside quotes in `head`, the beginning of a file.
pub(super) fn ends_with_cr(dialect: &CsvDialect, head: &[u8]) -> bool {
    match record_end(dialect, head, 0, false) {
        RecordEnd::Complete(end) if head.get(end.wrapping_sub(1)) == Some(&b'\r') => {}
        RecordEnd::Complete(_) | RecordEnd::Malformed(_) | RecordEnd::Open => return false,
    }
    if memchr(b'\n', head).is_none() {
        return true;
    }
    let (mut start, mut fields) = (0, Vec::new());
    while start < head.len() {
        let end = record_fields(dialect, head, start, &mut fields);
        let ends_line = |field: &RawField| {
            !field.quoted && head.get(field.text.clone()).is_some_and(|text| memchr(b'\n', text).is_some())
        };
        if fields.iter().any(ends_line) {
            return false;
        }
        match end {
            RecordEnd::Complete(end) => start = end,
            // The quote may be closed behind `head`, which is only the beginning of the file.
            RecordEnd::Malformed(_) | RecordEnd::Open => break,
        }
    }
    true
}

/// The text of an escaped field with its escapes resolved.
pub(super) fn unescape(dialect: &CsvDialect, text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        let special = Some(byte) == dialect.escape || Some(byte) == dialect.quote;
        match (special, bytes.clone().next()) {
            (true, Some(next)) => {
                out.push(next);
                bytes.next();
            }
            _ => out.push(byte),
        }
    }
}

/// The line from `start` without its line end, and where the next one starts.
pub(super) fn line(dialect: &CsvDialect, data: &[u8], start: usize) -> (Range<usize>, usize) {
    let (end, next) = match memchr(dialect.line_end, &data[start..]) {
        Some(index) => (start + index, start + index + 1),
        None => (data.len(), data.len()),
    };
    let end = if data[start..end].ends_with(b"\r") { end - 1 } else { end };
    (start..end, next)
}

fn walk(
    dialect: &CsvDialect,
    data: &[u8],
    start: usize,
    at_end: bool,
    mut field: impl FnMut(RawField),
) -> RecordEnd {
    let mut at = start;
    loop {
        if dialect.quote.is_some() && data.get(at).copied() == dialect.quote {
            let text_start = at + 1;
            let QuotedEnd::Closed { quote, escaped } = quoted_end(dialect, data, text_start) else {
                return if at_end {
                    give_up_first_line(dialect, data, start, at_end)
                } else {
                    RecordEnd::Open
                };
            };
            field(RawField { text: text_start..quote, quoted: true, escaped });
            match (data.get(quote + 1).copied(), data.get(quote + 2).copied()) {
                (Some(byte), _) if byte == dialect.delimiter => at = quote + 2,
                (Some(byte), _) if byte == dialect.line_end => return RecordEnd::Complete(quote + 2),
                (Some(b'\r'), Some(b'\n')) => return RecordEnd::Complete(quote + 3),
                (None, _) | (Some(b'\r'), None) if at_end => return RecordEnd::Complete(data.len()),
                (None, _) | (Some(b'\r'), None) => return RecordEnd::Open,
                _ => return give_up_first_line(dialect, data, start, at_end),
            }
        } else {
            let rest = data.get(at..).unwrap_or_default();
            let found = Marks::new(rest, dialect.delimiter, dialect.line_end).next().map(|index| at + index);
            match found {
                Some(index) if data[index] == dialect.line_end => {
                    field(unquoted(data, at, index));
                    return RecordEnd::Complete(index + 1);
                }
                Some(index) => {
                    field(RawField { text: at..index, quoted: false, escaped: false });
                    at = index + 1;
                }
                None if at_end => {
                    field(unquoted(data, at, data.len()));
                    return RecordEnd::Complete(data.len());
                }
                None => return RecordEnd::Open,
            }
        }
    }
}

/// The last field of a line; a carriage return before the line's end belongs to the line's end.
fn unquoted(data: &[u8], start: usize, end: usize) -> RawField {
    let end = if data[start..end].ends_with(b"\r") { end - 1 } else { end };
    RawField { text: start..end, quoted: false, escaped: false }
}

fn quoted_end(dialect: &CsvDialect, data: &[u8], start: usize) -> QuotedEnd {
    let Some(quote) = dialect.quote else { return QuotedEnd::Open };
    let escape = dialect.escape.unwrap_or(quote);
    let mut at = start;
    let mut escaped = false;
    while let Some(index) =
        Marks::new(data.get(at..).unwrap_or_default(), quote, escape).next().map(|index| at + index)
    {
        let doubled = data[index] == quote && data.get(index + 1) == Some(&quote);
        if doubled || data[index] != quote {
            escaped = true;
            at = index + 2;
        } else {
            return QuotedEnd::Closed { quote: index, escaped };
        }
    }
    QuotedEnd::Open
}

fn give_up_first_line(dialect: &CsvDialect, data: &[u8], start: usize, at_end: bool) -> RecordEnd {
    match memchr(dialect.line_end, &data[start..]) {
        Some(index) => RecordEnd::Malformed(start + index + 1),
        None if at_end => RecordEnd::Malformed(data.len()),
        None => RecordEnd::Open,
    }
}
