//! Computes the figures of one column, chunk after chunk.

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, UInt8Array},
    buffer::BooleanBuffer,
    compute::{SortOptions, cast, concat, filter, sort},
    datatypes::{DataType, Float64Type},
    row::{OwnedRow, RowConverter, SortField},
};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    CATEGORIES, Category, ColumnStatistics, DISTINCT_MAX, Distinct, DistinctCount, StatusCounts,
    bins::{histogram, quantiles},
    moments::Moments,
};
use crate::{DatasetError, dataset::scalar::scalar};

/// Numbers with at most so many distinct values are also counted as categories.
const FEW_VALUES: u64 = 50;

/// Collects what the figures of a column need from its chunks.
#[derive(Debug)]
pub(crate) struct Observer {
    data_type: DataType,
    /// Turns values into rows of bytes in the order of the values; `None` for types without an order.
    rows: Option<RowConverter>,
    figures: ColumnStatistics,
    moments: Moments,
    ends: Option<[OwnedRow; 2]>,
    values: Distinct<Value>,
    sample: Vec<ArrayRef>,
    /// Whether the sample is not all rows.
    is_sampled: bool,
}

/// One distinct value.
#[derive(Debug)]
struct Value {
    row: OwnedRow,
    rows: u64,
}

impl Observer {
    /// `has_status` says whether the column is a feature that comes with statuses.
    pub(crate) fn new(data_type: &DataType, has_status: bool, is_sampled: bool) -> Self {
        let has_no_order = data_type.is_nested() || *data_type == DataType::Null;
        let fields = vec![SortField::new(data_type.clone())];
        let rows = if has_no_order { None } else { RowConverter::new(fields).ok() };
        let statuses = has_status.then(StatusCounts::default);
        Self {
            data_type: data_type.clone(),
            rows,
            figures: ColumnStatistics { statuses, ..ColumnStatistics::default() },
            moments: Moments::default(),
            ends: None,
            values: Distinct::new(DISTINCT_MAX),
            sample: Vec::new(),
            is_sampled,
        }
    }

    /// Adds a chunk; `sample` marks its rows of the sample.
    pub(crate) fn add(
        &mut self,
        column: &ArrayRef,
        statuses: Option<&UInt8Array>,
        sample: &BooleanArray,
    ) -> Result<(), DatasetError> {
        self.figures.rows += column.len() as u64;
        self.figures.nulls += column.logical_nulls().map_or(0, |nulls| nulls.null_count() as u64);
        if let (Some(counts), Some(statuses)) = (&mut self.figures.statuses, statuses) {
            count_statuses(counts, statuses);
        }
        if let Some(numbers) = numbers(column)? {
            let finite: Vec<f64> = numbers.iter().flatten().filter(|value| value.is_finite()).collect();
            self.moments.add(&finite);
            self.figures.not_finite += (numbers.len() - numbers.null_count() - finite.len()) as u64;
        }
        if self.rows.is_some() {
            self.add_values(column)?;
            self.sample.push(filter(column, sample).map_err(DatasetError::arrow("sample a column"))?);
        }
        Ok(())
    }

    fn add_values(&mut self, column: &ArrayRef) -> Result<(), DatasetError> {
        let Some(converter) = &self.rows else { return Ok(()) };
        let rows = converter.convert_columns(std::slice::from_ref(column));
        let rows = rows.map_err(DatasetError::arrow("look at a column's values"))?;
        let nulls = column.logical_nulls();
        let not_finite = not_finite(column)?;
        let (mut low, mut high) = (None, None);
        for (number, row) in rows.iter().enumerate() {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(number)) {
                continue;
            }
            let hash = xxh3_64(row.data());
            if let Some(value) = self.values.entry(hash, || Value { row: row.owned(), rows: 0 }) {
                value.rows += 1;
            }
            if not_finite.as_ref().is_some_and(|not_finite| not_finite.value(number)) {
                continue;
            }
            low = Some(low.map_or(row, |low| row.min(low)));
            high = Some(high.map_or(row, |high| row.max(high)));
        }
        if let (Some(low), Some(high)) = (low, high) {
            let (low, high) = (low.owned(), high.owned());
            self.ends = Some(match self.ends.take() {
                None => [low, high],
                Some([least, most]) => [least.min(low), most.max(high)],
            });
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<ColumnStatistics, DatasetError> {
        let mut figures = std::mem::take(&mut self.figures);
        if is_number(&self.data_type) || self.data_type == DataType::Boolean {
            let finite = |value: f64| value.is_finite().then_some(value);
            figures.mean = (self.moments.count > 0).then_some(self.moments.mean).and_then(finite);
            figures.stddev = self.moments.deviation().and_then(finite);
        }
        let Some(converter) = &self.rows else { return Ok(figures) };
        figures.distinct = Some(DistinctCount { count: self.values.count(), exact: self.values.is_exact() });
        if let Some(ends) = &self.ends {
            let ends = converter.convert_rows(ends.iter().map(OwnedRow::row));
            let ends = ends.map_err(DatasetError::arrow("read a column's ends"))?;
            let [min, max] = [0, 1].map(|row| ends.first().and_then(|ends| scalar(ends, row)));
            (figures.min, figures.max) = (min, max);
        }
        let sample = self.sample()?;
        if self.is_sampled {
            figures.sampled = Some(sample.len() as u64);
        }
        if is_ordered(&self.data_type) {
            figures.quantiles = quantiles(&sample);
            figures.histogram = histogram(&sample)?;
        }
        figures.categories = self.categories(converter, &sample)?;
        Ok(figures)
    }

    /// The values of the sample in order, without nulls and what is not finite.
    fn sample(&self) -> Result<ArrayRef, DatasetError> {
        let failed = DatasetError::arrow;
        let parts: Vec<&dyn Array> = self.sample.iter().map(AsRef::as_ref).collect();
        if parts.is_empty() {
            return Ok(arrow::array::new_empty_array(&self.data_type));
        }
        let all = concat(&parts).map_err(failed("sample a column"))?;
        let mut keep = BooleanBuffer::new_set(all.len());
        if let Some(nulls) = all.logical_nulls() {
            keep = nulls.inner().clone();
        }
        if let Some(not_finite) = not_finite(&all)? {
            keep = &keep & &!&not_finite;
        }
        let all = filter(&all, &BooleanArray::new(keep, None)).map_err(failed("sample a column"))?;
        sort(&all, Some(SortOptions::default())).map_err(failed("sort a column"))
    }

    fn categories(&self, converter: &RowConverter, sample: &ArrayRef) -> Result<Vec<Category>, DatasetError> {
        let distinct = self.values.count();
        let is_few = self.values.is_exact() && distinct <= FEW_VALUES;
        if !is_few && (is_number(&self.data_type) || self.data_type.is_temporal()) {
            return Ok(Vec::new());
        }
        let (mut counted, rows_min) = if self.values.is_exact() {
            (self.values.values().map(|value| (value.rows, value.row.clone())).collect(), 2)
        } else {
            // A value that is not in half a percent of the sample is too rare to be named.
            (runs(converter, sample)?, (sample.len() as u64 / 200).max(2))
        };
        counted.retain(|(rows, _)| is_few || *rows >= rows_min);
        counted.sort_unstable_by(|(one, value), (other, than)| other.cmp(one).then_with(|| value.cmp(than)));
        counted.truncate(CATEGORIES);
        let values = converter.convert_rows(counted.iter().map(|(_, row)| row.row()));
        let values = values.map_err(DatasetError::arrow("read a column's values"))?;
        let Some(values) = values.first() else { return Ok(Vec::new()) };
        let name = |(at, (rows, _)): (usize, &(u64, OwnedRow))| {
            Some(Category { value: scalar(values, at)?, rows: *rows })
        };
        Ok(counted.iter().enumerate().filter_map(name).collect())
    }
}

/// Each distinct value of a sorted column, and how often it is there.
fn runs(converter: &RowConverter, sorted: &ArrayRef) -> Result<Vec<(u64, OwnedRow)>, DatasetError> {
    let rows = converter.convert_columns(std::slice::from_ref(sorted));
    let rows = rows.map_err(DatasetError::arrow("look at a column's values"))?;
    let mut runs: Vec<(u64, OwnedRow)> = Vec::new();
    for row in &rows {
        match runs.last_mut() {
            Some((count, value)) if value.row() == row => *count += 1,
            _ => runs.push((1, row.owned())),
        }
    }
    Ok(runs)
}

fn count_statuses(counts: &mut StatusCounts, statuses: &UInt8Array) {
    for status in statuses.values() {
        match status {
            0 => counts.present += 1,
            1 => counts.null += 1,
            2 => counts.missing += 1,
            3 => counts.expired += 1,
            _ => {}
        }
    }
}

/// The column as floats, if it is one of numbers or truth values.
pub(crate) fn numbers(column: &ArrayRef) -> Result<Option<Float64Array>, DatasetError> {
    if !is_number(column.data_type()) && *column.data_type() != DataType::Boolean {
        return Ok(None);
    }
    let floats = cast(column, &DataType::Float64).map_err(DatasetError::arrow("read numbers"))?;
    Ok(floats.as_primitive_opt::<Float64Type>().cloned())
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// Whether quantiles and bins have a meaning.
fn is_ordered(data_type: &DataType) -> bool {
    is_number(data_type) || matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
}

/// Which values are NaN or infinite; none where no value can be.
fn not_finite(column: &ArrayRef) -> Result<Option<BooleanBuffer>, DatasetError> {
    if !column.data_type().is_floating() {
        return Ok(None);
    }
    let floats = numbers(column)?;
    Ok(floats.map(|floats| {
        BooleanBuffer::collect_bool(floats.len(), |row| {
            floats.values().get(row).is_some_and(|value| !value.is_finite())
        })
    }))
}
