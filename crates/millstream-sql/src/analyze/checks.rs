//! Checks against the columns of a planned table: fitting types, conditions that plan, relationships that lead
//! somewhere.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::{common::DFSchema, logical_expr::ExprSchemable};
use indexmap::IndexMap;
use millstream_connector::{arrow_type, column_type};
use millstream_project::{CheckKind, CheckSpec, Diagnostic, Located, SourceSpec, TableSpec, check_columns};
use millstream_types::{INGESTED_AT, TableName};

use super::{Analysis, placed};
use crate::{
    codes,
    condition::plan_condition,
    explain::{Problem, explain},
    nearest::name_hint,
    place::SqlText,
    type_name::type_name,
};

/// The parts of the project that checks may refer to.
pub(super) struct Context<'a> {
    pub(super) analysis: &'a Analysis,
    pub(super) tables: &'a HashMap<TableName, &'a TableSpec>,
}

impl Context<'_> {
    /// The problems of the checks of a source's contract, whose conditions see the contract's columns alone. Whether
    /// checks fit their columns is known without SQL, so the project's own rules have said that already.
    pub(super) fn source(&self, source: &SourceSpec) -> Vec<Diagnostic> {
        let columns = source.contract.columns.values();
        let fields = columns.map(|column| Field::new(&column.name, arrow_type(&column.column_type), true));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        source.contract.checks.iter().flat_map(|check| self.check(check, &schema)).collect()
    }

    pub(super) fn table(&self, table: &TableSpec, schema: &SchemaRef) -> Vec<Diagnostic> {
        let mut columns = IndexMap::new();
        let mut untyped = Vec::new();
        for field in schema.fields() {
            match column_type(field.data_type()) {
                Some(column_type) => {
                    columns.insert(field.name().clone(), column_type);
                }
                None => untyped.push(field.name()),
            }
        }
        // A rule cannot judge a column whose type no contract has (a map).
        let about_untyped = |check: &CheckSpec| named(&check.kind).iter().any(|name| untyped.contains(name));
        let judged: Vec<CheckSpec> =
            table.checks.iter().filter(|check| !about_untyped(check)).cloned().collect();
        let mut diagnostics = check_columns(&judged, &columns);
        diagnostics.extend(table.checks.iter().flat_map(|check| self.check(check, schema)));
        diagnostics.extend(table.checks.iter().filter_map(|check| freshness(check, schema)));
        diagnostics
    }

    fn check(&self, check: &CheckSpec, schema: &Schema) -> Vec<Diagnostic> {
        match &check.kind {
            CheckKind::Expression { sql } => expression(sql, schema),
            CheckKind::Relationship { column, to_table, to_column } => {
                self.relationship(column, to_table, to_column, schema).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// The problem of a relationship with the column of a SQL table, or with its types. Whether the table exists, and the
    /// column where it is a source's, is known without SQL and was said before.
    fn relationship(
        &self,
        column: &Located<String>,
        to_table: &Located<TableName>,
        to_column: &str,
        schema: &Schema,
    ) -> Option<Diagnostic> {
        let target = self.analysis.schema(&to_table.value)?;
        let Ok(field) = target.field_with_name(to_column) else {
            if !self.tables.contains_key(&to_table.value) {
                return None;
            }
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
            Diagnostic::error(codes::RELATIONSHIP_TYPE, message, column.at)
        })
    }
}

/// The problem of a freshness check that nothing can answer. Without a column it looks at when a row was landed, which
/// only a table tells that takes that column over from its source.
fn freshness(check: &CheckSpec, schema: &Schema) -> Option<Diagnostic> {
    let is_judged = !matches!(check.kind, CheckKind::Freshness { column: None, .. })
        || schema.field_with_name(INGESTED_AT).is_ok();
    let message = "nothing says when a row happened, so its freshness cannot be judged";
    let hint = "name the column: `freshness: {column: …, max_age: 1d}`";
    (!is_judged).then(|| Diagnostic::error(codes::TIME_TYPE, message, check.at).with_hint(hint))
}

/// The columns that a check names.
fn named(kind: &CheckKind) -> Vec<&String> {
    match kind {
        CheckKind::Unique { columns } => columns.iter().map(|column| &column.value).collect(),
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
        | CheckKind::Quantile { column, .. } => vec![&column.value],
        CheckKind::Expression { .. }
        | CheckKind::RowCount { .. }
        | CheckKind::Freshness { column: None, .. } => Vec::new(),
    }
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

/// The problems of a condition over one row.
fn expression(sql: &Located<String>, schema: &Schema) -> Vec<Diagnostic> {
    let text = SqlText::new(&sql.value);
    let problems = match gives_truth(&text, schema) {
        Ok(()) => Vec::new(),
        Err(problems) => problems,
    };
    problems.into_iter().map(|problem| placed(as_check(problem), sql)).collect()
}

fn gives_truth(text: &SqlText<'_>, schema: &Schema) -> Result<(), Vec<Problem>> {
    let explained = |error| explain(&error, text);
    let schema = DFSchema::try_from(schema.clone()).map_err(explained)?;
    match plan_condition(text, &schema)?.get_type(&schema).map_err(explained)? {
        DataType::Boolean => Ok(()),
        other => {
            let message = format!("a condition gives true or false, this gives {}", type_name(&other));
            Err(vec![Problem::new(codes::CHECK_EXPRESSION, message, text.whole())])
        }
    }
}

/// The problem as one of a check. A problem inside a condition keeps its code when that says more than "a condition that
/// does not plan".
fn as_check(problem: Problem) -> Problem {
    match problem.code {
        codes::PLAN | codes::NOT_A_QUERY => Problem { code: codes::CHECK_EXPRESSION, ..problem },
        _ => problem,
    }
}
