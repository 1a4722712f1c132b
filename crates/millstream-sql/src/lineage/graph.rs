//! Lineage through the whole project: up to the sources' columns and down to every user.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use millstream_types::TableName;
use serde::Serialize;

use super::{ColumnRef, Direct, Indirect};
use crate::{analyze::Analysis, nearest::name_hint};

/// How one column uses another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case", tag = "use", content = "kind")]
pub enum Use {
    /// The values of the used column are part of the values of the other.
    Direct(Direct),
    /// The used column chooses among values or rows.
    Indirect(Indirect),
}

/// One step of lineage, in the direction in which data flows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LineageEdge {
    pub from: ColumnRef,
    pub to_table: TableName,
    /// The column that uses the input. `None` when the input decides which rows of the table there are, and so touches
    /// all its columns.
    pub to_column: Option<String>,
    #[serde(flatten)]
    pub used: Use,
    /// The number of steps from the column that was asked for, from 1.
    pub distance: usize,
}

/// The lineage of one column, or of every column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineageReport {
    pub columns: Vec<ColumnRef>,
    /// The steps to what the columns are made of, nearest first. Edges that decide on rows are shown, not followed.
    pub upstream: Vec<LineageEdge>,
    /// The steps to the users of the columns, nearest first.
    pub downstream: Vec<LineageEdge>,
    /// The source columns at which the upstream steps end.
    pub sources: BTreeSet<ColumnRef>,
}

/// Every step between neighbouring tables.
#[derive(Debug, Default)]
pub struct LineageGraph {
    into: HashMap<ColumnRef, Vec<(ColumnRef, Use)>>,
    rows_into: HashMap<TableName, Vec<(ColumnRef, Use)>>,
    out_of: HashMap<ColumnRef, Vec<(TableName, Option<String>, Use)>>,
}

impl LineageGraph {
    /// Reads the lineage of every table that plans.
    #[must_use]
    pub fn new(analysis: &Analysis) -> Self {
        let mut graph = Self::default();
        for (table, analysed) in &analysis.tables {
            let lineage = analysed.lineage();
            for (column, inputs) in &lineage.columns {
                let direct = inputs.direct.iter().map(|(from, kind)| (from, Use::Direct(*kind)));
                let indirect = inputs.indirect.iter().map(|(from, kind)| (from, Use::Indirect(*kind)));
                for (from, used) in direct.chain(indirect) {
                    let to = ColumnRef { table: table.clone(), column: column.clone() };
                    graph.into.entry(to).or_default().push((from.clone(), used));
                    graph.out_of.entry(from.clone()).or_default().push((
                        table.clone(),
                        Some(column.clone()),
                        used,
                    ));
                }
            }
            for (from, kind) in &lineage.rows {
                let used = Use::Indirect(*kind);
                graph.rows_into.entry(table.clone()).or_default().push((from.clone(), used));
                graph.out_of.entry(from.clone()).or_default().push((table.clone(), None, used));
            }
        }
        graph
    }

    /// What the columns are made of, step by step up to the sources.
    #[must_use]
    pub fn upstream(&self, columns: &[ColumnRef]) -> Vec<LineageEdge> {
        let mut edges = BTreeMap::new();
        let mut seen: BTreeSet<ColumnRef> = columns.iter().cloned().collect();
        let mut open: VecDeque<_> = columns.iter().map(|column| (column.clone(), 1)).collect();
        while let Some((to, distance)) = open.pop_front() {
            for (from, used) in self.into.get(&to).into_iter().flatten() {
                edges
                    .entry((from.clone(), to.table.clone(), Some(to.column.clone()), *used))
                    .or_insert(distance);
                if seen.insert(from.clone()) {
                    open.push_back((from.clone(), distance + 1));
                }
            }
            for (from, used) in self.rows_into.get(&to.table).into_iter().flatten() {
                edges.entry((from.clone(), to.table.clone(), None, *used)).or_insert(distance);
            }
        }
        by_distance(edges)
    }

    /// Every user of the columns, step by step.
    #[must_use]
    pub fn downstream(&self, columns: &[ColumnRef]) -> Vec<LineageEdge> {
        let mut edges = BTreeMap::new();
        let mut seen: BTreeSet<ColumnRef> = columns.iter().cloned().collect();
        let mut open: VecDeque<_> = columns.iter().map(|column| (column.clone(), 1)).collect();
        while let Some((from, distance)) = open.pop_front() {
            for (table, column, used) in self.out_of.get(&from).into_iter().flatten() {
                edges.entry((from.clone(), table.clone(), column.clone(), *used)).or_insert(distance);
                let Some(column) = column else { continue };
                let to = ColumnRef { table: table.clone(), column: column.clone() };
                if seen.insert(to.clone()) {
                    open.push_back((to, distance + 1));
                }
            }
        }
        by_distance(edges)
    }
}

fn by_distance(edges: BTreeMap<(ColumnRef, TableName, Option<String>, Use), usize>) -> Vec<LineageEdge> {
    let edge = |((from, to_table, to_column, used), distance)| LineageEdge {
        from,
        to_table,
        to_column,
        used,
        distance,
    };
    let mut edges: Vec<_> = edges.into_iter().map(edge).collect();
    edges.sort_by_key(|edge| edge.distance);
    edges
}

/// The lineage of `table.column`, or of all the table's columns. The error says which name is unknown, with a
/// hint: `(message, hint)`.
pub fn lineage(
    analysis: &Analysis,
    table: &TableName,
    column: Option<&str>,
) -> Result<LineageReport, (String, Option<String>)> {
    let Some(schema) = analysis.schema(table) else {
        let known: Vec<_> = analysis.known_tables().iter().map(ToString::to_string).collect();
        let hint = name_hint(&table.to_string(), known.iter().map(String::as_str), "known tables");
        return Err((format!("unknown table `{table}`"), hint));
    };
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let chosen = match column {
        None => names,
        Some(column) if names.contains(&column) => vec![column],
        Some(column) => {
            let hint = name_hint(column, names, "its columns");
            return Err((format!("`{table}` has no column `{column}`"), hint));
        }
    };
    let columns: Vec<_> =
        chosen.into_iter().map(|name| ColumnRef { table: table.clone(), column: name.to_owned() }).collect();
    let graph = LineageGraph::new(analysis);
    let upstream = graph.upstream(&columns);
    let is_source = |column: &&ColumnRef| !analysis.tables.contains_key(&column.table);
    let direct = upstream.iter().filter(|edge| matches!(edge.used, Use::Direct(_)));
    let sources = direct.map(|edge| &edge.from).chain(&columns).filter(is_source).cloned().collect();
    let downstream = graph.downstream(&columns);
    Ok(LineageReport { columns, upstream, downstream, sources })
}
