//! Which rows came, went and changed. Each row takes 16 bytes of memory.

use arrow::{
    array::{ArrayRef, RecordBatch},
    row::{RowConverter, SortField},
};
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
};
use xxhash_rust::xxh3::xxh3_64;

use super::{DatasetFile, MatchedRows};
use crate::{Cause, DatasetError, dataset::hash::hash_rows};

/// The hash of the values that tell a row apart, and the hash of the values that are compared.
type Row = (u64, u64);

pub(super) fn compare(
    before: &DatasetFile,
    after: &DatasetFile,
    identity: &[String],
    common: &[&str],
) -> Result<MatchedRows, DatasetError> {
    let (before, after) = (rows(before, identity, common)?, rows(after, identity, common)?);
    let (mut before, mut after) = (before.as_slice(), after.as_slice());
    let mut matched = MatchedRows::default();
    loop {
        let next = match (before.first(), after.first()) {
            (Some(one), Some(other)) => one.0.min(other.0),
            (Some(one), None) | (None, Some(one)) => one.0,
            (None, None) => return Ok(matched),
        };
        let (old, new) = (run(&mut before, next), run(&mut after, next));
        matched.changed += old.iter().zip(new).filter(|(old, new)| old != new).count() as u64;
        matched.added += new.len().saturating_sub(old.len()) as u64;
        matched.removed += old.len().saturating_sub(new.len()) as u64;
    }
}

/// Takes the rows of one identity from the front.
fn run<'a>(rows: &mut &'a [Row], identity: u64) -> &'a [Row] {
    let length = rows.iter().take_while(|row| row.0 == identity).count();
    let (run, rest) = rows.split_at(length);
    *rows = rest;
    run
}

/// The rows by identity, those of one identity in the order of the file.
fn rows(file: &DatasetFile, identity: &[String], common: &[&str]) -> Result<Vec<Row>, DatasetError> {
    let mut rows = Vec::new();
    for batch in batches(file, common)? {
        let batch = batch.map_err(|source| unreadable(file, source.into()))?;
        let columns = |names: &mut dyn Iterator<Item = &str>| -> Vec<ArrayRef> {
            names.filter_map(|name| batch.column_by_name(name).cloned()).collect()
        };
        let keys = columns(&mut identity.iter().map(String::as_str));
        // The values are taken in the order of `common`, since the two files may have their columns in different orders.
        let values = columns(&mut common.iter().copied());
        let identities = hash_rows(&keys, batch.num_rows(), 0)?;
        rows.extend(identities.into_iter().zip(contents(&values)?));
    }
    rows.sort_by_key(|(identity, _)| *identity);
    Ok(rows)
}

fn contents(columns: &[ArrayRef]) -> Result<Vec<u64>, DatasetError> {
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields).and_then(|converter| converter.convert_columns(columns));
    let rows = rows.map_err(DatasetError::arrow("compare rows"))?;
    Ok(rows.iter().map(|row| xxh3_64(row.data())).collect())
}

/// The file's rows with these columns only.
pub(super) fn batches(
    file: &DatasetFile,
    columns: &[&str],
) -> Result<ParquetRecordBatchReader, DatasetError> {
    let handle = std::fs::File::open(&file.data).map_err(|source| unreadable(file, source.into()))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(handle);
    let builder = builder.map_err(|source| unreadable(file, source.into()))?;
    let fields = builder.schema().fields().iter().enumerate();
    let wanted = fields.filter(|(_, field)| columns.contains(&field.name().as_str())).map(|(at, _)| at);
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.collect::<Vec<_>>());
    builder
        .with_projection(mask)
        .with_batch_size(8_192)
        .build()
        .map_err(|source| unreadable(file, source.into()))
}

pub(super) fn unreadable(file: &DatasetFile, source: Cause) -> DatasetError {
    DatasetError::Unreadable { path: file.data.clone(), source }
}

/// The only column of a batch.
pub(super) fn only(batch: &RecordBatch) -> Option<&ArrayRef> {
    batch.columns().first()
}
