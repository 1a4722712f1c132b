//! Features: from definitions over tables to what training and serving run.
//!
//! [`analyze_features`] is pure and works offline, like [`crate::analyze`]: it gives every view, on-demand feature,
//! service and dataset its types, or says what is wrong with it. The definitions that come out need no project any
//! more: [`event_rows`] reads a view's events, [`PushProjection`] makes events of pushed rows, and
//! [`OnDemandExpressions`] computes on-demand features, each from a definition alone.

mod aggregation;
mod canonical;
mod columns;
mod dataset;
mod default;
mod entity;
mod evaluate;
mod expression;
mod labels;
mod lineage;
mod on_demand;
mod push;
mod relation;
mod row_events;
mod rows;
mod service;
mod types;
mod view;

use std::collections::BTreeSet;

use indexmap::IndexMap;
use millstream_features::view::ServiceDefinition;
use millstream_project::{Diagnostic, FeatureRef, ProjectSpec};
use millstream_types::TableName;

use self::{entity::Entities, relation::Tables, service::Parts, view::Base};
use crate::analyze::Analysis;

pub use dataset::AnalyzedDataset;
pub use evaluate::OnDemandExpressions;
pub use labels::LabelColumns;
pub use lineage::FeatureLineage;
pub use on_demand::AnalyzedOnDemand;
pub use push::PushProjection;
pub use row_events::RowEvents;
pub use rows::{EventInput, event_rows};
pub use service::AnalyzedService;
pub use view::AnalyzedView;

/// What is known of a project's features without any data. Definitions with a fault, or that need one with a fault, are
/// left out.
#[derive(Debug, Default)]
pub struct FeaturesAnalysis {
    /// The views that have a meaning, in the order of the files, as all that follows.
    pub views: IndexMap<String, AnalyzedView>,
    pub on_demand: IndexMap<String, AnalyzedOnDemand>,
    pub services: IndexMap<String, AnalyzedService>,
    pub datasets: IndexMap<String, AnalyzedDataset>,
    pub diagnostics: Vec<Diagnostic>,
}

impl FeaturesAnalysis {
    /// The definition of a list of features without wildcards; `None` when one of them is not known.
    #[must_use]
    pub fn definition(&self, name: &str, list: &[FeatureRef]) -> Option<ServiceDefinition> {
        let parts = Parts { views: &self.views, on_demand: &self.on_demand };
        let at = self
            .views
            .values()
            .map(|view| view.at)
            .chain(self.on_demand.values().map(|one| one.at))
            .next()?;
        parts.service(name, list, at).map(|service| service.definition)
    }
}

/// Analyses everything of `features/` and `datasets/`. What reads one of the `doubtful` tables, whose columns may not
/// all be known because a file is broken, is left out without a message.
#[must_use]
pub fn analyze_features(
    spec: &ProjectSpec,
    analysis: &Analysis,
    doubtful: &BTreeSet<TableName>,
) -> FeaturesAnalysis {
    let tables = Tables::new(spec, analysis, doubtful);
    let mut diagnostics = Vec::new();
    let views = views(spec, &tables, &mut diagnostics);
    let features = &spec.features;
    let on_demand = on_demand::analyze(features, &views, &mut diagnostics);
    let parts = Parts { views: &views, on_demand: &on_demand };
    let mut services = IndexMap::new();
    for service in &features.services {
        let list = features.expand(&service.features);
        if let Some(analyzed) = parts.service(&service.name, &list, service.at) {
            services.entry(service.name.clone()).or_insert(analyzed);
        }
    }
    let mut datasets = IndexMap::new();
    for dataset in &spec.datasets {
        if let Some(analyzed) = dataset::analyze(dataset, features, &tables, parts, &mut diagnostics) {
            datasets.insert(dataset.name.clone(), analyzed);
        }
    }
    FeaturesAnalysis { views, on_demand, services, datasets, diagnostics }
}

/// The definitions of the views. The keys of all views come first, because the types of an entity's keys come from all
/// its views.
fn views(
    spec: &ProjectSpec,
    tables: &Tables<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> IndexMap<String, AnalyzedView> {
    let mut entities = Entities::default();
    let mut bases = Vec::with_capacity(spec.features.views.len());
    for view in &spec.features.views {
        let base = match Base::new(view, tables) {
            Ok(base) => base,
            Err(found) => {
                diagnostics.extend(found);
                continue;
            }
        };
        match entities.add(&base, spec) {
            Ok(()) => bases.push(base),
            Err(found) => {
                diagnostics.extend(found);
                // The view's other faults do not depend on its keys.
                diagnostics.extend(base.view(Vec::new(), tables).err().into_iter().flatten());
            }
        }
    }
    let mut views = IndexMap::new();
    for base in bases {
        let Some(keys) = entities.keys(&base.spec.entity) else { continue };
        match base.view(keys, tables) {
            Ok(mut view) => {
                diagnostics.append(&mut view.warnings);
                views.entry(base.spec.name.clone()).or_insert(view);
            }
            Err(found) => diagnostics.extend(found),
        }
    }
    views
}
