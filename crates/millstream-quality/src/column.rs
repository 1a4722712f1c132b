//! A column as checks see it, and its values as people see them.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, FieldRef},
    util::display::{ArrayFormatter, FormatOptions},
};

use crate::coerce::{Target, Zone};

/// Longer values are cut in messages.
const SHOWN_CHARS_MAX: usize = 80;
pub(crate) const MASKED: &str = "***";

/// A column of the contract.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Its place in the typed batch.
    pub(crate) index: usize,
    pub(crate) field: FieldRef,
    pub(crate) target: Target,
    /// Values are masked in messages.
    pub(crate) pii: bool,
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

    pub(crate) fn array<'a>(&self, typed: &'a RecordBatch) -> &'a ArrayRef {
        typed.column(self.index)
    }

    /// The value, text in backticks, masked for personal data.
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
