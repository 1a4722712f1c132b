//! Guesses a text column's type from a sample.

use arrow::{
    array::{Array, AsArray, RecordBatch, StringArray},
    datatypes::DataType,
    json::reader::infer_json_schema_from_iterator,
};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use millstream_connector::{FoundColumn, column_type};
use millstream_types::ColumnType;

/// A type that a text may be, and how to tell.
type Candidate = (ColumnType, fn(&str) -> bool);

/// The narrowest type that every sampled text of a column fits; `string` where none does.
pub(super) fn infer_columns(sample: &RecordBatch) -> Vec<FoundColumn> {
    let fields = sample.schema();
    let columns = fields.fields().iter().zip(sample.columns());
    columns
        .map(|(field, column)| {
            let declared = || column_type(column.data_type()).unwrap_or(ColumnType::String);
            let text = column.as_string_opt::<i32>();
            let column_type = text.map_or_else(declared, infer);
            FoundColumn { name: field.name().clone(), column_type, declared: false }
        })
        .collect()
}

fn infer(texts: &StringArray) -> ColumnType {
    if texts.null_count() == texts.len() {
        return ColumnType::String;
    }
    let candidates: [Candidate; 5] = [
        (ColumnType::Bool, |text| text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")),
        (ColumnType::Int64, |text| is_plain_number(text) && text.parse::<i64>().is_ok()),
        (ColumnType::Float64, |text| is_plain_number(text) && text.parse::<f64>().is_ok_and(f64::is_finite)),
        (ColumnType::Date, is_date),
        (ColumnType::Timestamp { zone: None }, |text| is_date(text) || is_timestamp(text)),
    ];
    let fits = |(_, test): &&Candidate| texts.iter().flatten().all(test);
    let found = candidates.iter().find(fits).map(|(column_type, _)| column_type.clone());
    found.or_else(|| infer_nested(texts)).unwrap_or(ColumnType::String)
}

/// A number whose text can be written back from its value: `007` is a code, not a number.
fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let leading_zero = digits.starts_with('0') && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    digits.starts_with(|c: char| c.is_ascii_digit()) && !leading_zero
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

fn is_timestamp(text: &str) -> bool {
    let naive = |format| NaiveDateTime::parse_from_str(text, format).is_ok();
    DateTime::parse_from_rfc3339(text).is_ok()
        || naive("%Y-%m-%dT%H:%M:%S%.f")
        || naive("%Y-%m-%d %H:%M:%S%.f")
}

/// The type of JSON lists and objects, when all texts agree on one.
fn infer_nested(texts: &StringArray) -> Option<ColumnType> {
    let values = texts.iter().flatten().map(|text| {
        let value =
            serde_json::from_str(text).ok().filter(|v: &serde_json::Value| v.is_array() || v.is_object());
        value
            .map(|value| serde_json::json!({ "value": value }))
            .ok_or_else(|| arrow::error::ArrowError::JsonError("not nested".into()))
    });
    let schema = infer_json_schema_from_iterator(values).ok()?;
    match column_type(schema.field_with_name("value").ok()?.data_type())? {
        ColumnType::Struct(fields) if fields.is_empty() => None,
        nested => Some(nested),
    }
}

/// The columns that a typed format declares.
pub(super) fn declared_columns(schema: &arrow::datatypes::Schema) -> Vec<FoundColumn> {
    let declared = |data_type: &DataType| column_type(data_type).unwrap_or(ColumnType::String);
    schema
        .fields()
        .iter()
        .map(|field| FoundColumn {
            name: field.name().clone(),
            column_type: declared(field.data_type()),
            declared: true,
        })
        .collect()
}
