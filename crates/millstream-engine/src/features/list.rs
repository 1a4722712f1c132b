//! The list of what can be read: views, features and services, with owners, types, sources and users.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use millstream_features::{
    view::{self, FeatureDefinition, ServiceDefinition},
    window::Operand,
};
use millstream_online::OnlineError;
use millstream_project::{AggregateSpec, DatasetFeatures, FeatureRef, FeatureSpec, FeatureValue};
use millstream_types::{Span, TimestampMicros};

use super::{progress, services};
use crate::{Engine, EngineError, Project, Stale, assets::feature_view};

/// Everything that can be read.
#[derive(Clone, Debug)]
pub struct FeatureList {
    pub views: Vec<ViewEntry>,
    pub on_demand: Vec<OnDemandEntry>,
    pub services: Vec<ServiceEntry>,
    /// Whether the online store could be asked; another process may have it.
    pub is_store_open: bool,
}

/// One view.
#[derive(Clone, Debug)]
pub struct ViewEntry {
    pub name: String,
    pub entity: String,
    pub keys: Vec<(String, String)>,
    /// The table that the view reads.
    pub from: String,
    pub time: String,
    pub ttl: Option<Span>,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub tags: Vec<String>,
    pub features: Vec<FeatureEntry>,
    /// How far the view is materialised; `None` when the online store could not be asked, or the view was never
    /// materialised.
    pub materialized: Option<progress::Progress>,
    /// Why what the view holds is not what it should be; `None` while it is fresh.
    pub stale: Option<Stale>,
}

/// One feature of a view.
#[derive(Clone, Debug)]
pub struct FeatureEntry {
    pub name: String,
    pub data_type: String,
    /// The definition in words: `sum(amount) of 30d where status = 'paid'`.
    pub definition: String,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub tags: Vec<String>,
    /// The columns of sources that the feature is computed from.
    pub sources: Vec<String>,
    pub services: Vec<String>,
    pub datasets: Vec<String>,
}

/// One expression over features and request values.
#[derive(Clone, Debug)]
pub struct OnDemandEntry {
    pub name: String,
    pub data_type: String,
    pub sql: String,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub inputs: Vec<String>,
    /// The request values that the expression reads, with their types.
    pub request: Vec<(String, String)>,
}

/// One service with its versions.
#[derive(Clone, Debug)]
pub struct ServiceEntry {
    pub name: String,
    /// Whether the project has the service.
    pub is_defined: bool,
    /// The version that the project defines now; `None` when the project no longer has the service, or nothing has served its
    /// present definition yet.
    pub current: Option<i64>,
    pub versions: Vec<(i64, TimestampMicros)>,
    pub features: Vec<(String, String)>,
    pub datasets: Vec<String>,
}

impl Engine {
    /// The project's features and services. The online store is asked how far views are materialised, unless another
    /// process has it.
    pub fn features<'a>(&'a self) -> BoxFuture<'a, Result<FeatureList, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            let project = &world.project;
            let users = Users::new(project);
            let store = match world.online.open().await {
                Ok(store) => Some(store),
                Err(EngineError::Online(OnlineError::Locked { .. })) => None,
                Err(error) => return Err(error),
            };
            let ids = project.features.views.keys().map(|name| feature_view::id(name)).collect();
            let stale = world.stale(Some(&ids)).await?;
            let mut views = Vec::new();
            for (name, analyzed) in &project.features.views {
                let Some(spec) = project.spec.features.view(name) else { continue };
                let definition = &analyzed.definition;
                let entity = project.spec.features.entity(&definition.entity);
                let sources: BTreeMap<String, Vec<String>> = analyzed
                    .lineage(&project.analysis)
                    .into_iter()
                    .map(|(name, lineage)| (name, lineage.sources.iter().map(ToString::to_string).collect()))
                    .collect();
                let features = spec.features.iter().zip(&definition.features).map(|(spec, known)| {
                    let full = format!("{name}.{}", known.name);
                    FeatureEntry {
                        name: known.name.clone(),
                        data_type: millstream_sql::type_name(&known.data_type),
                        definition: said(spec, known),
                        description: spec.description.clone(),
                        owner: spec.owner.clone(),
                        tags: spec.tags.clone(),
                        sources: sources.get(&known.name).cloned().unwrap_or_default(),
                        services: users.services(&full),
                        datasets: users.datasets(&full),
                    }
                });
                let materialized = match &store {
                    Some(store) => progress::read(store.as_ref(), definition.space()).await?,
                    None => None,
                };
                views.push(ViewEntry {
                    name: name.clone(),
                    entity: definition.entity.clone(),
                    keys: definition
                        .keys
                        .iter()
                        .map(|key| (key.name.clone(), millstream_sql::type_name(&key.data_type)))
                        .collect(),
                    from: spec.from.to_string(),
                    time: spec.time.value.clone(),
                    ttl: spec.ttl,
                    description: spec.description.clone(),
                    owner: spec.owner.clone().or_else(|| entity.and_then(|entity| entity.owner.clone())),
                    tags: spec.tags.clone(),
                    features: features.collect(),
                    materialized,
                    stale: stale.get(&feature_view::id(name)).cloned(),
                });
            }
            Ok(FeatureList {
                views,
                on_demand: on_demand(project),
                services: self.service_entries(&users).await?,
                is_store_open: store.is_some(),
            })
        })
    }

    async fn service_entries(&self, users: &Users) -> Result<Vec<ServiceEntry>, EngineError> {
        let world = self.world();
        let mut entries: BTreeMap<String, ServiceEntry> = BTreeMap::new();
        let entry = |name: &str| ServiceEntry {
            name: name.to_owned(),
            is_defined: false,
            current: None,
            versions: Vec::new(),
            features: Vec::new(),
            datasets: users.of_service(name),
        };
        for version in services::recorded(world).await? {
            let known = entries.entry(version.name.clone()).or_insert_with(|| entry(&version.name));
            known.versions.push((version.version, version.at));
            known.features = features_of(&version.definition);
            if version.is_current {
                known.current = Some(version.version);
            }
        }
        for (name, service) in &world.project.features.services {
            let known = entries.entry(name.clone()).or_insert_with(|| entry(name));
            (known.is_defined, known.features) = (true, features_of(&service.definition));
        }
        Ok(entries.into_values().collect())
    }
}

/// The features of a service with their types, in order.
fn features_of(definition: &ServiceDefinition) -> Vec<(String, String)> {
    let named = definition.features.iter().map(|feature| {
        let data_type = definition.data_type(feature.source).map(millstream_sql::type_name);
        (feature.name.clone(), data_type.unwrap_or_default())
    });
    named.collect()
}

/// The services and datasets that read features.
struct Users {
    /// Each service with the features that it reads, wildcards spelled out.
    services: Vec<(String, Vec<String>)>,
    /// Each dataset with its service, if it has one, and the features that it reads.
    datasets: Vec<(String, Option<String>, Vec<String>)>,
}

impl Users {
    fn new(project: &Project) -> Self {
        let features = &project.spec.features;
        let names = |list: &[FeatureRef]| list.iter().map(name_of).collect::<Vec<_>>();
        let services: Vec<(String, Vec<String>)> = features
            .services
            .iter()
            .map(|service| (service.name.clone(), names(&features.expand(&service.features))))
            .collect();
        let datasets = project.spec.datasets.iter().map(|dataset| match &dataset.features {
            DatasetFeatures::Service(service) => {
                let of_service = services.iter().find(|(name, _)| *name == service.value);
                let list = of_service.map(|(_, list)| list.clone()).unwrap_or_default();
                (dataset.name.clone(), Some(service.value.clone()), list)
            }
            DatasetFeatures::List(list) => (dataset.name.clone(), None, names(&features.expand(list))),
        });
        let datasets = datasets.collect();
        Self { services, datasets }
    }

    fn services(&self, feature: &str) -> Vec<String> {
        let uses = self.services.iter().filter(|(_, list)| list.iter().any(|known| known == feature));
        uses.map(|(name, _)| name.clone()).collect()
    }

    fn datasets(&self, feature: &str) -> Vec<String> {
        let uses = self.datasets.iter().filter(|(_, _, list)| list.iter().any(|known| known == feature));
        uses.map(|(name, ..)| name.clone()).collect()
    }

    fn of_service(&self, service: &str) -> Vec<String> {
        let uses = self.datasets.iter().filter(|(_, of, _)| of.as_deref() == Some(service));
        uses.map(|(name, ..)| name.clone()).collect()
    }
}

fn on_demand(project: &Project) -> Vec<OnDemandEntry> {
    let entry = |(name, analyzed): (&String, &millstream_sql::features::AnalyzedOnDemand)| {
        let spec = project.spec.features.on_demand.iter().find(|spec| spec.name == *name);
        OnDemandEntry {
            name: name.clone(),
            data_type: millstream_sql::type_name(&analyzed.data_type),
            sql: spec.map_or_else(|| analyzed.sql.clone(), |spec| one_line(&spec.sql.value)),
            description: spec.and_then(|spec| spec.description.clone()),
            owner: spec.and_then(|spec| spec.owner.clone()),
            inputs: analyzed.inputs.iter().map(|(feature, _)| name_of(feature)).collect(),
            request: analyzed
                .request
                .iter()
                .map(|value| (value.name.clone(), millstream_sql::type_name(&value.data_type)))
                .collect(),
        }
    };
    project.features.on_demand.iter().map(entry).collect()
}

fn name_of(feature: &FeatureRef) -> String {
    match feature {
        FeatureRef::Feature { view, feature } => format!("{view}.{feature}"),
        FeatureRef::View { view } => format!("{view}.*"),
        FeatureRef::OnDemand { name } => name.clone(),
    }
}

/// SQL as it was written, without its line breaks.
fn one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A length of time in days where it is a whole number of them, as windows are mostly written: `7d`, not `1w`.
fn in_days(span: Span) -> String {
    const DAY_MS: u64 = 86_400_000;
    match span.ms() {
        ms if ms >= DAY_MS && ms.is_multiple_of(DAY_MS) => format!("{}d", ms / DAY_MS),
        _ => span.to_string(),
    }
}

/// A feature's definition in one line.
fn said(spec: &FeatureSpec, known: &FeatureDefinition) -> String {
    let one = |aggregate: &AggregateSpec, operand: Option<&Operand>| {
        let word = operand.map_or("", |operand| operand.aggregation.name());
        let input = aggregate.input.as_ref().map_or("*", |input| input.value.as_str());
        let filter = aggregate.filter.as_ref().map(|filter| format!(" where {}", filter.value.trim()));
        format!("{word}({input}){}", filter.unwrap_or_default())
    };
    let operands: Vec<&Operand> = match &known.value {
        view::FeatureValue::Newest(_) => Vec::new(),
        view::FeatureValue::Window { measure, .. } => measure.operands(),
    };
    let mut text = match &spec.value {
        FeatureValue::Column(column) => format!("newest {column}"),
        FeatureValue::Aggregate(aggregate) => one(aggregate, operands.first().copied()),
        FeatureValue::Ratio { numerator, denominator, against } => {
            let against = against.map_or_else(String::new, |window| format!(" of {}", in_days(window)));
            format!(
                "{} / {}{against}",
                one(numerator, operands.first().copied()),
                one(denominator, operands.last().copied())
            )
        }
        FeatureValue::Change(aggregate) => format!("change of {}", one(aggregate, operands.first().copied())),
    };
    if let Some(window) = spec.window {
        text.push_str(&format!(" of {}", in_days(window)));
    }
    if let Some(filter) = &spec.filter {
        text.push_str(&format!(" where {}", filter.value.trim()));
    }
    text
}

/// The definition that a list of names stands for, as if it were a service.
pub(super) fn service_of(project: &Project, list: &[String]) -> Result<ServiceDefinition, EngineError> {
    let features = &project.spec.features;
    let mut wanted: Vec<FeatureRef> = Vec::new();
    for name in list {
        let found: Vec<FeatureRef> = match name.split_once('.') {
            Some((view, feature)) => {
                let definition = project.features.views.get(view).ok_or_else(|| {
                    let views = project.features.views.keys().map(String::as_str);
                    EngineError::unknown_feature("view", view, views)
                })?;
                let names = definition.definition.features.iter().map(|known| known.name.as_str());
                let of_view = |feature: &str| FeatureRef::Feature {
                    view: view.to_owned(),
                    feature: feature.to_owned(),
                };
                match feature {
                    "*" => names.map(of_view).collect(),
                    one if names.clone().any(|known| known == one) => vec![of_view(one)],
                    other => {
                        let all: Vec<String> = names.map(|known| format!("{view}.{known}")).collect();
                        let full = format!("{view}.{other}");
                        let all = all.iter().map(String::as_str);
                        return Err(EngineError::unknown_feature("feature", &full, all));
                    }
                }
            }
            None if project.features.on_demand.contains_key(name) => {
                vec![FeatureRef::OnDemand { name: name.clone() }]
            }
            None => {
                let known = features.on_demand.iter().map(|one| one.name.as_str());
                return Err(EngineError::unknown_feature("feature", name, known));
            }
        };
        for feature in found {
            if !wanted.contains(&feature) {
                wanted.push(feature);
            }
        }
    }
    if wanted.is_empty() {
        let message = "no features are named".to_owned();
        return Err(EngineError::Request { message, hint: Some("name a service, or features".to_owned()) });
    }
    project
        .features
        .definition("", &wanted)
        .ok_or_else(|| EngineError::unknown_feature("feature", &list.join(", "), std::iter::empty()))
}
