//! `lineage --json`.

use std::collections::BTreeSet;

use millstream_plan::{AssetFacts, Graph};
use millstream_sql::{Direct, Indirect, LineageEdge, LineageReport, Use};
use millstream_types::AssetId;
use serde::Serialize;

/// Up to the sources and down to every user.
#[derive(Clone, Debug, Serialize)]
pub struct LineageDocument {
    /// What was asked for, as `schema.table.column`.
    pub columns: Vec<String>,
    pub sources: Vec<String>,
    pub upstream: Vec<LineageStep>,
    pub downstream: Vec<LineageStep>,
    /// Feature views, services and datasets that read the table, directly or through others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub read_by: Vec<String>,
}

/// What an asset that is no table is made of, and what is made of it.
#[derive(Clone, Debug, Serialize)]
pub struct AssetLineageDocument {
    pub asset: String,
    pub kind: &'static str,
    /// The file that defines the asset, from the project's folder on.
    pub path: String,
    /// What makes it run: `by hand`, `on change`, `every …`, `cron …`.
    pub trigger: String,
    /// What it reads and what belongs to its definition, directly.
    pub inputs: Vec<String>,
    pub users: Vec<String>,
    /// All that it needs, directly or not.
    pub upstream: Vec<String>,
    pub downstream: Vec<String>,
}

impl AssetLineageDocument {
    /// The document of one asset of `graph`.
    #[must_use]
    pub fn of(graph: &Graph, facts: &AssetFacts) -> Self {
        let texts = |ids: BTreeSet<AssetId>| ids.iter().map(ToString::to_string).collect();
        Self {
            asset: facts.id.to_string(),
            kind: facts.kind.as_str(),
            path: facts.path.clone(),
            trigger: facts.trigger.to_string(),
            inputs: graph.inputs(&facts.id).map(|facts| facts.id.to_string()).collect(),
            users: graph.users(&facts.id).map(|facts| facts.id.to_string()).collect(),
            upstream: texts(graph.upstream(&facts.id)),
            downstream: texts(graph.downstream(&facts.id)),
        }
    }
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
            read_by: Vec::new(),
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
