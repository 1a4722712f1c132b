//! Versions of services: the project's own are recorded when they change, and every one is served until it is removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use millstream_features::view::{ServiceDefinition, ViewDefinition};
use millstream_online::OnlineStore;
use millstream_state::{Artifact, NewArtifact, Pin, Sameness};
use millstream_types::TimestampMicros;

use super::SERVICE;
use crate::{EngineError, assets::feature_view::progress, engine::World};

/// The beginning of the names under which versions are pinned for the records of a view.
const PINNED_BY_VIEW: &str = "view ";

/// The name of a service, and the hash of one of its definitions.
pub(crate) type DefinitionKey = (String, String);

/// One version of a service that can be read.
#[derive(Clone, Debug)]
pub struct ServedVersion {
    pub name: String,
    pub version: i64,
    /// The hash of its definition.
    pub hash: String,
    /// Whether the version is the one that the project defines now.
    pub is_current: bool,
    /// The time at which the version was recorded.
    pub at: TimestampMicros,
    pub definition: Arc<ServiceDefinition>,
    /// The project's definition, which answers alike, where it is stored otherwise: another feature of a view has changed. It
    /// takes over once its views are materialised.
    pub next: Option<Arc<ServiceDefinition>>,
}

/// A version on record that is served.
struct Known {
    artifact: Artifact,
    /// The project's own definition, if that is what this version has.
    own: Option<Arc<ServiceDefinition>>,
}

/// Every version that is served, sorted by name and version. Records nothing: a definition of the project that no version has
/// yet is none of them.
pub(crate) async fn recorded(world: &World) -> Result<Vec<ServedVersion>, EngineError> {
    known(world).await?.into_iter().map(served).collect()
}

/// Records the present definitions of the project's services, and returns every version that is served, sorted by name and
/// version.
pub(crate) async fn record_own(world: &World) -> Result<Vec<ServedVersion>, EngineError> {
    let before = known(world).await?;
    let mut is_news = false;
    for (name, service) in &world.project.features.services {
        let definition = &service.definition;
        let text = serde_json::to_string(definition)
            .map_err(|source| EngineError::Definition { name: name.clone(), source })?;
        let known = before.iter().find(|known| known.artifact.name == *name && known.own.is_some());
        let hash = match known {
            Some(known) if known.artifact.definition == text || known.is_behind() => continue,
            Some(known) => known.artifact.hash.clone(),
            None => definition.version(),
        };
        record(world, name, &hash, &text).await?;
        is_news = true;
    }
    match is_news {
        true => recorded(world).await,
        false => before.into_iter().map(served).collect(),
    }
}

/// Lets versions follow the project's definitions, which answer alike, once the views are materialised as the project has them
/// now. What only the definitions before had stored is kept up to date no longer.
pub(crate) async fn follow(world: &World, store: &dyn OnlineStore) -> Result<(), EngineError> {
    let mut has_followed = false;
    for known in known(world).await?.iter().filter(|known| known.is_behind()) {
        let Some(own) = &known.own else { continue };
        let mut is_ready = true;
        for view in &own.views {
            let done = progress::read(store, view.space()).await?;
            is_ready &= done.is_some_and(|done| done.has_values());
        }
        if is_ready {
            let name = &known.artifact.name;
            let text = serde_json::to_string(own.as_ref())
                .map_err(|source| EngineError::Definition { name: name.clone(), source })?;
            record(world, name, &known.artifact.hash, &text).await?;
            has_followed = true;
        }
    }
    if has_followed { unpin_unread(world).await } else { Ok(()) }
}

/// Every definition of a service that is served, or would be once the project's own are recorded, by the service's name and the
/// definition's hash. Records nothing.
pub(crate) async fn definitions(
    world: &World,
) -> Result<BTreeMap<DefinitionKey, Arc<ServiceDefinition>>, EngineError> {
    let recorded = recorded(world).await?;
    let mut definitions = BTreeMap::new();
    for (name, service) in &world.project.features.services {
        if !recorded.iter().any(|version| version.name == *name && version.is_current) {
            let definition = &service.definition;
            definitions.insert((name.clone(), definition.version()), Arc::new(definition.clone()));
        }
    }
    definitions
        .extend(recorded.into_iter().map(|version| ((version.name, version.hash), version.definition)));
    Ok(definitions)
}

async fn known(world: &World) -> Result<Vec<Known>, EngineError> {
    let recorded = world.state.artifacts(SERVICE).await?;
    let recorded = recorded.into_iter().filter(|artifact| artifact.removed_at.is_none());
    let mut known: Vec<_> = recorded.map(|artifact| Known { artifact, own: None }).collect();
    for (name, service) in &world.project.features.services {
        let definition = &service.definition;
        let hash = definition.version();
        let is_own = |artifact: &Artifact| {
            let answers_alike = || defined(artifact).is_ok_and(|known| known.answers_as(definition));
            artifact.name == *name && (artifact.hash == hash || answers_alike())
        };
        // Versions are sorted, and the newest one stands for the definition.
        if let Some(newest) = known.iter_mut().rev().find(|known| is_own(&known.artifact)) {
            newest.own = Some(Arc::new(definition.clone()));
        }
    }
    Ok(known)
}

impl Known {
    /// Whether the record's views are stored otherwise than the project's.
    fn is_behind(&self) -> bool {
        let spaces = |definition: &ServiceDefinition| -> Vec<u64> {
            definition.views.iter().map(ViewDefinition::space).collect()
        };
        match (&self.own, defined(&self.artifact)) {
            (Some(own), Ok(known)) => spaces(own) != spaces(&known),
            _ => false,
        }
    }
}

fn served(known: Known) -> Result<ServedVersion, EngineError> {
    let (is_current, is_behind) = (known.own.is_some(), known.is_behind());
    let (definition, next) = match known.own {
        Some(own) if !is_behind => (own, None),
        own => (Arc::new(defined(&known.artifact)?), own),
    };
    let Artifact { name, version, hash, at, .. } = known.artifact;
    Ok(ServedVersion { name, version, hash, is_current, at, definition, next })
}

/// The definition that was recorded.
fn defined(known: &Artifact) -> Result<ServiceDefinition, EngineError> {
    serde_json::from_str(&known.definition)
        .map_err(|source| EngineError::Definition { name: known.name.clone(), source })
}

/// Records a definition. One that was there before has the version that it had then, and is served again, even if other
/// definitions came in between.
async fn record(world: &World, name: &str, hash: &str, definition: &str) -> Result<(), EngineError> {
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
    world.state.record_artifact(&artifact).await?;
    Ok(())
}

/// Ends the serving of a version.
pub(crate) async fn remove(world: &World, version: &ServedVersion) -> Result<(), EngineError> {
    let now = world.options.clock.now();
    world.state.remove_artifact(SERVICE, &version.name, version.version, now).await?;
    Ok(())
}

/// A name and the version behind it: `churn@2` and `churn@v2` have version 2, `churn` has none.
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
    let served = recorded(world).await?;
    let named = |version: &ServedVersion| format!("{}@{}", version.name, version.version);
    Ok(views_of(world, served.iter().map(|version| (named(version), version.definition.as_ref()))))
}

/// The same of services that have these names.
pub(crate) fn views_of<'a>(
    world: &World,
    services: impl Iterator<Item = (String, &'a ServiceDefinition)>,
) -> BTreeMap<u64, StoredView> {
    let mut stored: BTreeMap<u64, StoredView> = BTreeMap::new();
    for (name, service) in services {
        for definition in &service.views {
            let view = stored
                .entry(definition.space())
                .or_insert_with(|| StoredView { definition: definition.clone(), versions: Vec::new() });
            view.versions.push(name.clone());
        }
    }
    // The project's own come last, so that their names and defaults win.
    let own = world.project.features.views.values().map(|view| view.definition.clone());
    stored.extend(own.map(|view| (view.space(), StoredView { definition: view, versions: Vec::new() })));
    stored
}

/// The name under which the versions in the records of a view are pinned.
pub(crate) fn pin_name(space: u64) -> String {
    format!("{PINNED_BY_VIEW}{space:016x}")
}

/// Unpins the versions that were pinned for records that nothing reads any more.
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

/// The version that a name stands for: `churn_v1` is the version that the project defines now, or else the newest one that
/// is served; `churn_v1@3` is version 3.
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
