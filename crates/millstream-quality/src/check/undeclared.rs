//! `columns`: a row has no value outside of the contract's columns. Sources whose events come one by one are judged by it, so that
//! one sender with a further field does not stop all others.

use arrow::{array::Array, buffer::BooleanBuffer};

use super::{RowCheck, Rows};
use crate::{QualityError, bitmap};

/// More names than these in one reason would help nobody.
const NAMED_MAX: usize = 5;

#[derive(Debug)]
pub(crate) struct UndeclaredCheck {
    declared: Vec<String>,
}

impl UndeclaredCheck {
    pub(crate) fn new(declared: Vec<String>) -> Self {
        Self { declared }
    }

    fn is_declared(&self, name: &str) -> bool {
        self.declared.iter().any(|declared| declared == name)
    }
}

impl RowCheck for UndeclaredCheck {
    fn columns(&self) -> Vec<String> {
        Vec::new()
    }

    fn failures(&self, rows: &Rows<'_>) -> Result<Option<BooleanBuffer>, QualityError> {
        let schema = rows.raw.schema_ref();
        let further = schema.fields().iter().zip(rows.raw.columns());
        let further = further.filter(|(field, _)| !self.is_declared(field.name()));
        Ok(further.fold(None, |failed, (_, array)| {
            let nulls = array.logical_nulls();
            bitmap::union(failed, bitmap::all_valid(array.len(), nulls.as_ref()).as_ref())
        }))
    }

    fn reason(&self, rows: &Rows<'_>, row: usize) -> String {
        let schema = rows.raw.schema_ref();
        let present = schema.fields().iter().zip(rows.raw.columns());
        let present = present.filter(|(field, array)| !self.is_declared(field.name()) && array.is_valid(row));
        let names: Vec<_> = present.map(|(field, _)| format!("`{}`", field.name())).collect();
        let more = match names.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let shown: Vec<_> = names.into_iter().take(NAMED_MAX).collect();
        format!("the contract has no column {}{more}", shown.join(", "))
    }
}
