//! Parameters: the SQL of a table names a declared value as `$rate`, and a literal of its type takes the place of the name.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, Spanned, TableFactor, Value};
use millstream_project::ParameterSpec;
use millstream_types::ColumnType;

use crate::{
    codes,
    explain::Problem,
    nearest::name_hint,
    parse::parse_expression,
    place::SqlText,
    walk::{self, QueryEditor},
};

/// Writes the values of parameters into a query. Names that are not declared are reported, all at once.
pub(crate) fn substitute(
    query: &mut Query,
    parameters: &[ParameterSpec],
    text: &SqlText<'_>,
) -> Result<(), Vec<Problem>> {
    let mut editor = Substitution { parameters, text, problems: Vec::new() };
    // The editor never ends the walk early.
    let _ = walk::edit(query, &mut editor);
    if editor.problems.is_empty() { Ok(()) } else { Err(editor.problems) }
}

struct Substitution<'a> {
    parameters: &'a [ParameterSpec],
    text: &'a SqlText<'a>,
    problems: Vec<Problem>,
}

impl QueryEditor for Substitution<'_> {
    fn table_factor(&mut self, _: &mut TableFactor) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Value(value) = &*expr else { return ControlFlow::Continue(()) };
        let Value::Placeholder(written) = &value.value else { return ControlFlow::Continue(()) };
        let name = written.trim_start_matches('$');
        let found = self.parameters.iter().find(|parameter| parameter.name.value == name);
        match found.map(|parameter| parse_expression(&SqlText::new(&literal(parameter)))) {
            Some(Ok(literal)) => *expr = literal,
            Some(Err(problem)) => self.problems.push(problem),
            None => {
                let range = self.text.token_range(expr.span()).unwrap_or_else(|| self.text.whole());
                let message = format!("there is no parameter `{name}`");
                let names = self.parameters.iter().map(|parameter| parameter.name.value.as_str());
                let hint = name_hint(name, names, "the parameters").unwrap_or_else(|| {
                    format!(
                        "declare it in the header: `parameters: {{{name}: {{type: float64, default: 1.0}}}}`"
                    )
                });
                self.problems.push(Problem::new(codes::UNKNOWN_PARAMETER, message, range).with_hint(hint));
            }
        }
        ControlFlow::Continue(())
    }
}

/// The value of a parameter in SQL.
fn literal(parameter: &ParameterSpec) -> String {
    let value = parameter.default.replace('\'', "''");
    match parameter.column_type {
        ColumnType::Bool => value,
        ColumnType::Int64 => format!("CAST('{value}' AS BIGINT)"),
        ColumnType::Float64 => format!("CAST('{value}' AS DOUBLE)"),
        ColumnType::Date => format!("CAST('{value}' AS DATE)"),
        _ => format!("'{value}'"),
    }
}
