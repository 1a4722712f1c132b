//! Typed formats into the Arrow types that a contract can name.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StructArray},
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
    error::ArrowError,
};
use millstream_connector::column_type;

/// The schema that `plain_batch` gives.
pub(crate) fn plain_schema(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(plain_field).collect::<Vec<_>>()))
}

/// Flattens encodings (dictionaries, large and view layouts), turns maps into lists of entries and anything
/// without a contract type (times of day, intervals) into text.
pub(crate) fn plain_batch(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = plain_schema(batch.schema_ref());
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| plain_array(column, field.data_type()));
    RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)
}

fn plain_field(field: &FieldRef) -> Field {
    Field::new(field.name(), plain_type(field.data_type()), true)
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type()),
        DataType::List(inner)
        | DataType::LargeList(inner)
        | DataType::FixedSizeList(inner, _)
        | DataType::ListView(inner)
        | DataType::LargeListView(inner) => list_of(plain_type(inner.data_type())),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(entry) => {
                let named =
                    |(name, field): (&str, &FieldRef)| Field::new(name, plain_type(field.data_type()), true);
                list_of(DataType::Struct(["key", "value"].into_iter().zip(entry).map(named).collect()))
            }
            _ => DataType::Utf8,
        },
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        other if column_type(other).is_some() => other.clone(),
        _ => DataType::Utf8,
    }
}

fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", element, true)))
}

fn plain_array(array: &ArrayRef, plain: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == plain {
        return Ok(array.clone());
    }
    match (array.data_type(), plain) {
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let structs = array.as_struct();
            let plain = |(column, field): (&ArrayRef, &FieldRef)| plain_array(column, field.data_type());
            let columns = structs.columns().iter().zip(fields).map(plain).collect::<Result<_, _>>()?;
            let nulls = structs.nulls().cloned();
            Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, structs.len())?))
        }
        (DataType::List(_), DataType::List(element)) => {
            let list = array.as_list::<i32>();
            let values = plain_array(list.values(), element.data_type())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(element.clone(), offsets, values, nulls)?))
        }
        // First the layout alone, because Arrow's cast does not know every type inside.
        (
            DataType::LargeList(inner)
            | DataType::FixedSizeList(inner, _)
            | DataType::ListView(inner)
            | DataType::LargeListView(inner),
            DataType::List(_),
        ) => plain_array(&cast(array, &DataType::List(inner.clone()))?, plain),
        (DataType::Dictionary(_, values), _) if values.is_nested() => {
            plain_array(&cast(array, values)?, plain)
        }
        (DataType::RunEndEncoded(_, values), _) if values.data_type().is_nested() => {
            plain_array(&cast(array, values.data_type())?, plain)
        }
        (DataType::Map(_, _), DataType::List(element)) => {
            let map = array.as_map();
            let DataType::Struct(entry) = element.data_type() else { return cast(array, plain) };
            let plain = |(column, field): (&ArrayRef, &FieldRef)| plain_array(column, field.data_type());
            let columns = map.entries().columns().iter().zip(entry).map(plain).collect::<Result<_, _>>()?;
            let values: ArrayRef = Arc::new(StructArray::try_new(entry.clone(), columns, None)?);
            let list =
                ListArray::try_new(element.clone(), map.offsets().clone(), values, map.nulls().cloned())?;
            Ok(Arc::new(list))
        }
        _ => cast(array, plain),
    }
}
