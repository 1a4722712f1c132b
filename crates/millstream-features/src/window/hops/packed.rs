//! Numbers side by side, all of one width in bytes, little-endian: the narrowest width that holds them all.

use crate::{
    FeatureError,
    aggregate::{Reader, Writer},
};

/// Widest signed number in bytes.
pub(super) const SIGNED_MAX: usize = 14;

/// Calls a function of a constant width.
macro_rules! by_width {
    ($width:expr, $go:ident, $bytes:expr, $visit:expr, $($constant:literal)+) => {
        match $width {
            $($constant => $go::<$constant>($bytes, $visit),)+
            _ => {}
        }
    };
}

/// Numbers of one column, or a range of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed<'a> {
    width: usize,
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Packed<'a> {
    /// Reads `count` numbers of at most `widest` bytes.
    pub(super) fn read(input: &mut Reader<'a>, count: usize, widest: usize) -> Result<Self, FeatureError> {
        let width = usize::from(input.byte()?);
        if width > widest {
            return Err(FeatureError::bytes("a column is too wide"));
        }
        Ok(Self { width, bytes: input.raw(count.saturating_mul(width))?, count })
    }

    pub(super) fn range(&self, from: usize, until: usize) -> Self {
        let bytes = self.bytes.get(from * self.width..until * self.width).unwrap_or(&[]);
        Self { width: self.width, bytes, count: until.saturating_sub(from) }
    }

    /// Calls `visit` with each number, which were written as unsigned ones of at most 8 bytes.
    #[inline]
    pub(super) fn each_unsigned(&self, mut visit: impl FnMut(u64)) {
        fn go<const W: usize>(bytes: &[u8], visit: &mut impl FnMut(u64)) {
            for chunk in bytes.as_chunks::<W>().0 {
                visit(unsigned(chunk));
            }
        }
        match self.width {
            0 => (0..self.count).for_each(|_| visit(0)),
            _ => by_width!(self.width, go, self.bytes, &mut visit, 1 2 3 4 5 6 7 8),
        }
    }

    /// Calls `visit` with each number, which were written as signed ones.
    #[inline]
    pub(super) fn each_signed(&self, mut visit: impl FnMut(i128)) {
        fn go<const W: usize>(bytes: &[u8], visit: &mut impl FnMut(i128)) {
            for chunk in bytes.as_chunks::<W>().0 {
                visit(signed(chunk));
            }
        }
        match self.width {
            0 => (0..self.count).for_each(|_| visit(0)),
            _ => by_width!(self.width, go, self.bytes, &mut visit, 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
        }
    }

    pub(super) fn unsigned(&self, at: usize) -> u64 {
        let mut word = [0; 8];
        let number = self.bytes.get(at * self.width..(at + 1) * self.width).unwrap_or(&[]);
        word.iter_mut().zip(number).for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(word)
    }

    /// How many of the ascending unsigned numbers are below `bound`.
    pub(super) fn below(&self, bound: u64) -> usize {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.unsigned(middle) < bound {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

#[inline]
fn unsigned<const W: usize>(chunk: &[u8; W]) -> u64 {
    // Of constant length: one or two loads.
    let mut word = [0; 8];
    if let Some(low) = word.first_chunk_mut::<W>() {
        *low = *chunk;
    }
    u64::from_le_bytes(word)
}

#[inline]
fn signed<const W: usize>(chunk: &[u8; W]) -> i128 {
    if W <= 8 {
        let unused = 64_usize.saturating_sub(8 * W);
        return i128::from((unsigned(chunk) << unused).cast_signed() >> unused);
    }
    let mut word = [0; 16];
    if let Some(low) = word.first_chunk_mut::<W>() {
        *low = *chunk;
    }
    let unused = 128_usize.saturating_sub(8 * W);
    (i128::from_le_bytes(word) << unused) >> unused
}

pub(super) fn write_unsigned(out: &mut Writer, values: impl Iterator<Item = u64> + Clone) {
    let bits = values.clone().fold(0, |bits, value| bits | value);
    let width = (u64::BITS - bits.leading_zeros()).div_ceil(8);
    out.byte(u8::try_from(width).unwrap_or(8));
    for value in values {
        out.raw(value.to_le_bytes().get(..width as usize).unwrap_or(&[]));
    }
}

/// The values fit [`SIGNED_MAX`] bytes.
pub(super) fn write_signed(out: &mut Writer, values: impl Iterator<Item = i128> + Clone) {
    // A negative number is as wide as its complement; zero needs no byte at all.
    let bits = values.clone().fold(0, |bits, value| bits | (value ^ (value >> 127)));
    let any = values.clone().any(|value| value != 0);
    let width = if any { (128 - bits.leading_zeros() + 1).div_ceil(8) } else { 0 };
    out.byte(u8::try_from(width).unwrap_or(16));
    for value in values {
        out.raw(value.to_le_bytes().get(..width as usize).unwrap_or(&[]));
    }
}
