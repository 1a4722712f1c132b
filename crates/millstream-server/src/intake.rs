//! The columns of a body against the columns that are declared: names, lengths and types, or what is wrong with them.

use arrow::{array::ArrayRef, datatypes::FieldRef};
use indexmap::IndexMap;
use millstream_api::Columns;

use crate::{
    error::{ApiError, ErrorKind},
    wire::{
        column,
        columns::{Rows, rows},
        scalar::describe,
        types::type_name,
    },
};

/// Columns in their declared types, all of one length, in the order of the body.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    pub(crate) arrays: IndexMap<String, ArrayRef>,
    /// The number of rows, and the column that decided it.
    rows: Option<(usize, String)>,
}

impl Intake {
    pub(crate) fn rows(&self) -> usize {
        self.rows.as_ref().map_or(0, |(rows, _)| *rows)
    }

    /// Takes one column of the body. `part` is the field of the body that holds it.
    pub(crate) fn take(
        &mut self,
        part: &str,
        name: &str,
        values: &serde_json::value::RawValue,
        field: &FieldRef,
        limit: usize,
    ) -> Result<(), ApiError> {
        let path = format!("{part}.{name}");
        let rows =
            self.counted(&path, values, limit, || format!("a list of {}", type_name(field.data_type())))?;
        let array = column::build(&rows.values, field).map_err(|misfit| {
            let column::Misfit { row, expected, found } = misfit;
            let declared = type_name(field.data_type());
            let inside = if expected == declared { String::new() } else { format!(" inside {declared}") };
            let message = format!("`{path}` row {row} (from 0): expected {expected}{inside}, found {found}");
            ApiError::new(ErrorKind::WrongType, message).with_field(path.clone())
        })?;
        self.arrays.insert(name.to_owned(), array);
        Ok(())
    }

    /// Counts the rows of every column of a part of the body, and reads none.
    pub(crate) fn count(&mut self, part: &str, columns: &Columns<'_>, limit: usize) -> Result<(), ApiError> {
        for (name, values) in &columns.0 {
            self.counted(&format!("{part}.{name}"), values, limit, || "a list".to_owned())?;
        }
        Ok(())
    }

    /// The values of a column, which has as many as the columns before.
    fn counted<'v>(
        &mut self,
        path: &str,
        values: &'v serde_json::value::RawValue,
        limit: usize,
        expected: impl FnOnce() -> String,
    ) -> Result<Rows<'v>, ApiError> {
        let Some(rows) = rows(values, limit) else {
            let found = describe(values.get());
            let message = format!("`{path}` has to be {}, not {found}", expected());
            return Err(ApiError::new(ErrorKind::WrongType, message).with_field(path));
        };
        if rows.count > limit {
            let message =
                format!("the request has {} rows, the server takes at most {limit} at once", rows.count);
            return Err(ApiError::new(ErrorKind::TooManyRows, message).with_field(path));
        }
        match &self.rows {
            Some((expected, first)) if *expected != rows.count => {
                let message = format!("`{path}` has {} values, `{first}` has {expected}", rows.count);
                return Err(ApiError::new(ErrorKind::UnevenColumns, message).with_field(path));
            }
            Some(_) => {}
            None => self.rows = Some((rows.count, path.to_owned())),
        }
        Ok(rows)
    }

    /// Takes every column of a part of the body.
    pub(crate) fn take_all(
        &mut self,
        part: &str,
        columns: &Columns<'_>,
        fields: &[FieldRef],
        limit: usize,
    ) -> Result<(), ApiError> {
        for (name, values) in &columns.0 {
            let field = fields.iter().find(|field| field.name() == name);
            let field = field.ok_or_else(|| unknown(part, name, fields))?;
            self.take(part, name, values, field, limit)?;
        }
        Ok(())
    }

    /// The first declared column that was not taken.
    pub(crate) fn first_missing<'a>(&self, fields: &'a [FieldRef]) -> Option<&'a FieldRef> {
        fields.iter().find(|field| !self.arrays.contains_key(field.name()))
    }

    /// Refuses a request that lacks a declared column.
    pub(crate) fn complete(&self, part: &str, fields: &[FieldRef]) -> Result<(), ApiError> {
        self.first_missing(fields).map_or(Ok(()), |field| Err(missing(part, field)))
    }
}

/// The error for a declared column that is not there.
pub(crate) fn missing(part: &str, field: &FieldRef) -> ApiError {
    let path = format!("{part}.{}", field.name());
    let message = format!("`{path}` is missing, a list of {}", type_name(field.data_type()));
    ApiError::new(ErrorKind::MissingColumn, message).with_field(path)
}

/// The error for a column that nobody declared.
pub(crate) fn unknown(part: &str, name: &str, fields: &[FieldRef]) -> ApiError {
    let path = format!("{part}.{name}");
    let error = ApiError::new(ErrorKind::UnknownColumn, format!("`{path}` is not known")).with_field(path);
    if fields.is_empty() {
        return error.with_hint(format!("`{part}` takes no columns here"));
    }
    let known: Vec<String> =
        fields.iter().map(|field| format!("{} ({})", field.name(), type_name(field.data_type()))).collect();
    error.with_hint(format!("`{part}` takes {}", known.join(", ")))
}
