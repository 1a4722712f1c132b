//! `tumble`, `hop` and `session` in FROM. Each is written as a subquery over its table that adds the bounds of windows, so that everything that
//! looks at a query sees the tables, columns and places that it knows.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{
        Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
        ObjectName, Query, SelectItem, SetExpr, Statement, TableAlias, TableFactor, TableFunctionArgs,
        VisitMut,
    },
    dialect::GenericDialect,
    parser::Parser,
};
use millstream_stream::{WINDOW_END, WINDOW_START};

use super::bounds::{Side, WindowKind};
use crate::{
    codes,
    explain::Problem,
    parse::{name_parts, name_range},
    place::SqlText,
    walk::{self, QueryEditor},
};

/// Writes each window function in a FROM clause as a subquery.
pub(crate) fn rewrite<N: VisitMut>(parsed: &mut N, text: &SqlText<'_>) -> Result<(), Problem> {
    let mut editor = Rewrite { text, problem: None };
    let _ = walk::edit(parsed, &mut editor);
    editor.problem.map_or(Ok(()), Err)
}

struct Rewrite<'a> {
    text: &'a SqlText<'a>,
    problem: Option<Problem>,
}

impl QueryEditor for Rewrite<'_> {
    fn table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, alias, args: Some(args), .. } = factor else {
            return ControlFlow::Continue(());
        };
        let parts = name_parts(name);
        let Some(kind) = parts.as_slice().first().filter(|_| parts.len() == 1).and_then(|name| named(name))
        else {
            return ControlFlow::Continue(());
        };
        match windowed(kind, args, alias.take()) {
            Some(derived) => {
                *factor = derived;
                ControlFlow::Continue(())
            }
            None => {
                let problem = Problem::new(
                    codes::WINDOW_CALL,
                    format!("`{}` takes a table, its time column and {}", kind.name(), kind.lengths()),
                    name_range(name, self.text),
                );
                self.problem = Some(problem.with_hint(format!("write {}", kind.example())));
                ControlFlow::Break(())
            }
        }
    }
}

fn named(name: &str) -> Option<WindowKind> {
    WindowKind::ALL.into_iter().find(|kind| kind.name() == name)
}

/// `(SELECT *, <start> AS window_start, <end> AS window_end FROM <table>) AS <alias>`.
fn windowed(kind: WindowKind, args: &TableFunctionArgs, alias: Option<TableAlias>) -> Option<TableFactor> {
    let args: Vec<&Expr> = args.args.iter().map(plain).collect::<Option<_>>()?;
    let (table, bounds) = args.split_first()?;
    if bounds.len() != kind.arguments() {
        return None;
    }
    let (relation, own_name) = relation(table)?;
    let alias = alias.or_else(|| own_name.map(named_by))?;
    let mut subquery = template()?;
    let SetExpr::Select(select) = subquery.body.as_mut() else { return None };
    for (side, column) in [(Side::Start, WINDOW_START), (Side::End, WINDOW_END)] {
        let expr = call(kind.function(side), bounds);
        select.projection.push(SelectItem::ExprWithAlias { expr, alias: Ident::new(column) });
    }
    select.from.first_mut()?.relation = relation;
    Some(TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None })
}

fn plain(arg: &FunctionArg) -> Option<&Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

/// The first argument as what stands in FROM, and the name under which its columns are known.
fn relation(expr: &Expr) -> Option<(TableFactor, Option<Ident>)> {
    let parts = match expr {
        Expr::Identifier(ident) => vec![ident.clone()],
        Expr::CompoundIdentifier(parts) => parts.clone(),
        Expr::Subquery(query) => {
            let derived = TableFactor::Derived {
                lateral: false,
                subquery: query.clone(),
                alias: Some(named_by(Ident::new("windowed"))),
                sample: None,
            };
            return Some((derived, Some(Ident::new("windowed"))));
        }
        _ => return None,
    };
    let own_name = parts.last().cloned();
    let table = TableFactor::Table {
        name: ObjectName::from(parts),
        alias: None,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    };
    Some((table, own_name))
}

fn named_by(name: Ident) -> TableAlias {
    TableAlias { explicit: true, name, columns: Vec::new(), at: None }
}

fn template() -> Option<Box<Query>> {
    let parsed = Parser::parse_sql(&GenericDialect {}, "SELECT * FROM t").ok()?;
    match parsed.into_iter().next()? {
        Statement::Query(query) => Some(query),
        _ => None,
    }
}

fn call(function: &str, args: &[&Expr]) -> Expr {
    let args = args.iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr((*arg).clone())));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(function)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
