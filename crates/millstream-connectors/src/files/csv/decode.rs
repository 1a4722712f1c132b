//! Turns a block of CSV into text columns.

use std::sync::Arc;

use arrow::{
    array::{Int64Array, RecordBatch, RecordBatchOptions},
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use memchr::{memchr, memrchr};
use millstream_connector::{Block, ConnectorError, MalformedRow, Positions, SourceBatch};

use super::{
    CsvDialect, Header,
    marks::Marks,
    record::{RawField, RecordEnd, line, record_fields, unescape},
};
use crate::{
    files::pump::{RawBlock, keep_after},
    text_columns::{TextColumn, finish_all},
};

/// Whole records of one file, and what is needed to decode them.
#[derive(Debug)]
pub(crate) struct CsvBlock {
    pub(crate) raw: RawBlock,
    pub(crate) format: Arc<CsvFormat>,
}

/// What all blocks of one file share.
#[derive(Debug)]
pub(crate) struct CsvFormat {
    pub(crate) dialect: CsvDialect,
    schema: SchemaRef,
}

impl CsvFormat {
    pub(crate) fn new(dialect: CsvDialect, header: &Header) -> Self {
        let fields: Vec<Field> =
            header.names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
        Self { dialect, schema: Arc::new(Schema::new(fields)) }
    }
}

impl Block for CsvBlock {
    fn bytes(&self) -> usize {
        self.raw.data.len()
    }

    fn decode(self: Box<Self>) -> Result<SourceBatch, ConnectorError> {
        let broken = |error: ArrowError| self.raw.broken(error.to_string());
        let batch = match Rows::decode(&self.format, &self.raw, false) {
            Ok(batch) => batch,
            // Some value is not UTF-8; only the slower pass can say which row holds it.
            Err(_) => Rows::decode(&self.format, &self.raw, true).map_err(broken)?,
        };
        Ok(keep_after(batch, self.raw.after))
    }
}

/// The rows decoded so far.
struct Rows<'a> {
    format: &'a CsvFormat,
    raw: &'a RawBlock,
    data: &'a [u8],
    /// Whether each record's bytes are checked for UTF-8 before they become a row.
    check_utf8: bool,
    columns: Vec<TextColumn>,
    rows: usize,
    /// Line number of the next record.
    line: i64,
    /// Line number of the first row, while each row stands one line after the one before.
    first: i64,
    /// Line number of each row, from the moment when they are no longer consecutive.
    positions: Option<Vec<i64>>,
    malformed: Vec<MalformedRow>,
    last_position: Option<i64>,
}

impl<'a> Rows<'a> {
    fn decode(format: &'a CsvFormat, raw: &'a RawBlock, check_utf8: bool) -> Result<SourceBatch, ArrowError> {
        let data = raw.data.as_slice();
        let width = format.schema.fields().len();
        // A guess from the first line; wrong guesses cost a reallocation.
        let line_bytes =
            memchr(format.dialect.line_end, data).map_or(data.len(), |index| index + 1).max(2 * width).max(1);
        let rows_guess = data.len() / line_bytes + data.len() / line_bytes / 8 + 1;
        let bytes_guess = data.len() / width.max(1);
        let mut rows = Rows {
            format,
            raw,
            data,
            check_utf8,
            columns: (0..width).map(|_| TextColumn::with_capacity(rows_guess, bytes_guess)).collect(),
            rows: 0,
            line: raw.first_line,
            first: raw.first_line,
            positions: None,
            malformed: Vec::new(),
            last_position: None,
        };
        rows.run();
        rows.finish()
    }

    fn run(&mut self) {
        let dialect = &self.format.dialect;
        let mut at = 0;
        let mut fields = Vec::new();
        let mut text = Vec::new();
        let line_by_line = dialect.comment.is_some() || !dialect.null_values.is_empty() || self.check_utf8;
        while at < self.data.len() {
            let quote = dialect.quote.and_then(|quote| memchr(quote, &self.data[at..]));
            let plain_end = match quote {
                None => self.data.len(),
                Some(index) => {
                    at + memrchr(dialect.line_end, &self.data[at..at + index]).map_or(0, |end| end + 1)
                }
            };
            if !line_by_line && plain_end > at {
                self.plain(at, plain_end);
                at = plain_end;
            } else {
                at = self.record(at, &mut fields, &mut text);
            }
        }
    }

    /// Decodes lines without quotes, comments and null words: only delimiters and line ends matter.
    fn plain(&mut self, start: usize, end: usize) {
        let data = &self.data[start..end];
        let CsvDialect { delimiter, line_end, .. } = self.format.dialect;
        let width = self.columns.len();
        let mut field_start = 0;
        let mut line_start = 0;
        let mut column = 0;
        for index in Marks::new(data, delimiter, line_end).chain(open_end(data, line_end)) {
            if index < data.len() && data[index] != line_end {
                if let Some(target) = self.columns.get_mut(column) {
                    push(target, &data[field_start..index]);
                }
                column += 1;
            } else {
                let text = &data[field_start..index];
                let text = text.strip_suffix(b"\r").unwrap_or(text);
                if column == 0 && text.is_empty() {
                    self.line += 1;
                } else if column + 1 == width {
                    push(&mut self.columns[column], text);
                    self.end_row(1);
                } else {
                    self.give_up(start + line_start, start + index, 1, &ragged(column + 1, width));
                }
                column = 0;
                line_start = index + 1;
            }
            field_start = index + 1;
        }
    }

    /// Decodes the record at `start`, whatever is in it; gives the start of the next one.
    fn record(&mut self, start: usize, fields: &mut Vec<RawField>, text: &mut Vec<u8>) -> usize {
        let format = self.format;
        let (dialect, data) = (&format.dialect, self.data);
        let (first_line, next) = line(dialect, data, start);
        let is_comment = dialect.comment.is_some() && data.get(start).copied() == dialect.comment;
        if first_line.is_empty() || is_comment {
            self.line += 1;
            return next;
        }
        let end = match record_fields(dialect, data, start, fields) {
            RecordEnd::Complete(end) => end,
            RecordEnd::Malformed(end) => {
                self.give_up(start, first_line.end, 1, "a quoted field does not end properly");
                return end;
            }
            RecordEnd::Open => data.len(),
        };
        let lines = if end == next { 1 } else { count_lines(dialect, &data[start..end]) };
        if fields.len() != self.columns.len() {
            self.give_up(start, end, lines, &ragged(fields.len(), self.columns.len()));
        } else if self.check_utf8 && std::str::from_utf8(&data[start..end]).is_err() {
            let row = without_line_end(&data[start..end]);
            self.set_apart(self.raw.not_text(self.line, row), lines);
        } else {
            for (column, field) in self.columns.iter_mut().zip(fields.iter()) {
                let raw = &data[field.text.clone()];
                if field.escaped {
                    unescape(dialect, raw, text);
                    column.push(text);
                } else if field.quoted {
                    column.push(raw);
                } else if dialect.null_values.iter().any(|word| word.as_bytes() == raw) {
                    column.push_null();
                } else {
                    push(column, raw);
                }
            }
            self.end_row(lines);
        }
        end
    }

    fn end_row(&mut self, lines: i64) {
        match &mut self.positions {
            Some(positions) => positions.push(self.line),
            None if self.rows == 0 => self.first = self.line,
            None => {
                let rows = i64::try_from(self.rows).unwrap_or(i64::MAX);
                if self.first.saturating_add(rows) != self.line {
                    let mut positions: Vec<i64> = (self.first..).take(self.rows).collect();
                    positions.push(self.line);
                    self.positions = Some(positions);
                }
            }
        }
        self.last_position = Some(self.line);
        self.rows += 1;
        self.line += lines;
    }

    /// Records a malformed row and takes back what it has left in the columns.
    fn give_up(&mut self, start: usize, end: usize, lines: i64, reason: &str) {
        self.columns.iter_mut().for_each(|column| column.truncate(self.rows));
        let row = without_line_end(&self.data[start..end]);
        let row = match String::from_utf8(row.to_vec()) {
            Ok(text) => MalformedRow { position: self.line, text, bytes: None, reason: reason.to_owned() },
            Err(_) => MalformedRow { reason: reason.to_owned(), ..self.raw.not_text(self.line, row) },
        };
        self.set_apart(row, lines);
    }

    fn set_apart(&mut self, row: MalformedRow, lines: i64) {
        self.malformed.push(row);
        self.last_position = Some(self.line);
        self.line += lines;
    }

    fn finish(self) -> Result<SourceBatch, ArrowError> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let columns = finish_all(self.columns)?;
        let rows = RecordBatch::try_new_with_options(self.format.schema.clone(), columns, &options)?;
        let positions = match self.positions {
            Some(positions) => Positions::Each(Int64Array::from(positions)),
            None => Positions::From(self.first),
        };
        Ok(SourceBatch {
            rows,
            positions,
            operations: None,
            arrivals: None,
            malformed: self.malformed,
            last_position: self.last_position,
        })
    }
}

/// An empty unquoted field is null.
#[inline]
fn push(column: &mut TextColumn, text: &[u8]) {
    if text.is_empty() { column.push_null() } else { column.push(text) }
}

/// The end of a last line that has no line end.
fn open_end(data: &[u8], line_end: u8) -> Option<usize> {
    (data.last() != Some(&line_end)).then_some(data.len())
}

fn without_line_end(mut record: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r' | b'\n'] = record {
        record = rest;
    }
    record
}

fn count_lines(dialect: &CsvDialect, record: &[u8]) -> i64 {
    i64::try_from(memchr::memchr_iter(dialect.line_end, record).count()).unwrap_or(i64::MAX).max(1)
}

fn ragged(found: usize, expected: usize) -> String {
    let fields = if found == 1 { "field" } else { "fields" };
    format!("it has {found} {fields} where {expected} are expected")
}
