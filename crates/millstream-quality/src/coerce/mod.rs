//! Values to their contract's type: lossless, or not at all.
//!
//! A value that does not fit becomes null, and its row is marked in `failed`. What counts as lossless:
//!
//! | target | from text | from typed values |
//! |---|---|---|
//! | integers | a whole number in range, also written `5.0` or `5e3` | integers in range; whole floats and decimals |
//! | floats | a decimal number, `inf`, `nan`; no overflow to infinity or underflow to zero | integers and floats that stay exact; decimals of up to 15 digits |
//! | decimal | a number, also with an exponent, whose value fits scale and precision exactly | integers, decimals, and the shortest text of a float, in the same way |
//! | bool | `true`, `false` in any case, `1`, `0` | bool; the integers 0 and 1 |
//! | date | `YYYY-MM-DD`; a timestamp that is midnight UTC | dates; instants at midnight UTC |
//! | timestamp | `YYYY-MM-DD`, a `T` or blank, `HH:MM:SS`, fraction to the microsecond, `Z` or an offset; without one, or a date alone, in the column's zone | instants to the microsecond; naive ones and dates in the column's zone |
//! | string | text | text, integers, binary that is UTF-8 |
//! | binary | the text's bytes | binary |
//! | list, struct | JSON, its scalars as the texts of this table; no key twice | element by element; a member that the struct does not declare must be null, also in JSON |
//!
//! Blanks around a text are part of it, so that no number, date or truth value has them.
//! A local time that a zone's clocks skip does not fit; one that they show twice is the earlier instant.

mod bytes;
mod json;
mod nested;
mod number;
mod target;
mod text;
mod time;

use arrow::{
    array::{
        Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, BooleanBufferBuilder, PrimitiveArray,
        make_array, new_null_array,
    },
    buffer::{BooleanBuffer, NullBuffer},
    compute::{CastOptions, cast, cast_with_options},
    datatypes::DataType,
};

pub(crate) use number::{Rounding, parse_number};
pub(crate) use target::{Target, Zone};
pub(crate) use time::{iso_date, timestamp_micros};

use crate::{QualityError, bitmap};

/// A column in its contract's type.
pub(crate) struct Coerced {
    pub(crate) array: ArrayRef,
    /// Rows whose value did not fit; it is null in `array`.
    pub(crate) failed: Option<BooleanBuffer>,
}

impl Coerced {
    fn whole(array: ArrayRef) -> Self {
        Self { array, failed: None }
    }
}

/// Converts `array` to `target`. An error is a fault of the machinery, never of a value.
pub(crate) fn coerce(array: &ArrayRef, target: &Target) -> Result<Coerced, QualityError> {
    let plain = plain(array)?;
    let array = plain.as_ref().unwrap_or(array);
    if array.data_type() == &target.data_type() {
        return Ok(Coerced::whole(array.clone()));
    }
    if array.data_type() == &DataType::Null {
        return Ok(Coerced::whole(new_null_array(&target.data_type(), array.len())));
    }
    match target {
        Target::Bool => number::to_bool(array),
        Target::Int8 | Target::Int16 | Target::Int32 | Target::Int64 => number::to_int(array, target),
        Target::Float32 | Target::Float64 => number::to_float(array, target),
        Target::Decimal { precision, scale } => number::to_decimal(array, *precision, *scale),
        Target::String => bytes::to_string(array),
        Target::Binary => bytes::to_binary(array),
        Target::Date => time::to_date(array),
        Target::Timestamp(zone) => time::to_timestamp(array, zone),
        Target::List(element, field) => nested::to_list(array, target, element, field),
        Target::Struct(members, fields) => nested::to_struct(array, target, members, fields),
        // Typed columns have no type check that could report a value, so a cast that fails is an error.
        Target::AsIs(data_type) => {
            let exact = CastOptions { safe: false, ..CastOptions::default() };
            let array = cast_with_options(array, data_type, &exact);
            array.map(Coerced::whole).map_err(QualityError::arrow("read a column in its table's type"))
        }
    }
}

/// The same values in the encoding that the kernels know: no dictionaries, views or 64-bit offsets.
/// `None` when `array` has it already.
fn plain(array: &ArrayRef) -> Result<Option<ArrayRef>, QualityError> {
    let plain = plain_type(array.data_type());
    if &plain == array.data_type() {
        return Ok(None);
    }
    cast(array, &plain).map(Some).map_err(QualityError::arrow("decode the column"))
}

/// The type of the same values without an encoding that the kernels do not know.
pub(crate) fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type()),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::LargeList(element)
        | DataType::FixedSizeList(element, _)
        | DataType::ListView(element)
        | DataType::LargeListView(element) => DataType::List(element.clone()),
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        other => other.clone(),
    }
}

/// Refuses all values, since no value of the array's type is a value of the target.
fn refuse_all(array: &ArrayRef, target: &Target) -> Result<Coerced, QualityError> {
    let nulls = array.logical_nulls();
    Ok(Coerced {
        array: new_null_array(&target.data_type(), array.len()),
        failed: bitmap::all_valid(array.len(), nulls.as_ref()),
    })
}

/// `array` with the given type and the failing rows turned to null.
pub(crate) fn with_failures(array: ArrayRef, failed: Option<BooleanBuffer>) -> Result<Coerced, QualityError> {
    let Some(failed) = failed else { return Ok(Coerced::whole(array)) };
    let nulls = without(array.nulls(), &failed);
    let data = array.to_data().into_builder().nulls(Some(nulls)).build();
    let data = data.map_err(QualityError::arrow("mark the values that do not fit"))?;
    Ok(Coerced { array: make_array(data), failed: Some(failed) })
}

/// A primitive column from values parsed row by row; `unfit` lists the rows without a value, null rows included.
fn primitive<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    unfit: &[usize],
    nulls: Option<&NullBuffer>,
    data_type: &DataType,
) -> Coerced {
    let failed = failures(values.len(), unfit, nulls);
    let nulls = match &failed {
        Some(failed) => Some(without(nulls, failed)),
        None => nulls.cloned(),
    };
    let array = PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(data_type.clone());
    Coerced { array: std::sync::Arc::new(array), failed }
}

fn boolean(values: BooleanBuffer, unfit: &[usize], nulls: Option<&NullBuffer>) -> Coerced {
    let failed = failures(values.len(), unfit, nulls);
    let nulls = match &failed {
        Some(failed) => Some(without(nulls, failed)),
        None => nulls.cloned(),
    };
    Coerced { array: std::sync::Arc::new(BooleanArray::new(values, nulls)), failed }
}

/// The rows of `unfit` that hold a value.
fn failures(len: usize, unfit: &[usize], nulls: Option<&NullBuffer>) -> Option<BooleanBuffer> {
    match nulls.filter(|nulls| nulls.null_count() > 0) {
        None => bitmap::of_list(len, unfit),
        Some(nulls) => {
            let rows: Vec<usize> = unfit.iter().copied().filter(|row| nulls.is_valid(*row)).collect();
            bitmap::of_list(len, &rows)
        }
    }
}

fn without(nulls: Option<&NullBuffer>, failed: &BooleanBuffer) -> NullBuffer {
    let fits = !failed;
    NullBuffer::new(match nulls {
        Some(nulls) => nulls.inner() & &fits,
        None => fits,
    })
}

/// Converts value by value; `convert` gives `None` for a value that does not fit.
fn convert<S: ArrowPrimitiveType, T: ArrowPrimitiveType>(
    array: &dyn Array,
    data_type: &DataType,
    convert: impl Fn(S::Native) -> Option<T::Native>,
) -> Coerced {
    let array = array.as_primitive::<S>();
    let mut unfit = Vec::new();
    let values = array.values().iter().enumerate().map(|(row, value)| {
        convert(*value).unwrap_or_else(|| {
            unfit.push(row);
            T::Native::default()
        })
    });
    let values: Vec<T::Native> = values.collect();
    primitive::<T>(values, &unfit, array.nulls(), data_type)
}

fn convert_to_bool<S: ArrowPrimitiveType>(
    array: &dyn Array,
    convert: impl Fn(S::Native) -> Option<bool>,
) -> Coerced {
    let array = array.as_primitive::<S>();
    let mut unfit = Vec::new();
    let mut values = BooleanBufferBuilder::new(array.len());
    for (row, value) in array.values().iter().enumerate() {
        let value = convert(*value);
        if value.is_none() {
            unfit.push(row);
        }
        values.append(value.unwrap_or_default());
    }
    boolean(values.finish(), &unfit, array.nulls())
}
