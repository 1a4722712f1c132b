//! Nested values, gathered as JSON text, into lists and structs.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, StringArray, new_null_array},
    compute::concat,
    datatypes::{DataType, Field},
    error::ArrowError,
    json::ReaderBuilder,
};

/// Rows whose nested values do not fit the table's type, with the reason.
pub(super) type Misfits = BTreeMap<usize, String>;

/// Decodes a column of JSON texts; rows that do not fit become null here and are added to `misfits`.
pub(super) fn decode_nested(
    name: &str,
    data_type: &DataType,
    text: &StringArray,
    misfits: &mut Misfits,
) -> Result<ArrayRef, ArrowError> {
    if let Ok(array) = decode(data_type, text) {
        return Ok(array);
    }
    // Row by row, to tell the rows that fit from those that do not.
    let mut rows: Vec<ArrayRef> = Vec::with_capacity(text.len());
    for row in 0..text.len() {
        match decode(data_type, &text.slice(row, 1)) {
            Ok(array) => rows.push(array),
            Err(error) => {
                misfits.entry(row).or_insert_with(|| format!("column `{name}` does not fit: {error}"));
                rows.push(new_null_array(data_type, 1));
            }
        }
    }
    let rows: Vec<&dyn Array> = rows.iter().map(AsRef::as_ref).collect();
    concat(&rows)
}

fn decode(data_type: &DataType, text: &StringArray) -> Result<ArrayRef, ArrowError> {
    let field = Arc::new(Field::new("value", data_type.clone(), true));
    let mut decoder = ReaderBuilder::new_with_field(field)
        .with_batch_size(text.len().max(1))
        .with_coerce_primitive(true)
        .build_decoder()?;
    let mut lines = Vec::with_capacity(text.value_data().len() + 5 * text.len());
    for value in text {
        lines.extend_from_slice(value.unwrap_or("null").as_bytes());
        lines.push(b'\n');
    }
    let decoded = decoder.decode(&lines)?;
    let batch = decoder.flush()?;
    match batch {
        Some(batch) if decoded == lines.len() && batch.num_rows() == text.len() => {
            Ok(batch.column(0).clone())
        }
        _ => Err(ArrowError::JsonError("it is not one value".into())),
    }
}
