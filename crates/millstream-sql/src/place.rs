//! Lines and columns of the SQL parser as ranges of bytes.

use std::ops::Range;

use datafusion::{
    common::{Location as PlanLocation, Span as PlanSpan},
    sql::sqlparser::tokenizer::{Location as TokenLocation, Span as TokenSpan},
};

/// A SQL text with the starts of its lines.
#[derive(Debug)]
pub(crate) struct SqlText<'a> {
    pub(crate) text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> SqlText<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(index, _)| index + 1);
        Self { text, line_starts: std::iter::once(0).chain(ends).collect() }
    }

    /// The byte at a line and a column that count characters from 1; places beyond a line's end stay on it.
    pub(crate) fn offset(&self, line: u64, column: u64) -> usize {
        let line = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
        let Some(&start) = self.line_starts.get(line) else { return self.text.len() };
        let end = self.line_starts.get(line + 1).copied().unwrap_or(self.text.len());
        let column = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
        let rest = self.text.get(start..end).unwrap_or_default();
        rest.char_indices().nth(column).map_or(end, |(index, _)| start + index)
    }

    pub(crate) fn plan_range(&self, span: PlanSpan) -> Range<usize> {
        let at = |place: PlanLocation| self.offset(place.line, place.column);
        at(span.start)..at(span.end)
    }

    /// The bytes of a span of the parser; `None` for its empty span.
    pub(crate) fn token_range(&self, span: TokenSpan) -> Option<Range<usize>> {
        let at = |place: TokenLocation| self.offset(place.line, place.column);
        (span != TokenSpan::empty()).then(|| at(span.start)..at(span.end))
    }

    /// The word, number or sign that starts at a byte. At the end of the text, it is the last one.
    pub(crate) fn token_at(&self, start: usize) -> Range<usize> {
        let rest = self.text.get(start..).unwrap_or_default();
        let Some(first) = rest.chars().next().filter(|c| !c.is_whitespace()) else {
            let visible = self.text.get(..start).unwrap_or_default().trim_end();
            let word = visible.trim_end_matches(is_word).len();
            let last = visible.char_indices().next_back().map_or(0, |(index, _)| index);
            return word.min(last)..visible.len();
        };
        let length =
            if is_word(first) { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        start..start + length
    }

    /// The first word of the text that is no comment, for problems without a place of their own.
    pub(crate) fn whole(&self) -> Range<usize> {
        let mut start = 0;
        for line in self.text.split_inclusive('\n') {
            let trimmed = line.trim_start();
            if !trimmed.trim_end().is_empty() && !trimmed.starts_with("--") {
                return self.token_at(start + (line.len() - trimmed.len()));
            }
            start += line.len();
        }
        0..0
    }

    /// Line and column, both from 1, of a byte.
    pub(crate) fn line_column(&self, offset: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        (line, self.text.get(start..offset).unwrap_or_default().chars().count() + 1)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
