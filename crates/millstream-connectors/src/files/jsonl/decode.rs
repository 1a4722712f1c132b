//! Turns a block of JSON lines into columns.

use std::{ops::Range, sync::Arc};

use arrow::{array::Int64Array, error::ArrowError};
use memchr::memchr;
use millstream_connector::{Block, ConnectorError, MalformedRow, Positions, SourceBatch};

use crate::{
    files::pump::{RawBlock, keep_after},
    json::JsonRows,
};

/// Whole lines of one file, and what is needed to decode them.
#[derive(Debug)]
pub(crate) struct JsonBlock {
    pub(crate) raw: RawBlock,
    pub(crate) format: Arc<JsonFormat>,
}

/// What all blocks of one file share.
#[derive(Debug)]
pub(crate) struct JsonFormat {
    /// Names of the table's columns, which most lines can be expected to hold.
    columns: Vec<String>,
    /// The byte that ends a line: a carriage return where a file knows no other line end.
    line_end: u8,
}

impl JsonFormat {
    pub(crate) fn new(columns: &[millstream_types::Field], line_end: u8) -> Self {
        Self { columns: columns.iter().map(|field| field.name.clone()).collect(), line_end }
    }
}

impl Block for JsonBlock {
    fn bytes(&self) -> usize {
        self.raw.data.len()
    }

    fn decode(self: Box<Self>) -> Result<SourceBatch, ConnectorError> {
        let mut lines = Lines::new(&self.format, &self.raw);
        // Checked once for the whole block; only a block that fails is checked line by line.
        match std::str::from_utf8(&self.raw.data) {
            Ok(text) => lines.run(&self.raw, |line| text.get(line)),
            Err(_) => {
                let data = &self.raw.data;
                lines.run(&self.raw, |line| data.get(line).and_then(|bytes| std::str::from_utf8(bytes).ok()));
            }
        }
        let batch = lines.finish().map_err(|error| self.raw.broken(error.to_string()))?;
        Ok(keep_after(batch, self.raw.after))
    }
}

struct Lines {
    rows: JsonRows,
    line_end: u8,
    line: i64,
    positions: Vec<i64>,
    malformed: Vec<MalformedRow>,
}

impl Lines {
    fn new(format: &JsonFormat, raw: &RawBlock) -> Self {
        let line_bytes = memchr(format.line_end, &raw.data).map_or(raw.data.len(), |index| index + 1).max(16);
        let rows_guess = raw.data.len() / line_bytes + raw.data.len() / line_bytes / 8 + 1;
        let bytes_guess = raw.data.len() / (2 * format.columns.len().max(1));
        Self {
            rows: JsonRows::new(format.columns.iter().cloned(), rows_guess, bytes_guess),
            line_end: format.line_end,
            line: raw.first_line,
            positions: Vec::with_capacity(rows_guess),
            malformed: Vec::new(),
        }
    }

    /// `text` gives a range of the data as text, or nothing when it is not UTF-8.
    fn run<'a>(&mut self, raw: &'a RawBlock, text: impl Fn(Range<usize>) -> Option<&'a str>) {
        let data = raw.data.as_slice();
        let mut start = 0;
        while start < data.len() {
            let end = memchr(self.line_end, &data[start..]).map_or(data.len(), |index| start + index);
            match text(start..end) {
                Some(line) if line.trim_ascii().is_empty() => {}
                Some(line) => match self.rows.add(line) {
                    Ok(()) => self.positions.push(self.line),
                    Err(reason) => self.give_up(line.trim_end_matches('\r').to_owned(), reason),
                },
                None => {
                    let line = &data[start..end];
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    self.malformed.push(raw.not_text(self.line, line));
                }
            }
            self.line += 1;
            start = end + 1;
        }
    }

    fn give_up(&mut self, text: String, reason: String) {
        self.malformed.push(MalformedRow { position: self.line, text, bytes: None, reason });
    }

    fn finish(self) -> Result<SourceBatch, ArrowError> {
        let rows = self.rows.finish()?;
        let (positions, malformed) = (self.positions, self.malformed);
        let last_position = positions.last().copied().max(malformed.last().map(|row| row.position));
        Ok(SourceBatch {
            rows,
            positions: compact(positions),
            operations: None,
            arrivals: None,
            malformed,
            last_position,
        })
    }
}

/// Ascending positions; a run without a gap is kept as its start.
fn compact(positions: Vec<i64>) -> Positions {
    match (positions.first(), positions.last()) {
        (Some(first), Some(last))
            if usize::try_from(last - first).is_ok_and(|gap| gap + 1 == positions.len()) =>
        {
            Positions::From(*first)
        }
        _ => Positions::Each(Int64Array::from(positions)),
    }
}
