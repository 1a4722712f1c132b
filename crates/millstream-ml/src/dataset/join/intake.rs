//! Events and labels on their way into a join.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, TimestampMicrosecondArray},
    buffer::BooleanBuffer,
    compute::filter_record_batch,
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType},
};

use millstream_spool::{Batches, Spool, size_of};

use super::{
    super::{
        labels::{instants, with_schema},
        partition::Partitioner,
        plan::{AsKnown, DatasetPlan},
        progress::Counter,
    },
    Join,
};
use crate::{Cause, DatasetError};

/// The events of a view, with key and time, up to the last label.
pub(super) enum Intake {
    Memory(Vec<RecordBatch>),
    Parts(Vec<Spool>),
}

impl Join<'_> {
    /// Reads the events, and divides them once they are too many. Returns their number too.
    pub(super) fn take_events(
        &self,
        events: impl Iterator<Item = Result<RecordBatch, Cause>>,
        last: Option<i64>,
        counter: &mut Counter<'_>,
    ) -> Result<(Intake, u64), DatasetError> {
        let (mut held, mut rows, mut bytes) = (Vec::new(), 0, 0);
        let mut divided = None;
        let what = format!("the view `{}`", self.definition.name);
        for batch in events {
            let batch = batch.map_err(|source| DatasetError::Input { what: what.clone(), source })?;
            counter.add(batch.num_rows());
            let batch = self.visible(&with_schema(&batch, &self.event_schema, &what)?, last)?;
            rows += batch.num_rows();
            match &mut divided {
                Some(parts) => Partitioner::push(parts, &batch)?,
                None => {
                    bytes += size_of(&batch);
                    held.push(batch);
                    if self.cost.bytes(rows, bytes) > self.room() {
                        let mut parts = self.partitioner(&self.event_schema, 1)?;
                        held.drain(..).try_for_each(|batch| parts.push(&batch))?;
                        divided = Some(parts);
                    }
                }
            }
        }
        let intake = match divided {
            Some(parts) => Intake::Parts(parts.finish()?),
            None => Intake::Memory(held),
        };
        Ok((intake, rows as u64))
    }

    /// The events that have a key and a time that some label can see.
    fn visible(&self, batch: &RecordBatch, last: Option<i64>) -> Result<RecordBatch, DatasetError> {
        let times = batch.column(self.keys.len()).as_primitive::<TimestampMicrosecondType>();
        let values = times.values();
        let in_time = BooleanBuffer::collect_bool(batch.num_rows(), |row| {
            last.is_some_and(|last| values.get(row).is_some_and(|time| *time <= last))
        });
        let nulls =
            batch.columns().iter().take(self.keys.len() + 1).filter_map(|column| column.logical_nulls());
        let visible = nulls.fold(in_time, |visible, nulls| &visible & nulls.inner());
        if visible.count_set_bits() == batch.num_rows() {
            return Ok(batch.clone());
        }
        filter_record_batch(batch, &BooleanArray::new(visible, None))
            .map_err(DatasetError::arrow("filter events"))
    }

    /// The labels as the join needs them, numbered.
    pub(super) fn number<'s>(
        &'s self,
        labels: Batches<'s>,
    ) -> impl Iterator<Item = Result<RecordBatch, DatasetError>> + 's {
        let mut next = 0_i64;
        labels.map(move |batch| {
            let batch = batch?;
            let first = next;
            next += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
            let time = instants(batch.column(self.plan.labels.time))?;
            let cut = match self.plan.labels.as_known {
                None => None,
                Some(AsKnown::LabelTime) => Some(Arc::clone(&time)),
                Some(AsKnown::Column(column)) => Some(instants(batch.column(column))?),
                Some(AsKnown::At(at)) => {
                    let cut = TimestampMicrosecondArray::from_value(at, batch.num_rows());
                    Some(Arc::new(cut.with_timezone("UTC")) as ArrayRef)
                }
            };
            let mut columns: Vec<_> =
                self.label_keys.iter().map(|key| Arc::clone(batch.column(*key))).collect();
            columns.push(time);
            columns.extend(cut);
            columns.push(Arc::new(Int64Array::from_iter_values(first..next)));
            RecordBatch::try_new(Arc::clone(&self.label_schema), columns)
                .map_err(DatasetError::arrow("number the labels"))
        })
    }
}

/// The schema of numbered labels: key columns, time, known-time cut-off if there is one, number of the label.
pub(super) fn label_schema(plan: &DatasetPlan, label_keys: &[usize]) -> SchemaRef {
    let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let key = |(at, key): (usize, &usize)| {
        Field::new(format!("k{at}"), plan.labels.schema.field(*key).data_type().clone(), true)
    };
    let mut fields: Vec<_> = label_keys.iter().enumerate().map(key).collect();
    fields.push(Field::new("time", instant(), true));
    fields.extend(plan.labels.as_known.map(|_| Field::new("cut", instant(), true)));
    fields.push(Field::new("number", DataType::Int64, false));
    Arc::new(Schema::new(fields))
}
