//! Statistics of files in a checkpoint that has them in their types only, as tables with
//! `delta.checkpoint.writeStatsAsJson=false` do. They become the text that stands everywhere else: without it the files
//! could not be pruned, and the next checkpoint of ours would have lost the statistics for good.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StructArray},
    compute::cast,
    datatypes::{DataType, Field, Schema, TimeUnit},
    json::LineDelimitedWriter,
};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use crate::error::Cause;

/// The field of `add` that holds the statistics in their types.
pub(super) const FIELD: &str = "stats_parsed";
/// The field of `add` that holds the statistics as text.
const TEXT: &str = "stats";

/// Whether some file may have no statistics as text. Both forms are large, so the typed form is read only then.
pub(super) fn is_needed(metadata: &ParquetMetaData) -> bool {
    let nulls = |group: &RowGroupMetaData, leaf: &str| {
        let column = group.columns().iter().find(|column| column.column_path().string() == leaf)?;
        column.statistics()?.null_count_opt()
    };
    metadata.row_groups().iter().any(|group| {
        let (without_text, without_add) = (nulls(group, "add.stats"), nulls(group, "add.path"));
        without_text.is_none() || without_text != without_add
    })
}

/// The rows with the statistics of `add` as text.
pub(super) fn to_text(batch: RecordBatch) -> Result<RecordBatch, Cause> {
    let schema = batch.schema();
    let Ok(index) = schema.index_of("add") else { return Ok(batch) };
    let Some(add) = batch.column(index).as_struct_opt() else { return Ok(batch) };
    let Some(parsed) = add.column_by_name(FIELD) else { return Ok(batch) };
    let known = add.column_by_name(TEXT).map(|texts| cast(texts, &DataType::Utf8)).transpose()?;
    let known = known.as_ref().map(|texts| texts.as_string::<i32>());
    // Statistics are advice: where they cannot be turned into text, the table is read without them.
    let parsed = texts_of(parsed).unwrap_or_else(|_| vec![None; parsed.len()]);
    let rows = parsed.iter().enumerate();
    let texts: StringArray = rows
        .map(|(row, parsed)| match known {
            Some(known) if known.is_valid(row) => Some(known.value(row)),
            _ => parsed.as_deref(),
        })
        .collect();
    let kept = add.fields().iter().zip(add.columns());
    let kept = kept.filter(|(field, _)| field.name() != FIELD && field.name() != TEXT);
    let (mut fields, mut columns): (Vec<_>, Vec<ArrayRef>) =
        kept.map(|(field, column)| (field.clone(), column.clone())).unzip();
    fields.push(Arc::new(Field::new(TEXT, DataType::Utf8, true)));
    columns.push(Arc::new(texts));
    let add = StructArray::try_new(fields.into(), columns, add.nulls().cloned())?;
    replaced(&batch, index, add)
}

fn replaced(batch: &RecordBatch, index: usize, column: StructArray) -> Result<RecordBatch, Cause> {
    let schema = batch.schema();
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    let mut columns = batch.columns().to_vec();
    if let (Some(field), Some(place)) = (fields.get_mut(index), columns.get_mut(index)) {
        *field = Arc::new(Field::new(field.name(), column.data_type().clone(), field.is_nullable()));
        *place = Arc::new(column);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Each row's statistics as text.
fn texts_of(parsed: &ArrayRef) -> Result<Vec<Option<String>>, Cause> {
    let rows = parsed.len();
    let Some(plain) = plain(parsed) else { return Ok(vec![None; rows]) };
    let batch = RecordBatch::try_from_iter([(TEXT, plain)])?;
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(&batch)?;
    writer.finish()?;
    let lines = String::from_utf8(writer.into_inner())?;
    // The text is cut out of the line rather than parsed, because parsing would cost floats their last bits.
    let text = |line: &str| Some(line.strip_prefix("{\"stats\":")?.strip_suffix('}')?.to_owned());
    let texts: Vec<_> = lines.lines().map(text).collect();
    if texts.len() == rows {
        Ok(texts)
    } else {
        Err("a checkpoint's statistics do not match its files".into())
    }
}

/// The part of a column that text carries as readers expect it; `None` when nothing of it does. Instants of another unit
/// than microseconds are left out: Spark writes nanoseconds, which may have wrapped.
fn plain(array: &ArrayRef) -> Option<ArrayRef> {
    match array.data_type() {
        DataType::Struct(_) => {
            let object = array.as_struct_opt()?;
            let fields = object.fields().iter().zip(object.columns());
            let kept = fields.filter_map(|(field, column)| Some((field.name(), plain(column)?)));
            let (fields, columns): (Vec<_>, Vec<_>) = kept
                .map(|(name, column)| (Field::new(name, column.data_type().clone(), true), column))
                .unzip();
            if columns.is_empty() {
                return None;
            }
            StructArray::try_new(fields.into(), columns, object.nulls().cloned())
                .ok()
                .map(|object| Arc::new(object) as ArrayRef)
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(_))
        | DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal128(..)
        | DataType::Date32
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View => Some(array.clone()),
        _ => None,
    }
}
