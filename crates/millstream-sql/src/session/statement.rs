//! From a query's text to a plan over real tables.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::Future,
    pin::Pin,
    sync::Arc,
};

use arrow::array::RecordBatch;
use datafusion::{
    catalog::view::ViewTable,
    common::TableReference,
    datasource::provider_as_source,
    logical_expr::{LogicalPlan, TableSource},
    prelude::SQLOptions,
    sql::{parser::Statement as PlanStatement, sqlparser::ast::Statement},
};
use millstream_lake::At;
use millstream_types::TableName;

use super::{Resolved, SqlError, SqlSession, bind::storable_plan, names::name_outputs, show, travel};
use crate::{
    codes, duplicates,
    explain::{Problem, explain},
    microseconds,
    nearest::name_hint,
    parse::{not_a_query, parse_statement, reading, references, text_as_table},
    place::SqlText,
    planner::{Planner, Tables, unpanicked, windows_over_tables},
};

/// Views over views beyond this are taken for a circle.
const VIEW_DEPTH_MAX: usize = 64;

/// A statement that is ready to run, or already answered.
pub(super) enum Ready {
    Plan(Box<LogicalPlan>),
    Answer(RecordBatch),
}

/// The tables of one statement, by the names that the planner uses.
#[derive(Default)]
struct TableSources(HashMap<TableReference, Arc<dyn TableSource>>);

impl Tables for TableSources {
    fn source(&self, name: &TableReference) -> Option<Arc<dyn TableSource>> {
        self.0.get(name).cloned()
    }
}

impl SqlSession {
    pub(super) async fn statement(&self, sql: &str, at: At) -> Result<Ready, SqlError> {
        let text = SqlText::new(sql);
        let wrong = |problem| SqlError::problem(problem, &text);
        let mut statement = parse_statement(&text).map_err(wrong)?;
        if let PlanStatement::Statement(inner) = &mut statement {
            match inner.as_mut() {
                Statement::Query(query) => name_outputs(query),
                Statement::ShowTables { .. } => {
                    return show::tables(&self.resolver().known_tables()).map(Ready::Answer);
                }
                Statement::ExplainTable { table_name, .. } => {
                    let query = format!("SELECT * FROM {table_name}");
                    let plan = self.plan(&query, at, 0).await?;
                    return show::columns(plan.schema().as_arrow()).map(Ready::Answer);
                }
                _ => {}
            }
        }
        self.plan_statement(statement, &text, at, 0).await.map(|plan| Ready::Plan(Box::new(plan)))
    }

    /// The plan of a query text. Boxed because views hold queries.
    pub(super) fn plan<'a>(
        &'a self,
        sql: &'a str,
        at: At,
        depth: usize,
    ) -> Pin<Box<dyn Future<Output = Result<LogicalPlan, SqlError>> + Send + 'a>> {
        Box::pin(async move {
            let text = SqlText::new(sql);
            let statement = parse_statement(&text).map_err(|problem| SqlError::problem(problem, &text))?;
            self.plan_statement(statement, &text, at, depth).await
        })
    }

    async fn plan_statement(
        &self,
        statement: PlanStatement,
        text: &SqlText<'_>,
        at: At,
        depth: usize,
    ) -> Result<LogicalPlan, SqlError> {
        let wrong = |problem| SqlError::problem(problem, text);
        let mut statement = checked(statement, text).map_err(wrong)?;
        let state = self.runtime().session();
        let pinned_tables = {
            let query = query_mut(&mut statement).ok_or_else(|| wrong(not_a_query("this", text)))?;
            let known = references(query, text);
            if let Some(unknown) = known.iter().find(|reference| reference.parts.len() != 2) {
                return Err(wrong(self.unknown(&unknown.parts.join("."), unknown.range.clone(), text)));
            }
            travel::pin(query, at, state, text).map_err(wrong)?
        };
        let mut sources = TableSources::default();
        for pinned in pinned_tables {
            if let Entry::Vacant(free) = sources.0.entry(pinned.reference.clone()) {
                free.insert(self.source(&pinned, text, depth).await?);
            }
        }
        let planner = Planner::new(state, &sources);
        let plan =
            unpanicked(|| planner.sql_to_rel().statement_to_plan(statement).and_then(microseconds::written))
                .and_then(windows_over_tables)
                .and_then(|plan| {
                    let reads_only = SQLOptions::new()
                        .with_allow_ddl(false)
                        .with_allow_dml(false)
                        .with_allow_statements(false);
                    reads_only.verify_plan(&plan)?;
                    planner.analyse(plan)
                });
        plan.map_err(|error| {
            let fallback = || Problem::new(codes::PLAN, "the statement cannot be planned", text.whole());
            let problems = duplicates::locate(explain(&error, text), text);
            wrong(problems.into_iter().next().unwrap_or_else(fallback))
        })
    }

    async fn source(
        &self,
        pinned: &travel::PinnedTable,
        text: &SqlText<'_>,
        depth: usize,
    ) -> Result<Arc<dyn TableSource>, SqlError> {
        let table = &pinned.table;
        let wrong = |problem| SqlError::problem(problem, text);
        match self.resolver().resolve(table, pinned.at).await? {
            Some(Resolved::Table(provider)) => Ok(provider_as_source(provider)),
            Some(Resolved::View { sql }) => {
                if matches!(pinned.at, At::Version(_)) {
                    let message = format!("`{table}` is a view and has no versions of its own");
                    let hint = "ask for a time: `TIMESTAMP AS OF '2026-01-01T00:00:00Z'`";
                    return Err(wrong(
                        Problem::new(codes::TIME_TRAVEL, message, pinned.range.clone()).with_hint(hint),
                    ));
                }
                let plan = self.view(table, &sql, pinned.at, depth).await?;
                Ok(provider_as_source(Arc::new(ViewTable::new(plan, None))))
            }
            None if self.resolver().known_tables().contains(table) => {
                Err(SqlError::NotBuilt { table: table.clone() })
            }
            None => Err(wrong(self.unknown(&table.to_string(), pinned.range.clone(), text))),
        }
    }

    /// A view's plan in the types in which a table would store its rows.
    pub(super) async fn view(
        &self,
        view: &TableName,
        sql: &str,
        at: At,
        depth: usize,
    ) -> Result<LogicalPlan, SqlError> {
        if depth >= VIEW_DEPTH_MAX {
            let message = format!("the view `{view}` is nested more than {VIEW_DEPTH_MAX} views deep");
            return Err(SqlError::Invalid {
                code: codes::CYCLE,
                message,
                place: None,
                label: None,
                hint: None,
            });
        }
        let plan = self.plan(sql, at, depth + 1).await.map_err(|error| error.in_view(view))?;
        storable_plan(plan).map_err(SqlError::from_datafusion)
    }

    fn unknown(&self, written: &str, range: std::ops::Range<usize>, text: &SqlText<'_>) -> Problem {
        let mut known: Vec<String> = self.resolver().known_tables().iter().map(ToString::to_string).collect();
        known.sort();
        let same_name =
            known.iter().find(|known| known.split('.').next_back() == written.split('.').next_back());
        let hint = match same_name {
            Some(full) => Some(format!("did you mean `{full}`?")),
            None => text_as_table(&range, text)
                .or_else(|| name_hint(written, known.iter().map(String::as_str), "known tables")),
        };
        Problem { hint, ..Problem::new(codes::UNKNOWN_TABLE, format!("unknown table `{written}`"), range) }
    }
}

/// Lets only statements through that read.
fn checked(statement: PlanStatement, text: &SqlText<'_>) -> Result<PlanStatement, Problem> {
    match statement {
        PlanStatement::Statement(inner) => match *inner {
            Statement::Query(query) => {
                Ok(PlanStatement::Statement(Box::new(Statement::Query(reading(query, text)?))))
            }
            other => Err(not_a_query(&other.to_string(), text)),
        },
        PlanStatement::Explain(mut explain) => {
            explain.statement = Box::new(checked(*explain.statement, text)?);
            Ok(PlanStatement::Explain(explain))
        }
        other => Err(not_a_query(&other.to_string(), text)),
    }
}

fn query_mut(statement: &mut PlanStatement) -> Option<&mut datafusion::sql::sqlparser::ast::Query> {
    match statement {
        PlanStatement::Statement(inner) => match inner.as_mut() {
            Statement::Query(query) => Some(query),
            _ => None,
        },
        PlanStatement::Explain(explain) => query_mut(&mut explain.statement),
        _ => None,
    }
}
