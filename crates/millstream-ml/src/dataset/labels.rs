//! The label rows as they came: numbered from 0, checked, counted, kept for the phases that follow.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType},
};

use millstream_spool::{Space, Spool, SpoolWriter};

use super::{
    plan::DatasetPlan,
    progress::{Counter, Phase, Progress},
};
use crate::{Cause, DatasetError};

/// All label rows and what was seen in them.
#[derive(Debug)]
pub(crate) struct Labels {
    pub(crate) rows: Spool,
    /// The times of all rows that have one, in the order of the rows: 8 bytes each. Empty unless they are needed.
    pub(crate) times: Vec<i64>,
    pub(crate) time_max: Option<i64>,
    pub(crate) without_time: u64,
    /// Rows whose time is after the plan's `now`.
    pub(crate) in_future: u64,
    /// For each view, the rows with a null in its key.
    pub(crate) without_key: Vec<u64>,
}

/// Reads all label rows. Their times are remembered only `with_times`.
pub(crate) fn take_in(
    plan: &DatasetPlan,
    batches: impl Iterator<Item = Result<RecordBatch, Cause>>,
    with_times: bool,
    space: &Arc<Space>,
    progress: &dyn Fn(Progress<'_>),
) -> Result<Labels, DatasetError> {
    let schema = plain(&plan.labels.schema);
    let mut rows = SpoolWriter::new(space, Arc::clone(&schema));
    let (mut times, mut time_max, mut without_time, mut in_future) = (Vec::new(), None, 0, 0);
    let mut without_key = vec![0; plan.labels.keys.len()];
    let mut counter = Counter::new(progress, Phase::Labels, None, None);
    for batch in batches {
        let batch =
            batch.map_err(|source| DatasetError::Input { what: plan.labels.origin.clone(), source })?;
        let batch = with_schema(&batch, &schema, &plan.labels.origin)?;
        let instants = instants(batch.column(plan.labels.time))?;
        let instants = instants.as_primitive::<TimestampMicrosecondType>();
        without_time += instants.null_count() as u64;
        for time in instants.iter().flatten() {
            time_max = time_max.max(Some(time));
            in_future += u64::from(time > plan.now.0);
            if with_times {
                times.push(time);
            }
        }
        for (count, keys) in without_key.iter_mut().zip(&plan.labels.keys) {
            *count += rows_with_null(&batch, keys);
        }
        counter.add(batch.num_rows());
        rows.push(batch)?;
    }
    let rows = rows.finish()?;
    Ok(Labels { rows, times, time_max, without_time, in_future, without_key })
}

/// The schema with every field nullable and without metadata, which comes in no fixed order.
pub(crate) fn plain(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| Field::new(field.name(), field.data_type().clone(), true);
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// The batch under the announced `schema`, which is plain (see [`plain`]). Names and types must be equal.
pub(crate) fn with_schema(
    batch: &RecordBatch,
    schema: &SchemaRef,
    what: &str,
) -> Result<RecordBatch, DatasetError> {
    let found = plain(&batch.schema());
    if found == *schema {
        let columns = batch.columns().to_vec();
        return RecordBatch::try_new(Arc::clone(schema), columns).map_err(DatasetError::arrow("read rows"));
    }
    let shape = |schema: &Schema| {
        let columns = schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
        columns.collect::<Vec<_>>().join(", ")
    };
    Err(DatasetError::Shape { what: what.into(), expected: shape(schema), found: shape(&found) })
}

/// The instants of a time column, as microseconds.
pub(crate) fn instants(column: &ArrayRef) -> Result<ArrayRef, DatasetError> {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    if *column.data_type() == instant {
        return Ok(Arc::clone(column));
    }
    // A time that microseconds cannot hold must not silently become a null.
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let cast = |column: &ArrayRef, to: &DataType| cast_with_options(column, to, &options);
    let plain = match column.data_type() {
        // A zone is how an instant is shown; its number stays.
        DataType::Timestamp(unit, Some(_)) => {
            cast(column, &DataType::Int64).and_then(|number| cast(&number, &DataType::Timestamp(*unit, None)))
        }
        _ => Ok(Arc::clone(column)),
    };
    let micros = plain.and_then(|plain| cast(&plain, &DataType::Timestamp(TimeUnit::Microsecond, None)));
    let micros = micros.map_err(DatasetError::arrow("read label times"))?;
    Ok(Arc::new(micros.as_primitive::<TimestampMicrosecondType>().clone().with_timezone("UTC")))
}

fn rows_with_null(batch: &RecordBatch, columns: &[usize]) -> u64 {
    let nulls = columns.iter().map(|column| batch.column(*column).logical_nulls());
    let together = nulls.fold(None, |all, nulls| {
        arrow::buffer::NullBuffer::union(Option::as_ref(&all), Option::as_ref(&nulls))
    });
    together.map_or(0, |nulls| nulls.null_count() as u64)
}
