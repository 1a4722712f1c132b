//! Rows as people write them in YAML, as typed columns.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
        TimestampMicrosecondArray, new_null_array,
    },
    compute::{CastOptions, cast_with_options, concat},
    datatypes::{DataType, Field, Schema, SchemaRef},
    util::display::FormatOptions,
};
use millstream_project::{Diagnostic, Located, Node, NodeKind, TestInput};
use millstream_types::{INGESTED_AT, POSITION, SEQUENCE, SOURCE, TableName};

use crate::{codes, nearest::name_hint, type_name::type_name};

/// When the rows of a test were ingested, unless a row says otherwise: 2024-01-01T00:00:00Z.
const INGESTED_AT_MICROS: i64 = 1_704_067_200_000_000;

/// The columns that a row names.
pub(super) fn keys(row: &Node) -> Vec<&Located<String>> {
    match &row.kind {
        NodeKind::Map(entries) => entries.iter().map(|(key, _)| key).collect(),
        _ => Vec::new(),
    }
}

/// A message for each column that is not in the schema, and for each row that is no mapping.
pub(super) fn unknown_columns(input: &TestInput, schema: &SchemaRef) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for row in &input.rows {
        if !matches!(row.kind, NodeKind::Map(_)) {
            let message = "a row is a mapping from columns to values";
            diagnostics.push(
                Diagnostic::error(codes::TEST_ROW, message, row.at)
                    .with_hint("write `{order_id: 1, amount: 9.5}`"),
            );
        }
        for key in keys(row) {
            if schema.index_of(&key.value).is_err() {
                let names = schema.fields().iter().map(|field| field.name().as_str());
                let hint = name_hint(&key.value, names, "its columns");
                let message = format!("no column `{}`", key.value);
                diagnostics.push(Diagnostic { hint, ..Diagnostic::error(codes::TEST_ROW, message, key.at) });
            }
        }
    }
    diagnostics
}

/// The rows in the schema's types. Columns that a row leaves out are null; the landing columns of a source get
/// values of their own.
pub(super) fn batch(
    input: &TestInput,
    schema: &SchemaRef,
    table: &TableName,
) -> Result<RecordBatch, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let cells: Vec<Option<&Node>> = input.rows.iter().map(|row| cell(row, field.name())).collect();
        match column(&cells, field) {
            Ok(column) if table.schema() == "bronze" && !table.is_rejected() => {
                columns.push(landed(column, field.name()));
            }
            Ok(column) => columns.push(column),
            Err(found) => diagnostics.extend(found),
        }
    }
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(input.rows.len()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|error| vec![Diagnostic::error(codes::TEST_ROW, error.to_string(), input.at)])
}

fn cell<'a>(row: &'a Node, column: &str) -> Option<&'a Node> {
    match &row.kind {
        NodeKind::Map(entries) => entries.iter().find(|(key, _)| key.value == column).map(|(_, value)| value),
        _ => None,
    }
}

/// Fills the nulls of a landing column with what landing would write.
fn landed(column: ArrayRef, name: &str) -> ArrayRef {
    let rows = column.len();
    let numbers = |first: i64| -> ArrayRef { Arc::new((first..).take(rows).collect::<Int64Array>()) };
    let fill: ArrayRef = match name {
        SEQUENCE => numbers(0),
        POSITION => numbers(1),
        SOURCE => Arc::new(std::iter::repeat_n(Some("test"), rows).collect::<StringArray>()),
        INGESTED_AT => {
            Arc::new(TimestampMicrosecondArray::from(vec![INGESTED_AT_MICROS; rows]).with_timezone("UTC"))
        }
        _ => return column,
    };
    let pieces: Vec<ArrayRef> = (0..rows)
        .map(|row| if column.is_null(row) { fill.slice(row, 1) } else { column.slice(row, 1) })
        .collect();
    let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
    concat(&pieces).unwrap_or(column)
}

fn column(cells: &[Option<&Node>], field: &Field) -> Result<ArrayRef, Vec<Diagnostic>> {
    if field.data_type().is_nested() {
        return nested(cells, field);
    }
    let mut diagnostics = Vec::new();
    let mut texts: Vec<Option<String>> = Vec::with_capacity(cells.len());
    for cell in cells {
        match cell.map(|node| (written(&node.kind, field.data_type()), node)) {
            None => texts.push(None),
            Some((Ok(text), _)) => texts.push(text),
            Some((Err(hint), node)) => {
                diagnostics.push(misfit(node, field, hint));
                texts.push(None);
            }
        }
    }
    let typed = parse(&texts, field.data_type());
    for (row, text) in texts.iter().enumerate() {
        if text.is_some() && typed.is_null(row) {
            let node = cells.get(row).copied().flatten();
            diagnostics.extend(node.map(|node| misfit(node, field, form(field.data_type()))));
        }
    }
    if diagnostics.is_empty() { Ok(typed) } else { Err(diagnostics) }
}

fn misfit(node: &Node, field: &Field, hint: &str) -> Diagnostic {
    let (column, kind) = (field.name(), type_name(field.data_type()));
    let message = format!("{} is no value of `{column}`, which is {kind}", node.describe());
    let diagnostic = Diagnostic::error(codes::TEST_ROW, message, node.at);
    if hint.is_empty() { diagnostic } else { diagnostic.with_hint(hint) }
}

/// The hint how a value of the type is written, for types of which a text may have many forms.
fn form(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Date32 => "write a date: `2026-03-01`",
        DataType::Timestamp(..) => "write an instant: `2026-03-01T12:00:00Z`",
        _ => "",
    }
}

/// The texts as values of a type; null where a text is no value of it.
fn parse(texts: &[Option<String>], data_type: &DataType) -> ArrayRef {
    let texts = StringArray::from_iter(texts.iter().map(Option::as_deref));
    if matches!(data_type, DataType::Binary) {
        return Arc::new(BinaryArray::from_iter(texts.iter().map(|text| text.map(str::as_bytes))));
    }
    let options = CastOptions { safe: true, format_options: FormatOptions::default() };
    cast_with_options(&texts, data_type, &options).unwrap_or_else(|_| new_null_array(data_type, texts.len()))
}

/// A YAML value as the text that reads back as a value of the type; the error is a hint.
fn written(kind: &NodeKind, data_type: &DataType) -> Result<Option<String>, &'static str> {
    use DataType::{Binary, Boolean, Date32, Decimal128, Float32, Float64, Timestamp, Utf8};
    let text = match (kind, data_type) {
        (NodeKind::Null, _) => return Ok(None),
        (NodeKind::Bool(value), Boolean) => value.to_string(),
        (NodeKind::Int(value), other) if other.is_numeric() => value.to_string(),
        (NodeKind::Float(value, _), Float32 | Float64) => value.to_string(),
        (NodeKind::Float(_, text) | NodeKind::Text(text), Decimal128(_, scale)) => {
            exact_decimal(text, *scale)?
        }
        (NodeKind::Float(value, _), other) if other.is_integer() && value.fract() == 0.0 => {
            format!("{value:.0}")
        }
        (NodeKind::Text(text), Utf8 | Binary | Date32 | Timestamp(..)) => text.clone(),
        (NodeKind::Int(_) | NodeKind::Float(..) | NodeKind::Bool(_), Utf8) => {
            return Err("write it in quotes");
        }
        _ => return Err(""),
    };
    Ok(Some(text))
}

/// The text of a decimal, unless it has more digits after the point than the type keeps.
fn exact_decimal(text: &str, scale: i8) -> Result<String, &'static str> {
    let digits = text.split_once('.').map_or(0, |(_, digits)| digits.trim_end_matches('0').len());
    let kept = usize::try_from(scale).unwrap_or(0);
    if digits > kept && !text.contains(['e', 'E']) {
        Err("it has more digits after the point")
    } else {
        Ok(text.to_owned())
    }
}

/// Lists and structs, read as JSON.
fn nested(cells: &[Option<&Node>], field: &Field) -> Result<ArrayRef, Vec<Diagnostic>> {
    let schema = Arc::new(Schema::new(vec![field.clone()]));
    let mut pieces: Vec<ArrayRef> = Vec::with_capacity(cells.len());
    let mut diagnostics = Vec::new();
    for cell in cells {
        let Some(node) = cell.filter(|node| !matches!(node.kind, NodeKind::Null)) else {
            pieces.push(new_null_array(field.data_type(), 1));
            continue;
        };
        match read_json(node, field.name(), &schema) {
            Some(piece) => pieces.push(piece),
            None => diagnostics.push(misfit(node, field, "")),
        }
    }
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
    if pieces.is_empty() {
        return Ok(new_null_array(field.data_type(), 0));
    }
    let first = cells.iter().flatten().next();
    concat(&pieces).map_err(|_| first.map(|node| misfit(node, field, "")).into_iter().collect())
}

fn read_json(node: &Node, name: &str, schema: &SchemaRef) -> Option<ArrayRef> {
    let row = serde_json::json!({ name: node.to_json() }).to_string();
    let mut decoder = arrow::json::ReaderBuilder::new(schema.clone()).build_decoder().ok()?;
    decoder.decode(row.as_bytes()).ok()?;
    let batch = decoder.flush().ok()??;
    (batch.num_rows() == 1).then(|| batch.column(0).clone())
}
