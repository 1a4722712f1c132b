//! What a dataset is made of, once names are numbers and types are known. Nothing here reads or writes.

use std::{num::NonZeroUsize, path::PathBuf};

use arrow::datatypes::SchemaRef;
use millstream_features::{encode::Encoding, view::ServiceDefinition};
use millstream_types::{Span, TimestampMicros};
use serde::{Deserialize, Serialize};

/// One build of a dataset.
#[derive(Clone, Debug)]
pub struct DatasetPlan {
    pub name: String,
    pub labels: LabelColumns,
    /// The features of the output, in order. A dataset that names features by itself has a service of its own.
    pub service: ServiceDefinition,
    pub split: Option<SplitPlan>,
    pub encodings: Vec<ColumnEncoding>,
    /// The versions of the tables that labels and events are read from.
    pub inputs: Vec<InputVersion>,
    /// What computed the values, as in `millstream 0.1.0`.
    pub code_version: String,
    /// The Parquet file; the manifest is written beside it. An older pair is replaced.
    pub output: PathBuf,
    /// `output` is a folder instead, in which the file is named by the hash of its bytes: no version takes another's place.
    pub named_by_hash: bool,
    /// The present time; labels with a later time are reported.
    pub now: TimestampMicros,
    pub resources: Resources,
}

/// What a build may use. None of it changes a value or a byte of the output.
#[derive(Clone, Debug)]
pub struct Resources {
    /// The memory for rows, in bytes; rows beyond it go to the spill folder. Buffers of readers and writers come on top.
    pub memory_bytes: usize,
    /// An existing folder; what is put there is removed at the end, also after an error.
    pub spill: PathBuf,
    pub threads: NonZeroUsize,
}

/// The label rows and what their columns mean. Columns are named by number.
#[derive(Clone, Debug)]
pub struct LabelColumns {
    /// The table's name, the query or the file, for messages and for the manifest.
    pub origin: String,
    /// The [`file_blake3`](super::file_blake3) of the file that the label rows are read from, if it is one; tables are
    /// among the inputs.
    pub blake3: Option<String>,
    pub schema: SchemaRef,
    /// For each view of the service, the columns that hold its key, in the order of the key.
    pub keys: Vec<Vec<usize>>,
    pub time: usize,
    pub as_known: Option<AsKnown>,
    /// The label columns that the output has, in the order of the label rows' columns.
    pub kept: Vec<usize>,
    /// What a model will learn to predict: kept columns that no feature may give away.
    pub targets: Vec<usize>,
}

/// The time up to which an event must have been known, so that a label sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AsKnown {
    /// Up to the time in this column of the labels.
    Column(usize),
    /// Up to one instant, in microseconds.
    At(i64),
    /// Up to the label's own time.
    LabelTime,
}

/// Encodings of one column of the output, applied one after the other and fitted on the training side, or on all rows
/// without a split. The columns that they give stand in the place of the column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnEncoding {
    pub column: String,
    pub encodings: Vec<Encoding>,
    /// The column of the output that a target encoding looks at.
    pub target: Option<String>,
}

/// A table and the version of it that was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InputVersion {
    pub table: String,
    pub version: i64,
}

/// How rows are divided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitPlan {
    pub by: SplitBy,
    pub shares: Shares,
}

/// How a row's side is decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitBy {
    /// The oldest rows train, the newest test. Rows of one time are on one side. Rows less than `embargo` before the
    /// next side begins are on none.
    Time { embargo: Option<Span> },
    /// By a hash of these label columns, as text: an entity is on one side, and on the same in every version of the
    /// dataset. Rows without a key are one entity. This is also how rows are split by chance when no entity may be on
    /// two sides.
    Hash { columns: Vec<usize>, seed: u64 },
    /// Each row for itself, by its number among the label rows.
    Random { seed: u64 },
}

/// Fractions of the rows; they add up to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    pub train: f64,
    pub validation: f64,
    pub test: f64,
}
