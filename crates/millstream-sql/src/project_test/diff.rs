//! Expected against actual rows.

use std::collections::HashMap;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Float32Type, Float64Type},
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use millstream_project::Diagnostic;

use crate::session::SqlError;

/// The number of unmatched rows, of both sides together, up to which rows are paired cell by cell.
const PAIRED_MAX: usize = 400;
/// The number of first significant digits in which two floats have to agree.
const FLOAT_DIGITS: usize = 12;

/// A row as text, null as `None`, in the order of [`Verdict::Different`]'s columns.
pub type TestRow = Vec<Option<String>>;

/// How a test ended.
#[derive(Debug)]
pub enum Verdict {
    /// The result is as expected.
    Passed { rows: usize },
    /// The result differs.
    Different {
        /// The compared columns.
        columns: Vec<String>,
        expected_rows: usize,
        actual_rows: usize,
        /// The expected rows with no counterpart.
        missing: Vec<TestRow>,
        /// The actual rows that nobody expected.
        unexpected: Vec<TestRow>,
        /// The expected rows that differ from their counterpart in some cells.
        changed: Vec<ChangedRow>,
    },
    /// The test itself is wrong.
    Invalid(Vec<Diagnostic>),
    /// The SQL failed on the given rows.
    Failed(SqlError),
}

/// An expected row and how the actual one differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedRow {
    pub expected: TestRow,
    pub cells: Vec<ChangedCell>,
}

/// One cell that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedCell {
    /// The number of the cell's column among the compared ones.
    pub column: usize,
    pub expected: Option<String>,
    pub actual: Option<String>,
}

/// Compares two batches of one schema, as a list or as a multiset. `key` names columns by which rows belong
/// together; without one, rows that share at least half of their cells do.
pub(super) fn compare(
    expected: &RecordBatch,
    actual: &RecordBatch,
    ordered: bool,
    key: &[usize],
) -> Result<Verdict, ArrowError> {
    let columns: Vec<String> = expected.schema().fields().iter().map(|field| field.name().clone()).collect();
    let (wanted, found) = (texts(expected)?, texts(actual)?);
    let (expected_rows, actual_rows) = (wanted.len(), found.len());
    let (missing, unexpected, changed) = if ordered {
        by_position(wanted, found)
    } else {
        let (missing, unexpected) = unmatched(wanted, found);
        pair(missing, unexpected, key)
    };
    Ok(if missing.is_empty() && unexpected.is_empty() && changed.is_empty() {
        Verdict::Passed { rows: expected_rows }
    } else {
        Verdict::Different { columns, expected_rows, actual_rows, missing, unexpected, changed }
    })
}

/// Every row as text, in which equal values have equal texts.
fn texts(batch: &RecordBatch) -> Result<Vec<TestRow>, ArrowError> {
    let mut rows: Vec<TestRow> = vec![Vec::with_capacity(batch.num_columns()); batch.num_rows()];
    let options = FormatOptions::default();
    for column in batch.columns() {
        let formatter = ArrayFormatter::try_new(column, &options)?;
        for (index, row) in rows.iter_mut().enumerate() {
            row.push(if column.is_null(index) { None } else { Some(text(column, index, &formatter)?) });
        }
    }
    Ok(rows)
}

fn text(column: &dyn Array, index: usize, formatter: &ArrayFormatter<'_>) -> Result<String, ArrowError> {
    Ok(match column.data_type() {
        DataType::Float64 => float(column.as_primitive::<Float64Type>().value(index), FLOAT_DIGITS),
        DataType::Float32 => {
            float(f64::from(column.as_primitive::<Float32Type>().value(index)), FLOAT_DIGITS / 2)
        }
        _ => formatter.value(index).try_to_string()?,
    })
}

/// The number rounded to significant digits, so that sums in another order still agree.
fn float(value: f64, digits: usize) -> String {
    let rounded: f64 = format!("{value:.*e}", digits.saturating_sub(1)).parse().unwrap_or(value);
    if rounded == 0.0 { "0".into() } else { rounded.to_string() }
}

type Differences = (Vec<TestRow>, Vec<TestRow>, Vec<ChangedRow>);

fn by_position(wanted: Vec<TestRow>, found: Vec<TestRow>) -> Differences {
    let (mut missing, mut unexpected, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    let mut wanted = wanted.into_iter();
    let mut found = found.into_iter();
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return (missing, unexpected, changed),
            (Some(row), None) => missing.push(row),
            (None, Some(row)) => unexpected.push(row),
            (Some(expected), Some(actual)) if expected == actual => {}
            (Some(expected), Some(actual)) => changed.push(changed_row(expected, actual)),
        }
    }
}

/// The rows of each side that the other lacks, as multisets, in the order of the rows.
fn unmatched(wanted: Vec<TestRow>, found: Vec<TestRow>) -> (Vec<TestRow>, Vec<TestRow>) {
    let mut counts: HashMap<&TestRow, usize> = HashMap::new();
    for row in &found {
        *counts.entry(row).or_default() += 1;
    }
    let missing: Vec<TestRow> = wanted.iter().filter(|row| !take(&mut counts, row)).cloned().collect();
    let mut counts: HashMap<&TestRow, usize> = HashMap::new();
    for row in &wanted {
        *counts.entry(row).or_default() += 1;
    }
    let unexpected = found.iter().filter(|row| !take(&mut counts, row)).cloned().collect();
    (missing, unexpected)
}

fn take(counts: &mut HashMap<&TestRow, usize>, row: &TestRow) -> bool {
    match counts.get_mut(row) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

/// Finds for each missing row the unexpected row that it probably became.
fn pair(missing: Vec<TestRow>, mut unexpected: Vec<TestRow>, key: &[usize]) -> Differences {
    if missing.len() + unexpected.len() > PAIRED_MAX {
        return (missing, unexpected, Vec::new());
    }
    let mut unpaired = Vec::new();
    let mut changed = Vec::new();
    for row in missing {
        let partner = unexpected
            .iter()
            .enumerate()
            .map(|(index, candidate)| (likeness(&row, candidate, key), index))
            .filter(|(likeness, _)| *likeness > 0)
            .max_by_key(|(likeness, index)| (*likeness, std::cmp::Reverse(*index)));
        match partner {
            Some((_, index)) => changed.push(changed_row(row, unexpected.remove(index))),
            None => unpaired.push(row),
        }
    }
    (unpaired, unexpected, changed)
}

/// How many cells agree; 0 when the rows do not belong together.
fn likeness(row: &TestRow, candidate: &TestRow, key: &[usize]) -> usize {
    let same = row.iter().zip(candidate).filter(|(a, b)| a == b).count();
    let belongs = if key.is_empty() {
        same * 2 >= row.len()
    } else {
        key.iter().all(|index| row.get(*index) == candidate.get(*index))
    };
    if belongs { same } else { 0 }
}

fn changed_row(expected: TestRow, actual: TestRow) -> ChangedRow {
    let pairs = expected.iter().zip(actual).enumerate();
    let cells = pairs
        .filter(|(_, (expected, actual))| *expected != actual)
        .map(|(column, (expected, actual))| ChangedCell { column, expected: expected.clone(), actual })
        .collect();
    ChangedRow { expected, cells }
}
