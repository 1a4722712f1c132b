//! Exact totals, by slot.
//!
//! A total is a whole number of 128 bits times a power of two, which holds nearly all sums and is added to in a few steps. What does not fit is
//! moved to a sum of any width, and the total goes on from there. Both together are exact, so that neither order nor the moment of a
//! move can be seen in the result.

use std::collections::BTreeMap;

use millstream_features::aggregate::ExactSum;

use crate::{
    StreamError,
    state::{Reader, Writer},
};

/// How many binary places below a slot's first float its total holds: later floats may be that much finer.
const FINER: i32 = 32;
/// The most places by which a mantissa of 53 bits is shifted, so that it stays below 2^120.
const SHIFT_MAX: i32 = 120 - 53;

#[derive(Debug, Default)]
pub(super) struct Totals {
    totals: Vec<Total>,
    wide: BTreeMap<u32, ExactSum>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Total {
    total: i128,
    count: u64,
    /// The power of two of which the total is a multiple; 0 for whole numbers.
    exponent: i32,
}

impl Total {
    /// The sum of two totals and its exponent, if it fits.
    fn plus(&self, other: &Self) -> Option<(i128, i32)> {
        let exponent = match (self.total, other.total) {
            (_, 0) => self.exponent,
            (0, _) => other.exponent,
            _ => self.exponent.min(other.exponent),
        };
        Some((self.shifted(exponent)?.checked_add(other.shifted(exponent)?)?, exponent))
    }

    /// The total as a multiple of a smaller power of two, if it fits.
    fn shifted(&self, exponent: i32) -> Option<i128> {
        if self.total == 0 {
            return Some(0);
        }
        let shift = u32::try_from(self.exponent - exponent).ok()?;
        (self.total.unsigned_abs().leading_zeros() > shift + 1).then(|| self.total << shift)
    }

    /// The nearest float, unless it may be a denormal one, whose digits would be rounded twice.
    fn rounded(&self) -> Option<f64> {
        let biased = u64::try_from(self.exponent + 1023).ok().filter(|biased| (2..2047).contains(biased))?;
        #[allow(clippy::cast_precision_loss, reason = "this is the one rounding")]
        let total = self.total as f64;
        Some(total * f64::from_bits(biased << 52))
    }
}

impl Totals {
    pub(super) fn resize(&mut self, slots: usize) {
        self.totals.resize(slots, Total::default());
    }

    #[inline]
    pub(super) fn add_int(&mut self, slot: u32, value: i128) {
        let Some(total) = self.totals.get_mut(slot as usize) else { return };
        total.count += 1;
        match total.total.checked_add(value) {
            Some(sum) => total.total = sum,
            None => {
                let former = std::mem::replace(&mut total.total, value);
                self.widen(slot, &ExactSum::of_whole(former, 0));
            }
        }
    }

    #[inline]
    pub(super) fn add_float(&mut self, slot: u32, value: f64) {
        let Some(total) = self.totals.get_mut(slot as usize) else { return };
        total.count += 1;
        let bits = value.to_bits();
        let biased = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0x7ff);
        // Zeros and denormal numbers take the other way, and so do NaN and infinities.
        if biased != 0 && biased != 0x7ff {
            let mantissa = i128::from((bits & ((1 << 52) - 1)) | (1 << 52));
            let exponent = biased - 1075;
            if total.total == 0 {
                total.exponent = exponent - FINER;
            }
            let shift = exponent - total.exponent;
            if (0..=SHIFT_MAX).contains(&shift) {
                let signed = if bits >> 63 == 1 { -mantissa } else { mantissa };
                if let Some(sum) = total.total.checked_add(signed << shift) {
                    total.total = sum;
                    return;
                }
            }
        }
        self.add_unusual(slot, value);
    }

    #[cold]
    fn add_unusual(&mut self, slot: u32, value: f64) {
        if value == 0.0 {
            return;
        }
        let mut sum = ExactSum::default();
        sum.add_float(value);
        self.widen(slot, &sum);
        // What is much larger than the total so far is followed by more of its kind, mostly.
        if let Some(total) = self.totals.get_mut(slot as usize) {
            let former = std::mem::take(&mut total.total);
            let former = ExactSum::of_whole(former, total.exponent);
            self.widen(slot, &former);
        }
    }

    #[cold]
    fn widen(&mut self, slot: u32, more: &ExactSum) {
        self.wide.entry(slot).or_default().merge(more);
    }

    pub(super) fn merge(&mut self, into: u32, from: u32) {
        let Some(more) = self.totals.get(from as usize).copied() else { return };
        if let Some(total) = self.totals.get_mut(into as usize) {
            total.count += more.count;
            match total.plus(&more) {
                Some((sum, exponent)) => (total.total, total.exponent) = (sum, exponent),
                None => self.widen(into, &ExactSum::of_whole(more.total, more.exponent)),
            }
        }
        if let Some(more) = self.wide.get(&from).cloned() {
            self.widen(into, &more);
        }
    }

    pub(super) fn reset(&mut self, slot: u32) {
        if let Some(total) = self.totals.get_mut(slot as usize) {
            *total = Total::default();
        }
        if !self.wide.is_empty() {
            self.wide.remove(&slot);
        }
    }

    /// The number of terms of a slot.
    pub(super) fn count(&self, slot: u32) -> u64 {
        self.totals.get(slot as usize).map_or(0, |total| total.count)
    }

    /// The sum of a slot of floats, rounded once.
    pub(super) fn rounded(&self, slot: u32) -> f64 {
        let narrow = self.totals.get(slot as usize).filter(|_| !self.wide.contains_key(&slot));
        narrow.and_then(Total::rounded).unwrap_or_else(|| self.sum(slot).value())
    }

    /// The sum of a slot.
    pub(super) fn sum(&self, slot: u32) -> ExactSum {
        let total = self.totals.get(slot as usize).copied().unwrap_or_default();
        let mut sum = ExactSum::of_whole(total.total, total.exponent);
        if let Some(wide) = self.wide.get(&slot) {
            sum.merge(wide);
        }
        sum
    }

    /// The sum of a slot of whole numbers, if it fits.
    pub(super) fn whole(&self, slot: u32) -> Option<i128> {
        match self.totals.get(slot as usize) {
            Some(total) if !self.wide.contains_key(&slot) => Some(total.total),
            _ => self.sum(slot).whole(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        // A sum of any width takes a few digits beside its place in the map.
        self.totals.capacity() * size_of::<Total>() + self.wide.len() * (size_of::<ExactSum>() + 64)
    }

    pub(super) fn write(&self, slot: u32, out: &mut Writer) {
        out.u64(self.count(slot));
        match self.wide.get(&slot) {
            None => {
                let total = self.totals.get(slot as usize).copied().unwrap_or_default();
                out.flag(false);
                out.i128(total.total);
                out.u32(total.exponent.cast_unsigned());
            }
            Some(_) => {
                out.flag(true);
                out.block(&self.sum(slot).to_bytes());
            }
        }
    }

    pub(super) fn read(&mut self, slot: u32, input: &mut Reader<'_>) -> Result<(), StreamError> {
        self.reset(slot);
        let mut read = Total { count: input.u64()?, ..Total::default() };
        if input.flag()? {
            let sum =
                ExactSum::from_bytes(input.block()?).map_err(|_| StreamError::damaged("a sum is none"))?;
            self.wide.insert(slot, sum);
        } else {
            read.total = input.i128()?;
            read.exponent = input.u32()?.cast_signed();
            if !(-1_200..1_100).contains(&read.exponent) {
                return Err(StreamError::damaged("the exponent of a sum is out of range"));
            }
        }
        if let Some(total) = self.totals.get_mut(slot as usize) {
            *total = read;
        }
        Ok(())
    }
}
