//! `features --json`.

use std::collections::BTreeMap;

use millstream_engine::{
    FeatureEntry, FeatureList, MaterializeMode, MaterializeReport, OnDemandEntry, ServiceEntry, ViewEntry,
    ViewStatistics,
};
use millstream_ml::dataset::ColumnStatistics;
use serde::Serialize;

use super::{ErrorBody, ErrorDocument};
use crate::ErrorReport;

/// Everything that can be read.
#[derive(Clone, Debug, Serialize)]
pub struct FeatureListDocument {
    pub views: Vec<ViewDocument>,
    pub on_demand: Vec<OnDemandDocument>,
    pub services: Vec<ServiceDocument>,
    /// Whether the online store could be asked; without it `materialized` is unknown.
    pub store_open: bool,
}

/// One view.
#[derive(Clone, Debug, Serialize)]
pub struct ViewDocument {
    pub name: String,
    pub entity: String,
    /// Key columns with their types.
    pub keys: BTreeMap<String, String>,
    pub from: String,
    pub time: String,
    pub ttl: Option<String>,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub tags: Vec<String>,
    pub features: Vec<FeatureDocument>,
    pub materialized: Option<MaterializedDocument>,
}

/// One feature.
#[derive(Clone, Debug, Serialize)]
pub struct FeatureDocument {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
    pub definition: String,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub tags: Vec<String>,
    pub sources: Vec<String>,
    pub services: Vec<String>,
    pub datasets: Vec<String>,
}

/// How far a view is in the online store. Times are microseconds since 1970 UTC.
#[derive(Clone, Debug, Serialize)]
pub struct MaterializedDocument {
    pub versions: BTreeMap<String, i64>,
    pub newest_event: Option<i64>,
    pub at: i64,
    pub rows: u64,
}

/// One on-demand feature.
#[derive(Clone, Debug, Serialize)]
pub struct OnDemandDocument {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
    pub sql: String,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub inputs: Vec<String>,
    /// Request values with their types.
    pub request: BTreeMap<String, String>,
}

/// One service.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceDocument {
    pub name: String,
    /// None when the project has it no more.
    pub version: Option<i64>,
    pub versions: Vec<i64>,
    /// Features with their types, in order.
    pub features: Vec<(String, String)>,
    pub datasets: Vec<String>,
}

impl From<&FeatureList> for FeatureListDocument {
    fn from(list: &FeatureList) -> Self {
        Self {
            views: list.views.iter().map(ViewDocument::from).collect(),
            on_demand: list.on_demand.iter().map(OnDemandDocument::from).collect(),
            services: list.services.iter().map(ServiceDocument::from).collect(),
            store_open: list.is_store_open,
        }
    }
}

impl From<&ViewEntry> for ViewDocument {
    fn from(view: &ViewEntry) -> Self {
        let materialized = view.materialized.as_ref().map(|done| MaterializedDocument {
            versions: done.versions.iter().map(|(table, version)| (table.to_string(), *version)).collect(),
            newest_event: done.watermark,
            at: done.at,
            rows: done.rows,
        });
        Self {
            name: view.name.clone(),
            entity: view.entity.clone(),
            keys: view.keys.iter().cloned().collect(),
            from: view.from.clone(),
            time: view.time.clone(),
            ttl: view.ttl.map(|ttl| ttl.to_string()),
            description: view.description.clone(),
            owner: view.owner.clone(),
            tags: view.tags.clone(),
            features: view.features.iter().map(FeatureDocument::from).collect(),
            materialized,
        }
    }
}

impl From<&FeatureEntry> for FeatureDocument {
    fn from(feature: &FeatureEntry) -> Self {
        Self {
            name: feature.name.clone(),
            data_type: feature.data_type.clone(),
            definition: feature.definition.clone(),
            description: feature.description.clone(),
            owner: feature.owner.clone(),
            tags: feature.tags.clone(),
            sources: feature.sources.clone(),
            services: feature.services.clone(),
            datasets: feature.datasets.clone(),
        }
    }
}

impl From<&OnDemandEntry> for OnDemandDocument {
    fn from(one: &OnDemandEntry) -> Self {
        Self {
            name: one.name.clone(),
            data_type: one.data_type.clone(),
            sql: one.sql.clone(),
            description: one.description.clone(),
            owner: one.owner.clone(),
            inputs: one.inputs.clone(),
            request: one.request.iter().cloned().collect(),
        }
    }
}

impl From<&ServiceEntry> for ServiceDocument {
    fn from(service: &ServiceEntry) -> Self {
        Self {
            name: service.name.clone(),
            version: service.current,
            versions: service.versions.iter().map(|(version, _)| *version).collect(),
            features: service.features.clone(),
            datasets: service.datasets.clone(),
        }
    }
}

/// What was brought into the online store.
#[derive(Clone, Debug, Serialize)]
pub struct MaterializeDocument {
    pub views: Vec<MaterializedView>,
    /// Views that could not be brought up to date; they keep no other back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<ViewFailed>,
}

/// One view that could not be brought up to date.
#[derive(Clone, Debug, Serialize)]
pub struct ViewFailed {
    /// With the versions of services if it is not what the project says now: `orders of churn@1`.
    pub view: String,
    pub error: ErrorBody,
}

impl ViewFailed {
    pub(crate) fn new(view: &str, report: &ErrorReport) -> Self {
        Self { view: view.to_owned(), error: ErrorDocument::from(report).error }
    }
}

/// One view that was brought up to date.
#[derive(Clone, Debug, Serialize)]
pub struct MaterializedView {
    pub view: String,
    /// `up_to_date`, `incremental` or `full`.
    pub mode: &'static str,
    pub rows: u64,
    /// Rows that were left out because the online store cannot hold a key as long as theirs.
    pub left_out: u64,
    pub entities: u64,
    pub versions: BTreeMap<String, i64>,
    /// Microseconds since 1970 UTC.
    pub newest_event: Option<i64>,
    pub elapsed_ms: u64,
}

impl From<&MaterializeReport> for MaterializedView {
    fn from(report: &MaterializeReport) -> Self {
        Self {
            view: report.view.clone(),
            mode: match report.mode {
                MaterializeMode::UpToDate => "up_to_date",
                MaterializeMode::Incremental => "incremental",
                MaterializeMode::Full => "full",
            },
            rows: report.rows,
            left_out: report.left_out,
            entities: report.entities,
            versions: report.versions.iter().map(|(table, version)| (table.to_string(), *version)).collect(),
            newest_event: report.watermark,
            elapsed_ms: u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Figures of a view's features.
#[derive(Clone, Debug, Serialize)]
pub struct ViewStatisticsDocument {
    /// The time of the values, microseconds since 1970 UTC.
    pub at: Option<i64>,
    pub entities: u64,
    /// As in a dataset's manifest.
    pub features: BTreeMap<String, ColumnStatistics>,
}

impl From<&ViewStatistics> for ViewStatisticsDocument {
    fn from(statistics: &ViewStatistics) -> Self {
        Self {
            at: statistics.at,
            entities: statistics.entities,
            features: statistics.features.iter().cloned().collect(),
        }
    }
}
