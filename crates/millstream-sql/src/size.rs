//! How large a statement is to plan, with each name of WITH and each view written out where it is used: what takes three
//! kilobytes to write may take more memory to plan than there is.

use std::{collections::HashMap, ops::ControlFlow, ptr};

use datafusion::{
    catalog::view::ViewTable,
    common::{DataFusionError, Result, tree_node::TreeNodeRecursion},
    datasource::source_as_provider,
    logical_expr::{Expr, LogicalPlan},
    sql::sqlparser::ast::{
        self, BinaryOperator, GroupByExpr, GroupByWithModifier, Query, Select, TableFactor, Visit,
    },
};

use crate::{
    SqlError, codes,
    parse::name_parts,
    walk::{self, QueryVisitor},
    with::WithNames,
};

/// The most operators and parts of expressions in one plan. Planning takes seconds for so many.
const PLAN_PARTS_MAX: u64 = 50_000;

/// The tables, subqueries and functions that the query reads from, the names of its WITH written out.
pub(crate) fn relations(query: &Query) -> u64 {
    let mut relations = Relations { names: WithNames::default(), counts: vec![0] };
    let _ = walk::visit(query, &mut relations);
    relations.counts.into_iter().sum()
}

struct Relations {
    names: WithNames<u64>,
    /// A count for each query that the walk is inside of, and a first one for what is outside of all queries.
    counts: Vec<u64>,
}

impl Relations {
    fn add(&mut self, count: u64) {
        if let Some(last) = self.counts.last_mut() {
            *last = last.saturating_add(count);
        }
    }
}

impl QueryVisitor for Relations {
    fn query(&mut self, query: &Query) -> ControlFlow<()> {
        self.names.open(query);
        self.counts.push(0);
        ControlFlow::Continue(())
    }

    fn query_end(&mut self, _: &Query) -> ControlFlow<()> {
        let count = self.counts.pop().unwrap_or_default();
        if !self.names.close(count) {
            self.add(count);
        }
        ControlFlow::Continue(())
    }

    fn table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let named = match factor {
            TableFactor::Table { name, args: None, .. } => match name_parts(name).as_slice() {
                [only] => self.names.find(only).flatten(),
                _ => None,
            },
            _ => None,
        };
        self.add(named.unwrap_or_default().saturating_add(1));
        ControlFlow::Continue(())
    }
}

/// The sets of columns that the SELECT groups by. `CUBE` stands for each subset of its columns.
pub(crate) fn grouping_sets(select: &Select) -> u64 {
    let subsets = |count: usize| {
        u32::try_from(count).ok().and_then(|count| 1_u64.checked_shl(count)).unwrap_or(u64::MAX)
    };
    let (exprs, modifiers) = match &select.group_by {
        GroupByExpr::Expressions(exprs, modifiers) => (exprs.as_slice(), modifiers),
        GroupByExpr::All(modifiers) => (&[][..], modifiers),
    };
    let is_cube = modifiers.iter().any(|modifier| matches!(modifier, GroupByWithModifier::Cube));
    let whole = if is_cube { subsets(exprs.len()) } else { 1 };
    exprs.iter().fold(whole, |sets, expr| {
        sets.saturating_mul(match expr {
            ast::Expr::Cube(columns) => subsets(columns.len()),
            ast::Expr::Rollup(columns) => columns.len() as u64 + 1,
            ast::Expr::GroupingSets(sets) => sets.len() as u64,
            _ => 1,
        })
    })
}

/// The number of computing operators in the longest row of them; in `a + b * 2 - c` it has two.
pub(crate) fn longest_row<N: Visit>(parsed: &N) -> usize {
    let mut rows = OperatorRows { longest: 0 };
    let _ = walk::visit(parsed, &mut rows);
    rows.longest
}

struct OperatorRows {
    longest: usize,
}

impl QueryVisitor for OperatorRows {
    fn expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        let (mut operators, mut first) = (0, expr);
        loop {
            first = match first {
                ast::Expr::BinaryOp { left, op, .. } if !gives_truth(op) => {
                    operators += 1;
                    left
                }
                ast::Expr::Nested(inner) => inner,
                _ => break,
            };
        }
        self.longest = self.longest.max(operators);
        ControlFlow::Continue(())
    }
}

/// Whether the operator's type is known without its sides.
fn gives_truth(operator: &BinaryOperator) -> bool {
    use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
    matches!(operator, And | Or | Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// Refuses a plan that is too large to be worked on.
pub(crate) fn plannable(plan: &LogicalPlan) -> Result<()> {
    let parts = Parts::default().of(plan)?;
    if parts <= PLAN_PARTS_MAX {
        return Ok(());
    }
    let message = format!(
        "the statement has more than {PLAN_PARTS_MAX} parts once names of WITH and views are written out"
    );
    Err(DataFusionError::External(Box::new(SqlError::Invalid {
        code: codes::STATEMENT_SIZE,
        message,
        place: None,
        label: None,
        hint: Some(SPLIT.into()),
    })))
}

pub(crate) const SPLIT: &str = "split it into several tables; what is used more than once may be one of them";

/// Counts each node once for each path that leads to it, and visits it once: plans share what they repeat.
#[derive(Default)]
struct Parts {
    known: HashMap<*const LogicalPlan, u64>,
}

impl Parts {
    #[recursive::recursive]
    fn of(&mut self, plan: &LogicalPlan) -> Result<u64> {
        if let Some(known) = self.known.get(&ptr::from_ref(plan)) {
            return Ok(*known);
        }
        let mut parts = 1_u64;
        walk::expression_parts(plan, &mut |part| {
            let more = match part {
                Expr::Literal(..) => 0,
                Expr::ScalarSubquery(subquery) => self.of(&subquery.subquery)?,
                Expr::Exists(exists) => self.of(&exists.subquery.subquery)?,
                Expr::InSubquery(within) => self.of(&within.subquery.subquery)?,
                Expr::SetComparison(comparison) => self.of(&comparison.subquery.subquery)?,
                _ => 1,
            };
            parts = parts.saturating_add(more);
            Ok(TreeNodeRecursion::Continue)
        })?;
        for input in plan.inputs() {
            parts = parts.saturating_add(self.of(input)?);
        }
        if let LogicalPlan::TableScan(scan) = plan
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(view) = provider.downcast_ref::<ViewTable>()
        {
            parts = parts.saturating_add(self.of(view.logical_plan())?);
        }
        self.known.insert(ptr::from_ref(plan), parts);
        Ok(parts)
    }
}
