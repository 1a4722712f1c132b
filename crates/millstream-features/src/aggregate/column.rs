//! Columns as aggregations see them: few types, read row by row; and values written back as Arrow arrays.

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Decimal128Array, FixedSizeListArray,
        Float64Array, Int64Array, StringArray, StructArray, new_null_array,
    },
    buffer::NullBuffer,
    compute::cast,
    datatypes::{DataType, Decimal128Type, Field, Float64Type, Int64Type},
};
use std::sync::Arc;

use super::value::{Value, ValueRef};
use crate::FeatureError;

/// What a column's type means to an aggregation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Float,
    Decimal {
        scale: i8,
    },
    /// Dates and timestamps: ordered, but not to be added up.
    Instant,
    Bool,
    Text,
    Bytes,
    Vector,
    /// Lists and structs of the other kinds: values that are kept whole, and have no order that means anything.
    Nested,
}

/// Lists and structs within each other that are kept.
pub(crate) const DEPTH_MAX: u8 = 8;

impl Kind {
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        Self::within(data_type, DEPTH_MAX)
    }

    /// As [`Kind::of`], with so many levels of nesting left.
    fn within(data_type: &DataType, depth: u8) -> Option<Self> {
        let is_kept = |field: &Field| {
            depth.checked_sub(1).and_then(|depth| Self::within(field.data_type(), depth)).is_some()
        };
        Some(match data_type {
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32 => Self::Int,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Self::Float,
            DataType::Decimal128(_, scale) => Self::Decimal { scale: *scale },
            DataType::UInt64 => Self::Decimal { scale: 0 },
            DataType::Date32 | DataType::Timestamp(_, _) => Self::Instant,
            DataType::Boolean => Self::Bool,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Self::Bytes,
            DataType::FixedSizeList(field, size)
                if *size > 0 && matches!(field.data_type(), DataType::Float32 | DataType::Float64) =>
            {
                Self::Vector
            }
            DataType::List(field) | DataType::FixedSizeList(field, _) if is_kept(field) => Self::Nested,
            DataType::Struct(fields) if !fields.is_empty() && fields.iter().all(|field| is_kept(field)) => {
                Self::Nested
            }
            _ => return None,
        })
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Decimal { .. })
    }
}

/// A column of events.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) data_type: DataType,
    pub(crate) data: Data,
}

#[derive(Debug, Clone)]
pub(crate) enum Data {
    Int(Int64Array),
    Float(Float64Array),
    Decimal(Decimal128Array),
    Bool(BooleanArray),
    Text(StringArray),
    Bytes(BinaryArray),
    /// A vector with a null element counts as a null vector.
    Vector {
        values: Float64Array,
        size: usize,
        nulls: Option<NullBuffer>,
    },
    Nested {
        values: Arc<[Value]>,
        nulls: Option<NullBuffer>,
    },
}

impl Column {
    pub(crate) fn new(array: &ArrayRef) -> Result<Self, FeatureError> {
        let data_type = array.data_type().clone();
        let unsupported =
            || FeatureError::Unsupported { aggregation: "a window", data_type: array.data_type().clone() };
        let to = |to: &DataType| cast(array, to).map_err(FeatureError::arrow("convert a column of events"));
        let data = match Kind::of(&data_type).ok_or_else(unsupported)? {
            Kind::Int => Data::Int(to(&DataType::Int64)?.as_primitive::<Int64Type>().clone()),
            Kind::Instant if data_type == DataType::Date32 => {
                Data::Int(cast_twice(array, &DataType::Int32)?.as_primitive::<Int64Type>().clone())
            }
            Kind::Instant => Data::Int(to(&DataType::Int64)?.as_primitive::<Int64Type>().clone()),
            Kind::Float => Data::Float(to(&DataType::Float64)?.as_primitive::<Float64Type>().clone()),
            Kind::Decimal { .. } if data_type == DataType::UInt64 => {
                Data::Decimal(to(&DataType::Decimal128(20, 0))?.as_primitive::<Decimal128Type>().clone())
            }
            Kind::Decimal { .. } => Data::Decimal(array.as_primitive::<Decimal128Type>().clone()),
            Kind::Bool => Data::Bool(array.as_boolean().clone()),
            Kind::Text => Data::Text(to(&DataType::Utf8)?.as_string::<i32>().clone()),
            Kind::Bytes => Data::Bytes(to(&DataType::Binary)?.as_binary::<i32>().clone()),
            Kind::Vector => vectors(array.as_fixed_size_list())?,
            Kind::Nested => Data::Nested { values: nested(array)?.into(), nulls: array.nulls().cloned() },
        };
        Ok(Self { data_type, data })
    }

    pub(crate) fn len(&self) -> usize {
        match &self.data {
            Data::Int(array) => array.len(),
            Data::Float(array) => array.len(),
            Data::Decimal(array) => array.len(),
            Data::Bool(array) => array.len(),
            Data::Text(array) => array.len(),
            Data::Bytes(array) => array.len(),
            Data::Vector { values, size, .. } => values.len() / size,
            Data::Nested { values, .. } => values.len(),
        }
    }

    pub(crate) fn nulls(&self) -> Option<&NullBuffer> {
        match &self.data {
            Data::Int(array) => array.nulls(),
            Data::Float(array) => array.nulls(),
            Data::Decimal(array) => array.nulls(),
            Data::Bool(array) => array.nulls(),
            Data::Text(array) => array.nulls(),
            Data::Bytes(array) => array.nulls(),
            Data::Vector { nulls, .. } | Data::Nested { nulls, .. } => nulls.as_ref(),
        }
    }

    pub(crate) fn value(&self, row: usize) -> ValueRef<'_> {
        if self.nulls().is_some_and(|nulls| nulls.is_null(row)) {
            return ValueRef::Null;
        }
        match &self.data {
            Data::Int(array) => ValueRef::Int(array.value(row)),
            Data::Float(array) => ValueRef::Float(array.value(row)),
            Data::Decimal(array) => ValueRef::Decimal(array.value(row)),
            Data::Bool(array) => ValueRef::Bool(array.value(row)),
            Data::Text(array) => ValueRef::Text(array.value(row)),
            Data::Bytes(array) => ValueRef::Bytes(array.value(row)),
            Data::Vector { values, size, .. } => {
                ValueRef::Vector(values.values().get(row * size..(row + 1) * size).unwrap_or(&[]))
            }
            Data::Nested { values, .. } => values.get(row).map_or(ValueRef::Null, Value::borrowed),
        }
    }
}

/// Rows of lists and structs as values; a struct is the list of its members.
fn nested(array: &ArrayRef) -> Result<Vec<Value>, FeatureError> {
    let of = |values: &ArrayRef| -> Result<Vec<Value>, FeatureError> {
        let column = Column::new(values)?;
        Ok((0..column.len()).map(|row| column.value(row).to_value()).collect())
    };
    let row = |row: usize, items: &dyn Fn(usize) -> Vec<Value>| match array.is_null(row) {
        true => Value::Null,
        false => Value::List(items(row)),
    };
    let rows = 0..array.len();
    Ok(match array.data_type() {
        DataType::Struct(_) => {
            let members = array.as_struct().columns().iter().map(of).collect::<Result<Vec<_>, _>>()?;
            let items = |row: usize| {
                members
                    .iter()
                    .map(|member| member.get(row).cloned().unwrap_or(Value::Null))
                    .collect::<Vec<_>>()
            };
            rows.map(|at| row(at, &items)).collect()
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let values = of(list.values())?;
            let bounds = list.value_offsets();
            let bound =
                |at: usize| bounds.get(at).and_then(|bound| usize::try_from(*bound).ok()).unwrap_or(0);
            let items = |row: usize| values.get(bound(row)..bound(row + 1)).unwrap_or(&[]).to_vec();
            rows.map(|at| row(at, &items)).collect()
        }
        DataType::FixedSizeList(_, size) => {
            let values = of(array.as_fixed_size_list().values())?;
            let size = usize::try_from(*size).unwrap_or(0);
            let items = |row: usize| values.get(row * size..(row + 1) * size).unwrap_or(&[]).to_vec();
            rows.map(|at| row(at, &items)).collect()
        }
        other => {
            return Err(FeatureError::Unsupported { aggregation: "a window", data_type: other.clone() });
        }
    })
}

fn cast_twice(array: &ArrayRef, through: &DataType) -> Result<ArrayRef, FeatureError> {
    let action = "convert a column of events";
    let between = cast(array, through).map_err(FeatureError::arrow(action))?;
    cast(&between, &DataType::Int64).map_err(FeatureError::arrow(action))
}

fn vectors(list: &FixedSizeListArray) -> Result<Data, FeatureError> {
    let size = usize::try_from(list.value_length()).unwrap_or(1).max(1);
    let values = cast(list.values(), &DataType::Float64)
        .map_err(FeatureError::arrow("convert the elements of vectors"))?;
    let values = values.as_primitive::<Float64Type>().clone();
    let mut nulls = list.nulls().cloned();
    if let Some(elements) = values.nulls().filter(|nulls| nulls.null_count() > 0) {
        let valid = |row: usize| {
            list.is_valid(row) && (row * size..(row + 1) * size).all(|element| elements.is_valid(element))
        };
        nulls = Some((0..list.len()).map(valid).collect());
    }
    Ok(Data::Vector { values, size, nulls })
}

/// The values as an array of `data_type`. A value of another type becomes null.
pub(crate) fn build(values: &[Value], data_type: &DataType) -> Result<ArrayRef, FeatureError> {
    let narrowed = |array: ArrayRef| {
        cast(&array, data_type).map_err(FeatureError::arrow("convert the values of a feature"))
    };
    let Some(kind) = Kind::of(data_type) else {
        return lists(values, data_type);
    };
    let ints = || values.iter().map(int).collect::<Int64Array>();
    Ok(match kind {
        Kind::Int => narrowed(Arc::new(ints()))?,
        Kind::Instant if *data_type == DataType::Date32 => {
            let days: ArrayRef = Arc::new(ints());
            let days = cast(&days, &DataType::Int32)
                .map_err(FeatureError::arrow("convert the values of a feature"))?;
            narrowed(days)?
        }
        Kind::Instant => narrowed(Arc::new(ints()))?,
        Kind::Float => narrowed(Arc::new(values.iter().map(float).collect::<Float64Array>()))?,
        Kind::Decimal { scale } => {
            let array: Decimal128Array = values.iter().map(decimal).collect();
            let wide = array.with_precision_and_scale(38, scale);
            narrowed(Arc::new(wide.map_err(FeatureError::arrow("build a decimal"))?))?
        }
        Kind::Bool => Arc::new(values.iter().map(truth).collect::<BooleanArray>()),
        Kind::Text => narrowed(Arc::new(values.iter().map(text).collect::<StringArray>()))?,
        Kind::Bytes => narrowed(Arc::new(values.iter().map(bytes).collect::<BinaryArray>()))?,
        Kind::Vector | Kind::Nested => return lists(values, data_type),
    })
}

fn int(value: &Value) -> Option<i64> {
    if let Value::Int(value) = value { Some(*value) } else { None }
}

fn float(value: &Value) -> Option<f64> {
    if let Value::Float(value) = value { Some(*value) } else { None }
}

fn decimal(value: &Value) -> Option<i128> {
    if let Value::Decimal(value) = value { Some(*value) } else { None }
}

fn truth(value: &Value) -> Option<bool> {
    if let Value::Bool(value) = value { Some(*value) } else { None }
}

fn text(value: &Value) -> Option<&str> {
    if let Value::Text(value) = value { Some(value) } else { None }
}

fn bytes(value: &Value) -> Option<&[u8]> {
    if let Value::Bytes(value) = value { Some(value) } else { None }
}

fn lists(values: &[Value], data_type: &DataType) -> Result<ArrayRef, FeatureError> {
    let valid: NullBuffer = values.iter().map(|value| matches!(value, Value::List(_))).collect();
    let action = "build a list";
    match data_type {
        DataType::List(field) => {
            let length = |value: &Value| match value {
                Value::List(items) => items.len(),
                _ => 0,
            };
            let total: usize = values.iter().map(length).sum();
            if i32::try_from(total).is_err() {
                return Err(FeatureError::TooManyRows { rows: total });
            }
            let offsets = arrow::buffer::OffsetBuffer::from_lengths(values.iter().map(length));
            let mut flat = Vec::with_capacity(total);
            for value in values {
                if let Value::List(items) = value {
                    flat.extend_from_slice(items);
                }
            }
            let flat = build(&flat, field.data_type())?;
            let list = arrow::array::ListArray::try_new(field.clone(), offsets, flat, Some(valid));
            Ok(Arc::new(list.map_err(FeatureError::arrow(action))?))
        }
        DataType::FixedSizeList(field, size) => {
            let width = usize::try_from(*size).unwrap_or(0);
            let mut flat = Vec::with_capacity(values.len() * width);
            for value in values {
                match value {
                    Value::List(items) if items.len() == width => flat.extend_from_slice(items),
                    // Elements of a vector are never null.
                    _ if Kind::of(data_type) == Some(Kind::Vector) => {
                        flat.resize(flat.len() + width, Value::Float(0.0));
                    }
                    _ => flat.resize(flat.len() + width, Value::Null),
                }
            }
            let flat = build(&flat, field.data_type())?;
            let list = FixedSizeListArray::try_new(field.clone(), *size, flat, Some(valid));
            Ok(Arc::new(list.map_err(FeatureError::arrow(action))?))
        }
        DataType::Struct(fields) => {
            let member = |at: usize, value: &Value| match value {
                Value::List(members) => members.get(at).cloned().unwrap_or(Value::Null),
                _ => Value::Null,
            };
            let column = |(at, field): (usize, &Arc<Field>)| {
                let members: Vec<Value> = values.iter().map(|value| member(at, value)).collect();
                build(&members, field.data_type())
            };
            let columns = fields.iter().enumerate().map(column).collect::<Result<Vec<_>, _>>()?;
            let rows = StructArray::try_new(fields.clone(), columns, Some(valid));
            Ok(Arc::new(rows.map_err(FeatureError::arrow("build a struct"))?))
        }
        other => Ok(new_null_array(other, values.len())),
    }
}

/// A list of `data_type` as features deliver it.
pub(crate) fn list_of(data_type: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", data_type, true)))
}
