//! `features --json`.

use std::collections::BTreeMap;

use millstream_api::{
    failures::StaleMark,
    features::{
        FeatureDocument, FeatureListDocument, MaterializedDocument, OnDemandDocument, ServiceDocument,
        ViewDocument,
    },
};
use millstream_engine::{
    FeatureEntry, FeatureList, MaterializeMode, MaterializeReport, OnDemandEntry, ServiceEntry, ViewEntry,
    ViewStatistics,
};
use millstream_ml::dataset::ColumnStatistics;
use serde::Serialize;

use super::{ErrorBody, ErrorDocument, Of};
use crate::ErrorReport;

impl Of<&FeatureList> for FeatureListDocument {
    fn of(list: &FeatureList) -> Self {
        Self {
            views: list.views.iter().map(ViewDocument::of).collect(),
            on_demand: list.on_demand.iter().map(OnDemandDocument::of).collect(),
            services: list.services.iter().map(ServiceDocument::of).collect(),
            store_open: list.is_store_open,
        }
    }
}

impl Of<&ViewEntry> for ViewDocument {
    fn of(view: &ViewEntry) -> Self {
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
            features: view.features.iter().map(FeatureDocument::of).collect(),
            materialized,
            stale: view.stale.as_ref().map(StaleMark::of),
        }
    }
}

impl Of<&FeatureEntry> for FeatureDocument {
    fn of(feature: &FeatureEntry) -> Self {
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

impl Of<&OnDemandEntry> for OnDemandDocument {
    fn of(one: &OnDemandEntry) -> Self {
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

impl Of<&ServiceEntry> for ServiceDocument {
    fn of(service: &ServiceEntry) -> Self {
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
    /// The name of the view, with the versions of services that need it if it is not what the project says now:
    /// `orders of churn@1`.
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
    /// The statistics of each feature, as in a dataset's manifest.
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
