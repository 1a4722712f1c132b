//! Versions of services: the project's own are recorded when they change, and every one is served until it is removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use millstream_features::view::{ServiceDefinition, ViewDefinition};
use millstream_state::{NewArtifact, Pin, Sameness};
use millstream_types::TimestampMicros;

use super::SERVICE;
use crate::{EngineError, engine::World};

/// How the names of those begin that pin versions for a view's records.
const PINNED_BY_VIEW: &str = "view ";

/// One version of a service that can be read.
#[derive(Clone, Debug)]
pub struct ServedVersion {
    pub name: String,
    pub version: i64,
    /// Whether it is what the project says now.
    pub is_current: bool,
    /// Since when there is such a version.
    pub at: TimestampMicros,
    pub definition: Arc<ServiceDefinition>,
}

/// Records what the project's services are now, and returns every version that is served, by name and version.
pub(crate) async fn served(world: &World) -> Result<Vec<ServedVersion>, EngineError> {
    let known = world.state.artifacts(SERVICE).await?;
    let mut current = BTreeMap::new();
    for (name, service) in &world.project.features.services {
        let definition = &service.definition;
        let hash = definition.version();
        let known = known
            .iter()
            .find(|known| known.name == *name && known.hash == hash && known.removed_at.is_none());
        let version = match known {
            Some(known) => known.version,
            None => {
                let text = serde_json::to_string(definition)
                    .map_err(|source| EngineError::Definition { name: name.clone(), source })?;
                record(world, name, &hash, &text).await?
            }
        };
        current.insert((name.clone(), version), Arc::new(definition.clone()));
    }
    let mut served = Vec::new();
    for known in world.state.artifacts(SERVICE).await? {
        if known.removed_at.is_some() {
            continue;
        }
        let key = (known.name.clone(), known.version);
        let own = current.remove(&key);
        let is_current = own.is_some();
        let definition = match own {
            Some(definition) => definition,
            None => Arc::new(
                serde_json::from_str(&known.definition)
                    .map_err(|source| EngineError::Definition { name: known.name.clone(), source })?,
            ),
        };
        let (version, at) = (known.version, known.at);
        served.push(ServedVersion { name: known.name, version, is_current, at, definition });
    }
    Ok(served)
}

/// A definition that comes back, however often others came between, is the version that it was, and served again.
async fn record(world: &World, name: &str, hash: &str, definition: &str) -> Result<i64, EngineError> {
    let artifact = NewArtifact {
        kind: SERVICE,
        name,
        hash,
        definition,
        location: None,
        made_of: None,
        at: world.options.clock.now(),
        pins: &[],
        sameness: Sameness::AnyOfItsHash,
    };
    Ok(world.state.record_artifact(&artifact).await?)
}

/// Ends the serving of a version.
pub(crate) async fn remove(world: &World, version: &ServedVersion) -> Result<(), EngineError> {
    let now = world.options.clock.now();
    world.state.remove_artifact(SERVICE, &version.name, version.version, now).await?;
    Ok(())
}

/// A name and the version behind it: `churn@2`, `churn@v2`, or `churn` without one.
pub(crate) fn with_version(name: &str) -> (&str, Option<&str>) {
    match name.split_once('@') {
        Some((name, version)) => (name, Some(version.trim_start_matches('v'))),
        None => (name, None),
    }
}

/// A definition of a view that something reads.
#[derive(Clone, Debug)]
pub(crate) struct StoredView {
    pub definition: ViewDefinition,
    /// The versions of services that alone have this definition, as `churn_v1@2`; none for what the project says now.
    pub versions: Vec<String>,
}

impl StoredView {
    /// The view's name, with the versions of services if it is not what the project says now.
    pub(crate) fn label(&self) -> String {
        match self.versions.is_empty() {
            true => self.definition.name.clone(),
            false => format!("{} of {}", self.definition.name, self.versions.join(", ")),
        }
    }
}

/// Every definition of a view that something reads, by what it stores: the project's own and those of served versions.
pub(crate) async fn stored_views(world: &World) -> Result<BTreeMap<u64, StoredView>, EngineError> {
    let mut stored: BTreeMap<u64, StoredView> = BTreeMap::new();
    for version in served(world).await? {
        for definition in &version.definition.views {
            let view = stored
                .entry(definition.space())
                .or_insert_with(|| StoredView { definition: definition.clone(), versions: Vec::new() });
            view.versions.push(format!("{}@{}", version.name, version.version));
        }
    }
    // The project's own come last, so that their names and defaults win.
    let own = world.project.features.views.values().map(|view| view.definition.clone());
    stored.extend(own.map(|view| (view.space(), StoredView { definition: view, versions: Vec::new() })));
    Ok(stored)
}

/// Who pins the versions that the records of a view have.
pub(crate) fn pin_name(space: u64) -> String {
    format!("{PINNED_BY_VIEW}{space:016x}")
}

/// Lets go of the versions that only records had which nothing reads any more.
pub(crate) async fn unpin_unread(world: &World) -> Result<(), EngineError> {
    let read: BTreeSet<String> = stored_views(world).await?.into_keys().map(pin_name).collect();
    let of_views = |pin: &Pin| pin.pinned_by.starts_with(PINNED_BY_VIEW) && !read.contains(&pin.pinned_by);
    let unread: BTreeSet<String> =
        world.state.pins().await?.into_iter().filter(of_views).map(|pin| pin.pinned_by).collect();
    for pinned_by in unread {
        world.state.replace_pins(&pinned_by, &[]).await?;
    }
    Ok(())
}

/// The version that a name stands for: `churn_v1` is what the project says now, or else the newest that is served;
/// `churn_v1@3` is that one.
pub(crate) fn find<'a>(served: &'a [ServedVersion], name: &str) -> Result<&'a ServedVersion, EngineError> {
    let (service, version) = with_version(name);
    let versions = || served.iter().filter(|known| known.name == service);
    let found = match version {
        Some(version) => versions().find(|known| known.version.to_string() == version),
        None => versions().find(|known| known.is_current).or_else(|| versions().next_back()),
    };
    found.ok_or_else(|| {
        let numbers: Vec<String> = versions().map(|known| known.version.to_string()).collect();
        let hint = if numbers.is_empty() {
            let names = served.iter().map(|known| known.name.as_str());
            match millstream_project::nearest(service, names) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "`millstream features list` shows the services".to_owned(),
            }
        } else {
            format!("version {} of `{service}` can be read", numbers.join(", "))
        };
        EngineError::UnknownFeature { what: "service", name: name.to_owned(), hint }
    })
}
