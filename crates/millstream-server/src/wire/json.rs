//! Arrow values written as JSON, straight into the bytes of the response.
//!
//! Integers are bare numbers with every digit, floats the shortest number that reads back the same; JSON has no NaN and no
//! infinity, so these are `null` (the status of such a value stays present). Decimals are strings, bytes base64, instants
//! RFC 3339, dates `2026-11-01`, lists arrays, structs and maps objects.

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray, StructArray},
    compute::cast,
    datatypes::{
        DataType, Date32Type, Date64Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
        Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
        TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use serde::Serialize;

use super::{base64, instant};

/// How instants are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instants {
    Rfc3339,
    /// Whole seconds since 1970, as Feast's server does.
    EpochSeconds,
}

/// Writes the values of one array, one at a time.
pub struct ColumnWriter<'a> {
    array: &'a dyn Array,
    values: Values<'a>,
    instants: Instants,
}

impl std::fmt::Debug for ColumnWriter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ColumnWriter").field("type", self.array.data_type()).finish_non_exhaustive()
    }
}

enum Values<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Int8(&'a PrimitiveArray<Int8Type>),
    Int16(&'a PrimitiveArray<Int16Type>),
    Int32(&'a PrimitiveArray<Int32Type>),
    Int64(&'a PrimitiveArray<Int64Type>),
    UInt8(&'a PrimitiveArray<UInt8Type>),
    UInt16(&'a PrimitiveArray<UInt16Type>),
    UInt32(&'a PrimitiveArray<UInt32Type>),
    UInt64(&'a PrimitiveArray<UInt64Type>),
    Float16(&'a PrimitiveArray<Float16Type>),
    Float32(&'a PrimitiveArray<Float32Type>),
    Float64(&'a PrimitiveArray<Float64Type>),
    Text(Texts<'a>),
    Binary(Binaries<'a>),
    Date32(&'a PrimitiveArray<Date32Type>),
    Date64(&'a PrimitiveArray<Date64Type>),
    /// Ticks since 1970 and how many of them make a second.
    Instant(&'a [i64], i64),
    List(Bounds<'a>, Box<ColumnWriter<'a>>),
    Struct(&'a StructArray, Vec<ColumnWriter<'a>>),
    /// Where a map's entries stand, its keys as text, its values.
    Map(&'a [i32], ArrayFormatter<'a>, Box<ColumnWriter<'a>>),
    Other(ArrayFormatter<'a>),
}

enum Texts<'a> {
    Small(&'a arrow::array::StringArray),
    Large(&'a arrow::array::LargeStringArray),
    View(&'a arrow::array::StringViewArray),
}

enum Binaries<'a> {
    Small(&'a arrow::array::BinaryArray),
    Large(&'a arrow::array::LargeBinaryArray),
    View(&'a arrow::array::BinaryViewArray),
    Fixed(&'a arrow::array::FixedSizeBinaryArray),
}

enum Bounds<'a> {
    Small(&'a [i32]),
    Large(&'a [i64]),
    Fixed(usize),
}

impl Bounds<'_> {
    fn of(&self, row: usize) -> std::ops::Range<usize> {
        let number = |value: i64| usize::try_from(value).unwrap_or_default();
        match self {
            Self::Small(offsets) => number(offsets[row].into())..number(offsets[row + 1].into()),
            Self::Large(offsets) => number(offsets[row])..number(offsets[row + 1]),
            Self::Fixed(size) => row * size..(row + 1) * size,
        }
    }
}

/// What types without a form of their own in JSON look like, as text.
const FORMAT: FormatOptions<'static> = FormatOptions::new().with_display_error(true);

/// An array as [`ColumnWriter`] takes it: dictionaries are replaced by their values.
pub(crate) fn plain(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Dictionary(_, values) => cast(array, values),
        DataType::RunEndEncoded(_, values) => cast(array, values.data_type()),
        _ => Ok(array.clone()),
    }
}

impl<'a> ColumnWriter<'a> {
    /// A writer with instants as RFC 3339.
    ///
    /// # Errors
    ///
    /// The array is of a type that Arrow itself cannot print.
    pub fn new(array: &'a dyn Array) -> Result<Self, ArrowError> {
        Self::with_instants(array, Instants::Rfc3339)
    }

    pub(crate) fn with_instants(array: &'a dyn Array, instants: Instants) -> Result<Self, ArrowError> {
        let child = |array: &'a ArrayRef| Self::with_instants(array.as_ref(), instants);
        let values = match array.data_type() {
            DataType::Null => Values::Null,
            DataType::Boolean => Values::Boolean(array.as_boolean()),
            DataType::Int8 => Values::Int8(array.as_primitive()),
            DataType::Int16 => Values::Int16(array.as_primitive()),
            DataType::Int32 => Values::Int32(array.as_primitive()),
            DataType::Int64 => Values::Int64(array.as_primitive()),
            DataType::UInt8 => Values::UInt8(array.as_primitive()),
            DataType::UInt16 => Values::UInt16(array.as_primitive()),
            DataType::UInt32 => Values::UInt32(array.as_primitive()),
            DataType::UInt64 => Values::UInt64(array.as_primitive()),
            DataType::Float16 => Values::Float16(array.as_primitive()),
            DataType::Float32 => Values::Float32(array.as_primitive()),
            DataType::Float64 => Values::Float64(array.as_primitive()),
            DataType::Utf8 => Values::Text(Texts::Small(array.as_string())),
            DataType::LargeUtf8 => Values::Text(Texts::Large(array.as_string())),
            DataType::Utf8View => Values::Text(Texts::View(array.as_string_view())),
            DataType::Binary => Values::Binary(Binaries::Small(array.as_binary())),
            DataType::LargeBinary => Values::Binary(Binaries::Large(array.as_binary())),
            DataType::BinaryView => Values::Binary(Binaries::View(array.as_binary_view())),
            DataType::FixedSizeBinary(_) => Values::Binary(Binaries::Fixed(array.as_fixed_size_binary())),
            DataType::Date32 => Values::Date32(array.as_primitive()),
            DataType::Date64 => Values::Date64(array.as_primitive()),
            DataType::Timestamp(unit, _) => ticks(array, *unit),
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                Values::List(Bounds::Small(list.value_offsets()), Box::new(child(list.values())?))
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                Values::List(Bounds::Large(list.value_offsets()), Box::new(child(list.values())?))
            }
            DataType::FixedSizeList(_, size) => {
                let size = usize::try_from(*size).unwrap_or_default();
                Values::List(Bounds::Fixed(size), Box::new(child(array.as_fixed_size_list().values())?))
            }
            DataType::Struct(_) => {
                let array = array.as_struct();
                Values::Struct(array, array.columns().iter().map(child).collect::<Result<_, _>>()?)
            }
            DataType::Map(_, _) => {
                let map = array.as_map();
                let keys = ArrayFormatter::try_new(map.keys(), &FORMAT)?;
                Values::Map(map.value_offsets(), keys, Box::new(child(map.values())?))
            }
            _ => Values::Other(ArrayFormatter::try_new(array, &FORMAT)?),
        };
        Ok(Self { array, values, instants })
    }

    /// Appends the value of a row.
    pub fn write(&self, out: &mut Vec<u8>, row: usize) {
        if self.array.is_null(row) {
            return out.extend_from_slice(b"null");
        }
        match &self.values {
            Values::Null => out.extend_from_slice(b"null"),
            Values::Boolean(array) => value(out, &array.value(row)),
            Values::Int8(array) => value(out, &array.value(row)),
            Values::Int16(array) => value(out, &array.value(row)),
            Values::Int32(array) => value(out, &array.value(row)),
            Values::Int64(array) => value(out, &array.value(row)),
            Values::UInt8(array) => value(out, &array.value(row)),
            Values::UInt16(array) => value(out, &array.value(row)),
            Values::UInt32(array) => value(out, &array.value(row)),
            Values::UInt64(array) => value(out, &array.value(row)),
            Values::Float16(array) => value(out, &array.value(row).to_f32()),
            Values::Float32(array) => value(out, &array.value(row)),
            Values::Float64(array) => value(out, &array.value(row)),
            Values::Text(Texts::Small(array)) => value(out, array.value(row)),
            Values::Text(Texts::Large(array)) => value(out, array.value(row)),
            Values::Text(Texts::View(array)) => value(out, array.value(row)),
            Values::Binary(Binaries::Small(array)) => bytes(out, array.value(row)),
            Values::Binary(Binaries::Large(array)) => bytes(out, array.value(row)),
            Values::Binary(Binaries::View(array)) => bytes(out, array.value(row)),
            Values::Binary(Binaries::Fixed(array)) => bytes(out, array.value(row)),
            Values::Date32(array) => date(out, array.value(row).into()),
            Values::Date64(array) => date(out, array.value(row).div_euclid(86_400_000)),
            Values::Instant(ticks, per_second) => self.instant(out, ticks[row], *per_second),
            Values::List(bounds, values) => list(out, bounds.of(row), |out, index| values.write(out, index)),
            Values::Struct(array, columns) => {
                let members = array.column_names().into_iter().zip(columns);
                object(out, members, |out, column| column.write(out, row));
            }
            Values::Map(offsets, keys, values) => {
                let entries =
                    Bounds::Small(offsets).of(row).map(|entry| (keys.value(entry).to_string(), entry));
                object(out, entries, |out, entry| values.write(out, entry));
            }
            Values::Other(formatter) => value(out, &formatter.value(row).to_string()),
        }
    }

    /// Appends all values as a JSON array.
    pub fn write_all(&self, out: &mut Vec<u8>) {
        list(out, 0..self.array.len(), |out, row| self.write(out, row));
    }

    fn instant(&self, out: &mut Vec<u8>, ticks: i64, per_second: i64) {
        let seconds = ticks.div_euclid(per_second);
        if self.instants == Instants::EpochSeconds {
            return value(out, &seconds);
        }
        let nanos = ticks.rem_euclid(per_second) * (1_000_000_000 / per_second);
        out.push(b'"');
        instant::write(out, seconds, u32::try_from(nanos).unwrap_or_default());
        out.push(b'"');
    }
}

fn ticks(array: &dyn Array, unit: TimeUnit) -> Values<'_> {
    match unit {
        TimeUnit::Second => Values::Instant(array.as_primitive::<TimestampSecondType>().values(), 1),
        TimeUnit::Millisecond => {
            Values::Instant(array.as_primitive::<TimestampMillisecondType>().values(), 1_000)
        }
        TimeUnit::Microsecond => {
            Values::Instant(array.as_primitive::<TimestampMicrosecondType>().values(), 1_000_000)
        }
        TimeUnit::Nanosecond => {
            Values::Instant(array.as_primitive::<TimestampNanosecondType>().values(), 1_000_000_000)
        }
    }
}

/// Appends a string or a number. Neither can fail: the writer is memory, and no map with odd keys is involved.
pub(crate) fn value<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.extend_from_slice(b"null");
    }
}

/// Appends `[…]` with what `write` appends for each item.
pub(crate) fn list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// Appends `{…}` with what `write` appends for each member.
pub(crate) fn object<N: AsRef<str>, T>(
    out: &mut Vec<u8>,
    members: impl IntoIterator<Item = (N, T)>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'{');
    for (index, (name, item)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        value(out, name.as_ref());
        out.push(b':');
        write(out, item);
    }
    out.push(b'}');
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    base64::encode(out, bytes);
    out.push(b'"');
}

fn date(out: &mut Vec<u8>, days: i64) {
    out.push(b'"');
    instant::write_date(out, days);
    out.push(b'"');
}
