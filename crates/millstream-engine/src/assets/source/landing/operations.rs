//! What the source did to its rows, taken apart: rows that come, keys that leave. Pure.

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch},
    compute::{filter, filter_record_batch},
    datatypes::Int64Type,
    error::ArrowError,
};
use millstream_connector::{ConnectorError, Operation, Operations, Positions, SourceBatch};
use millstream_project::SourceSpec;
use millstream_quality::{RowKey, RowKeys};

use super::source_error;
use crate::EngineError;

/// The keys that leave in a block, because their rows were deleted, or because an update gave these another key.
#[derive(Debug, Default)]
pub(super) struct Removals {
    /// Keys with the positions of the operations that said so; both ascend.
    pub keys: Vec<(Int64Array, RowKeys)>,
    /// The positions at which every row left.
    pub truncates: Vec<i64>,
}

impl Removals {
    /// The number of rows of the source that came to take keys away or to empty the table, and brought none.
    pub(super) fn rows(&self) -> u64 {
        // The keys of deletions come first; those of updates belong to rows that come too.
        let deleted = self.keys.first().map_or(0, |(positions, _)| positions.len());
        (self.truncates.len() + deleted) as u64
    }

    /// The number of rows of the source that took keys away or emptied the table.
    pub(super) fn len(&self) -> usize {
        self.truncates.len() + self.keys.iter().map(|(positions, _)| positions.len()).sum::<usize>()
    }
}

/// Takes a block apart. `key` is the key by which the source's rows are merged. Without a key, rows are only added, and a
/// source that does anything else to its rows is refused.
pub(super) fn split(
    mut batch: SourceBatch,
    key: Option<&RowKey>,
    source: &SourceSpec,
    part: &str,
) -> Result<(SourceBatch, Removals), EngineError> {
    let Some(operations) = batch.operations.take() else { return Ok((batch, Removals::default())) };
    check_lengths(&batch, &operations, source, part)?;
    let Some(key) = key else {
        let other = operations.kinds.iter().find(|kind| **kind != Operation::Insert);
        return other.map_or_else(|| Ok((batch, Removals::default())), |kind| Err(refused(*kind, source)));
    };
    let compute = |error| EngineError::Compute { table: source.table(), source: error };
    let quality = |error| EngineError::Quality { table: source.table(), source: error };
    let positions = batch.positions.to_array(batch.rows.num_rows());
    let known = key.read(&batch.rows).map_err(quality)?.keys;
    // A deletion whose key cannot be read goes the way of all rows: the contract rejects it, so that it is seen.
    let leaves = |(kind, key): (&Operation, &Option<u128>)| *kind == Operation::Delete && key.is_some();
    let leaving: BooleanArray = operations.kinds.iter().zip(&known).map(|row| Some(leaves(row))).collect();
    let coming = operations.kinds.iter().zip(&known);
    let coming: BooleanArray =
        coming.map(|row| Some(!leaves(row) && *row.0 != Operation::Truncate)).collect();
    let mut removals = Removals::default();
    let truncates = operations.kinds.iter().enumerate().filter(|(_, kind)| **kind == Operation::Truncate);
    removals.truncates = truncates.map(|(row, _)| batch.positions.get(row)).collect();
    let (rows, at) = taken(&batch.rows, &positions, &leaving).map_err(compute)?;
    removals.keys.push((at, key.read(&rows).map_err(quality)?));
    if let Some(before) = &operations.before {
        let known = key.read(before).map_err(quality)?.keys;
        let has_key = |(kind, key): (&Operation, &Option<u128>)| *kind == Operation::Update && key.is_some();
        let updated = operations.kinds.iter().zip(&known).map(|row| Some(has_key(row))).collect();
        let (rows, at) = taken(before, &positions, &updated).map_err(compute)?;
        removals.keys.push((at, key.read(&rows).map_err(quality)?));
    }
    let (rows, at) = taken(&batch.rows, &positions, &coming).map_err(compute)?;
    Ok((SourceBatch { rows, positions: Positions::Each(at), ..batch }, removals))
}

fn taken(
    rows: &RecordBatch,
    positions: &Int64Array,
    mask: &BooleanArray,
) -> Result<(RecordBatch, Int64Array), ArrowError> {
    let positions: ArrayRef = filter(positions, mask)?;
    Ok((filter_record_batch(rows, mask)?, positions.as_primitive::<Int64Type>().clone()))
}

fn check_lengths(
    batch: &SourceBatch,
    operations: &Operations,
    source: &SourceSpec,
    part: &str,
) -> Result<(), EngineError> {
    let rows = batch.rows.num_rows();
    let before = operations.before.as_ref().map_or(rows, RecordBatch::num_rows);
    if operations.kinds.len() == rows && before == rows {
        return Ok(());
    }
    let reason = format!(
        "its connector gave {} operations and {before} rows from before them for {rows} rows",
        operations.kinds.len()
    );
    Err(source_error(source, ConnectorError::Broken { part: part.to_owned(), reason }))
}

fn refused(kind: Operation, source: &SourceSpec) -> EngineError {
    EngineError::Refused {
        table: source.table(),
        message: format!("appends its rows, and its source sends the operation `{}`", kind.as_str()),
        hint: format!(
            "write `landing: merge` and a `key` in the contract of source `{}`, then run it with `--full-refresh`",
            source.name
        ),
    }
}
