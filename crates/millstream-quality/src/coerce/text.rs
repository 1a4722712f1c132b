//! Columns of text, parsed value by value without an allocation.
//!
//! The parsers get the whole column's bytes and a range: reading the eight bytes that *end* with a value, and
//! masking what precedes it, turns up to eight digits into a number without a branch per digit.

use arrow::{
    array::{Array, ArrowPrimitiveType, BooleanBufferBuilder, StringArray},
    datatypes::DataType,
};

use super::{Coerced, boolean, primitive};

/// A value's place in the column's bytes.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) start: usize,
    pub(super) end: usize,
}

impl<'a> Text<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), start: 0, end: text.len() }
    }

    #[inline]
    pub(super) fn get(self) -> &'a [u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn as_str(self) -> Option<&'a str> {
        std::str::from_utf8(self.get()).ok()
    }
}

/// Parses each value; `parse` gives `None` for a text that does not fit.
#[inline]
pub(super) fn parse_column<T: ArrowPrimitiveType>(
    texts: &StringArray,
    data_type: &DataType,
    parse: impl Fn(Text<'_>) -> Option<T::Native>,
) -> Coerced {
    let bytes = texts.value_data();
    let mut unfit = Vec::new();
    let values = texts.value_offsets().windows(2).enumerate().map(|(row, range)| {
        let text = Text { bytes, start: range[0] as usize, end: range[1] as usize };
        parse(text).unwrap_or_else(|| {
            unfit.push(row);
            T::Native::default()
        })
    });
    let values: Vec<T::Native> = values.collect();
    primitive::<T>(values, &unfit, texts.nulls(), data_type)
}

pub(super) fn parse_bools(texts: &StringArray) -> Coerced {
    let bytes = texts.value_data();
    let mut unfit = Vec::new();
    let mut values = BooleanBufferBuilder::new(texts.len());
    for (row, range) in texts.value_offsets().windows(2).enumerate() {
        let text = Text { bytes, start: range[0] as usize, end: range[1] as usize };
        let value = match text.get() {
            b"1" => Some(true),
            b"0" => Some(false),
            text if text.eq_ignore_ascii_case(b"true") => Some(true),
            text if text.eq_ignore_ascii_case(b"false") => Some(false),
            _ => None,
        };
        if value.is_none() {
            unfit.push(row);
        }
        values.append(value.unwrap_or_default());
    }
    boolean(values.finish(), &unfit, texts.nulls())
}

const ZEROS: u64 = 0x3030_3030_3030_3030;
const HIGH: u64 = 0xF0F0_F0F0_F0F0_F0F0;

/// The number that 1 to 16 digits spell.
#[inline]
pub(super) fn digits(bytes: &[u8], start: usize, end: usize) -> Option<u64> {
    if end.wrapping_sub(start) <= 8 {
        return digits_8(bytes, start, end);
    }
    let middle = end.wrapping_sub(8);
    let high = digits_8(bytes, start, middle)?;
    Some(high.wrapping_mul(100_000_000).wrapping_add(digits_8(bytes, middle, end)?))
}

/// The number that 1 to 8 digits spell.
#[inline]
fn digits_8(bytes: &[u8], start: usize, end: usize) -> Option<u64> {
    let len = end.wrapping_sub(start);
    if len == 0 || len > 8 {
        return None;
    }
    let word = match bytes.get(end.wrapping_sub(8)..end).and_then(<[u8]>::first_chunk) {
        Some(word) => u64::from_le_bytes(*word),
        None => {
            let mut word = [0; 8];
            word[8 - len..].copy_from_slice(bytes.get(start..end)?);
            u64::from_le_bytes(word)
        }
    };
    // Memory order is little-endian order: what precedes the value stands in the low bytes.
    let keep = u64::MAX << (64 - 8 * len);
    number_of_8((word & keep) | (ZEROS & !keep))
}

/// The number of eight ASCII digits, the first one in the lowest byte.
#[inline]
fn number_of_8(word: u64) -> Option<u64> {
    let above_nine = word.wrapping_add(0x0606_0606_0606_0606) & HIGH;
    if (word & HIGH) | (above_nine >> 4) != 0x3333_3333_3333_3333 {
        return None;
    }
    let pairs = (word & 0x0F0F_0F0F_0F0F_0F0F).wrapping_mul(2_561) >> 8;
    let fours = (pairs & 0x00FF_00FF_00FF_00FF).wrapping_mul(6_553_601) >> 16;
    Some((fours & 0x0000_FFFF_0000_FFFF).wrapping_mul(42_949_672_960_001) >> 32)
}
