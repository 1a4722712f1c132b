//! `length`: characters of a string, elements of a list.

use arrow::{
    array::{Array, AsArray, StringArray},
    buffer::BooleanBuffer,
    datatypes::DataType,
};
use millstream_project::Bounds;

use super::{Problem, RowCheck, Rows, wrong_type};
use crate::{QualityError, bitmap, column::Column};

#[derive(Debug)]
struct Length {
    column: Column,
    min: u64,
    max: u64,
}

pub(super) fn compile(column: &Column, bounds: Bounds<u64>) -> Result<Box<dyn RowCheck>, Problem> {
    match column.data_type() {
        DataType::Utf8 | DataType::List(_) => Ok(Box::new(Length {
            column: column.clone(),
            min: bounds.min.unwrap_or(0),
            max: bounds.max.unwrap_or(u64::MAX),
        })),
        _ => Err(wrong_type(column, "a string or a list")),
    }
}

impl RowCheck for Length {
    fn columns(&self) -> Vec<String> {
        vec![self.column.name().to_owned()]
    }

    fn failures(&self, rows: &Rows<'_>) -> Result<Option<BooleanBuffer>, QualityError> {
        let array = self.column.array(rows.typed);
        let fails = |length: u64| length < self.min || length > self.max;
        let by_offsets = |offsets: &[i32]| {
            let length = |row: usize| u64::from((offsets[row + 1] - offsets[row]).unsigned_abs());
            bitmap::of_rows(array.len(), array.nulls(), |row| fails(length(row)))
        };
        Ok(if let Some(texts) = array.as_string_opt::<i32>() {
            if is_ascii(texts) {
                by_offsets(texts.value_offsets())
            } else {
                bitmap::of_rows(texts.len(), texts.nulls(), |row| fails(chars(texts.value(row))))
            }
        } else if let Some(lists) = array.as_list_opt::<i32>() {
            by_offsets(lists.value_offsets())
        } else {
            None
        })
    }

    fn reason(&self, rows: &Rows<'_>, row: usize) -> String {
        let (array, name) = (self.column.array(rows.typed), self.column.name());
        let (length, unit) = match (array.as_string_opt::<i32>(), array.as_list_opt::<i32>()) {
            (Some(texts), _) => (chars(texts.value(row)), "characters"),
            (_, Some(lists)) => (u64::from(lists.value_length(row).unsigned_abs()), "elements"),
            _ => (0, "elements"),
        };
        let bound = if length < self.min {
            format!("less than {}", self.min)
        } else {
            format!("more than {}", self.max)
        };
        format!("`{name}` {} has {length} {unit}, {bound}", self.column.shown(array, row))
    }
}

fn is_ascii(texts: &StringArray) -> bool {
    let offsets = texts.value_offsets();
    let (first, last) = (offsets[0] as usize, offsets[texts.len()] as usize);
    texts.value_data().get(first..last).is_some_and(<[u8]>::is_ascii)
}

fn chars(text: &str) -> u64 {
    text.chars().count() as u64
}
