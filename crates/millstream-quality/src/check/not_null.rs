//! `not_null`: the row has a value.

use arrow::{array::Array, buffer::BooleanBuffer};

use super::{Problem, RowCheck, Rows};
use crate::{QualityError, bitmap, column::Column};

#[derive(Debug)]
struct NotNull {
    column: Column,
}

pub(super) fn compile(column: &Column) -> Result<Box<dyn RowCheck>, Problem> {
    Ok(Box::new(NotNull { column: column.clone() }))
}

impl RowCheck for NotNull {
    fn columns(&self) -> Vec<String> {
        vec![self.column.name().to_owned()]
    }

    /// A value that did not fit its type is left to the type check if that rejects the row. Otherwise it fails here too,
    /// since the table would get a null.
    fn failures(&self, rows: &Rows<'_>) -> Result<Option<BooleanBuffer>, QualityError> {
        let Some(nulls) =
            self.column.array(rows.typed).logical_nulls().filter(|nulls| nulls.null_count() > 0)
        else {
            return Ok(None);
        };
        let missing = !nulls.inner();
        Ok(match rows.unfit.get(self.column.index) {
            Some(Some(unfit)) if rows.unfit_rejects => bitmap::any(&missing & &!unfit),
            _ => Some(missing),
        })
    }

    fn reason(&self, _rows: &Rows<'_>, _row: usize) -> String {
        format!("`{}` is missing", self.column.name())
    }
}
