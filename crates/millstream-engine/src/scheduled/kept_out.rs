//! Rows that a table with partitions does not have because their counterpart in another table was missing: when that one has a new version,
//! the table is started to judge them again.

use std::collections::{BTreeMap, BTreeSet};

use millstream_types::{AssetId, AssetVersion};

use super::tenure::Tenure;
use crate::{EngineError, Project, assets::table_of};

/// The tables that have to be asked whether they keep rows out.
#[derive(Debug, Default)]
pub(super) struct KeptOut {
    /// The tables with partitions whose checks look into each asset.
    judges: BTreeMap<AssetId, Vec<AssetId>>,
    /// The assets that have a new version.
    changed: BTreeSet<AssetId>,
}

impl KeptOut {
    pub(super) fn of(project: &Project) -> Self {
        let mut judges: BTreeMap<AssetId, Vec<AssetId>> = BTreeMap::new();
        for facts in project.graph.assets() {
            let table = table_of(&facts.id).ok().and_then(|table| project.table(&table));
            if table.is_some_and(|table| table.partition.is_some()) {
                for related in &facts.checked_against {
                    judges.entry(related.clone()).or_default().push(facts.id.clone());
                }
            }
        }
        Self { judges, changed: BTreeSet::new() }
    }

    /// The asset has a new version.
    pub(super) fn committed(&mut self, asset: &AssetId) {
        if self.judges.contains_key(asset) {
            self.changed.insert(asset.clone());
        }
    }
}

impl Tenure {
    /// Lets tables judge again what they keep out for rows of assets that have new versions. When the state store is away, that is found
    /// out later.
    pub(super) async fn look_at_kept_out(&mut self) -> Result<(), EngineError> {
        let changed = std::mem::take(&mut self.kept_out.changed);
        for asset in changed {
            let judges = self.kept_out.judges.get(&asset).cloned().unwrap_or_default();
            for judge in judges {
                let newest = self.versions.get(&asset);
                // A version by which rows are known to be rightly kept out.
                let is_behind = |settled: &AssetVersion| Some(settled) != newest;
                match self.engine.world().state.partitions(&judge).await {
                    Ok(Some(states)) if states.settled.get(&asset).is_some_and(is_behind) => {
                        let now = self.now();
                        let decisions = self.scheduler.outdated(&judge, now);
                        self.take(decisions, &[]);
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, "it is not known which rows are kept out; trying again");
                        self.kept_out.changed.insert(asset.clone());
                    }
                }
            }
        }
        self.carry_out_taken().await
    }

    /// Whether something is to be asked.
    pub(super) fn has_kept_out(&self) -> bool {
        !self.kept_out.changed.is_empty()
    }
}
