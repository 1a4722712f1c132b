//! Bitmaps of failing rows: a set bit is a failure, `None` stands for a bitmap without any.

use arrow::{
    array::BooleanBufferBuilder,
    buffer::{BooleanBuffer, Buffer, NullBuffer},
};

/// The rows of `values` for which `fails` holds, without the null rows.
#[inline]
pub(crate) fn of_values<T: Copy>(
    values: &[T],
    nulls: Option<&NullBuffer>,
    fails: impl Fn(T) -> bool,
) -> Option<BooleanBuffer> {
    let mut words = Vec::with_capacity(values.len().div_ceil(64));
    let mut any = 0;
    for chunk in values.chunks(64) {
        let mut word = 0_u64;
        for (bit, value) in chunk.iter().enumerate() {
            word |= u64::from(fails(*value)) << bit;
        }
        any |= word;
        words.push(word);
    }
    if any == 0 {
        return None;
    }
    without_nulls(BooleanBuffer::new(Buffer::from_vec(words), 0, values.len()), nulls)
}

/// The rows for which `fails(row)` holds; null rows are not asked.
#[inline]
pub(crate) fn of_rows(
    len: usize,
    nulls: Option<&NullBuffer>,
    fails: impl Fn(usize) -> bool,
) -> Option<BooleanBuffer> {
    let failed = match nulls {
        Some(nulls) => BooleanBuffer::collect_bool(len, |row| nulls.is_valid(row) && fails(row)),
        None => BooleanBuffer::collect_bool(len, fails),
    };
    any(failed)
}

/// Every row that is not null.
pub(crate) fn all_valid(len: usize, nulls: Option<&NullBuffer>) -> Option<BooleanBuffer> {
    match nulls {
        Some(nulls) => any(nulls.inner().clone()),
        None => any(BooleanBuffer::new_set(len)),
    }
}

/// The given rows, ascending or not.
pub(crate) fn of_list(len: usize, rows: &[usize]) -> Option<BooleanBuffer> {
    if rows.is_empty() {
        return None;
    }
    let mut bits = BooleanBufferBuilder::new(len);
    bits.append_n(len, false);
    rows.iter().for_each(|row| bits.set_bit(*row, true));
    Some(bits.finish())
}

pub(crate) fn without_nulls(failed: BooleanBuffer, nulls: Option<&NullBuffer>) -> Option<BooleanBuffer> {
    match nulls.filter(|nulls| nulls.null_count() > 0) {
        Some(nulls) => any(&failed & nulls.inner()),
        None => any(failed),
    }
}

/// `None` for a bitmap without a set bit.
pub(crate) fn any(bits: BooleanBuffer) -> Option<BooleanBuffer> {
    bits.has_true().then_some(bits)
}

pub(crate) fn union(left: Option<BooleanBuffer>, right: Option<&BooleanBuffer>) -> Option<BooleanBuffer> {
    match (left, right) {
        (Some(left), Some(right)) => Some(&left | right),
        (left, right) => left.or_else(|| right.cloned()),
    }
}
