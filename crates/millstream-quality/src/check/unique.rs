//! `unique`: no earlier row of the table has the same key. [`crate::UniqueIndex`] gives the verdict.

use arrow::buffer::BooleanBuffer;

use super::{Problem, RowCheck, Rows, wrong_type};
use crate::{QualityError, column::Column, key::is_key_type};

#[derive(Debug)]
struct Unique {
    columns: Vec<Column>,
}

pub(super) fn compile(columns: Vec<&Column>) -> Result<Box<dyn RowCheck>, Problem> {
    if columns.is_empty() {
        return Err(Problem::new("it names no column"));
    }
    match columns.iter().find(|column| !is_key_type(column.data_type())) {
        Some(column) => Err(wrong_type(column, "a type whose values can be keys")),
        None => Ok(Box::new(Unique { columns: columns.into_iter().cloned().collect() })),
    }
}

impl RowCheck for Unique {
    fn columns(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name().to_owned()).collect()
    }

    fn failures(&self, _rows: &Rows<'_>) -> Result<Option<BooleanBuffer>, QualityError> {
        Ok(None)
    }

    fn reason(&self, rows: &Rows<'_>, row: usize) -> String {
        let part =
            |column: &Column| format!("`{}` {}", column.name(), column.shown(column.array(rows.typed), row));
        let parts: Vec<String> = self.columns.iter().map(part).collect();
        format!("{} is in an earlier row", parts.join(" with "))
    }
}
