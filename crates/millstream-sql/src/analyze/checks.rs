//! Checks against the columns that they name: existence, fitting types, conditions that plan, relationships
//! that lead somewhere.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::{
    common::{DFSchema, tree_node::TreeNode},
    logical_expr::{Expr, ExprSchemable},
    optimizer::analyzer::type_coercion::TypeCoercionRewriter,
    sql::{parser::DFParserBuilder, planner::PlannerContext},
};
use millstream_connector::arrow_type;
use millstream_project::{
    Bounds, CheckKind, CheckSpec, Diagnostic, Located, Location, Scalar, SourceSpec, TableSpec,
};
use millstream_types::TableName;

use super::{Analysis, diagnostic};
use crate::{
    catalog::Catalog,
    codes,
    dialect::MillstreamDialect,
    explain::{Problem, explain},
    nearest::name_hint,
    place::SqlText,
    planner::{Planner, offline_state, unpanicked},
    project_test::scalar_fits,
    type_name::type_name,
};

/// What checks may refer to.
pub(super) struct Context<'a> {
    pub(super) analysis: &'a Analysis,
    pub(super) tables: &'a HashMap<TableName, &'a TableSpec>,
}

/// The columns that a list of checks is about.
struct Subject<'a> {
    schema: &'a Schema,
    /// `the result`, `the contract`.
    what: &'static str,
}

impl Context<'_> {
    /// The checks of a source's contract; they see the contract's columns alone.
    pub(super) fn source(&self, source: &SourceSpec) -> Vec<Diagnostic> {
        let columns = source.contract.columns.values();
        let fields = columns
            .map(|column| arrow::datatypes::Field::new(&column.name, arrow_type(&column.column_type), true));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        let subject = Subject { schema: &schema, what: "the contract" };
        let mut diagnostics: Vec<_> =
            source.contract.checks.iter().flat_map(|check| self.check(check, &subject)).collect();
        if let Some(time) = &source.contract.time
            && let Ok(field) = schema.field_with_name(&time.value)
            && !is_time(field.data_type())
        {
            let message =
                format!("`{}` is {}, not a timestamp or a date", time.value, type_name(field.data_type()));
            diagnostics.push(Diagnostic::error(codes::TIME_TYPE, message, time.at));
        }
        diagnostics
    }

    pub(super) fn table(&self, table: &TableSpec, schema: &SchemaRef) -> Vec<Diagnostic> {
        let subject = Subject { schema, what: "the result" };
        table.checks.iter().flat_map(|check| self.check(check, &subject)).collect()
    }

    fn check(&self, check: &CheckSpec, subject: &Subject<'_>) -> Vec<Diagnostic> {
        match &check.kind {
            CheckKind::Expression { sql } => return expression(sql, subject.schema),
            CheckKind::RowCount { .. } | CheckKind::Freshness { column: None, .. } => return Vec::new(),
            _ => {}
        }
        let columns = columns(&check.kind);
        let mut diagnostics = Vec::new();
        for column in columns {
            match subject.schema.field_with_name(&column.value) {
                Ok(field) => diagnostics.extend(unfit(check, column, field.data_type())),
                Err(_) => diagnostics.push(absent(column, subject)),
            }
        }
        if let CheckKind::Relationship { column, to_table, to_column } = &check.kind {
            diagnostics.extend(self.relationship(column, to_table, to_column, subject.schema));
        }
        diagnostics
    }

    fn relationship(
        &self,
        column: &Located<String>,
        to_table: &Located<TableName>,
        to_column: &str,
        schema: &Schema,
    ) -> Option<Diagnostic> {
        let Some(target) = self.analysis.schema(&to_table.value) else {
            // A table that exists but does not plan has its own message.
            if self.tables.contains_key(&to_table.value) {
                return None;
            }
            let mut known: Vec<_> = self.tables.keys().map(ToString::to_string).collect();
            known.extend(
                self.analysis.catalog.names().filter(|name| !name.is_rejected()).map(ToString::to_string),
            );
            known.sort();
            known.dedup();
            let hint = name_hint(&to_table.to_string(), known.iter().map(String::as_str), "known tables");
            let message = format!("unknown table `{to_table}`");
            return Some(Diagnostic { hint, ..Diagnostic::error(codes::RELATIONSHIP, message, to_table.at) });
        };
        let Ok(field) = target.field_with_name(to_column) else {
            let names = target.fields().iter().map(|field| field.name().as_str());
            let hint = name_hint(to_column, names, "its columns");
            let message = format!("`{to_table}` has no column `{to_column}`");
            return Some(Diagnostic { hint, ..Diagnostic::error(codes::RELATIONSHIP, message, to_table.at) });
        };
        let own = schema.field_with_name(&column.value).ok()?;
        let (own, other) = (own.data_type(), field.data_type());
        (class(own) != class(other)).then(|| {
            let message = format!(
                "`{}` ({}) cannot occur in `{to_table}.{to_column}` ({})",
                column.value,
                type_name(own),
                type_name(other)
            );
            Diagnostic::error(codes::CHECK_TYPE, message, column.at)
        })
    }
}

fn columns(kind: &CheckKind) -> Vec<&Located<String>> {
    match kind {
        CheckKind::Unique { columns } => columns.iter().collect(),
        CheckKind::NotNull { column }
        | CheckKind::Range { column, .. }
        | CheckKind::Length { column, .. }
        | CheckKind::OneOf { column, .. }
        | CheckKind::Pattern { column, .. }
        | CheckKind::Relationship { column, .. }
        | CheckKind::Freshness { column: Some(column), .. }
        | CheckKind::Completeness { column, .. }
        | CheckKind::DistinctCount { column, .. }
        | CheckKind::Mean { column, .. }
        | CheckKind::Quantile { column, .. } => vec![column],
        CheckKind::Expression { .. }
        | CheckKind::RowCount { .. }
        | CheckKind::Freshness { column: None, .. } => Vec::new(),
    }
}

fn absent(column: &Located<String>, subject: &Subject<'_>) -> Diagnostic {
    let names = subject.schema.fields().iter().map(|field| field.name().as_str());
    let hint = name_hint(&column.value, names, "its columns");
    let message = format!("{} has no column `{}`", subject.what, column.value);
    Diagnostic { hint, ..Diagnostic::error(codes::CHECK_COLUMN, message, column.at) }
}

/// Types whose values can be equal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Bool,
    Number,
    Text,
    Binary,
    Time,
    Nested,
}

fn class(data_type: &DataType) -> Class {
    match data_type {
        DataType::Boolean => Class::Bool,
        DataType::Utf8 => Class::Text,
        DataType::Binary => Class::Binary,
        DataType::Date32 | DataType::Timestamp(..) => Class::Time,
        other if other.is_numeric() => Class::Number,
        _ => Class::Nested,
    }
}

fn is_time(data_type: &DataType) -> bool {
    class(data_type) == Class::Time
}

fn unfit(check: &CheckSpec, column: &Located<String>, data_type: &DataType) -> Option<Diagnostic> {
    let class = class(data_type);
    let needs = match &check.kind {
        CheckKind::Range { bounds, .. } => {
            if matches!(class, Class::Number | Class::Time | Class::Text) {
                let Bounds { min, max } = bounds;
                return [min, max]
                    .into_iter()
                    .flatten()
                    .find_map(|bound| unfit_scalar(bound, column, data_type, check.at));
            }
            "numbers, dates, timestamps or text"
        }
        CheckKind::OneOf { values, .. } => {
            if class != Class::Nested {
                return values.iter().find_map(|value| unfit_scalar(value, column, data_type, check.at));
            }
            "single values"
        }
        CheckKind::Length { .. } if !matches!(data_type, DataType::Utf8 | DataType::List(_)) => {
            "text or a list"
        }
        CheckKind::Pattern { .. } if class != Class::Text => "text",
        CheckKind::Mean { .. } | CheckKind::Quantile { .. } if class != Class::Number => "numbers",
        CheckKind::Freshness { .. } if class != Class::Time => "a timestamp or a date",
        _ => return None,
    };
    let message = format!("`{}` needs {needs}, but `{}` is {}", check.id, column.value, type_name(data_type));
    Some(Diagnostic::error(codes::CHECK_TYPE, message, column.at))
}

fn unfit_scalar(
    scalar: &Scalar,
    column: &Located<String>,
    data_type: &DataType,
    at: Location,
) -> Option<Diagnostic> {
    (!scalar_fits(scalar, data_type)).then(|| {
        let written = match scalar {
            Scalar::Bool(value) => value.to_string(),
            Scalar::Int(value) => value.to_string(),
            Scalar::Number(text) | Scalar::Text(text) => text.clone(),
        };
        let message = format!("`{written}` is no {}, the type of `{}`", type_name(data_type), column.value);
        Diagnostic::error(codes::CHECK_TYPE, message, at)
    })
}

/// Problems of a condition over one row.
fn expression(sql: &Located<String>, schema: &Schema) -> Vec<Diagnostic> {
    let text = SqlText::new(&sql.value);
    let at = inside(sql);
    let placed = |problem: Problem| match at {
        Some(at) => diagnostic(problem, at),
        None => diagnostic(Problem { range: 0..sql.at.end - sql.at.start, ..problem }, sql.at),
    };
    match plan_condition(&text, schema) {
        Ok(()) => Vec::new(),
        Err(problems) => problems.into_iter().map(|problem| placed(as_check(problem))).collect(),
    }
}

/// Where the SQL itself starts in the file, if the file holds it as it is (a block or escapes may not).
fn inside(sql: &Located<String>) -> Option<Location> {
    let written = sql.at.end.saturating_sub(sql.at.start);
    let quotes = written.checked_sub(sql.value.len())?;
    matches!(quotes, 0 | 2).then(|| Location { start: sql.at.start + quotes / 2, ..sql.at })
}

/// Problems inside a condition keep their code when it says more than "a condition that does not plan".
fn as_check(problem: Problem) -> Problem {
    match problem.code {
        codes::PLAN | codes::NOT_A_QUERY => Problem { code: codes::CHECK_EXPRESSION, ..problem },
        _ => problem,
    }
}

fn plan_condition(text: &SqlText<'_>, schema: &Schema) -> Result<(), Vec<Problem>> {
    let explained = |error| explain(&error, text);
    let mut parser =
        DFParserBuilder::new(text.text).with_dialect(&MillstreamDialect).build().map_err(explained)?;
    let parsed = parser.parse_into_expr().map_err(explained)?;
    let catalog = Catalog::default();
    let planner = Planner::new(offline_state(), &catalog);
    let schema = DFSchema::try_from(schema.clone()).map_err(explained)?;
    let planned = unpanicked(|| {
        let expr = planner.sql_to_rel().sql_to_expr(parsed.expr, &schema, &mut PlannerContext::new())?;
        Ok(expr.rewrite(&mut TypeCoercionRewriter::new(&schema))?.data)
    });
    let expr = planned.map_err(explained)?;
    let refuse = |message: &str| Err(vec![Problem::new(codes::CHECK_EXPRESSION, message, text.whole())]);
    let beyond_row = expr.exists(|part| {
        Ok(matches!(
            part,
            Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
                | Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
        ))
    });
    if beyond_row.map_err(explained)? {
        return refuse("a condition sees one row: no aggregates, window functions or subqueries");
    }
    match expr.get_type(&schema).map_err(explained)? {
        DataType::Boolean => Ok(()),
        other => refuse(&format!("a condition gives true or false, this gives {}", type_name(&other))),
    }
}
