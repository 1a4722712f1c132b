//! Landing by key: which of the rows that come are the newest of their keys, and which rows leave for them.
//!
//! Rows are staged as they come. The newest operation on each key is kept in mind by the key's hash (about 100 bytes a
//! key), so that at the end the staged rows that others have overtaken are taken out of their files, and the stored rows of
//! all these keys out of theirs. Both happen before the one commit.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch},
    compute::filter_record_batch,
    datatypes::{DataType, Int64Type, SchemaRef},
};
use datafusion::{
    common::ScalarValue,
    functions_aggregate::min_max::{MaxAccumulator, MinAccumulator},
    logical_expr::{Accumulator, Expr, utils::conjunction},
    prelude::{ident, lit},
};
use futures::TryStreamExt;
use millstream_lake::{DataFile, LakeTable, Snapshot, StagedFile};
use millstream_quality::{Contract, Restored, RowKey, RowKeys, rejected_schema};
use millstream_types::{SEQUENCE, TableName};

use super::operations::Removals;
use crate::{EngineError, engine::World, stored, superseded::Superseded, writers::Writers};

/// The place of an operation in a landing: the number of its part, and its position there.
type Place = (usize, i64);

/// The newest operation on a key so far.
#[derive(Clone, Copy, Debug)]
struct Newest {
    at: Place,
    /// The sequence of the row that the operation put; `None` where it deleted the row.
    sequence: Option<i64>,
}

/// What a landing has done to keys so far.
pub(super) struct Merge {
    table: TableName,
    key: RowKey,
    newest: HashMap<u128, Newest>,
    /// Sequences of staged rows that are not the newest of their keys any more.
    overtaken: Vec<i64>,
    /// The last operation that took away every row.
    truncated: Option<Place>,
    /// The parts in the order in which they are read.
    parts: Vec<String>,
    bounds: Vec<Option<Bounds>>,
}

/// The least and the greatest value of a key's column.
struct Bounds(MinAccumulator, MaxAccumulator);

/// What stays of staged files.
pub(super) struct Kept {
    pub files: Vec<StagedFile>,
    /// The rows that were taken out. They are counted by the operations that overtook them, not by the files, so that a row which
    /// a file has lost is missed.
    pub overtaken: u64,
}

/// What a landing did to keys, once all of it is read.
#[derive(Clone)]
pub(super) struct Merged {
    table: TableName,
    key: RowKey,
    newest: Arc<HashMap<u128, Newest>>,
    truncated: Option<Place>,
    parts: Arc<Vec<String>>,
    /// True for every stored row that has one of the keys; `None` where statistics of files cannot tell.
    near: Option<Expr>,
}

impl Merge {
    /// `None` where the contract does not check that `key` is unique.
    pub(super) fn new(table: &TableName, contract: &Contract, key: &[String]) -> Option<Self> {
        let key = RowKey::of(contract, key)?;
        let bounds = key.names().iter().map(|name| {
            let data_type = contract.schema().field_with_name(name).ok()?.data_type();
            let (min, max) = (MinAccumulator::try_new(data_type), MaxAccumulator::try_new(data_type));
            has_bounds(data_type).then(|| Some(Bounds(min.ok()?, max.ok()?))).flatten()
        });
        Some(Self {
            table: table.clone(),
            bounds: bounds.collect(),
            key,
            newest: HashMap::new(),
            overtaken: Vec::new(),
            truncated: None,
            parts: Vec::new(),
        })
    }

    pub(super) fn key(&self) -> &RowKey {
        &self.key
    }

    /// The operations that follow are those of `part`.
    pub(super) fn begin(&mut self, part: &str) {
        self.parts.push(part.to_owned());
    }

    /// Takes the operations of a block: rows that were accepted, numbered from `first` on, and keys that leave.
    pub(super) fn take(
        &mut self,
        rows: &RecordBatch,
        positions: &Int64Array,
        first: i64,
        removals: &Removals,
    ) -> Result<(), EngineError> {
        enum Work {
            Truncate,
            Remove(u128),
            Put(u128, i64),
        }
        let came = self.key.read(rows).map_err(|source| self.quality(source))?;
        self.widen_bounds(&came)?;
        let put = came.keys.iter().zip(positions.values()).zip(first..);
        let put = put.filter_map(|((key, at), sequence)| Some((*at, Work::Put((*key)?, sequence))));
        // What an update removes and what it puts stand at one position, and the removal is first.
        let mut work: Vec<(i64, Work)> = removals.truncates.iter().map(|at| (*at, Work::Truncate)).collect();
        for (positions, removed) in &removals.keys {
            self.widen_bounds(removed)?;
            let removed = removed.keys.iter().zip(positions.values());
            work.extend(removed.filter_map(|(key, at)| Some((*at, Work::Remove((*key)?)))));
        }
        work.extend(put);
        work.sort_by_key(|(at, _)| *at);
        let part = self.parts.len();
        for (position, work) in work {
            let at = (part, position);
            match work {
                Work::Truncate => {
                    self.overtaken.extend(self.newest.drain().filter_map(|(_, newest)| newest.sequence));
                    self.truncated = Some(at);
                }
                Work::Remove(key) => self.put(key, Newest { at, sequence: None }),
                Work::Put(key, sequence) => self.put(key, Newest { at, sequence: Some(sequence) }),
            }
        }
        Ok(())
    }

    fn put(&mut self, key: u128, newest: Newest) {
        let before = self.newest.insert(key, newest);
        self.overtaken.extend(before.and_then(|before| before.sequence));
    }

    fn widen_bounds(&mut self, keys: &RowKeys) -> Result<(), EngineError> {
        for (bounds, column) in self.bounds.iter_mut().zip(&keys.columns) {
            if let Some(Bounds(min, max)) = bounds {
                let column: &[ArrayRef] = std::slice::from_ref(column);
                let widened = min.update_batch(column).and_then(|()| max.update_batch(column));
                widened.map_err(|source| stored::failed(&self.table, source))?;
            }
        }
        Ok(())
    }

    /// Takes the rows that others have overtaken out of the staged `files`.
    pub(super) async fn finish(
        mut self,
        world: &World,
        schema: &SchemaRef,
        mut files: Vec<StagedFile>,
    ) -> Result<(Merged, Kept), EngineError> {
        let overtaken = self.overtaken.len() as u64;
        self.overtaken.sort_unstable();
        let touched: Vec<_> =
            files.extract_if(.., |file| may_hold_any(file.file(), &self.overtaken)).collect();
        if !touched.is_empty() {
            let data = touched.iter().map(DataFile::from).collect();
            let newest = |batch: &RecordBatch| without_sequences(&self.table, batch, &self.overtaken);
            let rewritten = rewritten(world, &self.table, schema, data, newest).await;
            world.lake.discard(touched).await;
            match rewritten {
                Ok(rewritten) => files.extend(rewritten),
                Err(error) => {
                    world.lake.discard(files).await;
                    return Err(error);
                }
            }
        }
        let near = self.near()?;
        let merged = Merged {
            table: self.table,
            key: self.key,
            newest: Arc::new(self.newest),
            truncated: self.truncated,
            parts: Arc::new(self.parts),
            near,
        };
        Ok((merged, Kept { files, overtaken }))
    }

    fn near(&mut self) -> Result<Option<Expr>, EngineError> {
        let mut near = Vec::new();
        for (name, bounds) in self.key.names().iter().zip(&mut self.bounds) {
            let Some(Bounds(min, max)) = bounds else { continue };
            let failed = |source| stored::failed(&self.table, source);
            let (min, max) = (min.evaluate().map_err(failed)?, max.evaluate().map_err(failed)?);
            if !min.is_null() && !max.is_null() {
                near.push(ident(name).gt_eq(lit(min)).and(ident(name).lt_eq(lit(max))));
            }
        }
        Ok(conjunction(near))
    }

    fn quality(&self, source: millstream_quality::QualityError) -> EngineError {
        EngineError::Quality { table: self.table.clone(), source }
    }
}

impl Merged {
    /// Whether every row that was stored before is gone.
    pub(super) fn is_anew(&self) -> bool {
        self.truncated.is_some()
    }

    /// The files of `base` that hold a row with one of the keys.
    pub(super) async fn files(
        &self,
        world: &World,
        base: &Snapshot,
    ) -> Result<BTreeSet<String>, EngineError> {
        let mut found = BTreeSet::new();
        if self.newest.is_empty() {
            return Ok(found);
        }
        let near = match &self.near {
            Some(near) => LakeTable::files_matching(world.sql.runtime().session(), base, near)?,
            None => base.files().to_vec(),
        };
        for file in near {
            let path = file.path().to_owned();
            let rows = LakeTable::new(&world.lake, base.schema(), vec![file])?;
            let mut rows = stored::scan(world, &self.table, rows, self.key.names(), None).await?;
            while let Some(batch) =
                rows.try_next().await.map_err(|source| stored::failed(&self.table, source))?
            {
                if self.is_meant(&batch)?.true_count() > 0 {
                    found.insert(path);
                    break;
                }
            }
        }
        Ok(found)
    }

    /// The stored rows that stay.
    pub(super) fn without(&self, rows: &RecordBatch) -> Result<RecordBatch, EngineError> {
        let stays = arrow::compute::not(&self.is_meant(rows)?);
        stays
            .and_then(|stays| filter_record_batch(rows, &stays))
            .map_err(|source| EngineError::Compute { table: self.table.clone(), source })
    }

    /// True for each row that has one of the keys.
    fn is_meant(&self, rows: &RecordBatch) -> Result<BooleanArray, EngineError> {
        let keys = self.keys(rows)?;
        let is_meant = |key: &Option<u128>| Some(key.is_some_and(|key| self.newest.contains_key(&key)));
        Ok(keys.iter().map(is_meant).collect())
    }

    fn keys(&self, rows: &RecordBatch) -> Result<Vec<Option<u128>>, EngineError> {
        let read = self.key.read(rows);
        Ok(read.map_err(|source| EngineError::Quality { table: self.table.clone(), source })?.keys)
    }

    /// The rejected rows of earlier landings that an operation of this one has overtaken.
    pub(super) fn superseded(&self) -> Superseded {
        let merged = self.clone();
        let gone = move |restored: &Restored| match merged.is_anew() {
            true => Ok(vec![true; restored.rows.num_rows()].into()),
            false => merged.is_meant(&restored.rows),
        };
        Superseded::by(&self.table, Box::new(gone))
    }

    /// Takes the rejected rows that a later operation of the same landing has overtaken out of the staged `files`: what stays
    /// does not depend on where one landing ends and the next begins.
    pub(super) async fn without_overtaken(
        &self,
        world: &World,
        files: Vec<StagedFile>,
    ) -> Result<Kept, EngineError> {
        if files.is_empty() || (self.newest.is_empty() && !self.is_anew()) {
            return Ok(Kept { files, overtaken: 0 });
        }
        let merged = self.clone();
        let gone = move |restored: &Restored| merged.overtakes(restored);
        let superseded = Superseded::by(&self.table, Box::new(gone));
        let rejected = self.table.rejected();
        let data = files.iter().map(DataFile::from).collect();
        let overtaken = AtomicU64::new(0);
        let stays = |batch: &RecordBatch| {
            let stays = superseded.without(batch)?;
            let gone = batch.num_rows().saturating_sub(stays.num_rows());
            overtaken.fetch_add(gone as u64, Ordering::Relaxed);
            Ok(stays)
        };
        let kept = rewritten(world, &rejected, &rejected_schema(), data, stays).await;
        world.lake.discard(files).await;
        Ok(Kept { files: kept?, overtaken: overtaken.into_inner() })
    }

    fn overtakes(&self, restored: &Restored) -> Result<BooleanArray, EngineError> {
        let keys = self.keys(&restored.rows)?;
        let overtaken = |row: usize, key: &Option<u128>| {
            let source = restored.sources.value(row);
            let part = self.parts.iter().position(|part| part == source)?;
            // Parts are numbered from one on, as they begin.
            let at = (part + 1, restored.positions.value(row));
            let newest = key.and_then(|key| self.newest.get(&key)).map(|newest| newest.at);
            newest.max(self.truncated).map(|newest| newest > at)
        };
        Ok(keys.iter().enumerate().map(|(row, key)| Some(overtaken(row, key).unwrap_or(false))).collect())
    }
}

/// The rows of `files` that `stays` gives back, in new files.
async fn rewritten(
    world: &World,
    table: &TableName,
    schema: &SchemaRef,
    files: Vec<DataFile>,
    stays: impl Fn(&RecordBatch) -> Result<RecordBatch, EngineError>,
) -> Result<Vec<StagedFile>, EngineError> {
    let columns: Vec<_> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let rows = LakeTable::new(&world.lake, schema.clone(), files)?;
    let mut rows = stored::scan(world, table, rows, &columns, None).await?;
    let mut writers = Writers::new(&world.lake, table, schema.clone(), world.options.parallelism.get());
    while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(table, source))? {
        writers.write(stays(&batch)?).await?;
    }
    writers.finish().await
}

/// The rows whose sequences are not among these, which ascend.
fn without_sequences(
    table: &TableName,
    rows: &RecordBatch,
    sequences: &[i64],
) -> Result<RecordBatch, EngineError> {
    let Some(own) = rows.column_by_name(SEQUENCE).and_then(|own| own.as_primitive_opt::<Int64Type>()) else {
        return Ok(rows.clone());
    };
    let stays = own.iter().map(|own| Some(own.is_none_or(|own| sequences.binary_search(&own).is_err())));
    filter_record_batch(rows, &stays.collect())
        .map_err(|source| EngineError::Compute { table: table.clone(), source })
}

/// Whether the file's statistics allow one of the sequences, which ascend.
fn may_hold_any(file: &DataFile, sequences: &[i64]) -> bool {
    let bounds = file.column(SEQUENCE, &DataType::Int64);
    match (bounds.min, bounds.max) {
        (Some(ScalarValue::Int64(Some(min))), Some(ScalarValue::Int64(Some(max)))) => {
            let first = sequences.partition_point(|sequence| *sequence < min);
            sequences.get(first).is_some_and(|sequence| *sequence <= max)
        }
        _ => !sequences.is_empty(),
    }
}

/// Types with an order that files keep statistics for. Floats have NaN, which statistics leave out.
fn has_bounds(data_type: &DataType) -> bool {
    data_type.is_integer()
        || data_type.is_temporal()
        || data_type.is_decimal()
        || *data_type == DataType::Utf8
}
