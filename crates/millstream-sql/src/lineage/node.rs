//! Lineage of plan nodes: each output column's inputs, from the leaves up.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use datafusion::{
    common::{Column, DFSchema, TableReference},
    logical_expr::{
        Aggregate, Distinct, DistinctOn, Expr, Join, JoinType, LogicalPlan, RecursiveQuery, TableScan, Unnest,
    },
};
use millstream_types::TableName;

use super::{ColumnInputs, ColumnRef, Direct, Indirect, expression};
use crate::catalog::ProjectTable;

/// What a node's output is made of.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeLineage {
    /// The inputs of each output column, in the order of the node's schema.
    pub(super) columns: Vec<ColumnInputs>,
    pub(super) rows: BTreeSet<(ColumnRef, Indirect)>,
}

/// The schema in which an expression's columns are looked up, with their inputs.
pub(super) struct Scope<'a> {
    pub(super) schema: &'a DFSchema,
    pub(super) columns: &'a [ColumnInputs],
}

impl Scope<'_> {
    pub(super) fn find(&self, column: &Column) -> Option<&ColumnInputs> {
        self.columns.get(self.schema.maybe_index_of_column(column)?)
    }
}

/// What is in reach while a plan is walked.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk {
    /// The columns of enclosing queries, outermost first.
    pub(super) outer: Vec<(Arc<DFSchema>, Vec<ColumnInputs>)>,
    /// The columns of recursive queries, whose rows so far are read as tables of these names.
    working: HashMap<String, Vec<ColumnInputs>>,
}

impl Walk {
    #[recursive::recursive]
    pub(super) fn node(&mut self, plan: &LogicalPlan) -> NodeLineage {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::Projection(node) => self.project(&node.input, &node.expr, plan),
            LogicalPlan::Filter(node) => {
                let mut lineage = self.node(&node.input);
                self.use_rows(
                    &mut lineage,
                    &node.input,
                    std::slice::from_ref(&node.predicate),
                    Indirect::Filter,
                );
                lineage
            }
            LogicalPlan::Sort(node) => {
                let mut lineage = self.node(&node.input);
                let exprs: Vec<_> = node.expr.iter().map(|sort| sort.expr.clone()).collect();
                self.use_rows(&mut lineage, &node.input, &exprs, Indirect::Sort);
                lineage
            }
            LogicalPlan::Window(node) => {
                let mut lineage = self.node(&node.input);
                let computed = self.expressions(&node.window_expr, &node.input, &lineage.columns);
                lineage.columns.extend(computed);
                lineage
            }
            LogicalPlan::Aggregate(node) => self.aggregate(node),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => {
                let inputs: Vec<_> = union.inputs.iter().map(|input| self.node(input)).collect();
                inputs.into_iter().reduce(merge_by_position).unwrap_or_default()
            }
            LogicalPlan::Distinct(Distinct::On(node)) => self.distinct_on(node, plan),
            LogicalPlan::Unnest(node) => self.unnest(node),
            LogicalPlan::RecursiveQuery(node) => self.recursive(node),
            LogicalPlan::Values(values) => {
                let empty = DFSchema::empty();
                let scope = Scope { schema: &empty, columns: &[] };
                let mut columns = vec![ColumnInputs::default(); plan.schema().fields().len()];
                for row in &values.values {
                    for (column, expr) in columns.iter_mut().zip(row) {
                        column.merge(&expression::inputs(expr, &scope, self));
                    }
                }
                NodeLineage { columns, rows: BTreeSet::new() }
            }
            other => self.passed_through(other),
        }
    }

    /// The lineage of nodes that leave columns as they are. For any other node, every output depends on every input.
    fn passed_through(&mut self, plan: &LogicalPlan) -> NodeLineage {
        let width = plan.schema().fields().len();
        let inputs: Vec<_> = plan.inputs().into_iter().map(|input| self.node(input)).collect();
        if let [only] = inputs.as_slice()
            && only.columns.len() == width
        {
            return only.clone();
        }
        let mut all = ColumnInputs::default();
        inputs.iter().flat_map(|input| &input.columns).for_each(|column| all.merge(column));
        let columns = vec![all.at_least(Direct::Transformation); width];
        NodeLineage { columns, rows: inputs.into_iter().flat_map(|input| input.rows).collect() }
    }

    fn scan(&self, scan: &TableScan) -> NodeLineage {
        let width = scan.projected_schema.fields().len();
        if let Some(working) = self.working.get(scan.table_name.table())
            && scan.source.downcast_ref::<ProjectTable>().is_none()
        {
            let mut columns = working.clone();
            columns.resize(width, ColumnInputs::default());
            return NodeLineage { columns, rows: BTreeSet::new() };
        }
        let table = match scan.source.downcast_ref::<ProjectTable>() {
            Some(table) => Some(table.name.clone()),
            None => named(&scan.table_name),
        };
        let column = |name: &str| match &table {
            Some(table) => ColumnInputs {
                direct: BTreeMap::from([(
                    ColumnRef { table: table.clone(), column: name.to_owned() },
                    Direct::Identity,
                )]),
                indirect: BTreeSet::new(),
            },
            None => ColumnInputs::default(),
        };
        let columns = scan.projected_schema.fields().iter().map(|field| column(field.name())).collect();
        NodeLineage { columns, rows: BTreeSet::new() }
    }

    fn project(&mut self, input: &LogicalPlan, exprs: &[Expr], plan: &LogicalPlan) -> NodeLineage {
        let NodeLineage { columns, rows } = self.node(input);
        let mut projected = self.expressions(exprs, input, &columns);
        projected.resize(plan.schema().fields().len(), ColumnInputs::default());
        NodeLineage { columns: projected, rows }
    }

    fn aggregate(&mut self, node: &Aggregate) -> NodeLineage {
        let input = self.node(&node.input);
        let mut groups: Vec<Expr> = Vec::new();
        for group in &node.group_expr {
            match group {
                Expr::GroupingSet(set) => groups.extend(set.distinct_expr().into_iter().cloned()),
                other => groups.push(other.clone()),
            }
        }
        let mut columns = self.expressions(&groups, &node.input, &input.columns);
        let mut rows = input.rows;
        rows.extend(columns.iter().flat_map(|group| group.as_indirect(Indirect::GroupBy)));
        // Grouping sets add a column that tells them apart; it holds no input's value.
        let aggregates = self.expressions(&node.aggr_expr, &node.input, &input.columns);
        let added = node.schema.fields().len().saturating_sub(columns.len() + aggregates.len());
        columns.extend(std::iter::repeat_n(ColumnInputs::default(), added));
        columns.extend(aggregates);
        NodeLineage { columns, rows }
    }

    fn distinct_on(&mut self, node: &DistinctOn, plan: &LogicalPlan) -> NodeLineage {
        let mut lineage = self.project(&node.input, &node.select_expr, plan);
        let input = self.node(&node.input);
        let keys = self.expressions(&node.on_expr, &node.input, &input.columns);
        lineage.rows.extend(keys.iter().flat_map(|key| key.as_indirect(Indirect::GroupBy)));
        let order: Vec<_> = node.sort_expr.iter().flatten().map(|sort| sort.expr.clone()).collect();
        let order = self.expressions(&order, &node.input, &input.columns);
        lineage.rows.extend(order.iter().flat_map(|key| key.as_indirect(Indirect::Sort)));
        lineage
    }

    /// The lineage of a recursive query. Its inputs only grow and are finitely many, so as many rounds as there are
    /// columns reach the end.
    fn recursive(&mut self, node: &RecursiveQuery) -> NodeLineage {
        let mut lineage = self.node(&node.static_term);
        for _ in 0..=lineage.columns.len() {
            self.working.insert(node.name.clone(), lineage.columns.clone());
            let before = lineage.columns.clone();
            let recursive = self.node(&node.recursive_term);
            lineage = merge_by_position(lineage, recursive);
            if lineage.columns == before {
                break;
            }
        }
        lineage
    }

    fn join(&mut self, join: &Join) -> NodeLineage {
        let left = self.node(&join.left);
        let lateral = is_lateral(&join.right);
        if lateral {
            self.outer.push((Arc::clone(join.left.schema()), left.columns.clone()));
        }
        let right = self.node(&join.right);
        if lateral {
            self.outer.pop();
        }
        let mut rows: BTreeSet<_> = left.rows.union(&right.rows).cloned().collect();
        for (left_key, right_key) in &join.on {
            let keys = self.expressions(std::slice::from_ref(left_key), &join.left, &left.columns);
            rows.extend(keys.iter().flat_map(|key| key.as_indirect(Indirect::Join)));
            let keys = self.expressions(std::slice::from_ref(right_key), &join.right, &right.columns);
            rows.extend(keys.iter().flat_map(|key| key.as_indirect(Indirect::Join)));
        }
        if let Some(filter) = &join.filter
            && let Ok(schema) = join.left.schema().join(join.right.schema())
        {
            let both: Vec<_> = left.columns.iter().chain(&right.columns).cloned().collect();
            let scope = Scope { schema: &schema, columns: &both };
            let inputs = expression::inputs(filter, &scope, self);
            rows.extend(inputs.as_indirect(Indirect::Join));
        }
        let columns = match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => left.columns,
            JoinType::RightSemi | JoinType::RightAnti => right.columns,
            JoinType::LeftMark => left.columns.into_iter().chain([ColumnInputs::default()]).collect(),
            JoinType::RightMark => right.columns.into_iter().chain([ColumnInputs::default()]).collect(),
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                left.columns.into_iter().chain(right.columns).collect()
            }
        };
        NodeLineage { columns, rows }
    }

    fn unnest(&mut self, node: &Unnest) -> NodeLineage {
        let input = self.node(&node.input);
        let lists = node.list_type_columns.iter().map(|(index, _)| *index);
        let opened: BTreeSet<_> = lists.chain(node.struct_type_columns.iter().copied()).collect();
        let columns = node
            .dependency_indices
            .iter()
            .map(|index| {
                let column = input.columns.get(*index).cloned().unwrap_or_default();
                if opened.contains(index) { column.at_least(Direct::Transformation) } else { column }
            })
            .collect();
        NodeLineage { columns, rows: input.rows }
    }

    pub(super) fn expressions(
        &mut self,
        exprs: &[Expr],
        input: &LogicalPlan,
        columns: &[ColumnInputs],
    ) -> Vec<ColumnInputs> {
        let scope = Scope { schema: input.schema(), columns };
        exprs.iter().map(|expr| expression::inputs(expr, &scope, self)).collect()
    }

    fn use_rows(&mut self, lineage: &mut NodeLineage, input: &LogicalPlan, exprs: &[Expr], kind: Indirect) {
        let used = self.expressions(exprs, input, &lineage.columns);
        lineage.rows.extend(used.iter().flat_map(|inputs| inputs.as_indirect(kind)));
    }
}

/// Whether the right side of a join reads the columns of its left side.
fn is_lateral(right: &LogicalPlan) -> bool {
    match right {
        LogicalPlan::SubqueryAlias(alias) => is_lateral(&alias.input),
        LogicalPlan::Subquery(_) => true,
        _ => false,
    }
}

fn named(name: &TableReference) -> Option<TableName> {
    TableName::new(name.schema()?, name.table()).ok()
}

fn merge_by_position(mut into: NodeLineage, other: NodeLineage) -> NodeLineage {
    for (column, more) in into.columns.iter_mut().zip(&other.columns) {
        column.merge(more);
    }
    into.rows.extend(other.rows);
    into
}
