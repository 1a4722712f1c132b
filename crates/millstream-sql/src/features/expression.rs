//! One SQL expression of a feature: parsed, written in one way, and planned over columns whose types are known.

use std::{
    collections::{BTreeSet, HashSet},
    ops::{ControlFlow, Range},
    sync::Arc,
};

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        DFSchema, DFSchemaRef, Result,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        EmptyRelation, Expr as PlanExpr, ExprSchemable, LogicalPlan, Operator, Projection, Volatility,
    },
    optimizer::analyzer::type_coercion::TypeCoercionRewriter,
    physical_expr::PhysicalExpr,
    sql::{
        planner::PlannerContext,
        sqlparser::ast::{Expr, Ident, Spanned},
    },
};

use millstream_project::{Diagnostic, Located};

use super::canonical;
use crate::{
    analyze::comparisons,
    catalog::Catalog,
    codes,
    explain::{Problem, explain, find_word},
    parse::parse_expression,
    place::SqlText,
    planner::{Planner, offline_state, physical, unpanicked},
    type_name::type_name,
    walk::{self, QueryVisitor},
};

/// An expression as parsed.
#[derive(Debug)]
pub(super) struct Expression<'a> {
    text: SqlText<'a>,
    expr: Expr,
}

/// A name that an expression uses.
#[derive(Debug)]
pub(super) struct UsedName {
    /// The parts of the name between its dots, or the whole as one part; in lower case unless quoted.
    pub(super) parts: Vec<String>,
    pub(super) range: Range<usize>,
}

/// An expression that is planned over columns, types coerced.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) expr: PlanExpr,
    pub(super) data_type: DataType,
}

impl<'a> Expression<'a> {
    pub(super) fn parse(sql: &'a str) -> std::result::Result<Self, Problem> {
        let text = SqlText::new(sql);
        let expr = parse_expression(&text)?;
        Ok(Self { text, expr })
    }

    /// The expression in a form without a trace of how it was written.
    pub(super) fn canonical(&self) -> String {
        canonical::expression(&self.expr)
    }

    /// The whole text, for problems without a place of their own.
    pub(super) fn whole(&self) -> Range<usize> {
        self.text.whole()
    }

    /// The columns and values that the expression names, each once, in the order of the text.
    pub(super) fn names(&self) -> Vec<UsedName> {
        let mut collect = Names { text: &self.text, found: Vec::new(), seen: HashSet::new() };
        let mut parameters = Parameters(BTreeSet::new());
        let _ = walk::visit(&self.expr, &mut parameters);
        let _ = walk::visit(&self.expr, &mut collect);
        let mut names = collect.found;
        names.retain(|name| !matches!(name.parts.as_slice(), [only] if parameters.0.contains(only)));
        names.sort_by_key(|name| name.range.start);
        names
    }

    /// Plans the expression over the columns of `schema`. Only what sees one row, and gives the same value each time, is
    /// allowed.
    pub(super) fn plan(&self, schema: &DFSchemaRef) -> std::result::Result<Planned, Vec<Problem>> {
        let catalog = Catalog::default();
        let planner = Planner::new(offline_state(), &catalog);
        let explained = |error| {
            let problems = explain(&error, &self.text);
            problems.into_iter().map(as_feature).collect::<Vec<_>>()
        };
        let written = unpanicked(|| {
            planner.sql_to_rel().sql_to_expr(self.expr.clone(), schema, &mut PlannerContext::new())
        })
        .map_err(explained)?;
        self.refuse(&written)?;
        let mismatched = self.mismatched(&written, schema);
        if !mismatched.is_empty() {
            return Err(mismatched);
        }
        let planned = unpanicked(|| {
            let expr = written.rewrite(&mut TypeCoercionRewriter::new(schema))?.data;
            let data_type = expr.get_type(schema)?;
            Ok(Planned { expr, data_type })
        });
        planned.map_err(explained)
    }

    /// Plans the expression like [`Self::plan`], as a condition.
    pub(super) fn plan_condition(&self, schema: &DFSchemaRef) -> std::result::Result<Planned, Vec<Problem>> {
        let planned = self.plan(schema)?;
        if planned.data_type == DataType::Boolean {
            return Ok(planned);
        }
        let found = type_name(&planned.data_type);
        let message = format!("a condition gives true or false, this gives {found}");
        Err(vec![Problem::new(codes::FEATURE_EXPRESSION, message, self.whole())])
    }

    fn refuse(&self, expr: &PlanExpr) -> std::result::Result<(), Vec<Problem>> {
        let mut found = None;
        // The closure cannot fail, so neither can the walk.
        let _ = walk::any_part(expr, &mut |part| {
            found = refused(part);
            found.is_some()
        });
        let Some(refusal) = found else { return Ok(()) };
        Err(vec![match refusal {
            Refusal::BeyondRow => {
                let message =
                    "an expression sees one row: no aggregates, window functions, subqueries or `unnest`";
                Problem::new(codes::FEATURE_EXPRESSION, message, self.whole())
            }
            Refusal::Placeholder(id) => {
                let message = format!("`{id}` stands for nothing here");
                Problem::new(codes::FEATURE_EXPRESSION, message, self.whole())
            }
            Refusal::NotRepeatable(name) => {
                let range = find_word(self.text.text, &name).unwrap_or_else(|| self.whole());
                let message = format!("`{name}` gives another value each time");
                Problem::new(codes::NOT_REPEATABLE, message, range)
                    .with_hint("compare with a column, or with a value of the request")
            }
        }])
    }

    fn mismatched(&self, expr: &PlanExpr, schema: &DFSchemaRef) -> Vec<Problem> {
        let input = EmptyRelation { produce_one_row: false, schema: Arc::clone(schema) };
        let input = Arc::new(LogicalPlan::EmptyRelation(input));
        let plan = unpanicked(|| Projection::try_new(vec![expr.clone()], input));
        match plan {
            Ok(plan) => comparisons::mismatched(&LogicalPlan::Projection(plan), &self.text),
            // The coercion that follows reports types that do not fit.
            Err(_) => Vec::new(),
        }
    }
}

impl Planned {
    /// Names of the columns that the value is made of.
    pub(super) fn columns(&self) -> BTreeSet<String> {
        self.expr.column_refs().into_iter().map(|column| column.name.clone()).collect()
    }

    /// A warning when integers are divided, which drops the fraction: most features that divide are meant as shares. Who
    /// means whole numbers says so by a cast of the quotient to an integer type.
    pub(super) fn integer_division(&self, schema: &DFSchema, sql: &Located<String>) -> Option<Diagnostic> {
        let mut dropped = None;
        // The closure cannot fail, so neither can the walk.
        let _ = walk::parts(&self.expr, &mut |part| match part {
            PlanExpr::Cast(cast) if cast.field.data_type().is_integer() => Ok(TreeNodeRecursion::Jump),
            PlanExpr::BinaryExpr(binary) if binary.op == Operator::Divide => {
                let drops = binary.right.get_type(schema).is_ok_and(|found| found.is_integer());
                dropped = drops.then(|| part.to_string());
                Ok(if drops { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            }
            _ => Ok(TreeNodeRecursion::Continue),
        });
        let message = format!("`{}` divides whole numbers, so the fraction is lost", dropped?);
        let hint = "cast one side, as in `cast(x as double) / y`; if whole numbers are meant, say so: `cast(x / y as bigint)`";
        Some(Diagnostic::warning(codes::INTEGER_DIVISION, message, sql.at).with_hint(hint))
    }

    /// The expression ready to run over batches of `schema`.
    pub(super) fn physical(&self, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
        physical(self.expr.clone(), schema, None)
    }
}

/// Why a part of an expression cannot be in a feature.
enum Refusal {
    BeyondRow,
    Placeholder(String),
    NotRepeatable(String),
}

fn refused(part: &PlanExpr) -> Option<Refusal> {
    match part {
        PlanExpr::AggregateFunction(_)
        | PlanExpr::WindowFunction(_)
        | PlanExpr::ScalarSubquery(_)
        | PlanExpr::InSubquery(_)
        | PlanExpr::SetComparison(_)
        | PlanExpr::Exists(_)
        | PlanExpr::Unnest(_) => Some(Refusal::BeyondRow),
        PlanExpr::Placeholder(placeholder) => Some(Refusal::Placeholder(placeholder.id.clone())),
        PlanExpr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => {
            Some(Refusal::NotRepeatable(call.func.name().to_owned()))
        }
        _ => None,
    }
}

/// The problem as one of a feature. It keeps its code when that says more than "does not plan".
fn as_feature(problem: Problem) -> Problem {
    match problem.code {
        codes::PLAN | codes::NOT_A_QUERY => Problem { code: codes::FEATURE_EXPRESSION, ..problem },
        _ => problem,
    }
}

struct Names<'a> {
    text: &'a SqlText<'a>,
    found: Vec<UsedName>,
    seen: HashSet<Vec<String>>,
}

impl Names<'_> {
    fn add(&mut self, idents: &[Ident], range: Option<Range<usize>>) {
        let parts: Vec<String> = idents.iter().map(normalized).collect();
        if self.seen.insert(parts.clone()) {
            let range = range.unwrap_or_else(|| self.text.whole());
            self.found.push(UsedName { parts, range });
        }
    }
}

impl QueryVisitor for Names<'_> {
    fn expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let range = self.text.token_range(expr.span());
        match expr {
            Expr::Identifier(name) => self.add(std::slice::from_ref(name), range),
            Expr::CompoundIdentifier(names) => self.add(names, range),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Names that a lambda inside of the expression gives to its own values.
struct Parameters(BTreeSet<String>);

impl QueryVisitor for Parameters {
    fn expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Lambda(lambda) = expr {
            self.0.extend(lambda.params.iter().map(|parameter| normalized(&parameter.name)));
        }
        ControlFlow::Continue(())
    }
}

/// The name as the planner reads it.
fn normalized(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}
