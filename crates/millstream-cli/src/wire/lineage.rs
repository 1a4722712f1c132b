//! `lineage --json`.

use std::collections::BTreeSet;

use millstream_api::catalog::{AssetLineageDocument, LineageDocument, LineageStep};
use millstream_plan::{AssetFacts, Graph};
use millstream_sql::{Direct, Indirect, LineageEdge, LineageReport, Use};
use millstream_types::AssetId;

use super::Of;

/// An asset in its graph.
impl Of<(&Graph, &AssetFacts)> for AssetLineageDocument {
    fn of((graph, facts): (&Graph, &AssetFacts)) -> Self {
        let texts = |ids: BTreeSet<AssetId>| ids.iter().map(ToString::to_string).collect();
        Self {
            asset: facts.id.to_string(),
            kind: facts.kind.as_str(),
            path: facts.path.clone(),
            trigger: facts.schedule.to_string(),
            inputs: graph.inputs(&facts.id).map(|facts| facts.id.to_string()).collect(),
            users: graph.users(&facts.id).map(|facts| facts.id.to_string()).collect(),
            upstream: texts(graph.upstream(&facts.id)),
            downstream: texts(graph.downstream(&facts.id)),
        }
    }
}

impl Of<&LineageReport> for LineageDocument {
    fn of(report: &LineageReport) -> Self {
        Self {
            columns: report.columns.iter().map(ToString::to_string).collect(),
            sources: report.sources.iter().map(ToString::to_string).collect(),
            upstream: report.upstream.iter().map(LineageStep::of).collect(),
            downstream: report.downstream.iter().map(LineageStep::of).collect(),
            read_by: Vec::new(),
        }
    }
}

impl Of<&LineageEdge> for LineageStep {
    fn of(edge: &LineageEdge) -> Self {
        Self {
            from: edge.from.to_string(),
            to_table: edge.to_table.to_string(),
            to_column: edge.to_column.clone(),
            direct: matches!(edge.used, Use::Direct(_)),
            used: use_word(edge.used),
            distance: edge.distance,
        }
    }
}

/// The word for a kind of use.
#[must_use]
pub fn use_word(used: Use) -> &'static str {
    match used {
        Use::Direct(Direct::Identity) => "identity",
        Use::Direct(Direct::Transformation) => "transformation",
        Use::Direct(Direct::Aggregation) => "aggregation",
        Use::Indirect(Indirect::Join) => "join",
        Use::Indirect(Indirect::Filter) => "filter",
        Use::Indirect(Indirect::GroupBy) => "group_by",
        Use::Indirect(Indirect::Sort) => "sort",
        Use::Indirect(Indirect::Window) => "window",
        Use::Indirect(Indirect::Conditional) => "conditional",
    }
}
