//! Conversions to lists and structs, from other lists and structs or from JSON text.

use std::{io::Write, sync::Arc};

use super::{Coerced, Target, coerce, json::is_whole_json, refuse_all, with_failures};
use crate::{QualityError, bitmap};
use arrow::{
    array::{Array, ArrayRef, AsArray, ListArray, StringArray, StructArray, new_null_array},
    buffer::{BooleanBuffer, OffsetBuffer},
    compute::concat,
    datatypes::{DataType, Field, FieldRef, Fields, Schema},
    json::ReaderBuilder,
};

pub(super) fn to_list(
    array: &ArrayRef,
    target: &Target,
    element: &Target,
    field: &FieldRef,
) -> Result<Coerced, QualityError> {
    if let Some(texts) = array.as_string_opt::<i32>() {
        return from_json(texts, target);
    }
    let Some(lists) = array.as_list_opt::<i32>() else { return refuse_all(array, target) };
    let offsets = lists.value_offsets();
    let (first, last) = (offsets[0], offsets[lists.len()]);
    let values = lists.values().slice(first as usize, (last - first) as usize);
    let values = coerce(&values, element)?;
    let moved: Vec<i32> = offsets.iter().map(|offset| offset - first).collect();
    let failed = values.failed.and_then(|failed| {
        bitmap::of_rows(lists.len(), lists.nulls(), |row| {
            let (start, end) = (moved[row] as usize, moved[row + 1] as usize);
            failed.slice(start, end - start).has_true()
        })
    });
    let offsets = OffsetBuffer::new(moved.into());
    let coerced = ListArray::try_new(field.clone(), offsets, values.array, lists.nulls().cloned());
    with_failures(Arc::new(coerced.map_err(QualityError::arrow("convert a list"))?), failed)
}

pub(super) fn to_struct(
    array: &ArrayRef,
    target: &Target,
    members: &[Target],
    fields: &Fields,
) -> Result<Coerced, QualityError> {
    if let Some(texts) = array.as_string_opt::<i32>() {
        return from_json(texts, target);
    }
    let Some(structs) = array.as_struct_opt() else { return refuse_all(array, target) };
    let nulls = structs.nulls();
    let mut failed: Option<BooleanBuffer> = None;
    let mut columns = Vec::with_capacity(members.len());
    for (member, field) in members.iter().zip(fields) {
        let Some(column) = structs.column_by_name(field.name()) else {
            columns.push(new_null_array(field.data_type(), structs.len()));
            continue;
        };
        let coerced = coerce(column, member)?;
        failed = bitmap::union(failed, coerced.failed.as_ref());
        columns.push(coerced.array);
    }
    for (field, column) in structs.fields().iter().zip(structs.columns()) {
        if fields.find(field.name()).is_none() {
            let column_nulls = column.logical_nulls();
            failed = bitmap::union(failed, bitmap::all_valid(structs.len(), column_nulls.as_ref()).as_ref());
        }
    }
    let failed = failed.and_then(|failed| bitmap::without_nulls(failed, nulls));
    let coerced = StructArray::try_new_with_length(fields.clone(), columns, nulls.cloned(), structs.len());
    with_failures(Arc::new(coerced.map_err(QualityError::arrow("convert a struct"))?), failed)
}

/// Reads each text as JSON, numbers as written, and converts what was read. What the reader below would leave out in
/// silence, members that the target lacks and keys that come twice, is refused before.
fn from_json(texts: &StringArray, target: &Target) -> Result<Coerced, QualityError> {
    let malformed =
        bitmap::of_rows(texts.len(), texts.nulls(), |row| !is_whole_json(texts.value(row), target));
    let usable =
        |row: usize| texts.is_valid(row) && !malformed.as_ref().is_some_and(|failed| failed.value(row));
    let schema = Arc::new(Schema::new(vec![Field::new(VALUE, text_form(target), true)]));
    let (values, misshapen) =
        match read_json(&schema, (0..texts.len()).map(|row| usable(row).then(|| texts.value(row)))) {
            Some(values) => (values, None),
            // One value of another shape stops the reader; then each is read by itself.
            None => read_each(&schema, texts, usable)?,
        };
    let coerced = coerce(&values, target)?;
    let failed = bitmap::union(coerced.failed, malformed.as_ref());
    with_failures(coerced.array, bitmap::union(failed, misshapen.as_ref()))
}

const VALUE: &str = "value";

fn read_each(
    schema: &Arc<Schema>,
    texts: &StringArray,
    usable: impl Fn(usize) -> bool,
) -> Result<(ArrayRef, Option<BooleanBuffer>), QualityError> {
    let mut misshapen = Vec::new();
    let mut values = Vec::with_capacity(texts.len());
    for row in 0..texts.len() {
        let text = usable(row).then(|| texts.value(row));
        values.push(read_json(schema, std::iter::once(text)).unwrap_or_else(|| {
            misshapen.push(row);
            new_null_array(schema.field(0).data_type(), 1)
        }));
    }
    let values: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
    let values = concat(&values).map_err(QualityError::arrow("gather JSON values"))?;
    Ok((values, bitmap::of_list(texts.len(), &misshapen)))
}

/// The values of the texts, which are JSON; `None` when one has another shape than the schema.
fn read_json<'a>(schema: &Arc<Schema>, texts: impl Iterator<Item = Option<&'a str>>) -> Option<ArrayRef> {
    let mut lines = Vec::new();
    let mut rows = 0;
    for text in texts {
        rows += 1;
        writeln!(lines, "{{\"{VALUE}\":{}}}", text.unwrap_or("null")).ok()?;
    }
    if rows == 0 {
        return Some(new_null_array(schema.field(0).data_type(), 0));
    }
    let mut decoder = ReaderBuilder::new(schema.clone())
        .with_coerce_primitive(true)
        .with_batch_size(rows)
        .build_decoder()
        .ok()?;
    let read = decoder.decode(&lines).ok()?;
    let batch = decoder.flush().ok()??;
    (read == lines.len() && batch.num_rows() == rows).then(|| batch.column(0).clone())
}

/// The target's shape with text for every scalar.
fn text_form(target: &Target) -> DataType {
    match target {
        Target::List(element, field) => {
            DataType::List(Arc::new(field.as_ref().clone().with_data_type(text_form(element))))
        }
        Target::Struct(members, fields) => DataType::Struct(
            fields
                .iter()
                .zip(members)
                .map(|(field, member)| field.as_ref().clone().with_data_type(text_form(member)))
                .collect(),
        ),
        _ => DataType::Utf8,
    }
}
