//! A column of JSON values as an Arrow array of a declared type, or the first value that does not fit, by row.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, FixedSizeListArray, ListArray, NullArray,
        PrimitiveArray, StringBuilder, StructArray, TimestampMicrosecondArray,
    },
    buffer::{NullBuffer, OffsetBuffer, ScalarBuffer},
    compute::{can_cast_types, cast},
    datatypes::{
        ArrowPrimitiveType, DataType, Decimal128Type, Field, Fields, Float32Type, Float64Type, Int8Type,
        Int16Type, Int32Type, Int64Type, TimeUnit, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};
use serde_json::value::RawValue;

use super::{
    columns::{members, values},
    scalar::{self, Mismatch},
    types::type_name,
};

/// The most elements that all lists of one column have together. While a value is converted it takes some ten times the bytes
/// of its text, so the bound of bodies alone would not bound the memory.
const MOST_ELEMENTS: usize = 4_000_000;

/// A value's text and the row of the request that it belongs to.
#[derive(Clone, Copy, Debug)]
struct Cell<'a> {
    text: &'a str,
    row: usize,
}

impl Cell<'_> {
    fn is_null(self) -> bool {
        self.text == "null"
    }
}

/// The first value of a column that does not fit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Index of the row, from 0.
    pub(crate) row: usize,
    /// The type that was wanted, in the project's words.
    pub(crate) expected: String,
    /// What was there instead.
    pub(crate) found: String,
}

/// The array of a column's values.
pub(crate) fn build(raw: &[&RawValue], field: &Field) -> Result<ArrayRef, Misfit> {
    let cells: Vec<Cell<'_>> =
        raw.iter().enumerate().map(|(row, raw)| Cell { text: raw.get(), row }).collect();
    checked(&cells, field)
}

/// Builds a field's values and refuses nulls where the field does.
fn checked(cells: &[Cell<'_>], field: &Field) -> Result<ArrayRef, Misfit> {
    let null = if field.is_nullable() { None } else { cells.iter().find(|cell| cell.is_null()) };
    match null {
        Some(null) => {
            Err(Misfit { row: null.row, expected: type_name(field.data_type()), found: "null".to_owned() })
        }
        None => array(cells, field.data_type()),
    }
}

fn array(cells: &[Cell<'_>], data_type: &DataType) -> Result<ArrayRef, Misfit> {
    let each = Each { cells, data_type };
    Ok(match data_type {
        DataType::Null => match cells.iter().find(|cell| !cell.is_null()) {
            Some(cell) => return Err(each.misfit(*cell, scalar::describe(cell.text))),
            None => Arc::new(NullArray::new(cells.len())),
        },
        DataType::Boolean => Arc::new(each.map(scalar::boolean)?.into_iter().collect::<BooleanArray>()),
        DataType::Int8 => each.integers::<Int8Type>()?,
        DataType::Int16 => each.integers::<Int16Type>()?,
        DataType::Int32 => each.integers::<Int32Type>()?,
        DataType::Int64 => each.integers::<Int64Type>()?,
        DataType::UInt8 => each.integers::<UInt8Type>()?,
        DataType::UInt16 => each.integers::<UInt16Type>()?,
        DataType::UInt32 => each.integers::<UInt32Type>()?,
        DataType::UInt64 => each.integers::<UInt64Type>()?,
        DataType::Float32 => {
            Arc::new(each.map(scalar::float32)?.into_iter().collect::<PrimitiveArray<Float32Type>>())
        }
        DataType::Float64 => {
            Arc::new(each.map(scalar::float64)?.into_iter().collect::<PrimitiveArray<Float64Type>>())
        }
        DataType::Decimal128(precision, scale) => {
            let decimals = each.map(|text| scalar::decimal(text, *precision, *scale))?;
            let decimals: PrimitiveArray<Decimal128Type> = decimals.into_iter().collect();
            Arc::new(decimals.with_data_type(data_type.clone()))
        }
        DataType::Utf8 => each.strings()?,
        DataType::Binary => Arc::new(each.map(scalar::binary)?.into_iter().collect::<BinaryArray>()),
        DataType::Date32 => Arc::new(each.map(scalar::date)?.into_iter().collect::<Date32Array>()),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let instants: TimestampMicrosecondArray = each.map(scalar::instant)?.into_iter().collect();
            Arc::new(instants.with_timezone_opt(zone.clone()))
        }
        DataType::List(element) => {
            let (children, offsets, nulls) = each.children(None)?;
            let values = checked(&children, element)?;
            let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
            each.nested(ListArray::try_new(element.clone(), offsets, values, nulls))?
        }
        DataType::FixedSizeList(element, size) => {
            let (children, _, nulls) = each.children(Some(usize::try_from(*size).unwrap_or(0)))?;
            // Nulls stand in for the elements of a null list, also where the element itself takes none.
            let values = array(&children, element.data_type())?;
            each.nested(FixedSizeListArray::try_new(element.clone(), *size, values, nulls))?
        }
        DataType::Struct(fields) => each.structs(fields)?,
        other => each.through(other)?,
    })
}

/// The cells of one column with the type that they have to fit.
struct Each<'a> {
    cells: &'a [Cell<'a>],
    data_type: &'a DataType,
}

/// Elements of all lists in a row, where each list ends, and which lists are null.
type Children<'a> = (Vec<Cell<'a>>, Vec<i32>, Option<NullBuffer>);

impl<'a> Each<'a> {
    fn misfit(&self, cell: Cell<'_>, found: Mismatch) -> Misfit {
        Misfit { row: cell.row, expected: type_name(self.data_type), found }
    }

    fn map<T>(&self, read: impl Fn(&'a str) -> Result<T, Mismatch>) -> Result<Vec<Option<T>>, Misfit> {
        let one = |cell: &Cell<'a>| match cell.is_null() {
            true => Ok(None),
            false => read(cell.text).map(Some).map_err(|found| self.misfit(*cell, found)),
        };
        self.cells.iter().map(one).collect()
    }

    fn integers<T: ArrowPrimitiveType>(&self) -> Result<ArrayRef, Misfit>
    where
        T::Native: std::str::FromStr + TryFrom<i64>,
    {
        let integers = self.map(scalar::integer::<T::Native>)?;
        Ok(Arc::new(integers.into_iter().collect::<PrimitiveArray<T>>()))
    }

    fn strings(&self) -> Result<ArrayRef, Misfit> {
        let mut strings = StringBuilder::with_capacity(self.cells.len(), self.cells.len() * 16);
        for cell in self.cells {
            match cell.is_null() {
                true => strings.append_null(),
                false => {
                    strings
                        .append_value(scalar::string(cell.text).map_err(|found| self.misfit(*cell, found))?);
                }
            }
        }
        Ok(Arc::new(strings.finish()))
    }

    /// The elements of all lists. With `size`, every list has as many elements and a null list stands for that many nulls.
    fn children(&self, size: Option<usize>) -> Result<Children<'a>, Misfit> {
        let mut children = Vec::new();
        let mut offsets = Vec::with_capacity(self.cells.len() + 1);
        offsets.push(0);
        for cell in self.cells {
            let Cell { text, row } = *cell;
            if cell.is_null() {
                children.extend(std::iter::repeat_n(Cell { text: "null", row }, size.unwrap_or(0)));
            } else {
                let room = MOST_ELEMENTS.saturating_sub(children.len());
                let list = values(text, room).ok_or_else(|| self.misfit(*cell, scalar::describe(text)))?;
                if list.count > room {
                    let found = format!("more than {MOST_ELEMENTS} values in the column's lists");
                    return Err(self.misfit(*cell, found));
                }
                if size.is_some_and(|size| size != list.count) {
                    return Err(self.misfit(*cell, format!("a list of {} values", list.count)));
                }
                children.extend(list.values.into_iter().map(|value| Cell { text: value.get(), row }));
            }
            let end = i32::try_from(children.len());
            offsets.push(end.map_err(|_| self.misfit(*cell, "too many values".to_owned()))?);
        }
        Ok((children, offsets, self.nulls()))
    }

    fn structs(&self, fields: &Fields) -> Result<ArrayRef, Misfit> {
        let mut columns = vec![Vec::with_capacity(self.cells.len()); fields.len()];
        for cell in self.cells {
            let Cell { text, row } = *cell;
            for column in &mut columns {
                column.push(Cell { text: "null", row });
            }
            if cell.is_null() {
                continue;
            }
            let members = members(text).ok_or_else(|| self.misfit(*cell, scalar::describe(text)))?;
            for (name, value) in members {
                let slot = fields.find(&name).and_then(|(index, _)| columns.get_mut(index)?.last_mut());
                let slot =
                    slot.ok_or_else(|| self.misfit(*cell, format!("an object with the field `{name}`")))?;
                slot.text = value.get();
            }
        }
        let arrays = columns.iter().zip(fields).map(|(cells, field)| array(cells, field.data_type()));
        let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        self.nested(StructArray::try_new(fields.clone(), arrays, self.nulls()))
    }

    fn nulls(&self) -> Option<NullBuffer> {
        let valid: NullBuffer = self.cells.iter().map(|cell| !cell.is_null()).collect::<Vec<_>>().into();
        (valid.null_count() > 0).then_some(valid)
    }

    /// A nested array, or the misfit that only the whole shows, such as a null where an element takes none.
    fn nested<T: arrow::array::Array + 'static>(
        &self,
        array: Result<T, arrow::error::ArrowError>,
    ) -> Result<ArrayRef, Misfit> {
        match array {
            Ok(array) => Ok(Arc::new(array)),
            Err(error) => Err(Misfit {
                row: 0,
                expected: type_name(self.data_type),
                found: format!("values that do not fit: {error}"),
            }),
        }
    }

    /// Other types, by way of the closest one above.
    fn through(&self, data_type: &DataType) -> Result<ArrayRef, Misfit> {
        let nearest = match data_type {
            DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
            DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
            DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
            DataType::Date64 => DataType::Date32,
            DataType::Float16 => DataType::Float32,
            DataType::Decimal256(precision, scale) if *precision <= 38 => {
                DataType::Decimal128(*precision, *scale)
            }
            DataType::LargeList(element) => DataType::List(element.clone()),
            DataType::Dictionary(_, values) => values.as_ref().clone(),
            _ => DataType::Utf8,
        };
        if !can_cast_types(&nearest, data_type) {
            let found = "JSON, in which this type cannot be written".to_owned();
            return Err(Misfit { row: 0, expected: type_name(data_type), found });
        }
        let values = array(self.cells, &nearest)?;
        let unfit = |error| Misfit { row: 0, expected: type_name(data_type), found: format!("{error}") };
        let converted = cast(&values, data_type).map_err(unfit)?;
        // A conversion that fails leaves a null.
        let lost = (0..values.len()).find(|row| converted.is_null(*row) && values.is_valid(*row));
        match lost.and_then(|row| self.cells.get(row)) {
            Some(cell) => Err(self.misfit(*cell, scalar::describe(cell.text))),
            None => Ok(converted),
        }
    }
}
