//! A column of 64-bit numbers that stays in the batches it came in.

use arrow::{
    array::{Array, ArrayRef, AsArray},
    buffer::{NullBuffer, ScalarBuffer},
    datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType},
};

use super::error::{AsofError, Side};

/// A batch of a column of 64-bit numbers.
#[derive(Clone, Debug)]
pub(super) struct ColumnBatch {
    pub(super) values: ScalarBuffer<i64>,
    pub(super) nulls: Option<NullBuffer>,
}

impl ColumnBatch {
    /// The instants of a column, checked to be as long as the batch.
    pub(super) fn instants(
        array: &ArrayRef,
        rows: usize,
        what: &'static str,
        side: Side,
    ) -> Result<Self, AsofError> {
        check_length(array, rows, what, side)?;
        if !matches!(array.data_type(), DataType::Timestamp(TimeUnit::Microsecond, _)) {
            let expected = "Timestamp(Microsecond)";
            return Err(AsofError::ColumnType { what, side, expected, found: array.data_type().clone() });
        }
        let array = array.as_primitive::<TimestampMicrosecondType>();
        Ok(Self { values: array.values().clone(), nulls: array.nulls().cloned() })
    }

    /// The sequence numbers of a view.
    pub(super) fn numbers(array: &ArrayRef, rows: usize, what: &'static str) -> Result<Self, AsofError> {
        check_length(array, rows, what, Side::View)?;
        let Some(array) = array.as_primitive_opt::<Int64Type>() else {
            let found = array.data_type().clone();
            return Err(AsofError::ColumnType { what, side: Side::View, expected: "Int64", found });
        };
        Ok(Self { values: array.values().clone(), nulls: array.nulls().cloned() })
    }

    pub(super) fn get(&self, at: usize) -> Option<i64> {
        let is_null = self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(at));
        if is_null { None } else { self.values.get(at).copied() }
    }
}

pub(super) fn check_length(
    array: &ArrayRef,
    expected: usize,
    what: &'static str,
    side: Side,
) -> Result<(), AsofError> {
    if array.len() == expected {
        Ok(())
    } else {
        Err(AsofError::Length { what, side, expected, found: array.len() })
    }
}

/// The places of rows in several batches.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// The first row of each batch.
    starts: Vec<usize>,
    rows: usize,
}

impl Places {
    pub(super) fn push(&mut self, rows: usize) {
        self.starts.push(self.rows);
        self.rows += rows;
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The number of rows of each batch.
    pub(super) fn lengths(&self) -> impl Iterator<Item = usize> {
        let ends = self.starts.iter().skip(1).chain([&self.rows]);
        self.starts.iter().zip(ends).map(|(start, end)| end - start)
    }

    /// The batch and the offset of a row.
    pub(super) fn locate(&self, row: usize) -> (usize, usize) {
        if self.starts.len() <= 1 {
            return (0, row);
        }
        let batch = self.starts.partition_point(|start| *start <= row).saturating_sub(1);
        (batch, row - self.starts.get(batch).copied().unwrap_or_default())
    }
}
