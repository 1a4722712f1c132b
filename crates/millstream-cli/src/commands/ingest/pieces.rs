//! The input in pieces that are taken in one by one. Where they are cut depends on the input alone, not on how it arrives, so that
//! whoever sends the same input again sends the same pieces.

use std::{io::Read, path::PathBuf};

use super::Format;
use crate::CliError;

/// A piece of lines ends with the first line after which it has so many bytes, or so many lines.
const PIECE_BYTES: usize = 1 << 20;
const PIECE_LINES: usize = 10_000;

/// The most bytes of a line, and of an input that cannot be cut.
const WHOLE_BYTES_MAX: usize = 64 << 20;

/// How much is read at once.
const CHUNK: u64 = 256 << 10;

/// A part of the input with whole events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The byte of the input at which it begins.
    pub at: u64,
    pub bytes: Vec<u8>,
}

/// The pieces of an input, one after the other.
pub(super) struct Pieces<R> {
    input: R,
    format: Format,
    /// The input's name, for messages.
    name: PathBuf,
    at: u64,
    /// What was read and is not in a piece yet.
    rest: Vec<u8>,
    /// So many bytes of the rest were looked through, and have so many lines.
    seen: (usize, usize),
    is_over: bool,
}

impl<R: Read> Pieces<R> {
    pub(super) fn new(input: R, format: Format, name: PathBuf) -> Self {
        Self { input, format, name, at: 0, rest: Vec::new(), seen: (0, 0), is_over: false }
    }

    /// Reads on; false at the end of the input.
    fn fill(&mut self) -> Result<bool, CliError> {
        let read = self.input.by_ref().take(CHUNK).read_to_end(&mut self.rest);
        Ok(read.map_err(CliError::file("read", &self.name))? > 0)
    }

    fn next_piece(&mut self) -> Result<Option<Piece>, CliError> {
        loop {
            if let Some(end) = self.end() {
                return Ok(Some(self.cut(end)));
            }
            if self.rest.len() > WHOLE_BYTES_MAX {
                let most = WHOLE_BYTES_MAX >> 20;
                let (message, hint) = match self.format {
                    Format::Ndjson => (format!("a line has more than {most} MiB"), None),
                    _ => (
                        format!("the input has more than {most} MiB and cannot be cut"),
                        Some("write the events as JSON lines, of which any number is taken".to_owned()),
                    ),
                };
                return Err(CliError::call(message, hint));
            }
            if !self.fill()? {
                self.is_over = true;
                let end = self.rest.len();
                return Ok((end > 0).then(|| self.cut(end)));
            }
        }
    }

    /// Where the next piece ends, if that is known.
    fn end(&mut self) -> Option<usize> {
        if self.format != Format::Ndjson {
            return None;
        }
        let (mut from, mut lines) = self.seen;
        while let Some(length) = self.rest.get(from..)?.iter().position(|byte| *byte == b'\n') {
            from += length + 1;
            lines += 1;
            if from >= PIECE_BYTES || lines >= PIECE_LINES {
                return Some(from);
            }
            self.seen = (from, lines);
        }
        None
    }

    fn cut(&mut self, end: usize) -> Piece {
        let rest = self.rest.split_off(end);
        let bytes = std::mem::replace(&mut self.rest, rest);
        let at = self.at;
        self.at += bytes.len() as u64;
        self.seen = (0, 0);
        Piece { at, bytes }
    }
}

impl<R: Read> Iterator for Pieces<R> {
    type Item = Result<Piece, CliError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let piece = self.next_piece().transpose();
        self.is_over |= !matches!(piece, Some(Ok(_)));
        piece
    }
}
