//! Raw pieces of input and the rows inside them.

use std::fmt;

use arrow::array::{Int64Array, RecordBatch, TimestampMicrosecondArray};
use futures::stream::BoxStream;
use millstream_types::TimestampMicros;

use crate::{ConnectorError, Operations};

/// Blocks in the order of the source. The stream itself does IO only; decoding is the block's work.
pub type BlockStream = BoxStream<'static, Result<Box<dyn Block>, ConnectorError>>;

/// A piece of raw input that decodes by itself, without IO, on any thread.
pub trait Block: Send + fmt::Debug {
    /// Size of the raw input in bytes, for progress and for bounding memory.
    fn bytes(&self) -> usize;

    /// Decodes the rows. A row that cannot be decoded becomes a `MalformedRow`; an error is for input that
    /// is broken as a whole (a truncated Parquet file).
    fn decode(self: Box<Self>) -> Result<SourceBatch, ConnectorError>;
}

/// Decoded rows, as the source holds them.
#[derive(Clone, Debug)]
pub struct SourceBatch {
    /// Columns by the source's names. Text formats give `Utf8` for every column, holding the text as written (of
    /// lists and structs, their JSON), so that the contract alone decides what a value becomes; typed formats give
    /// their own types. An absent column is simply not in the batch.
    pub rows: RecordBatch,
    /// The position of each row of `rows`.
    pub positions: Positions,
    /// What happened to each row at the source; `None` where rows are only ever new.
    pub operations: Option<Operations>,
    /// When each row arrived and which number it has; `None` where the landing says both.
    pub arrivals: Option<Arrivals>,
    pub malformed: Vec<MalformedRow>,
    /// Highest position in the block, good or malformed; `None` when the block holds no row.
    pub last_position: Option<i64>,
}

/// When rows came into the event log, and the numbers that they have for good, whoever reads them.
#[derive(Clone, Debug)]
pub struct Arrivals {
    /// The instant of the first record of the batch, malformed ones included.
    pub since: TimestampMicros,
    /// The instant of each row in UTC, as many as the batch has rows: its `_ingested_at`.
    pub instants: TimestampMicrosecondArray,
    /// The `_sequence` of each row, as many as the batch has rows.
    pub sequences: Int64Array,
}

/// Positions of a batch's rows; ascending.
#[derive(Clone, Debug)]
pub enum Positions {
    /// Row `i` stands at `first + i`.
    From(i64),
    /// Each row's own position; as long as the batch.
    Each(Int64Array),
}

/// A row that could not be decoded at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedRow {
    pub position: i64,
    /// The original text; bytes that are not UTF-8 are replaced by U+FFFD.
    pub text: String,
    /// The original bytes where the text cannot stand for them.
    pub bytes: Option<Vec<u8>>,
    /// The reason why the row could not be decoded, as a sentence for people.
    pub reason: String,
}

impl Positions {
    /// The positions as an array for `rows` rows.
    #[must_use]
    pub fn to_array(&self, rows: usize) -> Int64Array {
        match self {
            Self::From(first) => (*first..).take(rows).collect::<Vec<_>>().into(),
            Self::Each(positions) => {
                debug_assert_eq!(positions.len(), rows, "one position for each row");
                positions.clone()
            }
        }
    }

    #[must_use]
    pub fn get(&self, row: usize) -> i64 {
        match self {
            Self::From(first) => first.saturating_add(i64::try_from(row).unwrap_or(i64::MAX)),
            Self::Each(positions) => positions.value(row),
        }
    }
}
