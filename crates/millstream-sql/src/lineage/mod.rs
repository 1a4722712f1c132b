//! Where every column comes from, and who uses it.
//!
//! A table's own lineage is read from its plan: the columns of its inputs that a value is made of (direct), and
//! those that decide which rows or which values appear (indirect). The project's lineage chains these.

mod expression;
mod graph;
mod node;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use arrow::datatypes::Schema;
use datafusion::logical_expr::LogicalPlan;
use indexmap::IndexMap;
use millstream_types::TableName;
use serde::Serialize;

pub use graph::{LineageEdge, LineageGraph, LineageReport, Use, lineage};

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ColumnRef {
    pub table: TableName,
    pub column: String,
}

impl fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.column)
    }
}

/// How a value enters another value. The later kind wins where several apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direct {
    /// The value enters as it is.
    Identity,
    /// A value enters that is computed from it.
    Transformation,
    /// A value enters that is computed from those of many rows.
    Aggregation,
}

/// How a value influences others without entering them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Indirect {
    Join,
    Filter,
    GroupBy,
    Sort,
    Window,
    Conditional,
}

/// What one output column is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnInputs {
    pub direct: BTreeMap<ColumnRef, Direct>,
    /// The columns that choose this column's value: those of conditions of CASE, and of a window's partition and order.
    pub indirect: BTreeSet<(ColumnRef, Indirect)>,
}

/// What a table's columns are made of, in terms of the tables that its SQL names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableLineage {
    /// The inputs of each stored column, by the column's name and in the columns' order.
    pub columns: IndexMap<String, ColumnInputs>,
    /// The columns that decide which rows there are, and so touch every column.
    pub rows: BTreeSet<(ColumnRef, Indirect)>,
}

impl TableLineage {
    pub(crate) fn of_plan(plan: &LogicalPlan, schema: &Schema) -> Self {
        let node = node::Walk::default().node(plan);
        let names = schema.fields().iter().map(|field| field.name().clone());
        Self { columns: names.zip(node.columns).collect(), rows: node.rows }
    }
}

impl ColumnInputs {
    pub(crate) fn merge(&mut self, other: &Self) {
        for (column, kind) in &other.direct {
            let known = self.direct.entry(column.clone()).or_insert(*kind);
            *known = (*known).max(*kind);
        }
        self.indirect.extend(other.indirect.iter().cloned());
    }

    /// The same inputs, used at least as `kind`.
    pub(crate) fn at_least(mut self, kind: Direct) -> Self {
        self.direct.values_mut().for_each(|known| *known = (*known).max(kind));
        self
    }

    /// Every column that plays a part, used as `kind`.
    pub(crate) fn as_indirect(&self, kind: Indirect) -> impl Iterator<Item = (ColumnRef, Indirect)> + '_ {
        let direct = self.direct.keys().map(move |column| (column.clone(), kind));
        direct.chain(self.indirect.iter().map(move |(column, _)| (column.clone(), kind)))
    }
}
