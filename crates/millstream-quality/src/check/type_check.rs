//! `type(column)`: the value is one of the column's type.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, StringArray},
    buffer::BooleanBuffer,
};
use millstream_types::Severity;

use super::{RowCheck, Rows, type_name};
use crate::{QualityError, coerce::coerce, column::Column};

#[derive(Debug)]
pub(crate) struct TypeCheck {
    column: Column,
    severity: Severity,
}

impl TypeCheck {
    pub(crate) fn new(column: Column, severity: Severity) -> Self {
        Self { column, severity }
    }
}

impl RowCheck for TypeCheck {
    fn columns(&self) -> Vec<String> {
        vec![self.column.name().to_owned()]
    }

    fn failures(&self, rows: &Rows<'_>) -> Result<Option<BooleanBuffer>, QualityError> {
        Ok(rows.unfit.get(self.column.index).cloned().flatten())
    }

    fn reason(&self, rows: &Rows<'_>, row: usize) -> String {
        let name = self.column.name();
        let promised = type_name(self.column.data_type());
        let article = if promised.starts_with("int") { "an" } else { "a" };
        let Some(value) = rows.raw.column_by_name(name).map(|array| array.slice(row, 1)) else {
            return format!("`{name}` is not {article} {promised}");
        };
        let blanks = if self.fits_trimmed(&value) { ": there are blanks around it" } else { "" };
        let changed = if self.column.would_change(&value) {
            ": the column's type was told from a sample, and would not keep how this is written; declare the column"
        } else {
            ""
        };
        let kept = if self.severity == Severity::Warn { "; the table has null instead" } else { "" };
        format!(
            "`{name}` is {}, not {article} {promised}{blanks}{changed}{kept}",
            self.column.shown(&value, 0)
        )
    }
}

impl TypeCheck {
    fn fits_trimmed(&self, value: &ArrayRef) -> bool {
        let Some(text) =
            value.as_string_opt::<i32>().filter(|texts| texts.is_valid(0)).map(|texts| texts.value(0))
        else {
            return false;
        };
        let trimmed: ArrayRef = Arc::new(StringArray::from(vec![text.trim()]));
        text.trim() != text
            && coerce(&trimmed, &self.column.target).is_ok_and(|coerced| coerced.failed.is_none())
    }
}
