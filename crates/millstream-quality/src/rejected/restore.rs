//! Rejected rows as the raw batch that they came from, to be judged again.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryBuilder, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
        StringBuilder,
    },
    compute::cast,
    datatypes::{DataType, Field, Int64Type, Schema},
};
use millstream_connector::MalformedRow;
use millstream_types::{POSITION, SOURCE};
use serde_json::{Map, Value};

use super::{REASON, ROW, TEXT, json::BINARY};
use crate::QualityError;

/// Rejected rows, ready for [`crate::Contract::evaluate`].
#[derive(Clone, Debug)]
pub struct Restored {
    /// Columns of text, by the names that they had in the source; nested values are JSON.
    pub rows: RecordBatch,
    pub positions: Int64Array,
    pub sources: StringArray,
    /// For each of `rows`, its place in the batch of rejected rows.
    pub places: Vec<usize>,
    /// Places of the rows that had been malformed: their text must be decoded again.
    pub malformed: Vec<usize>,
    /// The rows at these places as they were set apart, each with its source.
    pub malformed_rows: Vec<(String, MalformedRow)>,
}

/// Rebuilds the original rows. A batch may mix rows of several epochs: a column that a row lacks is null.
pub fn restore(rejected: &RecordBatch) -> Result<Restored, QualityError> {
    let (kept, malformed) = kept_rows(rejected)?;
    restored(rejected, &kept, malformed)
}

/// Rebuilds the original rows, apart for each set of columns: no row lacks one of the columns that it is given with. Malformed
/// rows are left out.
pub fn restore_apart(rejected: &RecordBatch) -> Result<Vec<Restored>, QualityError> {
    let mut groups: Vec<Vec<KeptRow>> = Vec::new();
    for row in kept_rows(rejected)?.0 {
        let has_columns = |group: &&mut Vec<KeptRow>| {
            group.first().is_some_and(|first| first.values.keys().eq(row.values.keys()))
        };
        match groups.iter_mut().find(has_columns) {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    groups.iter().map(|group| restored(rejected, group, Vec::new())).collect()
}

/// A rejected row that was no malformed one, as it was kept.
struct KeptRow {
    /// The row's place in the batch of rejected rows.
    place: usize,
    values: Map<String, Value>,
}

/// The rows whose values were kept, and the places of the malformed ones.
fn kept_rows(rejected: &RecordBatch) -> Result<(Vec<KeptRow>, Vec<usize>), QualityError> {
    let kept = text_column(rejected, ROW)?;
    let texts = text_column(rejected, TEXT)?;
    let (places, malformed): (Vec<usize>, Vec<usize>) =
        (0..kept.len()).partition(|row| kept.is_valid(*row) && texts.is_null(*row));
    let read = |place: usize| {
        let values = serde_json::from_str(kept.value(place));
        let values = values.map_err(|source| QualityError::RejectedRow { row: place, source })?;
        Ok(KeptRow { place, values })
    };
    Ok((places.into_iter().map(read).collect::<Result<_, QualityError>>()?, malformed))
}

fn restored(
    rejected: &RecordBatch,
    rows: &[KeptRow],
    malformed: Vec<usize>,
) -> Result<Restored, QualityError> {
    let mut names: Vec<String> = Vec::new();
    for row in rows {
        for (at, name) in row.values.keys().enumerate() {
            // Nearly all rows have the same columns in the same order.
            if names.get(at) != Some(name) && !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    let columns: Vec<ArrayRef> = names.iter().map(|name| column(rows, name)).collect();
    let fields =
        names.iter().zip(&columns).map(|(name, array)| Field::new(name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let restored = RecordBatch::try_new_with_options(schema, columns, &options);
    let positions = named(rejected, POSITION)?;
    let positions = positions
        .as_primitive_opt::<Int64Type>()
        .ok_or_else(|| QualityError::ColumnMissing { column: POSITION.into() })?;
    let (sources, reasons) = (text_column(rejected, SOURCE)?, text_column(rejected, REASON)?);
    let (kept, texts) = (text_column(rejected, ROW)?, text_column(rejected, TEXT)?);
    let malformed_row = |place: &usize| {
        let bytes =
            kept.is_valid(*place).then(|| serde_json::from_str::<Value>(kept.value(*place)).ok()).flatten();
        let row = MalformedRow {
            position: positions.value(*place),
            text: texts.value(*place).to_owned(),
            bytes: bytes.and_then(|bytes| bytes_of(&bytes)),
            reason: reasons.value(*place).to_owned(),
        };
        (sources.value(*place).to_owned(), row)
    };
    Ok(Restored {
        malformed_rows: malformed.iter().map(malformed_row).collect(),
        rows: restored.map_err(QualityError::arrow("rebuild rejected rows"))?,
        positions: rows.iter().map(|row| positions.value(row.place)).collect::<Vec<_>>().into(),
        sources: rows.iter().map(|row| Some(sources.value(row.place))).collect(),
        places: rows.iter().map(|row| row.place).collect(),
        malformed,
    })
}

fn named<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, QualityError> {
    batch.column_by_name(name).ok_or_else(|| QualityError::ColumnMissing { column: name.into() })
}

fn text_column(batch: &RecordBatch, name: &str) -> Result<StringArray, QualityError> {
    let texts =
        cast(named(batch, name)?, &DataType::Utf8).map_err(QualityError::arrow("read rejected rows"))?;
    Ok(texts.as_string::<i32>().clone())
}

/// The column as text; as binary when one of its values was binary and no text.
fn column(rows: &[KeptRow], name: &str) -> ArrayRef {
    let values = || rows.iter().map(|row| row.values.get(name).unwrap_or(&Value::Null));
    if values().any(|value| bytes_of(value).is_some()) {
        let mut column = BinaryBuilder::new();
        for value in values() {
            column.append_option(bytes_of(value).or_else(|| text_of(value).map(String::into_bytes)));
        }
        return Arc::new(column.finish());
    }
    let mut column = StringBuilder::new();
    for value in values() {
        match value {
            Value::String(text) => column.append_value(text),
            other => column.append_option(text_of(other)),
        }
    }
    Arc::new(column.finish())
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let (pairs, []) = object.get(BINARY)?.as_str()?.as_bytes().as_chunks::<2>() else { return None };
    let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect()
}
