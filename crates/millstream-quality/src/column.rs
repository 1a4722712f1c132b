//! A column as checks see it, and its values as people see them.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, FieldRef},
    util::display::{ArrayFormatter, FormatOptions},
};

use millstream_connector::keeps_text;
use millstream_types::ColumnType;

use crate::{
    QualityError, bitmap,
    coerce::{Coerced, Target, Zone, coerce, with_failures},
};

/// Longer values are cut in messages.
const SHOWN_CHARS_MAX: usize = 80;
pub(crate) const MASKED: &str = "***";

/// A column of the contract.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// The column's place in the typed batch.
    pub(crate) index: usize,
    pub(crate) field: FieldRef,
    pub(crate) target: Target,
    /// Whether the values are personal data, which messages mask.
    pub(crate) pii: bool,
    /// The column's type where it was inferred, and so must not take more from a text than its spelling.
    pub(crate) inferred: Option<ColumnType>,
}

impl Column {
    pub(crate) fn name(&self) -> &str {
        self.field.name()
    }

    pub(crate) fn data_type(&self) -> &DataType {
        self.field.data_type()
    }

    pub(crate) fn zone(&self) -> Zone {
        self.target.zone()
    }

    /// The values in the column's type.
    pub(crate) fn coerced(&self, array: &ArrayRef) -> Result<Coerced, QualityError> {
        let coerced = coerce(array, &self.target)?;
        let (Some(column_type), Some(texts)) = (&self.inferred, array.as_string_opt::<i32>()) else {
            return Ok(coerced);
        };
        let lost =
            bitmap::of_rows(texts.len(), texts.nulls(), |row| !keeps_text(texts.value(row), column_type));
        match lost {
            Some(_) => with_failures(coerced.array, bitmap::union(coerced.failed, lost.as_ref())),
            None => Ok(coerced),
        }
    }

    /// Whether a text fits the column's type and is refused all the same, because the type was inferred.
    pub(crate) fn would_change(&self, value: &dyn Array) -> bool {
        let text = value.as_string_opt::<i32>().filter(|texts| texts.is_valid(0)).map(|texts| texts.value(0));
        text.zip(self.inferred.as_ref()).is_some_and(|(text, column_type)| !keeps_text(text, column_type))
    }

    pub(crate) fn array<'a>(&self, typed: &'a RecordBatch) -> &'a ArrayRef {
        typed.column(self.index)
    }

    /// The value for messages: text stands in backticks, and personal data is masked.
    pub(crate) fn shown(&self, array: &dyn Array, row: usize) -> String {
        if self.pii {
            MASKED.into()
        } else if array.data_type() == &DataType::Utf8 {
            format!("`{}`", shown(array, row))
        } else {
            shown(array, row)
        }
    }
}

/// A value as text, cut after 80 characters.
fn shown(array: &dyn Array, row: usize) -> String {
    match array.as_string_opt::<i32>() {
        Some(texts) if texts.is_valid(row) => cut(texts.value(row)),
        _ => {
            let options = FormatOptions::default().with_null("null");
            let text = ArrayFormatter::try_new(array, &options)
                .ok()
                .and_then(|formatter| formatter.value(row).try_to_string().ok());
            cut(&text.unwrap_or_else(|| "?".into()))
        }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
