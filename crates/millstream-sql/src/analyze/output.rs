//! What a table's SELECT gives: names and types that can be stored, and the columns that the header names.

use std::{collections::HashMap, ops::Range};

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::{
    logical_expr::LogicalPlan,
    sql::sqlparser::ast::{Expr, Query, SelectItem, SetExpr, Spanned},
};
use millstream_connector::column_type;
use millstream_project::{
    Diagnostic, IncrementalSpec, Located, Materialize, PartitionBy, PartitionSpec, StreamSpec,
};
use millstream_schedule::PartitionGrain;
use millstream_types::{is_column_name, unfit_member};

use crate::{
    catalog::{VALID_FROM, VALID_TO},
    codes,
    explain::Problem,
    nearest::name_hint,
    place::SqlText,
    schema::storable_schema,
    type_name::type_name,
};

/// The schema in which the result is stored.
pub(super) fn storable_output(
    plan: &LogicalPlan,
    columns: &OutputColumns<'_>,
    materialize: &Materialize,
) -> Result<SchemaRef, Vec<Problem>> {
    let text = columns.text;
    let mut problems = columns.unnamed();
    let schema = plan.schema();
    let total = schema.fields().len();
    let mut first: HashMap<String, usize> = HashMap::new();
    for (index, field) in schema.fields().iter().enumerate() {
        let name = field.name();
        if let Some(other) = first.insert(name.to_lowercase(), index) {
            let message = format!("two columns of the result are named `{name}`");
            let range = columns.range(index, total).or_else(|| columns.range(other, total));
            let range = range.unwrap_or_else(|| text.whole());
            problems.push(
                Problem::new(codes::DUPLICATE_COLUMN, message, range)
                    .with_hint("rename one with AS, or leave it out"),
            );
        }
        let adds_itself = materialize.keeps_states();
        if adds_itself && [VALID_FROM, VALID_TO].contains(&name.to_lowercase().as_str()) {
            let message = format!("the result has a column `{name}`, which a history table adds itself");
            let range = columns.range(index, total).unwrap_or_else(|| text.whole());
            problems.push(
                Problem::new(codes::RESERVED_COLUMN, message, range)
                    .with_hint(format!("rename it with AS, as in `{name} AS started_at`")),
            );
        }
        if !is_column_name(name) && columns.is_named(index, total) {
            let range = columns.range(index, total).unwrap_or_else(|| text.whole());
            let message = format!("a table cannot have a column named `{name}`");
            problems.push(
                Problem::new(codes::COLUMN_NAME, message, range)
                    .with_hint("name it with letters, digits and `_`: `AS net_amount`"),
            );
        }
        if let Some(reason) = column_type(field.data_type()).as_ref().and_then(unfit_member) {
            let range = columns.range(index, total).unwrap_or_else(|| text.whole());
            let message = format!("a table cannot hold the column `{name}`: {reason}");
            problems.push(
                Problem::new(codes::COLUMN_NAME, message, range)
                    .with_hint("give its members other names, as in `named_struct('net_amount', amount)`"),
            );
        }
    }
    let storable = storable_schema(schema.as_ref());
    match storable {
        Ok(schema) if problems.is_empty() => return Ok(schema),
        Ok(_) => {}
        Err(errors) => problems.extend(errors.into_iter().map(|error| {
            let range = columns.range(error.index, total).unwrap_or_else(|| text.whole());
            Problem::new(codes::NOT_STORABLE, error.to_string(), range).with_hint(error.hint())
        })),
    }
    problems.sort_by_key(|problem| problem.range.start);
    Err(problems)
}

/// The items of that SELECT of a query which names the result's columns.
pub(super) struct OutputColumns<'a> {
    items: Vec<SelectItem>,
    text: &'a SqlText<'a>,
}

impl<'a> OutputColumns<'a> {
    pub(super) fn new(query: &Query, text: &'a SqlText<'a>) -> Self {
        let mut body = query.body.as_ref();
        let items = loop {
            match body {
                SetExpr::Select(select) => break select.projection.clone(),
                SetExpr::Query(inner) => body = inner.body.as_ref(),
                SetExpr::SetOperation { left, .. } => body = left.as_ref(),
                _ => break Vec::new(),
            }
        };
        Self { items, text }
    }

    /// The item that makes output column `index` of `total`. Columns before a `*` are counted from the front, those after
    /// it from the back.
    fn item(&self, index: usize, total: usize) -> Option<&SelectItem> {
        let items = &self.items;
        let is_wildcard = |item: &SelectItem| {
            !matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
        };
        let before = items.iter().position(is_wildcard).unwrap_or(items.len());
        if index < before {
            return items.get(index);
        }
        let after = items.iter().rev().position(is_wildcard).unwrap_or(items.len());
        let from_back = total.checked_sub(index + 1)?;
        (from_back < after).then(|| items.get(items.len() - 1 - from_back)).flatten()
    }

    fn range(&self, index: usize, total: usize) -> Option<Range<usize>> {
        match self.item(index, total)? {
            SelectItem::ExprWithAlias { alias, .. } => self.text.token_range(alias.span),
            item => self.text.token_range(item.span()),
        }
    }

    fn is_named(&self, index: usize, total: usize) -> bool {
        !matches!(self.item(index, total), Some(SelectItem::UnnamedExpr(_)))
    }

    fn unnamed(&self) -> Vec<Problem> {
        let unnamed = self.items.iter().filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr) if !is_name(expr) => Some(expr),
            _ => None,
        });
        unnamed
            .map(|expr| {
                let range = self.text.token_range(expr.span()).unwrap_or_else(|| self.text.whole());
                Problem::new(
                    codes::UNNAMED_COLUMN,
                    format!("`{}` needs a name", shorten(&expr.to_string())),
                    range,
                )
                .with_hint("add one with AS, as in `count(*) AS orders`")
            })
            .collect()
    }
}

fn is_name(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Problems of the columns that `key`, `time` and `partition` name.
pub(super) fn header_columns(materialize: &Materialize, schema: &Schema) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    match materialize {
        Materialize::View | Materialize::Table | Materialize::Incremental(IncrementalSpec::Append) => {}
        Materialize::Stream(StreamSpec { key, .. })
        | Materialize::Incremental(IncrementalSpec::Merge { key }) => {
            diagnostics.extend(key.iter().filter_map(|column| key_column(column, schema)));
        }
        Materialize::Incremental(IncrementalSpec::Partition { time, .. }) => {
            diagnostics.extend(time_column(time, schema));
        }
        Materialize::History { key, time } => {
            diagnostics.extend(key.iter().filter_map(|column| key_column(column, schema)));
            diagnostics.extend(time.as_ref().and_then(|column| time_column(column, schema)));
        }
    }
    diagnostics
}

fn key_column(column: &Located<String>, schema: &Schema) -> Option<Diagnostic> {
    let Ok(field) = schema.field_with_name(&column.value) else {
        return Some(absent(column, schema));
    };
    field.data_type().is_nested().then(|| {
        let message =
            format!("`{}` is a {}, which cannot be a key", column.value, type_name(field.data_type()));
        Diagnostic::error(codes::KEY_COLUMN, message, column.at)
    })
}

fn time_column(column: &Located<String>, schema: &Schema) -> Option<Diagnostic> {
    let Ok(field) = schema.field_with_name(&column.value) else {
        return Some(absent(column, schema));
    };
    let fits = matches!(field.data_type(), DataType::Timestamp(..) | DataType::Date32);
    (!fits).then(|| {
        let message =
            format!("`{}` is {}, not a timestamp or a date", column.value, type_name(field.data_type()));
        Diagnostic::error(codes::TIME_TYPE, message, column.at)
            .with_hint(format!("cast it in the SELECT: `cast({0} as timestamp) AS {0}`", column.value))
    })
}

/// The problem of the column by whose values a table is parted, if there is one.
pub(super) fn partition_column(partition: &PartitionSpec, schema: &Schema) -> Option<Diagnostic> {
    let column = &partition.column;
    let Ok(field) = schema.field_with_name(&column.value) else {
        return Some(absent(column, schema));
    };
    let refuse = |why: &str, hint: String| {
        let message = format!("`{column}` is {}, {why}", type_name(field.data_type()));
        Some(Diagnostic::error(codes::PARTITION_COLUMN, message, column.at).with_hint(hint))
    };
    match (&partition.by, field.data_type()) {
        (PartitionBy::Time(calendar), DataType::Date32) => match (calendar.grain, calendar.zone()) {
            (PartitionGrain::Hour, _) => refuse("which has no hours", "write `by: day`".to_owned()),
            (_, "UTC") => None,
            _ => refuse("which has no time zone", "remove `zone`".to_owned()),
        },
        (PartitionBy::Time(_), DataType::Timestamp(..)) => None,
        (PartitionBy::Time(_), _) => refuse(
            "not a timestamp or a date",
            format!("cast it in the SELECT: `cast({column} as timestamp) AS {column}`, or write `by: value`"),
        ),
        (PartitionBy::Value, DataType::Utf8 | DataType::Boolean | DataType::Date32) => None,
        (PartitionBy::Value, other) if other.is_integer() => None,
        (PartitionBy::Value, DataType::Timestamp(..)) => {
            refuse("of which each instant would be a partition", "write `by: day`".to_owned())
        }
        (PartitionBy::Value, _) => refuse(
            "whose values cannot part a table",
            "use a column of text, whole numbers, truths or dates".to_owned(),
        ),
    }
}

fn absent(column: &Located<String>, schema: &Schema) -> Diagnostic {
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let hint = name_hint(&column.value, names, "the result's columns");
    let message = format!("the result has no column `{}`", column.value);
    Diagnostic { hint, ..Diagnostic::error(codes::KEY_COLUMN, message, column.at) }
}
