//! Conversions to integers, floats, decimals and booleans.

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray},
    compute::{CastOptions, cast_with_options},
    datatypes::{
        DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
        UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};

use super::{
    Coerced, Target, convert, convert_to_bool, refuse_all,
    text::{self, Text, parse_bools, parse_column},
    with_failures,
};
use crate::{QualityError, bitmap};

/// Calls `$body` with `$source` naming the Arrow type of an integer array; `$other` for any other array.
macro_rules! by_integer {
    ($data_type:expr, $source:ident => $body:expr, _ => $other:expr) => {
        match $data_type {
            DataType::Int8 => {
                type $source = Int8Type;
                $body
            }
            DataType::Int16 => {
                type $source = Int16Type;
                $body
            }
            DataType::Int32 => {
                type $source = Int32Type;
                $body
            }
            DataType::Int64 => {
                type $source = Int64Type;
                $body
            }
            DataType::UInt8 => {
                type $source = UInt8Type;
                $body
            }
            DataType::UInt16 => {
                type $source = UInt16Type;
                $body
            }
            DataType::UInt32 => {
                type $source = UInt32Type;
                $body
            }
            DataType::UInt64 => {
                type $source = UInt64Type;
                $body
            }
            _ => $other,
        }
    };
}

pub(super) fn to_bool(array: &ArrayRef) -> Result<Coerced, QualityError> {
    if let Some(texts) = array.as_string_opt::<i32>() {
        return Ok(parse_bools(texts));
    }
    by_integer!(array.data_type(),
        Source => Ok(convert_to_bool::<Source>(array, |value| match i128::from(value) {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        })),
        _ => refuse_all(array, &Target::Bool)
    )
}

pub(super) fn to_int(array: &ArrayRef, target: &Target) -> Result<Coerced, QualityError> {
    match target {
        Target::Int8 => to_int_of::<Int8Type>(array, target),
        Target::Int16 => to_int_of::<Int16Type>(array, target),
        Target::Int32 => to_int_of::<Int32Type>(array, target),
        _ => to_int_of::<Int64Type>(array, target),
    }
}

fn to_int_of<T>(array: &ArrayRef, target: &Target) -> Result<Coerced, QualityError>
where
    T: ArrowPrimitiveType,
    T::Native: TryFrom<i128> + TryFrom<i64>,
{
    let to = T::DATA_TYPE;
    Ok(match array.data_type() {
        DataType::Utf8 => {
            parse_column::<T>(array.as_string(), &to, |text| T::Native::try_from(integer(text)?).ok())
        }
        DataType::Float32 => {
            convert::<Float32Type, T>(array, &to, |value| T::Native::try_from(whole(value.into())?).ok())
        }
        DataType::Float64 => {
            convert::<Float64Type, T>(array, &to, |value| T::Native::try_from(whole(value)?).ok())
        }
        DataType::Decimal128(_, scale) => {
            let unit = 10_i128.checked_pow(u32::from(scale.unsigned_abs())).unwrap_or(i128::MAX);
            let negative = *scale < 0;
            convert::<Decimal128Type, T>(array, &to, |value| {
                let value = if negative { value.checked_mul(unit) } else { divide_exactly(value, unit) };
                T::Native::try_from(value?).ok()
            })
        }
        data_type => by_integer!(data_type,
            Source => convert::<Source, T>(array, &to, |value| T::Native::try_from(i128::from(value)).ok()),
            _ => return refuse_all(array, target)
        ),
    })
}

pub(super) fn to_float(array: &ArrayRef, target: &Target) -> Result<Coerced, QualityError> {
    let to = target.data_type();
    let single = to == DataType::Float32;
    Ok(match array.data_type() {
        DataType::Utf8 if single => parse_column::<Float32Type>(array.as_string(), &to, |text| {
            let value: f32 = text.as_str()?.parse().ok()?;
            keeps_magnitude(value.into(), text).then_some(value)
        }),
        DataType::Utf8 => parse_column::<Float64Type>(array.as_string(), &to, |text| {
            let value: f64 = text.as_str()?.parse().ok()?;
            keeps_magnitude(value, text).then_some(value)
        }),
        DataType::Float32 => convert::<Float32Type, Float64Type>(array, &to, |value| Some(f64::from(value))),
        DataType::Float64 => convert::<Float64Type, Float32Type>(array, &to, to_single),
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            if single {
                convert::<Decimal128Type, Float32Type>(array, &to, |value| {
                    to_single(decimal_to_float(value, scale)?)
                })
            } else {
                convert::<Decimal128Type, Float64Type>(array, &to, |value| decimal_to_float(value, scale))
            }
        }
        data_type => by_integer!(data_type,
            Source => if single {
                convert::<Source, Float32Type>(array, &to, |value| to_single(integer_to_float(value.into())?))
            } else {
                convert::<Source, Float64Type>(array, &to, |value| integer_to_float(value.into()))
            },
            _ => return refuse_all(array, target)
        ),
    })
}

pub(super) fn to_decimal(array: &ArrayRef, precision: u8, scale: i8) -> Result<Coerced, QualityError> {
    let target = Target::Decimal { precision, scale };
    let to = target.data_type();
    let limit = 10_i128.checked_pow(precision.into()).unwrap_or(i128::MAX);
    let within = |value: i128| (value > -limit && value < limit).then_some(value);
    let unit = 10_i128.checked_pow(u32::from(scale.unsigned_abs())).unwrap_or(i128::MAX);
    Ok(match array.data_type() {
        DataType::Utf8 => {
            let fast = FastDecimal::new(precision, scale);
            parse_column::<Decimal128Type>(array.as_string(), &to, |text| match fast.parse(text) {
                Some(value) => Some(value),
                None => within(parse_number(text.as_str()?)?.at_scale(scale.into(), Rounding::Exact)?),
            })
        }
        DataType::Decimal128(_, from_scale) => {
            let shift = i32::from(scale) - i32::from(*from_scale);
            let factor = 10_i128.checked_pow(shift.unsigned_abs()).unwrap_or(i128::MAX);
            convert::<Decimal128Type, Decimal128Type>(array, &to, |value| {
                within(if shift < 0 { divide_exactly(value, factor)? } else { value.checked_mul(factor)? })
            })
        }
        DataType::Decimal256(_, from_scale) => return from_wide_decimal(array, *from_scale, &target),
        DataType::Float32 | DataType::Float64 => {
            let wide = cast_with_options(array, &DataType::Utf8, &CastOptions::default());
            let texts = wide.map_err(QualityError::arrow("write floats as text"))?;
            return to_decimal(&texts, precision, scale);
        }
        data_type => by_integer!(data_type,
            Source => convert::<Source, Decimal128Type>(array, &to, |value| {
                within(i128::from(value).checked_mul(unit)?)
            }),
            _ => return refuse_all(array, &target)
        ),
    })
}

/// Narrows to 128 bits first; what does not fit there fits no contract's decimal.
fn from_wide_decimal(array: &ArrayRef, scale: i8, target: &Target) -> Result<Coerced, QualityError> {
    let narrow = cast_with_options(array, &DataType::Decimal128(38, scale), &CastOptions::default());
    let narrow = narrow.map_err(QualityError::arrow("narrow decimals"))?;
    let lost = bitmap::of_rows(array.len(), array.nulls(), |row| narrow.is_null(row));
    let coerced = super::coerce(&narrow, target)?;
    with_failures(coerced.array, bitmap::union(coerced.failed, lost.as_ref()))
}

/// A whole number; nearly always an optional sign and up to 16 digits.
#[inline]
fn integer(text: Text<'_>) -> Option<i64> {
    let first = *text.bytes.get(text.start..text.end)?.first()?;
    let negative = first == b'-';
    let start = text.start.wrapping_add(usize::from(negative || first == b'+'));
    if text.end.wrapping_sub(start) <= 16
        && let Some(value) = text::digits(text.bytes, start, text.end)
    {
        let value = value.cast_signed();
        return Some(if negative { value.wrapping_neg() } else { value });
    }
    i64::try_from(parse_number(text.as_str()?)?.at_scale(0, Rounding::Exact)?).ok()
}

/// A float that is a whole number.
fn whole(value: f64) -> Option<i128> {
    // The conversion saturates; the way back then differs, as it does for NaN and fractions.
    #[allow(clippy::cast_possible_truncation)]
    let number = value as i128;
    ((number as f64).to_bits() == value.to_bits() || (value == 0.0)).then_some(number)
}

fn to_single(value: f64) -> Option<f32> {
    #[allow(clippy::cast_possible_truncation)]
    let single = value as f32;
    (f64::from(single) == value || value.is_nan()).then_some(single)
}

fn integer_to_float(value: i128) -> Option<f64> {
    let float = value as f64;
    (whole(float) == Some(value)).then_some(float)
}

/// A decimal of at most 15 digits comes back unchanged from the nearest float; longer ones need not.
fn decimal_to_float(value: i128, scale: i8) -> Option<f64> {
    const FIFTEEN_DIGITS: u128 = 1_000_000_000_000_000;
    if value.unsigned_abs() >= FIFTEEN_DIGITS {
        return None;
    }
    format!("{value}e{}", -i32::from(scale)).parse().ok()
}

/// Whether a finite text stayed finite and a number other than zero did not become zero.
fn keeps_magnitude(value: f64, text: Text<'_>) -> bool {
    let mut mantissa = text.get().iter().take_while(|byte| !byte.eq_ignore_ascii_case(&b'e'));
    if value.is_infinite() {
        return mantissa.all(|byte| !byte.is_ascii_digit());
    }
    value != 0.0 || mantissa.all(|byte| !matches!(byte, b'1'..=b'9'))
}

fn divide_exactly(value: i128, divisor: i128) -> Option<i128> {
    (value % divisor == 0).then(|| value / divisor)
}

/// Reads decimals in the form that nearly all have: digits, a point, exactly as many digits as the scale says.
struct FastDecimal {
    scale: usize,
    unit: u64,
    limit: u64,
}

impl FastDecimal {
    fn new(precision: u8, scale: i8) -> Self {
        let scale = u8::try_from(scale).unwrap_or(u8::MAX);
        // Sixteen digits at most are read at once; wider types and scales take the general way.
        let usable = precision <= 18 && scale <= 16;
        let power = |digits: u8| if usable { 10_u64.pow(digits.into()) } else { 0 };
        Self { scale: usize::from(scale), unit: power(scale), limit: power(precision) }
    }

    #[inline]
    fn parse(&self, text: Text<'_>) -> Option<i128> {
        let negative = *text.bytes.get(text.start..text.end)?.first()? == b'-';
        let start = text.start.wrapping_add(usize::from(negative));
        let len = text.end.wrapping_sub(start);
        let value = if self.scale == 0 {
            if len > 16 {
                return None;
            }
            text::digits(text.bytes, start, text.end)?
        } else {
            if len > 17 || len < self.scale + 2 {
                return None;
            }
            let point = text.end.wrapping_sub(self.scale + 1);
            if text.bytes.get(point) != Some(&b'.') {
                return None;
            }
            let whole = text::digits(text.bytes, start, point)?;
            let fraction = text::digits(text.bytes, point.wrapping_add(1), text.end)?;
            whole.wrapping_mul(self.unit).wrapping_add(fraction)
        };
        if value >= self.limit {
            return None;
        }
        Some(if negative { -i128::from(value) } else { i128::from(value) })
    }
}

/// A decimal number as written: `mantissa` × 10^`exponent`, exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    mantissa: i128,
    exponent: i32,
}

/// What to do with digits that a scale has no place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// The number does not fit.
    Exact,
    Down,
    Up,
}

/// Reads sign, digits, a point and an exponent; `None` for any other text and beyond 38 digits.
pub(crate) fn parse_number(text: &str) -> Option<Number> {
    let (negative, rest) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let split = rest.iter().position(|byte| byte.eq_ignore_ascii_case(&b'e'));
    let (digits, exponent) = match split {
        Some(at) => (&rest[..at], std::str::from_utf8(&rest[at + 1..]).ok()?.parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = match digits.iter().position(|byte| *byte == b'.') {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &[][..]),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let significant = fraction.iter().rposition(|byte| *byte != b'0').map_or(0, |last| last + 1);
    let (fraction, zeros) = fraction.split_at(significant);
    if !zeros.iter().all(|byte| *byte == b'0') {
        return None;
    }
    let mut mantissa = 0_i128;
    for byte in whole.iter().chain(fraction) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        mantissa = mantissa.checked_mul(10)?.checked_add(digit.into())?;
    }
    let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    Some(Number { mantissa: if negative { -mantissa } else { mantissa }, exponent })
}

impl Number {
    /// The number as a multiple of 10^-`scale`; `None` when it does not fit.
    pub(crate) fn at_scale(self, scale: i32, rounding: Rounding) -> Option<i128> {
        if self.mantissa == 0 {
            return Some(0);
        }
        let shift = self.exponent.checked_add(scale)?;
        let factor = 10_i128.checked_pow(shift.unsigned_abs());
        if shift >= 0 {
            return self.mantissa.checked_mul(factor?);
        }
        // A factor beyond 38 digits leaves nothing of any mantissa but its sign.
        let factor = factor.unwrap_or(i128::MAX);
        let floor = self.mantissa.div_euclid(factor);
        match (self.mantissa.rem_euclid(factor), rounding) {
            (0, _) | (_, Rounding::Down) => Some(floor),
            (_, Rounding::Up) => Some(floor + 1),
            (_, Rounding::Exact) => None,
        }
    }
}
