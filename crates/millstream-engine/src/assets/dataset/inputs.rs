//! The versions of tables from which a dataset is built.
//!
//! Maintenance makes versions with the rows of the version before. A dataset is then still what it was, and its definition names the
//! versions that were read: so a build reads the versions that the build before has read, as long as their rows are those of the
//! versions that readers have. What a plan compares are the versions that readers have, and these are recorded.

use std::{collections::BTreeMap, sync::Arc};

use millstream_sql::features::AnalyzedDataset;
use millstream_types::{AssetId, AssetVersion, TableName};

use super::{DATASET, manifest};
use crate::{
    EngineError, ReadSet, assets::feature_view::asset_versions, engine::World, features::rows::pushed_table,
    pinning::Pinning, reconcile::same_rows,
};

/// The tables of a dataset, held for a build.
pub(super) struct Inputs {
    pub pinning: Arc<Pinning>,
    /// The versions at which readers have the tables.
    present: BTreeMap<TableName, i64>,
}

impl Inputs {
    /// Holds every table that the build reads.
    pub(super) async fn hold(
        world: &Arc<World>,
        dataset: &str,
        analyzed: &AnalyzedDataset,
        set: ReadSet,
    ) -> Result<Self, EngineError> {
        let pinning = Arc::new(Pinning::new(world).reading(set));
        pinning.pin(&analyzed.dependencies).await?;
        for view in &analyzed.service.views {
            pinning.pin_if_there(&pushed_table(&view.name)?).await?;
        }
        let present = pinning.versions();
        for (table, before) in read_before(world, dataset).await? {
            let Some(version) = present.get(&table).filter(|version| before < **version) else { continue };
            let (from, to) = (AssetVersion::numbered(before), AssetVersion::numbered(*version));
            if same_rows(world, &table, from, to).await? {
                pinning.hold_at(&table, before).await?;
            }
        }
        Ok(Self { pinning, present })
    }

    /// The versions to record, which the next plan compares with those that readers have then.
    pub(super) fn to_record(&self) -> BTreeMap<AssetId, AssetVersion> {
        let mut versions = self.pinning.versions();
        versions.extend(self.present.clone());
        asset_versions(&versions)
    }
}

/// The versions of tables that the newest version of a dataset was built from; none before its first build.
async fn read_before(world: &World, dataset: &str) -> Result<BTreeMap<TableName, i64>, EngineError> {
    let newest = world.state.artifact(DATASET, dataset, None).await?;
    // A manifest that this version cannot read keeps nothing from being built.
    let inputs = newest.and_then(|newest| manifest(&newest).ok()).map(|manifest| manifest.definition.inputs);
    let inputs = inputs.into_iter().flatten();
    Ok(inputs.filter_map(|input| Some((input.table.parse().ok()?, input.version))).collect())
}
