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
    let kept = text_column(rejected, ROW)?;
    let texts = text_column(rejected, TEXT)?;
    let (places, malformed): (Vec<usize>, Vec<usize>) =
        (0..kept.len()).partition(|row| kept.is_valid(*row) && texts.is_null(*row));
    let mut names: Vec<String> = Vec::new();
    let mut objects = Vec::with_capacity(places.len());
    for place in &places {
        let object: Map<String, Value> = serde_json::from_str(kept.value(*place))
            .map_err(|source| QualityError::RejectedRow { row: *place, source })?;
        for (at, name) in object.keys().enumerate() {
            // Nearly all rows have the same columns in the same order.
            if names.get(at) != Some(name) && !names.contains(name) {
                names.push(name.clone());
            }
        }
        objects.push(object);
    }
    let columns: Vec<ArrayRef> = names.iter().map(|name| column(&objects, name)).collect();
    let fields =
        names.iter().zip(&columns).map(|(name, array)| Field::new(name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
    let rows = RecordBatch::try_new_with_options(schema, columns, &options);
    let positions = named(rejected, POSITION)?;
    let positions = positions
        .as_primitive_opt::<Int64Type>()
        .ok_or_else(|| QualityError::ColumnMissing { column: POSITION.into() })?;
    let (sources, reasons) = (text_column(rejected, SOURCE)?, text_column(rejected, REASON)?);
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
        rows: rows.map_err(QualityError::arrow("rebuild rejected rows"))?,
        positions: places.iter().map(|place| positions.value(*place)).collect::<Vec<_>>().into(),
        sources: places.iter().map(|place| Some(sources.value(*place))).collect(),
        places,
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
fn column(objects: &[Map<String, Value>], name: &str) -> ArrayRef {
    let values = || objects.iter().map(|object| object.get(name).unwrap_or(&Value::Null));
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
