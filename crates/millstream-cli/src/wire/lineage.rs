//! `lineage --json`.

use millstream_sql::{Direct, Indirect, LineageEdge, LineageReport, Use};
use serde::Serialize;

/// Up to the sources and down to every user.
#[derive(Clone, Debug, Serialize)]
pub struct LineageDocument {
    /// What was asked for, as `schema.table.column`.
    pub columns: Vec<String>,
    pub sources: Vec<String>,
    pub upstream: Vec<LineageStep>,
    pub downstream: Vec<LineageStep>,
}

/// One step in the direction in which data flows.
#[derive(Clone, Debug, Serialize)]
pub struct LineageStep {
    pub from: String,
    pub to_table: String,
    /// Absent when `from` decides which rows of `to_table` there are.
    pub to_column: Option<String>,
    /// Whether the value itself flows on, rather than deciding about others.
    pub direct: bool,
    /// `identity`, `transformation`, `aggregation`; `join`, `filter`, `group_by`, `sort`, `window`, `conditional`.
    #[serde(rename = "use")]
    pub used: &'static str,
    /// Steps from the column that was asked for, from 1.
    pub distance: usize,
}

impl From<&LineageReport> for LineageDocument {
    fn from(report: &LineageReport) -> Self {
        Self {
            columns: report.columns.iter().map(ToString::to_string).collect(),
            sources: report.sources.iter().map(ToString::to_string).collect(),
            upstream: report.upstream.iter().map(LineageStep::from).collect(),
            downstream: report.downstream.iter().map(LineageStep::from).collect(),
        }
    }
}

impl From<&LineageEdge> for LineageStep {
    fn from(edge: &LineageEdge) -> Self {
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
