//! Services, views and entities as the API describes them.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use millstream_engine::{Project, ServedVersion};
use millstream_features::view::{KeyDefinition, ViewDefinition};
use millstream_server::{
    EntityInfo, FeatureInfo, HeldProject, PushSchema, ServiceInfo, ValueInfo, ViewInfo, type_name,
};

/// One entry for each service, with all versions that are served.
pub(super) fn services(served: &[ServedVersion], project: &Project) -> Vec<ServiceInfo> {
    let mut names: Vec<&str> = served.iter().map(|version| version.name.as_str()).collect();
    names.dedup();
    let describe = |name: &str| {
        let versions: Vec<&ServedVersion> = served.iter().filter(|version| version.name == name).collect();
        let shown = versions.iter().find(|version| version.is_current).or(versions.last())?;
        Some(service(name, shown, &versions, project))
    };
    names.into_iter().filter_map(describe).collect()
}

fn service(name: &str, shown: &ServedVersion, versions: &[&ServedVersion], project: &Project) -> ServiceInfo {
    let definition = &shown.definition;
    let features = definition.features.iter().map(|feature| FeatureInfo {
        name: feature.name.clone(),
        data_type: definition.data_type(feature.source).map(type_name).unwrap_or_default(),
        description: description(project, &feature.name),
    });
    ServiceInfo {
        name: name.to_owned(),
        version: number(shown.version),
        versions: versions.iter().map(|version| number(version.version)).collect(),
        description: None,
        owner: None,
        features: features.collect(),
        entities: definition
            .entities
            .iter()
            .map(|entity| EntityInfo { name: entity.name.clone(), keys: values(&entity.keys) })
            .collect(),
        request: definition
            .request()
            .iter()
            .map(|value| ValueInfo { name: value.name.clone(), data_type: type_name(&value.data_type) })
            .collect(),
    }
}

/// A view of the project.
pub(super) fn view(definition: &ViewDefinition, project: &Project) -> ViewInfo {
    let spec = project.spec.features.view(&definition.name);
    let features = definition.features.iter().map(|feature| FeatureInfo {
        name: feature.name.clone(),
        data_type: type_name(&feature.data_type),
        description: description(project, &format!("{}.{}", definition.name, feature.name)),
    });
    ViewInfo {
        name: definition.name.clone(),
        description: spec.and_then(|spec| spec.description.clone()),
        owner: spec.and_then(|spec| spec.owner.clone()),
        entity: EntityInfo { name: definition.entity.clone(), keys: values(&definition.keys) },
        features: features.collect(),
        push: values(&definition.rows.columns),
        stale: None,
    }
}

/// The columns of rows that are pushed.
pub(super) fn push_schema(definition: &ViewDefinition) -> PushSchema {
    let needed =
        |name: &str| name == definition.rows.time || definition.keys.iter().any(|key| key.name == name);
    let fields = definition
        .rows
        .columns
        .iter()
        .map(|column| Field::new(&column.name, column.data_type.clone(), !needed(&column.name)));
    PushSchema {
        project: HeldProject::default(),
        schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
        features: definition.features.iter().map(|feature| feature.name.clone()).collect(),
        time: definition.rows.time.clone(),
    }
}

fn values(keys: &[KeyDefinition]) -> Vec<ValueInfo> {
    keys.iter()
        .map(|key| ValueInfo { name: key.name.clone(), data_type: type_name(&key.data_type) })
        .collect()
}

/// What the project's files say of `view.feature` or of an on-demand feature.
fn description(project: &Project, name: &str) -> Option<String> {
    let features = &project.spec.features;
    match name.split_once('.') {
        Some((view, feature)) => {
            let of_view = &features.view(view)?.features;
            of_view.iter().find(|known| known.name == feature)?.description.clone()
        }
        None => features.on_demand.iter().find(|known| known.name == name)?.description.clone(),
    }
}

/// Versions begin at 1 and count up by 1.
fn number(version: i64) -> u32 {
    u32::try_from(version).unwrap_or(u32::MAX)
}
