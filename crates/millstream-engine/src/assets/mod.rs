//! The kinds of assets: a folder for each family, which says what its assets are, looks at them, and carries out their steps.
//!
//! A further family is a folder with its [`Kind`], and a line in [`KINDS`]. Nothing else names one.

pub(crate) mod apart;
pub(crate) mod dataset;
pub(crate) mod feature_view;
mod runner;
pub(crate) mod service;
pub(crate) mod source;
pub(crate) mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use millstream_connector::ConnectorConfig;
use millstream_lake::{At, Snapshot};
use millstream_plan::{AssetFacts, AssetKind, Observed, PlannedStep, Recorded};
use millstream_project::{FileId, ProjectSpec};
use millstream_sql::{Analysis, features::FeaturesAnalysis};
use millstream_types::{AssetId, AssetVersion, SourceName, TableName};

use crate::{EngineError, Publisher, RunRequest, engine::World, run::StepResult};

pub(crate) use runner::{StepRunner, check_result};

/// Every family, in the order in which their assets are listed.
static KINDS: [&dyn Kind; 5] =
    [&source::Sources, &table::Tables, &feature_view::FeatureViews, &service::Services, &dataset::Datasets];

/// One family of assets.
#[async_trait]
pub(crate) trait Kind: Send + Sync {
    /// The kinds that the facts of the family's assets name.
    fn words(&self) -> &'static [AssetKind];

    /// The family's assets, as far as the plan may know them.
    fn facts(&self, defined: &Defined<'_>) -> Vec<AssetFacts>;

    /// Adds what the plan is to see of the selected assets, beside what the lake says of its tables.
    async fn look(&self, look: &Look<'_>, observed: &mut Observed) -> Result<(), EngineError>;

    /// Makes one attempt at a step. An attempt has to be safe to repeat after an error, and to drop while it waits.
    async fn attempt(&self, runner: &StepRunner, step: &PlannedStep) -> Result<StepResult, EngineError>;

    /// Whether what the asset's steps make lies on the machine that runs them, where other machines do not find it.
    fn is_local(&self, _world: &World, _asset: &AssetId) -> bool {
        false
    }

    /// Removes the staged files that a failed or cancelled attempt left behind.
    async fn abandon(&self, world: &World, asset: &AssetId);

    /// The error with which a read of the newest version of a built asset would end; `None` when the version can be read.
    async fn unreadable(&self, world: &World, asset: &AssetId) -> Option<EngineError>;
}

/// The parts of a project from which the facts of assets are made, before there is a graph.
#[derive(Clone, Copy)]
pub(crate) struct Defined<'a> {
    pub spec: &'a ProjectSpec,
    pub analysis: &'a Analysis,
    pub features: &'a FeaturesAnalysis,
    pub connectors: &'a BTreeMap<SourceName, Box<dyn ConnectorConfig>>,
}

/// A look at selected assets before a plan.
pub(crate) struct Look<'a> {
    pub world: &'a Arc<World>,
    pub request: &'a RunRequest,
    /// Whether the user named assets, instead of meaning all of them.
    pub names_assets: bool,
    pub recorded: &'a BTreeMap<AssetId, Recorded>,
    /// The assets of the family that are selected.
    pub assets: Vec<&'a AssetFacts>,
    /// By which the run that follows tells what happens, where there is one: the assets are leased, and the run can use what this look
    /// found.
    pub alone: Option<&'a Publisher>,
}

/// The family that an asset belongs to.
pub(crate) fn kind_of(facts: &AssetFacts) -> Result<&'static dyn Kind, EngineError> {
    let fits = |kind: &&&dyn Kind| kind.words().contains(&facts.kind);
    KINDS.iter().find(fits).copied().ok_or(EngineError::Worker { doing: "looking for the kind of an asset" })
}

/// Whether what the steps of an asset make lies on the machine that runs them.
pub(crate) fn is_local(world: &World, asset: &AssetId) -> bool {
    let kind = world.project.graph.get(asset).map(kind_of);
    kind.and_then(Result::ok).is_some_and(|kind| kind.is_local(world, asset))
}

/// The nodes of the project's graph.
pub(crate) fn facts(defined: &Defined<'_>) -> Vec<AssetFacts> {
    KINDS.iter().flat_map(|kind| kind.facts(defined)).collect()
}

/// Lets every family look at those of its assets that are among `selected`.
pub(crate) async fn look(
    world: &Arc<World>,
    request: &RunRequest,
    names_assets: bool,
    selected: &BTreeSet<AssetId>,
    recorded: &BTreeMap<AssetId, Recorded>,
    alone: Option<&Publisher>,
    observed: &mut Observed,
) -> Result<(), EngineError> {
    let graph = &world.project.graph;
    for kind in KINDS {
        let is_meant = |facts: &&AssetFacts| kind.words().contains(&facts.kind);
        let assets: Vec<_> = selected.iter().filter_map(|id| graph.get(id)).filter(is_meant).collect();
        if !assets.is_empty() {
            let look = Look { world, request, names_assets, recorded, assets, alone };
            kind.look(&look, observed).await?;
        }
    }
    Ok(())
}

impl Defined<'_> {
    /// The path of a file, relative to the project's folder.
    pub(crate) fn path(&self, file: FileId) -> String {
        self.spec.files.get(file).map(|file| file.path.display().to_string()).unwrap_or_default()
    }
}

/// What is wrong with a table that was built; `None` when it can be opened.
pub(crate) async fn unreadable_table(world: &World, asset: &AssetId) -> Option<EngineError> {
    let table = table_of(asset).ok()?;
    match world.lake.snapshot(&table, At::Latest).await {
        Ok(Some(_)) => None,
        Ok(None) => Some(EngineError::NeverBuilt { table }),
        Err(error) => Some(error.into()),
    }
}

/// The table that an asset is; an error for assets of other kinds.
pub(crate) fn table_of(asset: &AssetId) -> Result<TableName, EngineError> {
    asset.as_str().parse().map_err(|_| unknown(asset))
}

/// The version of the asset that a table is: it counts the table's commits.
pub(crate) fn version_of(snapshot: &Snapshot) -> AssetVersion {
    AssetVersion::numbered(snapshot.version())
}

pub(crate) fn unknown(asset: &AssetId) -> EngineError {
    EngineError::UnknownAsset { name: asset.to_string(), nearest: None }
}
