//! The partitions of one table: the number, the name and the rows of each.
//!
//! Partitions of time are numbered by their calendar. Values are numbered in the order in which they were first seen, and the
//! state store and each commit keep which number is which value.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Int64Type, Schema},
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::{
    common::ScalarValue,
    logical_expr::utils::{conjunction, disjunction},
    prelude::{Expr, ident, lit},
};
use millstream_lake::DataFile;
use millstream_plan::{NULL_PARTITION, PartitionSet};
use millstream_project::{PartitionBy, PartitionSpec, TableSpec};
use millstream_schedule::Calendar;
use millstream_sql::incremental::PartitionKey;
use millstream_state::PartitionValues;
use millstream_types::{TableName, TimestampMicros};

use crate::{EngineError, stored};

/// The most values by which a table is parted: each is a partition of its own, with files of its own.
pub(crate) const VALUES_MAX: u64 = 10_000;

/// The name of the partition of rows without a value.
pub(crate) const NULL_LABEL: &str = "null";

/// The partitions of one table.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    table: TableName,
    column: String,
    /// The type in which the table stores the column.
    data_type: DataType,
    calendar: Option<Calendar>,
    from: Option<i64>,
    values: PartitionValues,
    numbers: BTreeMap<String, i64>,
    /// Values that have a number since the state store was asked.
    new: PartitionValues,
    /// How many values are partitions of the table; others have a number that no other value gets.
    living: u64,
}

impl Grid {
    /// The partitions of a table with the columns of `schema`; `values` are those that have a number already.
    pub(crate) fn new(
        spec: &TableSpec,
        partition: &PartitionSpec,
        schema: &Schema,
        values: PartitionValues,
    ) -> Result<Self, EngineError> {
        let column = partition.column.value.clone();
        let field = schema.field_with_name(&column);
        let field = field.map_err(|source| EngineError::Compute { table: spec.name.clone(), source })?;
        Ok(Self {
            table: spec.name.clone(),
            data_type: field.data_type().clone(),
            calendar: match partition.by {
                PartitionBy::Time(calendar) => Some(calendar),
                PartitionBy::Value => None,
            },
            from: partition.from.as_ref().map(|from| from.value),
            numbers: values.iter().map(|(number, value)| (value.clone(), *number)).collect(),
            values,
            new: PartitionValues::new(),
            living: 0,
            column,
        })
    }

    pub(crate) fn key(&self) -> PartitionKey {
        PartitionKey { column: self.column.clone(), calendar: self.calendar }
    }

    pub(crate) fn calendar(&self) -> Option<Calendar> {
        self.calendar
    }

    /// The type of the table's column, if a schema has the column at all.
    pub(crate) fn field_of(&self, schema: &Schema) -> Result<DataType, arrow::error::ArrowError> {
        schema.field_with_name(&self.column).map(|_| self.data_type.clone())
    }

    /// Takes over numbers of values that other processes have named; `false` where one means another value here.
    pub(crate) fn learn(&mut self, values: &PartitionValues) -> bool {
        let mut agrees = true;
        for (number, value) in values {
            match (self.numbers.get(value), self.values.get(number)) {
                (None, None) => {
                    self.numbers.insert(value.clone(), *number);
                    self.values.insert(*number, value.clone());
                    self.new.insert(*number, value.clone());
                }
                (Some(known), _) => agrees &= known == number,
                (None, Some(_)) => agrees = false,
            }
        }
        agrees
    }

    /// Says which partitions the table has, which its values are counted by.
    pub(crate) fn live(&mut self, partitions: &PartitionSet) {
        self.living = partitions.len();
    }

    /// The values that were named since they were taken last.
    pub(crate) fn take_new(&mut self) -> PartitionValues {
        std::mem::take(&mut self.new)
    }

    /// The values of these partitions, of a table that is parted by value.
    pub(crate) fn values_of(&self, partitions: &PartitionSet) -> PartitionValues {
        let is_meant = |(number, _): &(&i64, &String)| partitions.contains(**number);
        self.values.iter().filter(is_meant).map(|(number, value)| (*number, value.clone())).collect()
    }

    /// The number of each key; a value that has none gets one.
    pub(crate) fn numbers(&mut self, keys: &ArrayRef) -> Result<Vec<i64>, EngineError> {
        if self.calendar.is_none() {
            let mut before: Option<String> = None;
            for text in self.texts(keys)?.into_iter().flatten() {
                if before.as_ref() != Some(&text) && !self.numbers.contains_key(&text) {
                    self.name(&text)?;
                }
                before = Some(text);
            }
        }
        let known = self.known(keys)?;
        Ok(known.into_iter().map(|number| number.unwrap_or(NULL_PARTITION)).collect())
    }

    /// The number of each key; none for a value that has no number.
    pub(crate) fn known(&self, keys: &ArrayRef) -> Result<Vec<Option<i64>>, EngineError> {
        Ok(match self.calendar {
            Some(_) => {
                let numbers = keys.as_primitive::<Int64Type>();
                numbers.iter().map(|number| Some(number.unwrap_or(NULL_PARTITION))).collect()
            }
            None => {
                let number = |text: Option<String>| match text {
                    Some(text) => self.numbers.get(&text).copied(),
                    None => Some(NULL_PARTITION),
                };
                self.texts(keys)?.into_iter().map(number).collect()
            }
        })
    }

    fn name(&mut self, value: &str) -> Result<i64, EngineError> {
        if let Some(number) = self.numbers.get(value) {
            return Ok(*number);
        }
        if self.living >= VALUES_MAX {
            return Err(EngineError::Partitions {
                table: self.table.clone(),
                message: format!("has more than {VALUES_MAX} values of `{}` to part it by", self.column),
                hint: "part it by a column with fewer values, or by time".to_owned(),
            });
        }
        self.living += 1;
        let number = self.values.last_key_value().map_or(0, |(last, _)| last + 1);
        self.numbers.insert(value.to_owned(), number);
        self.values.insert(number, value.to_owned());
        self.new.insert(number, value.to_owned());
        Ok(number)
    }

    /// The number of the partition of each row; none for a value that has no number.
    pub(crate) fn known_of(&self, rows: &RecordBatch) -> Result<Vec<Option<i64>>, EngineError> {
        let Some(values) = rows.column_by_name(&self.column) else {
            return Ok(vec![Some(NULL_PARTITION); rows.num_rows()]);
        };
        let keys = self.key().keys(values).map_err(|source| stored::failed(&self.table, source))?;
        self.known(&keys)
    }

    fn texts(&self, keys: &ArrayRef) -> Result<Vec<Option<String>>, EngineError> {
        let options = FormatOptions::default();
        let formatter = ArrayFormatter::try_new(keys.as_ref(), &options)
            .map_err(|source| EngineError::Compute { table: self.table.clone(), source })?;
        let text = |row: usize| keys.is_valid(row).then(|| formatter.value(row).to_string());
        Ok((0..keys.len()).map(text).collect())
    }

    /// The partitions that rows of the table can lie in.
    pub(crate) fn possible(&self, partitions: &PartitionSet) -> PartitionSet {
        match self.from {
            Some(from) => {
                let null = PartitionSet::range(NULL_PARTITION, NULL_PARTITION);
                partitions.intersection(&PartitionSet::range(from, i64::MAX).union(&null))
            }
            None => partitions.clone(),
        }
    }

    /// The condition of the rows that lie in these partitions.
    ///
    /// # Errors
    ///
    /// One of them is a value that nobody knows, so that its rows would be left out without a word.
    pub(crate) fn condition(&self, partitions: &PartitionSet) -> Result<Expr, EngineError> {
        let null = partitions.contains(NULL_PARTITION).then(|| ident(&self.column).is_null());
        let rest = partitions.difference(&PartitionSet::range(NULL_PARTITION, NULL_PARTITION));
        let found = match self.calendar {
            Some(calendar) => {
                let within = |(first, last): &(i64, i64)| self.within(&calendar, *first, *last);
                disjunction(rest.ranges().iter().map(within).chain(null))
            }
            None => {
                let listed = rest.iter().map(|number| self.value(number).map(lit));
                let listed = listed.collect::<Result<Vec<Expr>, EngineError>>()?;
                let listed = (!listed.is_empty()).then(|| ident(&self.column).in_list(listed, false));
                disjunction(listed.into_iter().chain(null))
            }
        };
        Ok(found.unwrap_or_else(|| lit(false)))
    }

    /// The condition of the rows that lie in partitions of time from one to another. A bound that the column's type cannot write
    /// lies before or behind all of its values.
    fn within(&self, calendar: &Calendar, first: i64, last: i64) -> Expr {
        let column = || ident(&self.column);
        let next = last.saturating_add(1);
        let from = self.bound(calendar, first).map(|bound| column().gt_eq(lit(bound)));
        let to = self.bound(calendar, next).map(|bound| column().lt(lit(bound)));
        if (from.is_none() && first > 0) || (to.is_none() && next < 0) {
            return lit(false);
        }
        conjunction(from.into_iter().chain(to)).unwrap_or_else(|| column().is_not_null())
    }

    /// The value that a partition is, of a table that is parted by value.
    fn value(&self, number: i64) -> Result<ScalarValue, EngineError> {
        let text = self.values.get(&number).cloned();
        let value = text.and_then(|text| ScalarValue::try_from_string(text, &self.data_type).ok());
        value.ok_or_else(|| EngineError::Partitions {
            table: self.table.clone(),
            message: format!("has a partition of which nobody knows the value: {}", self.label(number)),
            hint: format!("`millstream run {} --full-refresh` finds all values once more", self.table),
        })
    }

    /// The condition of the rows that are rows of the table at all; none where all are.
    pub(crate) fn all(&self) -> Option<Expr> {
        let (from, calendar) = (self.from?, self.calendar?);
        Some(self.within(&calendar, from, i64::MAX).or(ident(&self.column).is_null()))
    }

    /// The least value of a partition of time, in the column's type.
    fn bound(&self, calendar: &Calendar, number: i64) -> Option<ScalarValue> {
        match &self.data_type {
            DataType::Date32 => {
                let day = i32::try_from(calendar.first_day(number)?).ok()?;
                Some(ScalarValue::Date32(Some(day)))
            }
            _ => {
                let TimestampMicros(at) = calendar.start(number)?;
                let instant = ScalarValue::TimestampMicrosecond(Some(at), Some("UTC".into()));
                instant.cast_to(&self.data_type).ok()
            }
        }
    }

    /// Whether the file's statistics show that every row of it lies in one of these partitions.
    pub(crate) fn covers(&self, partitions: &PartitionSet, file: &DataFile) -> bool {
        let Some(calendar) = self.calendar else { return false };
        let bounds = file.column(&self.column, &self.data_type);
        let number = |value: Option<ScalarValue>| match value? {
            ScalarValue::Date32(day) => calendar.number_of_day(day?.into()),
            ScalarValue::TimestampMicrosecond(at, _) => calendar.number(TimestampMicros(at?)),
            _ => None,
        };
        let (Some(first), Some(last), Some(0)) = (number(bounds.min), number(bounds.max), bounds.nulls)
        else {
            return false;
        };
        PartitionSet::range(first, last).difference(partitions).is_empty()
    }

    /// The name of a partition for people.
    pub(crate) fn label(&self, number: i64) -> String {
        match (number, self.calendar) {
            (NULL_PARTITION, _) => NULL_LABEL.to_owned(),
            (_, Some(calendar)) => calendar.label(number),
            (_, None) => match self.values.get(&number) {
                Some(value) if is_quoted(value) => format!("\"{value}\""),
                Some(value) => value.clone(),
                None => format!("#{number}"),
            },
        }
    }

    /// The number of the partition of that name.
    ///
    /// # Errors
    ///
    /// The name is none of a time, or of a value that was seen.
    pub(crate) fn find(&self, text: &str) -> Result<i64, EngineError> {
        let refused = |message: String, hint: String| EngineError::Partitions {
            table: self.table.clone(),
            message: format!("has no such partition: {message}"),
            hint,
        };
        if text == NULL_LABEL {
            return Ok(NULL_PARTITION);
        }
        if let Some(calendar) = self.calendar {
            return calendar.parse(text).map_err(|error| refused(error.to_string(), error.hint()));
        }
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let written = quoted.filter(|value| is_quoted(value)).unwrap_or(text);
        let value = ScalarValue::try_from_string(written.to_owned(), &self.data_type).ok();
        let value = value.filter(|value| !value.is_null()).and_then(|value| value.to_array().ok());
        let Some(value) = value else {
            let hint = format!("write one, or `{NULL_LABEL}` for the rows without a value");
            return Err(refused(format!("`{text}` is no value of `{}`", self.column), hint));
        };
        // A value has one spelling, however it was written.
        match self.known(&value)?.first() {
            Some(Some(number)) => Ok(*number),
            _ => Err(refused(
                format!("no row with `{text}` in `{}` was seen", self.column),
                "`--missing` looks for values that are new, and `millstream status --partitions` names the others".into(),
            )),
        }
    }
}

/// Whether the name of a value stands in quotes, so that nobody takes it for another partition.
fn is_quoted(value: &str) -> bool {
    value == NULL_LABEL || value.starts_with('"')
}
