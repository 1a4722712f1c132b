//! `future(column)`: the time of an event is not further ahead of its arrival than the contract allows, so that one wrong clock
//! closes no windows.

use arrow::{
    array::{Array, AsArray},
    buffer::BooleanBuffer,
    datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType},
};
use millstream_types::{Span, TimestampMicros};

use super::{RowCheck, Rows};
use crate::{QualityError, bitmap, column::Column};

const MICROS_OF_DAY: i64 = 86_400_000_000;

#[derive(Debug)]
pub(crate) struct FutureCheck {
    column: Column,
    ahead_max: Span,
    /// When rows arrived that do not say it themselves.
    now: TimestampMicros,
}

impl FutureCheck {
    /// The check of a column of dates or timestamps; `None` for another type, whose values are no times.
    pub(crate) fn new(column: &Column, ahead_max: Span, now: TimestampMicros) -> Option<Self> {
        let is_time =
            matches!(column.data_type(), DataType::Date32 | DataType::Timestamp(TimeUnit::Microsecond, _));
        is_time.then(|| Self { column: column.clone(), ahead_max, now })
    }
}

impl RowCheck for FutureCheck {
    fn columns(&self) -> Vec<String> {
        vec![self.column.name().to_owned()]
    }

    fn failures(&self, rows: &Rows<'_>) -> Result<Option<BooleanBuffer>, QualityError> {
        let array = self.column.array(rows.typed);
        let ahead = i64::try_from(self.ahead_max.ms()).unwrap_or(i64::MAX).saturating_mul(1_000);
        let latest = |row: usize| {
            let arrived = rows.arrived.map_or(self.now.0, |arrived| arrived.value(row));
            arrived.saturating_add(ahead)
        };
        Ok(match array.data_type() {
            DataType::Date32 => {
                let days = array.as_primitive::<Date32Type>();
                let instant = |row: usize| i64::from(days.value(row)).saturating_mul(MICROS_OF_DAY);
                bitmap::of_rows(days.len(), days.nulls(), |row| instant(row) > latest(row))
            }
            _ => {
                let instants = array.as_primitive::<TimestampMicrosecondType>();
                bitmap::of_rows(instants.len(), instants.nulls(), |row| instants.value(row) > latest(row))
            }
        })
    }

    fn reason(&self, rows: &Rows<'_>, row: usize) -> String {
        format!(
            "`{}` is {}, more than {} ahead of the instant at which the row came",
            self.column.name(),
            self.column.shown(self.column.array(rows.typed), row),
            self.ahead_max
        )
    }
}
