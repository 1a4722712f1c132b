//! Row checks: one file each, compiled against the columns, evaluated a column at a time.

mod expression;
mod future;
mod length;
mod literal;
mod not_null;
mod one_of;
mod pattern;
mod range;
mod relationship;
mod type_check;
mod undeclared;
mod unique;
mod whole_text;

use std::fmt;

use arrow::{
    array::{RecordBatch, TimestampMicrosecondArray},
    buffer::BooleanBuffer,
    datatypes::{DataType, Schema},
};
use millstream_project::{CheckKind, CheckSpec, Located, nearest};
use millstream_types::TimestampMicros;

pub(crate) use future::FutureCheck;
pub(crate) use type_check::TypeCheck;
pub(crate) use undeclared::UndeclaredCheck;

use crate::{CheckProblem, QualityError, Relations, column::Column};

/// A batch before and after conversion.
pub(crate) struct Rows<'a> {
    pub(crate) raw: &'a RecordBatch,
    pub(crate) typed: &'a RecordBatch,
    /// For each column, the rows whose value did not fit its type.
    pub(crate) unfit: &'a [Option<BooleanBuffer>],
    /// Whether a row with such a value is rejected for it.
    pub(crate) unfit_rejects: bool,
    /// When each row arrived; `None` where all did when the contract was compiled.
    pub(crate) arrived: Option<&'a TimestampMicrosecondArray>,
}

/// A compiled check.
pub(crate) trait RowCheck: fmt::Debug + Send + Sync {
    /// Names of the columns that the check looks at.
    fn columns(&self) -> Vec<String>;

    /// A set bit for each failing row; `None` when no row fails.
    fn failures(&self, rows: &Rows<'_>) -> Result<Option<BooleanBuffer>, QualityError>;

    /// Why a failing row fails, for people.
    fn reason(&self, rows: &Rows<'_>, row: usize) -> String;
}

/// Why a check cannot be used.
pub(crate) struct Problem {
    message: String,
    hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(crate) fn with_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}

pub(crate) fn located(spec: &CheckSpec, problem: Problem) -> CheckProblem {
    CheckProblem { check: spec.id.clone(), at: spec.at, message: problem.message, hint: problem.hint }
}

pub(crate) fn as_error(spec: &CheckSpec, problem: Problem) -> QualityError {
    QualityError::Check { problem: Box::new(located(spec, problem)) }
}

/// What checks are compiled against.
pub(crate) struct Compiler<'a> {
    columns: &'a [Column],
    schema: Schema,
    /// Keys of other tables; without them relationships are only checked for their own column.
    relations: Option<&'a Relations>,
    now: TimestampMicros,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(columns: &'a [Column], relations: Option<&'a Relations>, now: TimestampMicros) -> Self {
        let fields: Vec<_> = columns.iter().map(|column| column.field.clone()).collect();
        Self { columns, schema: Schema::new(fields), relations, now }
    }

    /// The kernel of a row check.
    pub(crate) fn row_check(&self, spec: &CheckSpec) -> Result<Box<dyn RowCheck>, Problem> {
        match &spec.kind {
            CheckKind::NotNull { column } => not_null::compile(self.column(column)?),
            CheckKind::Unique { columns } => {
                let columns: Result<Vec<_>, _> = columns.iter().map(|column| self.column(column)).collect();
                unique::compile(columns?)
            }
            CheckKind::Range { column, bounds } => range::compile(self.column(column)?, bounds),
            CheckKind::Length { column, bounds } => length::compile(self.column(column)?, *bounds),
            CheckKind::OneOf { column, values } => one_of::compile(self.column(column)?, values),
            CheckKind::Pattern { column, pattern } => pattern::compile(self.column(column)?, pattern),
            CheckKind::Relationship { column, to_table, to_column } => {
                relationship::compile(self.column(column)?, to_table, to_column, self.relations)
            }
            CheckKind::Expression { sql } => expression::compile(sql, &self.schema, self.columns, self.now),
            CheckKind::RowCount { .. }
            | CheckKind::Freshness { .. }
            | CheckKind::Completeness { .. }
            | CheckKind::DistinctCount { .. }
            | CheckKind::Mean { .. }
            | CheckKind::Quantile { .. } => Err(Problem::new("it judges tables, not rows")),
        }
    }

    /// The problem of a check of rows or of tables, if it has one.
    pub(crate) fn problem(&self, spec: &CheckSpec) -> Option<Problem> {
        match &spec.kind {
            CheckKind::RowCount { .. } | CheckKind::Freshness { column: None, .. } => None,
            CheckKind::Freshness { column: Some(column), .. } => {
                self.column_of(column, "a date or timestamp", |to| {
                    matches!(to, DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _))
                })
            }
            CheckKind::Completeness { column, .. } | CheckKind::DistinctCount { column, .. } => {
                self.column(column).err()
            }
            CheckKind::Mean { column, .. } | CheckKind::Quantile { column, .. } => {
                self.column_of(column, "a number", DataType::is_numeric)
            }
            _ => self.row_check(spec).err(),
        }
    }

    fn column(&self, name: &Located<String>) -> Result<&'a Column, Problem> {
        self.columns.iter().find(|column| column.name() == name.value).ok_or_else(|| Problem {
            message: format!("there is no column `{}`", name.value),
            hint: nearest(&name.value, self.columns.iter().map(Column::name))
                .map(|meant| format!("did you mean `{meant}`?")),
        })
    }

    fn column_of(
        &self,
        name: &Located<String>,
        wanted: &str,
        fits: impl Fn(&DataType) -> bool,
    ) -> Option<Problem> {
        match self.column(name) {
            Err(problem) => Some(problem),
            Ok(column) if fits(column.data_type()) => None,
            Ok(column) => Some(wrong_type(column, wanted)),
        }
    }
}

/// The column is not of a type that the check can judge.
fn wrong_type(column: &Column, wanted: &str) -> Problem {
    Problem::new(format!("column `{}` is {}, not {wanted}", column.name(), type_name(column.data_type())))
}

/// The contract's name of a type, where it has one.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match millstream_connector::column_type(data_type) {
        Some(column_type) => column_type.to_string(),
        None => data_type.to_string(),
    }
}
