//! Rows that do not fit into memory, divided so that equal keys stay together, and answers put back in order.

use std::sync::Arc;

use arrow::{
    array::{AsArray, RecordBatch, UInt32Array},
    compute::{concat_batches, interleave_record_batch, take_record_batch},
    datatypes::{Int64Type, SchemaRef},
};
use millstream_features::asof::{KeyColumn, partitions};
use millstream_spool::{Batches, Space, Spool, SpoolError, SpoolWriter, size_of};

use crate::DatasetError;

/// Into how many parts rows are divided at once: so many files are open at a time.
pub(crate) const FAN_OUT: u32 = 64;
/// How often a part that is still too large is divided again: 64 to the power of 4 parts.
pub(crate) const LEVELS_MAX: u32 = 4;

/// Divides rows by their key, the first columns of each batch. Rows keep their order within a part.
pub(crate) struct Partitioner<'a> {
    view: &'a str,
    keys: &'a [KeyColumn],
    /// How deep this division is, from 1 on. Each level looks at other bits of the key's hash.
    level: u32,
    schema: SchemaRef,
    writers: Vec<SpoolWriter>,
    /// Rows of each part that wait to be written together.
    pending: Vec<Vec<RecordBatch>>,
    pending_bytes: usize,
    pending_bytes_max: usize,
}

impl<'a> Partitioner<'a> {
    pub(crate) fn new(
        view: &'a str,
        keys: &'a [KeyColumn],
        level: u32,
        schema: &SchemaRef,
        space: &Arc<Space>,
        pending_bytes_max: usize,
    ) -> Result<Self, DatasetError> {
        let writer = || {
            let mut writer = SpoolWriter::new(space, Arc::clone(schema));
            writer.spill().map(|()| writer)
        };
        Ok(Self {
            view,
            keys,
            level,
            schema: Arc::clone(schema),
            writers: (0..FAN_OUT).map(|_| writer()).collect::<Result<_, SpoolError>>()?,
            pending: vec![Vec::new(); FAN_OUT as usize],
            pending_bytes: 0,
            pending_bytes_max,
        })
    }

    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<(), DatasetError> {
        let rows = batch.num_rows();
        let keys = batch.columns().get(..self.keys.len()).unwrap_or_default();
        let below = FAN_OUT.pow(self.level - 1);
        let parts = partitions(self.keys, keys, rows, below * FAN_OUT)
            .map_err(|source| DatasetError::Join { view: self.view.into(), source: source.into() })?;
        let mut order: Vec<(u32, u32)> = parts.iter().map(|part| part / below).zip(0..).collect();
        order.sort_unstable();
        let indices = UInt32Array::from_iter_values(order.iter().map(|(_, row)| *row));
        let sorted = take_record_batch(batch, &indices).map_err(DatasetError::arrow("divide rows"))?;
        let mut start = 0;
        for same in order.chunk_by(|(one, _), (other, _)| one == other) {
            let part = same.first().map_or(0, |(part, _)| *part as usize);
            if let Some(pending) = self.pending.get_mut(part) {
                pending.push(sorted.slice(start, same.len()));
            }
            start += same.len();
        }
        self.pending_bytes += size_of(&sorted);
        if self.pending_bytes > self.pending_bytes_max { self.flush() } else { Ok(()) }
    }

    /// Writes what waits for all parts at once, since slices of one batch keep each other alive.
    fn flush(&mut self) -> Result<(), DatasetError> {
        for (writer, pending) in self.writers.iter_mut().zip(&mut self.pending) {
            if !pending.is_empty() {
                let batch = concat_batches(&self.schema, std::mem::take(pending).iter());
                writer.push(batch.map_err(DatasetError::arrow("divide rows"))?)?;
            }
        }
        self.pending_bytes = 0;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Vec<Spool>, DatasetError> {
        self.flush()?;
        Ok(self.writers.into_iter().map(SpoolWriter::finish).collect::<Result<_, _>>()?)
    }
}

/// One of the spools that are merged, and its next rows.
struct Head<'a> {
    batches: Batches<'a>,
    batch: Option<RecordBatch>,
}

impl Head<'_> {
    fn fill(&mut self) -> Result<(), DatasetError> {
        while self.batch.as_ref().is_none_or(|batch| batch.num_rows() == 0) {
            self.batch = self.batches.next().transpose()?;
            if self.batch.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// The numbers in the first column, which ascend.
    fn ordinals(&self) -> &[i64] {
        let column = self.batch.as_ref().and_then(|batch| batch.columns().first());
        column.and_then(|column| column.as_primitive_opt::<Int64Type>()).map_or(&[], |column| column.values())
    }
}

/// Merges spools, each in the order of its first column, into one that is in this order too. Its batches have at most
/// `rows_max` rows.
pub(crate) fn merge(
    parts: &[Spool],
    schema: &SchemaRef,
    space: &Arc<Space>,
    rows_max: usize,
) -> Result<Spool, DatasetError> {
    let mut merged = SpoolWriter::new(space, Arc::clone(schema));
    let mut heads = Vec::with_capacity(parts.len());
    for part in parts.iter().filter(|part| part.rows() > 0) {
        heads.push(Head { batches: part.batches()?, batch: None });
    }
    loop {
        heads.iter_mut().try_for_each(Head::fill)?;
        heads.retain(|head| head.batch.is_some());
        // Up to here no spool can bring an earlier row.
        let Some(end) = heads.iter().filter_map(|head| head.ordinals().last()).min().copied() else { break };
        let mut order = Vec::new();
        for (part, head) in heads.iter().enumerate() {
            let ready = head.ordinals().partition_point(|ordinal| *ordinal <= end);
            order.extend(head.ordinals().iter().zip(0..ready).map(|(ordinal, row)| (*ordinal, part, row)));
        }
        order.sort_unstable();
        let batches: Vec<&RecordBatch> = heads.iter().filter_map(|head| head.batch.as_ref()).collect();
        for rows in order.chunks(rows_max.max(1)) {
            let indices: Vec<_> = rows.iter().map(|(_, part, row)| (*part, *row)).collect();
            let batch = interleave_record_batch(&batches, &indices);
            merged.push(batch.map_err(DatasetError::arrow("bring rows to their order"))?)?;
        }
        for head in &mut heads {
            let ready = head.ordinals().partition_point(|ordinal| *ordinal <= end);
            head.batch = head.batch.take().map(|batch| batch.slice(ready, batch.num_rows() - ready));
        }
    }
    Ok(merged.finish()?)
}
