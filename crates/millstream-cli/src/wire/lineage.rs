//! `lineage --json`.

use millstream_api::catalog::{LineageDocument, LineageStep};
use millstream_sql::{Direct, Indirect, LineageEdge, LineageReport, Use};

use super::Of;

impl Of<&LineageReport> for LineageDocument {
    fn of(report: &LineageReport) -> Self {
        Self {
            columns: report.columns.iter().map(ToString::to_string).collect(),
            sources: report.sources.iter().map(ToString::to_string).collect(),
            upstream: report.upstream.iter().map(LineageStep::of).collect(),
            downstream: report.downstream.iter().map(LineageStep::of).collect(),
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
