//! Moves a text file's bytes from its input into blocks that end where records end.

use std::io::Read;

use encoding_rs::{Encoding, UTF_8};
use memchr::memchr_iter;
use millstream_connector::{Block, ConnectorError, MalformedRow, Positions, SourceBatch};
use tokio::sync::mpsc::Sender;

use super::input::{Input, io_error};

/// A longer record is refused: it would have to be held in memory as a whole.
pub(crate) const RECORD_BYTES_MAX: usize = 64 << 20;

/// How many blocks may wait between the reading thread and the caller.
pub(super) const BLOCKS_QUEUED_MAX: usize = 2;

/// Where a buffer can be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The start of the first record that is not whole.
    pub(crate) end: usize,
    /// Whether the end of a record was decided by the end of the file, so that more data could decide otherwise.
    pub(crate) unsure: bool,
}

/// Finds where a format's records end.
pub(crate) trait Splitter: Send {
    /// The place where `data`, which starts where a record starts, can be cut. `at_end` says that nothing follows it.
    fn cut(&self, data: &[u8], at_end: bool) -> Cut;
}

/// The splitter of a format in which each line is a record.
#[derive(Debug)]
pub(super) struct LineSplitter {
    pub(super) line_end: u8,
}

impl Splitter for LineSplitter {
    fn cut(&self, data: &[u8], at_end: bool) -> Cut {
        let whole = memchr::memrchr(self.line_end, data).map_or(0, |index| index + 1);
        Cut { end: if at_end { data.len() } else { whole }, unsure: false }
    }
}

/// Whole records of a text file.
#[derive(Debug)]
pub(crate) struct RawBlock {
    pub(crate) part: String,
    /// The encoding that the file is written in; `data` is UTF-8 as far as the bytes were text in that encoding.
    pub(crate) encoding: &'static Encoding,
    pub(crate) data: Vec<u8>,
    /// Line number of the first byte; a file's first line is 1.
    pub(crate) first_line: i64,
    /// Rows up to this position are not wanted.
    pub(crate) after: Option<i64>,
}

impl RawBlock {
    pub(crate) fn broken(&self, reason: String) -> ConnectorError {
        ConnectorError::Broken { part: self.part.clone(), reason }
    }

    /// Sets apart a row whose bytes are not text. Those of UTF-8 files are kept, because no text can stand for them;
    /// others have been decoded up to the byte that is none.
    pub(crate) fn not_text(&self, position: i64, row: &[u8]) -> MalformedRow {
        let bytes = (self.encoding == UTF_8).then(|| row.to_vec());
        let reason = format!("it is not valid {}", self.encoding.name());
        MalformedRow { position, text: String::from_utf8_lossy(row).into_owned(), bytes, reason }
    }
}

/// What is known of a text's content once all of it has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextEnd {
    /// Line number of the text that would follow; `None` when text that follows could change what has been
    /// read already.
    pub(super) next_line: Option<i64>,
}

/// One reading of a text file.
#[derive(Debug)]
pub(super) struct TextReading<'a> {
    pub(super) part: &'a str,
    pub(super) encoding: &'static Encoding,
    pub(super) block_bytes: usize,
    pub(super) first_line: i64,
    pub(super) after: Option<i64>,
    /// The byte that ends a line.
    pub(super) line_end: u8,
    /// Bytes that were read ahead of the input, to find the header.
    pub(super) ahead: Vec<u8>,
}

impl TextReading<'_> {
    /// Sends every block; stops early, with `Ok(None)`, when nobody listens any more.
    pub(super) fn pump(
        mut self,
        input: &mut Input,
        splitter: &dyn Splitter,
        wrap: &dyn Fn(RawBlock) -> Box<dyn Block>,
        sender: &Sender<Box<dyn Block>>,
    ) -> Result<Option<TextEnd>, ConnectorError> {
        let mut line = self.first_line;
        let mut wanted = self.block_bytes;
        let mut unsure = false;
        let mut rest = std::mem::take(&mut self.ahead);
        loop {
            let mut data = Vec::with_capacity(wanted.max(rest.len()));
            data.append(&mut rest);
            let at_end = fill(self.part, input, &mut data, wanted)?;
            let cut = splitter.cut(&data, at_end);
            unsure |= cut.unsure;
            if at_end && cut.end < data.len() || !at_end && cut.end == 0 && data.len() > RECORD_BYTES_MAX {
                return Err(self.record_too_long(line));
            }
            // One byte beyond the bound proves that a record is too long.
            wanted = if cut.end == 0 { (2 * data.len()).min(RECORD_BYTES_MAX + 1) } else { self.block_bytes };
            rest.extend_from_slice(&data[cut.end..]);
            data.truncate(cut.end);
            if let Some(last) = data.last() {
                let ends_with_newline = *last == self.line_end;
                let newlines = i64::try_from(memchr_iter(self.line_end, &data).count()).unwrap_or(i64::MAX);
                let next_line = line.saturating_add(newlines);
                let last_line = if ends_with_newline { next_line - 1 } else { next_line };
                if self.after.is_none_or(|after| last_line > after) {
                    let (part, encoding) = (self.part.to_owned(), self.encoding);
                    let block = RawBlock { part, encoding, data, first_line: line, after: self.after };
                    if sender.blocking_send(wrap(block)).is_err() {
                        return Ok(None);
                    }
                }
                line = next_line;
            }
            if at_end {
                return Ok(Some(TextEnd { next_line: (!unsure).then_some(line) }));
            }
        }
    }

    fn record_too_long(&self, line: i64) -> ConnectorError {
        ConnectorError::Broken {
            part: self.part.to_owned(),
            reason: format!("the record at line {line} is longer than {} MiB", RECORD_BYTES_MAX >> 20),
        }
    }
}

/// Fills `data` up to `wanted` bytes; true at the end of the input.
pub(super) fn fill(
    part: &str,
    input: &mut Input,
    data: &mut Vec<u8>,
    wanted: usize,
) -> Result<bool, ConnectorError> {
    let mut filled = data.len();
    data.resize(wanted.max(filled), 0);
    while filled < data.len() {
        match input.read(&mut data[filled..]) {
            Ok(0) => {
                data.truncate(filled);
                return Ok(true);
            }
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io_error(part, error)),
        }
    }
    Ok(false)
}

/// Drops the rows that stand at or before `after`.
pub(super) fn keep_after(batch: SourceBatch, after: Option<i64>) -> SourceBatch {
    let Some(after) = after else { return batch };
    let rows = batch.rows.num_rows();
    let skipped = match &batch.positions {
        Positions::From(first) => {
            usize::try_from(after.saturating_add(1).saturating_sub(*first).max(0)).unwrap_or(rows).min(rows)
        }
        Positions::Each(positions) => positions.values().partition_point(|position| *position <= after),
    };
    let kept = rows - skipped;
    let positions = match batch.positions {
        Positions::From(first) => {
            Positions::From(first.saturating_add(i64::try_from(skipped).unwrap_or(i64::MAX)))
        }
        Positions::Each(positions) => Positions::Each(positions.slice(skipped, kept)),
    };
    SourceBatch {
        rows: batch.rows.slice(skipped, kept),
        positions,
        operations: None,
        arrivals: None,
        malformed: batch.malformed.into_iter().filter(|row| row.position > after).collect(),
        last_position: batch.last_position.filter(|position| *position > after),
    }
}
