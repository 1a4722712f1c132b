//! Event times: the range in which windows are computed without overflow, and the column that holds them.

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{DataType, TimeUnit, TimestampMicrosecondType},
};
use millstream_types::Span;

use crate::StreamError;

/// The earliest event time that takes part, in microseconds since 1970 UTC: about the year -144000.
pub const TIME_MIN: i64 = -(1 << 62);
/// The latest event time that takes part, in microseconds since 1970 UTC: about the year 148000.
pub const TIME_MAX: i64 = 1 << 62;
/// The longest window, gap, bound or lateness in microseconds: about 18,000 years. With times between [`TIME_MIN`] and
/// [`TIME_MAX`], the end of a window plus a lateness fits an `i64`.
pub(crate) const SPAN_MAX: i64 = 1 << 59;

/// The watermark before anything is known.
pub(crate) const WATERMARK_MIN: i64 = i64::MIN;
/// The watermark of a stream that has ended.
pub(crate) const WATERMARK_END: i64 = i64::MAX;

/// A length in microseconds.
pub(crate) fn micros(stage: &str, what: &str, span: Span) -> Result<i64, StreamError> {
    i64::try_from(span.ms())
        .ok()
        .and_then(|ms| ms.checked_mul(1_000))
        .filter(|micros| *micros <= SPAN_MAX)
        .ok_or_else(|| StreamError::parameter(stage, format!("{what} of {span} is too long")))
}

/// As [`micros`], for lengths of which zero has no meaning.
pub(crate) fn micros_positive(stage: &str, what: &str, span: Span) -> Result<i64, StreamError> {
    match micros(stage, what, span)? {
        0 => Err(StreamError::parameter(stage, format!("{what} has no length"))),
        length => Ok(length),
    }
}

/// The start of the grid cell of `length` that holds `time`, in a grid that begins at `offset`.
pub(crate) fn floor(time: i64, length: i64, offset: i64) -> i64 {
    let since = i128::from(time) - i128::from(offset);
    let cell = since - since.rem_euclid(i128::from(length)) + i128::from(offset);
    // The range of times leaves room for one cell on each side.
    i64::try_from(cell).unwrap_or(i64::MIN)
}

/// The type of event times and of the bounds of windows.
pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Whether a column of this type can hold event times.
pub(crate) fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, _))
}

/// The event times of rows whose time column was checked to be of [`time_type`]. What stands at nulls is arbitrary.
pub(crate) fn times(rows: &RecordBatch, column: usize) -> &[i64] {
    let array = rows.columns().get(column);
    array
        .and_then(|array| array.as_primitive_opt::<TimestampMicrosecondType>())
        .map_or(&[], |array| array.values())
}
