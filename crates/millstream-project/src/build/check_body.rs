//! The body of one check, in its short or long spelling.

use std::fmt::Display;

use millstream_types::{Span, TableName};

use super::Context;
use crate::{
    Bounds, CheckKind, Located, Location, Node, NodeKind, Pattern, Scalar, codes,
    decode::{OneOrMany, Written},
    file::{
        CHECK_KINDS, ColumnsFile, CompletenessFile, ExpressionFile, FreshnessFile, LengthCheckFile, MeanFile,
        OneOfFile, PatternFile, QuantileFile, RangeCheckFile, RelationshipFile, RowCountFile,
    },
};

/// The checks that `key: body` stands for; none when the body is faulty.
pub(super) fn read(context: &Context<'_>, key: &Located<String>, body: &Node) -> Vec<CheckKind> {
    if key.value == "not_null" {
        let columns = columns(context, key, body).unwrap_or_default();
        return columns.into_iter().map(|column| CheckKind::NotNull { column }).collect();
    }
    let is_table_check =
        CHECK_KINDS.iter().skip_while(|kind| **kind != "row_count").any(|kind| *kind == key.value);
    let read = if is_table_check { table_check } else { row_check };
    read(context, key, body).into_iter().collect()
}

fn row_check(context: &Context<'_>, key: &Located<String>, body: &Node) -> Option<CheckKind> {
    let faults = context.faults;
    let is_text = matches!(body.kind, NodeKind::Text(_));
    Some(match key.value.as_str() {
        "unique" => CheckKind::Unique { columns: columns(context, key, body)? },
        "range" => {
            let RangeCheckFile { column, min, max } = faults.decode_at(body, key.at)?;
            CheckKind::Range { column, bounds: scalar_bounds(context, min, max, (key.at, body.at))? }
        }
        "length" => {
            let LengthCheckFile { column, min, max } = faults.decode_at(body, key.at)?;
            CheckKind::Length { column, bounds: bounds(context, min, max, (key.at, body.at))? }
        }
        "one_of" => {
            let OneOfFile { column, values } = faults.decode_at(body, key.at)?;
            CheckKind::OneOf { column, values: one_of(context, values)? }
        }
        "pattern" => {
            let PatternFile { column, pattern: written } = faults.decode_at(body, key.at)?;
            CheckKind::Pattern { column, pattern: pattern(context, &written)? }
        }
        "relationship" => {
            let RelationshipFile { column, to } = faults.decode_at(body, key.at)?;
            relationship(context, column, &to)?
        }
        "expression" if is_text => CheckKind::Expression { sql: sql(context, faults.decode(body)?)? },
        "expression" => {
            let ExpressionFile { sql: written } = faults.decode_at(body, key.at)?;
            CheckKind::Expression { sql: sql(context, written)? }
        }
        _ => return None,
    })
}

fn table_check(context: &Context<'_>, key: &Located<String>, body: &Node) -> Option<CheckKind> {
    let faults = context.faults;
    let is_text = matches!(body.kind, NodeKind::Text(_));
    Some(match key.value.as_str() {
        "row_count" => {
            let RowCountFile { min, max, change } = faults.decode_at(body, key.at)?;
            if min.is_none() && max.is_none() && change.is_some() {
                return Some(CheckKind::RowCount {
                    bounds: Bounds { min: None, max: None },
                    change_max: change.map(|share| share.0),
                });
            }
            CheckKind::RowCount {
                bounds: bounds(context, min, max, (key.at, body.at))?,
                change_max: change.map(|share| share.0),
            }
        }
        "freshness" if is_text => {
            CheckKind::Freshness { column: None, age_max: faults.decode::<Written<Span>>(body)?.0 }
        }
        "freshness" => {
            let FreshnessFile { column, max_age } = faults.decode_at(body, key.at)?;
            CheckKind::Freshness { column, age_max: max_age.0 }
        }
        "completeness" => {
            let CompletenessFile { column, min } = faults.decode_at(body, key.at)?;
            CheckKind::Completeness { column, min: min.0 }
        }
        "distinct_count" => {
            let LengthCheckFile { column, min, max } = faults.decode_at(body, key.at)?;
            CheckKind::DistinctCount { column, bounds: bounds(context, min, max, (key.at, body.at))? }
        }
        "mean" => {
            let MeanFile { column, min, max } = faults.decode_at(body, key.at)?;
            CheckKind::Mean { column, bounds: bounds(context, min, max, (key.at, body.at))? }
        }
        "quantile" => {
            let QuantileFile { column, quantile, min, max } = faults.decode_at(body, key.at)?;
            if !(0.0..=1.0).contains(&quantile.value) {
                let message = format!("`{quantile}` is no quantile");
                context.error(codes::WRONG_BOUNDS, message, quantile.at, "write a number between 0 and 1");
                return None;
            }
            let bounds = bounds(context, min, max, (key.at, body.at))?;
            CheckKind::Quantile { column, quantile: quantile.value, bounds }
        }
        _ => return None,
    })
}

/// `a`, `[a, b]`, `{column: a}` or `{columns: [a, b]}`.
fn columns(context: &Context<'_>, key: &Located<String>, body: &Node) -> Option<Vec<Located<String>>> {
    let columns = if matches!(body.kind, NodeKind::Map(_)) {
        let ColumnsFile { column, columns } = context.faults.decode_at(body, key.at)?;
        column.into_iter().chain(columns.unwrap_or_default()).collect()
    } else {
        context.faults.decode_at::<OneOrMany<_>>(body, key.at)?.0
    };
    if columns.is_empty() && !context.faults.has_gap_in(body.at) {
        let hint = format!("name one: `{key}: order_id`");
        context.error(codes::WRONG_CHECK, format!("`{key}` names no column"), key.at, hint);
    }
    (!columns.is_empty()).then_some(columns)
}

/// Bounds of which at least one is given and that something can meet. The places are those to report and of the body.
pub(super) fn bounds<T: PartialOrd + Display>(
    context: &Context<'_>,
    min: Option<Located<T>>,
    max: Option<Located<T>>,
    (at, inside): (Location, Location),
) -> Option<Bounds<T>> {
    match (&min, &max) {
        (None, None) => {
            if !context.faults.has_gap_in(inside) {
                let hint = "give `min`, `max` or both";
                context.error(codes::WRONG_BOUNDS, "bounds on neither side", at, hint);
            }
            return None;
        }
        (Some(min), Some(max)) if min.value > max.value => {
            let message = format!("the lower bound `{min}` is above the upper bound `{max}`");
            context.error(codes::WRONG_BOUNDS, message, min.at, "swap the two");
            return None;
        }
        _ => {}
    }
    Some(Bounds { min: min.map(|min| min.value), max: max.map(|max| max.value) })
}

/// As [`bounds`]; values that are no numbers are compared later, when the column's type is known.
pub(super) fn scalar_bounds(
    context: &Context<'_>,
    min: Option<Located<Scalar>>,
    max: Option<Located<Scalar>>,
    at: (Location, Location),
) -> Option<Bounds<Scalar>> {
    let number = |side: &Option<Located<Scalar>>| {
        side.as_ref().and_then(|side| {
            let number = match &side.value {
                Scalar::Int(value) => value.to_string().parse().ok(),
                Scalar::Number(text) => text.parse::<f64>().ok(),
                Scalar::Bool(_) | Scalar::Text(_) => None,
            };
            number.map(|number| Located::new(number, side.at))
        })
    };
    if let (Some(low), Some(high)) = (number(&min), number(&max)) {
        bounds(context, Some(low), Some(high), at)?;
    } else if min.is_none() && max.is_none() {
        bounds::<f64>(context, None, None, at)?;
    }
    Some(Bounds { min: min.map(|min| min.value), max: max.map(|max| max.value) })
}

pub(super) fn one_of(context: &Context<'_>, values: Located<Vec<Located<Scalar>>>) -> Option<Vec<Scalar>> {
    if values.is_empty() {
        if !context.faults.has_gap_in(values.at) {
            let hint = "list the values that are allowed";
            context.error(codes::WRONG_CHECK, "`one_of` allows no value", values.at, hint);
        }
        return None;
    }
    Some(values.value.into_iter().map(|value| value.value).collect())
}

pub(super) fn pattern(context: &Context<'_>, written: &Located<String>) -> Option<Pattern> {
    match context.patterns.read(written) {
        Ok(pattern) => Some(pattern),
        Err(reason) => {
            let message = format!("`{}` is no pattern: {reason}", crate::node::shorten(written));
            let hint =
                "use email, uuid, url, iso_date, ipv4, ipv6, json, or a regular expression in single quotes";
            context.error(codes::WRONG_PATTERN, message, written.at, hint);
            None
        }
    }
}

pub(super) fn relationship(
    context: &Context<'_>,
    column: Located<String>,
    to: &Located<String>,
) -> Option<CheckKind> {
    let mut parts = to.splitn(3, '.');
    let table = match (parts.next(), parts.next()) {
        (Some(schema), Some(name)) => TableName::new(schema, name).ok(),
        _ => None,
    };
    match (table, parts.next()) {
        (Some(table), Some(to_column)) if !to_column.is_empty() => {
            // The address ends in the column, so the table's part of a plain text has a place of its own.
            let mut at = to.at;
            if at.end - at.start == to.value.len() {
                at.end -= to_column.len() + 1;
            }
            let to_table = Located::new(table, at);
            Some(CheckKind::Relationship { column, to_table, to_column: to_column.into() })
        }
        _ => {
            let message = format!("`{to}` is no column of a table");
            let hint = "write `schema.table.column`, as in `silver.customers.customer_id`";
            context.error(codes::WRONG_CHECK, message, to.at, hint);
            None
        }
    }
}

fn sql(context: &Context<'_>, written: Located<String>) -> Option<Located<String>> {
    if written.trim().is_empty() {
        let hint = "write a SQL condition, as in `amount >= 0`";
        context.error(codes::WRONG_CHECK, "the expression is empty", written.at, hint);
        return None;
    }
    Some(written)
}
