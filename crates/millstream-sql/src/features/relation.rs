//! The rows that a view or labels start from: a table, or a query over tables.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::{
    common::tree_node::TreeNodeRecursion,
    logical_expr::{Expr, LogicalPlan},
};
use millstream_project::{Diagnostic, Located, Materialize, ProjectSpec, TableSpec};
use millstream_types::TableName;

use super::canonical;
use crate::{
    analyze::{Analysis, comparisons, placed, present::changing_function},
    codes, duplicates,
    explain::{Problem, explain, find_word},
    nearest::name_hint,
    parse::{Reference, parse_query, references, text_as_table},
    place::SqlText,
    planner::{Planner, offline_state},
    walk,
};

/// Tables that features can be computed from.
pub(super) struct Tables<'a> {
    pub(super) analysis: &'a Analysis,
    specs: HashMap<&'a TableName, &'a TableSpec>,
    /// The tables whose columns are not known for certain, because a file is broken.
    doubtful: &'a BTreeSet<TableName>,
}

/// Rows with known columns.
#[derive(Debug)]
pub(super) struct Relation {
    pub(super) schema: SchemaRef,
    /// The SQL that stands behind FROM: a table's name, or a query in parentheses.
    pub(super) from: String,
    /// The tables that the rows come from, in the order of the text.
    pub(super) tables: Vec<TableName>,
    /// The name of the rows in messages: the table, or words for a query's result.
    pub(super) called: String,
}

impl Relation {
    pub(super) fn data_type(&self, column: &str) -> Option<&DataType> {
        self.schema.field_with_name(column).ok().map(|field| field.data_type())
    }

    /// The hint for a column that the rows do not have.
    pub(super) fn nearest(&self, column: &str) -> Option<String> {
        name_hint(column, self.schema.fields().iter().map(|field| field.name().as_str()), "its columns")
    }
}

impl<'a> Tables<'a> {
    pub(super) fn new(
        spec: &'a ProjectSpec,
        analysis: &'a Analysis,
        doubtful: &'a BTreeSet<TableName>,
    ) -> Self {
        let specs = spec.tables.iter().map(|table| (&table.name, table)).collect();
        Self { analysis, specs, doubtful }
    }

    /// The rows of a table; `None` when its columns are not known, which has its message where the cause is.
    pub(super) fn table(&self, name: &TableName) -> Option<Relation> {
        let schema = self.analysis.schema(name).filter(|_| !self.doubtful.contains(name))?;
        Some(Relation {
            schema: schema.clone(),
            from: format!("{}.{}", canonical::name(name.schema()), canonical::name(name.name())),
            tables: vec![name.clone()],
            called: format!("`{name}`"),
        })
    }

    /// The rows of a query. An error without diagnostics has its cause elsewhere.
    pub(super) fn query(&self, sql: &Located<String>) -> Result<Relation, Vec<Diagnostic>> {
        let text = SqlText::new(&sql.value);
        let refuse = |problems: Vec<Problem>| -> Vec<Diagnostic> {
            problems.into_iter().map(|problem| placed(problem, sql)).collect()
        };
        let query = parse_query(&text).map_err(|problem| refuse(vec![problem]))?;
        let (mut tables, mut problems, mut is_doubtful) = (Vec::new(), Vec::new(), false);
        for reference in references(&query, &text) {
            match self.resolve(&reference, &text) {
                Ok(Some(name)) if tables.contains(&name) => {}
                Ok(Some(name)) => tables.push(name),
                Ok(None) => is_doubtful = true,
                Err(problem) => problems.push(problem),
            }
        }
        if is_doubtful || !problems.is_empty() {
            return Err(refuse(problems));
        }
        let from = canonical::query(&query);
        let planner = Planner::new(offline_state(), &self.analysis.catalog);
        let explained = |error| refuse(duplicates::locate(explain(&error, &text), &text));
        let plan = planner.plan(query).map_err(explained)?;
        let mismatched = comparisons::mismatched(&plan, &text);
        if !mismatched.is_empty() {
            return Err(refuse(mismatched));
        }
        let plan = planner.analyse(plan).map_err(explained)?;
        let unfit: Vec<Problem> =
            not_repeatable(&plan, &text).into_iter().chain(twice(&plan, &text)).collect();
        if !unfit.is_empty() {
            return Err(refuse(unfit));
        }
        let schema: SchemaRef = Arc::new(Schema::new(plan.schema().fields().clone()));
        Ok(Relation {
            schema,
            from: format!("({from}) AS base"),
            tables,
            called: "the result of `sql`".into(),
        })
    }

    /// The table that a name in a query stands for; `None` for one whose columns are not known.
    fn resolve(&self, reference: &Reference, text: &SqlText<'_>) -> Result<Option<TableName>, Problem> {
        if reference.versioned {
            let message = "a definition cannot ask for a version";
            return Err(Problem::new(codes::TIME_TRAVEL, message, reference.range.clone())
                .with_hint("remove it: the versions that are read are chosen when it runs"));
        }
        if let [schema, name] = reference.parts.as_slice()
            && let Ok(name) = TableName::new(schema, name)
        {
            if self.doubtful.contains(&name) {
                return Ok(None);
            }
            if self.analysis.schema(&name).is_some() {
                return Ok(Some(name));
            }
            if self.specs.contains_key(&name) {
                return Ok(None);
            }
        }
        let written = reference.parts.join(".");
        let known: Vec<String> = self.analysis.known_tables().iter().map(ToString::to_string).collect();
        let same_name =
            known.iter().find(|known| known.split('.').next_back() == written.split('.').next_back());
        let hint = match same_name {
            Some(full) => Some(format!("did you mean `{full}`?")),
            None => text_as_table(&reference.range, text)
                .or_else(|| name_hint(&written, known.iter().map(String::as_str), "known tables")),
        };
        let message = format!("unknown table `{written}`");
        Err(Problem { hint, ..Problem::new(codes::UNKNOWN_TABLE, message, reference.range.clone()) })
    }

    /// Whether each row of the plan's result is made of one row of one stored table, so that new files alone give the new
    /// rows of the result.
    pub(super) fn is_row_wise(&self, plan: &LogicalPlan, tables: &[TableName]) -> bool {
        let [table] = tables else { return false };
        let is_view = |table: &&TableSpec| matches!(table.materialize, Materialize::View);
        if self.specs.get(table).is_some_and(is_view) {
            return false;
        }
        let mut is_row_wise = true;
        let walked = walk::all_nodes(plan, &mut |node| {
            is_row_wise &= matches!(
                node,
                LogicalPlan::Projection(_)
                    | LogicalPlan::Filter(_)
                    | LogicalPlan::SubqueryAlias(_)
                    | LogicalPlan::TableScan(_)
            );
            let _ = walk::expression_parts(node, &mut |part| {
                is_row_wise &= !matches!(
                    part,
                    Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
                );
                Ok(TreeNodeRecursion::Continue)
            });
            Ok(if is_row_wise { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
        });
        is_row_wise && walked.is_ok()
    }
}

/// Functions of the query that give another value each time.
fn not_repeatable(plan: &LogicalPlan, text: &SqlText<'_>) -> Option<Problem> {
    let name = changing_function(plan)?.into_iter().next()?;
    let range = find_word(text.text, &name).unwrap_or_else(|| text.whole());
    let message = format!("`{name}` gives another value each time");
    let hint = "features must be the same in training and in serving: use a column";
    Some(Problem::new(codes::NOT_REPEATABLE, message, range).with_hint(hint))
}

/// The problem of a name that two columns of the result have.
fn twice(plan: &LogicalPlan, text: &SqlText<'_>) -> Option<Problem> {
    let mut seen = BTreeSet::new();
    let name = plan.schema().fields().iter().map(|field| field.name()).find(|name| !seen.insert(*name))?;
    let message = format!("two columns of the result are named `{name}`");
    let range = find_word(text.text, name).unwrap_or_else(|| text.whole());
    let hint = "rename one with AS, or leave it out";
    Some(Problem::new(codes::DUPLICATE_COLUMN, message, range).with_hint(hint))
}
