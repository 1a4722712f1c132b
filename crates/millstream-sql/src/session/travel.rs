//! `VERSION AS OF` and its relatives: which state of which table a query names.

use std::ops::ControlFlow;

use datafusion::{
    common::{DFSchema, ScalarValue, TableReference},
    execution::SessionState,
    logical_expr::{Expr as PlanExpr, cast, simplify::SimplifyContext},
    optimizer::simplify_expressions::ExprSimplifier,
    sql::{
        planner::PlannerContext,
        sqlparser::ast::{
            Expr, Ident, ObjectName, ObjectNamePart, Spanned, TableFactor, TableVersion, Value, VisitMut,
        },
    },
};
use millstream_lake::At;
use millstream_types::{TableName, TimestampMicros};

use crate::{
    catalog::{Catalog, timestamp},
    codes,
    explain::{Problem, explain},
    parse::{name_parts, name_range},
    place::SqlText,
    planner::{Planner, unpanicked},
    walk::{self, QueryEditor},
};

/// A table as a query names it, pinned to a state.
#[derive(Clone, Debug)]
pub(super) struct PinnedTable {
    pub(super) table: TableName,
    pub(super) at: At,
    /// The reference by which the planner will ask for the table.
    pub(super) reference: TableReference,
    pub(super) range: std::ops::Range<usize>,
}

/// Finds the tables of a statement. A table at a version is given a name of its own, with the version where a
/// catalog's name would stand, so that `orders.amount` and `silver.orders.amount` still mean its columns.
pub(super) fn pin<S: VisitMut>(
    statement: &mut S,
    default: At,
    state: &SessionState,
    text: &SqlText<'_>,
) -> Result<Vec<PinnedTable>, Problem> {
    let mut pins = Pins { default, state, text, tables: Vec::new(), problem: None };
    let _ = walk::edit(statement, &mut pins);
    match pins.problem {
        None => Ok(pins.tables),
        Some(problem) => Err(problem),
    }
}

struct Pins<'a> {
    default: At,
    state: &'a SessionState,
    text: &'a SqlText<'a>,
    tables: Vec<PinnedTable>,
    /// The problem that ended the walk.
    problem: Option<Problem>,
}

impl QueryEditor for Pins<'_> {
    fn table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match self.pin(factor) {
            Ok(()) => ControlFlow::Continue(()),
            Err(problem) => {
                self.problem = Some(problem);
                ControlFlow::Break(())
            }
        }
    }
}

impl Pins<'_> {
    fn pin(&mut self, factor: &mut TableFactor) -> Result<(), Problem> {
        let TableFactor::Table { name, args: None, version, .. } = factor else { return Ok(()) };
        let range = name_range(name, self.text);
        let parts = name_parts(name);
        let table = match parts.as_slice() {
            [schema, table] => TableName::new(schema, table).ok(),
            _ => None,
        };
        let Some(table) = table else {
            // A name of one part is defined by WITH or unknown, and the planner reports what is unknown.
            if version.is_some() {
                let message = format!("`{}` has no versions", parts.join("."));
                return Err(Problem::new(codes::TIME_TRAVEL, message, range)
                    .with_hint("time travel needs a stored table, named `schema.table`"));
            }
            return Ok(());
        };
        let pinned = match version.take() {
            None => PinnedTable { at: self.default, reference: partial(&table), table, range },
            Some(version) => {
                let at = self.at(version)?;
                let tag = match at {
                    At::Latest => "latest".to_owned(),
                    At::Version(version) => format!("version {version}"),
                    At::Timestamp(time) => format!("time {}", time.0),
                };
                *name = pinned_name(name, &tag);
                let reference = TableReference::full(tag, table.schema(), table.name());
                PinnedTable { table, at, reference, range }
            }
        };
        self.tables.push(pinned);
        Ok(())
    }

    fn at(&self, version: TableVersion) -> Result<At, Problem> {
        match version {
            TableVersion::VersionAsOf(expr) => self.version(&expr),
            TableVersion::TimestampAsOf(expr) | TableVersion::ForSystemTimeAsOf(expr) => self.time(expr),
            other => Err(Problem::new(
                codes::TIME_TRAVEL,
                format!("`{other}` is not supported"),
                self.text.whole(),
            )
            .with_hint("write `VERSION AS OF 3` or `TIMESTAMP AS OF '2026-01-01T00:00:00Z'`; an alias of this name needs AS")),
        }
    }

    fn version(&self, expr: &Expr) -> Result<At, Problem> {
        let number = match expr {
            Expr::Value(value) => match &value.value {
                Value::Number(number, _) => number.parse().ok(),
                _ => None,
            },
            _ => None,
        };
        number.map(At::Version).ok_or_else(|| {
            let range = self.text.token_range(expr.span()).unwrap_or_else(|| self.text.whole());
            Problem::new(codes::TIME_TRAVEL, format!("`{expr}` is not a version"), range)
                .with_hint("a version is a whole number from 0")
        })
    }

    fn time(&self, expr: Expr) -> Result<At, Problem> {
        let range = self.text.token_range(expr.span()).unwrap_or_else(|| self.text.whole());
        let written = expr.to_string();
        let refuse = || {
            Problem::new(codes::TIME_TRAVEL, format!("`{written}` is not a point in time"), range.clone())
                .with_hint("write it as `'2026-01-01T00:00:00Z'`; without a zone it is UTC")
        };
        let catalog = Catalog::default();
        let planner = Planner::new(self.state, &catalog);
        let schema = DFSchema::empty();
        let planned = unpanicked(|| {
            let expr = planner.sql_to_rel().sql_to_expr(expr, &schema, &mut PlannerContext::new())?;
            let context =
                SimplifyContext::builder().with_config_options(self.state.config_options().clone()).build();
            let simplifier = ExprSimplifier::new(context);
            simplifier.simplify(simplifier.coerce(cast(expr, timestamp()), &schema)?)
        });
        match planned {
            Ok(PlanExpr::Literal(ScalarValue::TimestampMicrosecond(Some(time), _), _)) => {
                Ok(At::Timestamp(TimestampMicros(time)))
            }
            Ok(_) => Err(refuse()),
            Err(error) => {
                let unknown = explain(&error, self.text)
                    .into_iter()
                    .find(|problem| problem.code == codes::UNKNOWN_COLUMN);
                Err(unknown.unwrap_or_else(refuse))
            }
        }
    }
}

fn partial(table: &TableName) -> TableReference {
    TableReference::partial(table.schema(), table.name())
}

fn pinned_name(name: &ObjectName, tag: &str) -> ObjectName {
    let tag = ObjectNamePart::Identifier(Ident::with_quote('"', tag));
    ObjectName(std::iter::once(tag).chain(name.0.iter().cloned()).collect())
}
