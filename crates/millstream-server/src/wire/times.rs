//! Event times of an answer's columns. The features of one view share theirs, so they are written once and then copied.

use std::ops::Range;

use arrow::array::{Array, TimestampMicrosecondArray};

use super::{instant, json};

/// Writes the event times of one column after the other into the same bytes.
pub(crate) struct TimesWriter<'a> {
    /// What stands for a time that is not there.
    none: &'static [u8],
    /// The times that were written last, and where.
    last: Option<(&'a TimestampMicrosecondArray, Range<usize>)>,
}

impl<'a> TimesWriter<'a> {
    pub(crate) fn new(none: &'static [u8]) -> Self {
        Self { none, last: None }
    }

    /// Appends a list with the times of `rows` rows.
    pub(crate) fn write(
        &mut self,
        out: &mut Vec<u8>,
        times: Option<&'a TimestampMicrosecondArray>,
        rows: usize,
    ) {
        let Some(times) = times else {
            return json::list(out, 0..rows, |out, _| out.extend_from_slice(self.none));
        };
        if let Some((_, written)) = self.last.as_ref().filter(|(last, _)| is_same(last, times)) {
            return out.extend_from_within(written.clone());
        }
        let start = out.len();
        json::list(out, 0..rows, |out, row| match times.is_valid(row) {
            true => {
                out.push(b'"');
                instant::write_micros(out, times.value(row));
                out.push(b'"');
            }
            false => out.extend_from_slice(self.none),
        });
        self.last = Some((times, start..out.len()));
    }
}

/// Whether both arrays share their memory.
fn is_same(one: &TimestampMicrosecondArray, other: &TimestampMicrosecondArray) -> bool {
    let is_same_nulls = match (one.nulls(), other.nulls()) {
        (Some(one), Some(other)) => one.inner().ptr_eq(other.inner()),
        (None, None) => true,
        _ => false,
    };
    is_same_nulls && one.values().ptr_eq(other.values())
}
