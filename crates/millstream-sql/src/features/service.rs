//! Lists of features to service definitions: everything that decides on their values, and nothing else.

use indexmap::{IndexMap, IndexSet};
use millstream_features::view::{
    EntityDefinition, FeatureSource, OnDemandDefinition, OnDemandInput, ServiceDefinition, ServiceFeature,
};
use millstream_project::{FeatureRef, Location};
use millstream_types::TableName;

use super::{
    on_demand::{AnalyzedOnDemand, feature_name},
    view::AnalyzedView,
};

/// A service whose features all have a meaning.
#[derive(Clone, Debug)]
pub struct AnalyzedService {
    pub definition: ServiceDefinition,
    /// The identity of the definition.
    pub version: String,
    /// The tables that the service's views read.
    pub dependencies: Vec<TableName>,
    /// The place of the service's name.
    pub at: Location,
}

/// The views and on-demand features that services can be made of.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) views: &'a IndexMap<String, AnalyzedView>,
    pub(super) on_demand: &'a IndexMap<String, AnalyzedOnDemand>,
}

impl Parts<'_> {
    /// The definition of a list without wildcards; `None` when a part of it is faulty, which has its own message.
    pub(super) fn service(&self, name: &str, list: &[FeatureRef], at: Location) -> Option<AnalyzedService> {
        let mut resolver =
            FeatureResolver { parts: *self, views: IndexSet::new(), on_demand: IndexMap::new() };
        let mut features = Vec::with_capacity(list.len());
        for feature in list {
            features.push(ServiceFeature { name: feature_name(feature), source: resolver.source(feature)? });
        }
        let views: Vec<&AnalyzedView> =
            resolver.views.iter().map(|name| self.views.get(name)).collect::<Option<_>>()?;
        let mut entities: IndexMap<&str, EntityDefinition> = IndexMap::new();
        let mut dependencies = IndexSet::new();
        for view in &views {
            let definition = &view.definition;
            entities.entry(&definition.entity).or_insert_with(|| EntityDefinition {
                name: definition.entity.clone(),
                keys: definition.keys.clone(),
            });
            dependencies.extend(view.dependencies.iter().cloned());
        }
        let definition = ServiceDefinition {
            name: name.to_owned(),
            entities: entities.into_values().collect(),
            views: views.iter().map(|view| view.definition.clone()).collect(),
            features,
            on_demand: resolver.on_demand.into_values().collect(),
        };
        let version = definition.version();
        Some(AnalyzedService { version, dependencies: dependencies.into_iter().collect(), at, definition })
    }
}

/// Finds the sources of features, and collects the views and on-demand features that they need.
struct FeatureResolver<'a> {
    parts: Parts<'a>,
    views: IndexSet<String>,
    on_demand: IndexMap<String, OnDemandDefinition>,
}

impl FeatureResolver<'_> {
    /// The source of a feature; everything that the feature needs is added before it. On-demand features do not wait for
    /// each other in a circle, but a chain of them may be as long as a person writes.
    #[recursive::recursive]
    fn source(&mut self, feature: &FeatureRef) -> Option<FeatureSource> {
        match feature {
            FeatureRef::Feature { view, feature } => {
                let definition = &self.parts.views.get(view)?.definition;
                let feature = definition.features.iter().position(|known| known.name == *feature)?;
                let (view, _) = self.views.insert_full(view.clone());
                Some(FeatureSource::View { view, feature })
            }
            FeatureRef::View { .. } => None,
            FeatureRef::OnDemand { name } => {
                if let Some(index) = self.on_demand.get_index_of(name) {
                    return Some(FeatureSource::OnDemand(index));
                }
                let analyzed = self.parts.on_demand.get(name)?.clone();
                let mut inputs = Vec::with_capacity(analyzed.inputs.len());
                for (input, data_type) in &analyzed.inputs {
                    inputs.push(OnDemandInput {
                        name: feature_name(input),
                        source: self.source(input)?,
                        data_type: data_type.clone(),
                    });
                }
                let definition = OnDemandDefinition {
                    name: analyzed.name,
                    sql: analyzed.sql,
                    inputs,
                    request: analyzed.request,
                    data_type: analyzed.data_type,
                };
                let (index, _) = self.on_demand.insert_full(name.clone(), definition);
                Some(FeatureSource::OnDemand(index))
            }
        }
    }
}
