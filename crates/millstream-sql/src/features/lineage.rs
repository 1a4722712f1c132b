//! Where features come from: the columns of the views' tables, and those of the sources behind them.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use millstream_features::{
    view::FeatureValue,
    window::Operand,
};
use serde::Serialize;

use super::view::AnalyzedView;
use crate::{
    analyze::Analysis,
    lineage::{ColumnInputs, ColumnRef, LineageGraph, TableLineage, Use},
};

/// The columns that one feature is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FeatureLineage {
    /// Columns of the view's tables whose values enter the feature.
    pub direct: BTreeSet<ColumnRef>,
    /// Columns of the view's tables that decide which rows count, and for whom and when.
    pub indirect: BTreeSet<ColumnRef>,
    /// The source columns from which the direct and indirect columns come.
    pub sources: BTreeSet<ColumnRef>,
}

impl AnalyzedView {
    /// The lineage of every feature, by its name.
    #[must_use]
    pub fn lineage(&self, analysis: &Analysis) -> IndexMap<String, FeatureLineage> {
        let schema = self.event_schema();
        let table = TableLineage::of_plan(&self.plan, &schema);
        let graph = LineageGraph::new(analysis);
        let definition = &self.definition;
        // Keys and the event time decide for every feature.
        let deciding = table.columns.values().take(definition.keys.len() + 1);
        let mut shared = BTreeSet::new();
        deciding.for_each(|inputs| shared.extend(all(inputs)));
        shared.extend(table.rows.iter().map(|(column, _)| column.clone()));
        let events = table.columns.values().skip(definition.keys.len() + 3).collect::<Vec<_>>();
        let lineage = definition.features.iter().map(|feature| {
            let (values, filters) = used(&feature.value);
            let mut found = FeatureLineage { indirect: shared.clone(), ..FeatureLineage::default() };
            for inputs in values.iter().filter_map(|index| events.get(*index)) {
                found.direct.extend(inputs.direct.keys().cloned());
                found.indirect.extend(inputs.indirect.iter().map(|(column, _)| column.clone()));
            }
            for inputs in filters.iter().filter_map(|index| events.get(*index)) {
                found.indirect.extend(all(inputs));
            }
            found.indirect.retain(|column| !found.direct.contains(column));
            found.sources = sources(&graph, analysis, found.direct.iter().chain(&found.indirect));
            (feature.name.clone(), found)
        });
        lineage.collect()
    }
}

fn all(inputs: &ColumnInputs) -> impl Iterator<Item = ColumnRef> + '_ {
    inputs.direct.keys().cloned().chain(inputs.indirect.iter().map(|(column, _)| column.clone()))
}

/// The numbers of the columns that enter a value, and of those that choose its rows.
fn used(value: &FeatureValue) -> (Vec<usize>, Vec<usize>) {
    let operands: Vec<&Operand> = match value {
        FeatureValue::Newest(column) => return (vec![*column], Vec::new()),
        FeatureValue::Window { measure, .. } => measure.operands(),
    };
    let values = operands.iter().filter_map(|operand| operand.column).collect();
    (values, operands.iter().filter_map(|operand| operand.filter).collect())
}

fn sources<'c>(
    graph: &LineageGraph,
    analysis: &Analysis,
    columns: impl Iterator<Item = &'c ColumnRef>,
) -> BTreeSet<ColumnRef> {
    let columns: Vec<ColumnRef> = columns.cloned().collect();
    let upstream = graph.upstream(&columns);
    let direct = upstream.iter().filter(|edge| matches!(edge.used, Use::Direct(_))).map(|edge| &edge.from);
    let is_source = |column: &&ColumnRef| !analysis.tables.contains_key(&column.table);
    direct.chain(&columns).filter(is_source).cloned().collect()
}
