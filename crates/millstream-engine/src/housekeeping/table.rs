//! One table: compacted in rounds under leases, then cleaned beside everybody.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use millstream_lake::{At, LakeError, MaintainOptions, Maintained};
use millstream_state::StateError;
use millstream_types::{AssetId, TableName};
use tokio_util::sync::CancellationToken;

use super::{COMMAND, Quiet};
use crate::{Engine, EngineError, MaintenanceReport, Publisher, maintain::report};

/// A round of compaction reads files of so many bytes: a few seconds' work, for which steps of the asset wait at most.
const ROUND_BYTES: u64 = 256 << 20;

/// How long a table is compacted at most, rounds and pauses together; what is left is for the next time.
const COMPACT_MAX: Duration = Duration::from_secs(20 * 60);

/// How long housekeeping waits until others are done with a table before it goes on with another.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// How long it waits, before each round, until nothing else is at work in this process.
const QUIET_MAX: Duration = Duration::from_secs(30);

/// The pause between two rounds. Whoever waits for the lease of the table asks more often than that.
const PAUSE: Duration = Duration::from_secs(1);

/// Longer than a reader takes from opening a version to being on record with it.
const READERS: Duration = Duration::from_secs(60 * 60);

/// What became of a table.
pub(super) enum Tidied {
    Done(MaintenanceReport),
    /// Another tool has made it a table that only that tool may tidy.
    Foreign(MaintenanceReport),
    /// Others are at work on it.
    Busy,
    /// There is no such table, or something else has to be done first.
    Not,
}

impl Engine {
    /// Tidies one table. What it does stays done when this is dropped.
    pub(super) async fn tidy_table(
        &self,
        table: &TableName,
        quiet: &mut Quiet,
        events: &Publisher,
        cancel: &CancellationToken,
    ) -> Result<Tidied, EngineError> {
        let (world, began) = (self.world(), Instant::now());
        if world.lake.snapshot(table, At::Latest).await?.is_none() {
            return Ok(Tidied::Not);
        }
        let mut done = Maintained::default();
        let writers = self.writers_of(table).await?;
        loop {
            quiet.wait(QUIET_MAX).await;
            let lease = match world.lease(COMMAND, &writers, BUSY_MAX, events, cancel).await {
                Ok(lease) => lease,
                Err(EngineError::State(StateError::Locked { .. })) => return Ok(Tidied::Busy),
                Err(error) => return Err(error),
            };
            let round = tokio::select! {
                round = self.round(table) => round,
                reason = lease.over() => Err(reason),
            };
            lease.end().await;
            match round {
                Ok(Some(round)) => done = done.and(round),
                Ok(None) => return Ok(Tidied::Not),
                Err(EngineError::Lake(error @ LakeError::Unsupported { .. })) => {
                    return Ok(Tidied::Foreign(MaintenanceReport::left_alone(table, error.to_string())));
                }
                Err(error) => return Err(error),
            }
            if done.files_left == 0 || began.elapsed() > COMPACT_MAX {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        let options = self.options_of(table).await?;
        let cleaned = world.lake.clean(table, &options).await?;
        let files_left = done.files_left;
        Ok(match cleaned {
            Some(cleaned) => {
                let done = Maintained { files_left, ..done.and(cleaned) };
                Tidied::Done(report(table, &done, &options))
            }
            None => Tidied::Not,
        })
    }

    /// One round of compaction; `None` when the table is not to be tidied now.
    async fn round(&self, table: &TableName) -> Result<Option<Maintained>, EngineError> {
        if !self.may_be_tidied(table).await? {
            return Ok(None);
        }
        let now = self.world().options.clock.now();
        let options = MaintainOptions { compact_bytes: ROUND_BYTES, ..MaintainOptions::at(now) };
        self.compact_table(table, &options).await
    }

    /// What may go: neither what the policy keeps, nor what is pinned or read, nor what work that goes on now may have opened.
    async fn options_of(&self, table: &TableName) -> Result<MaintainOptions, EngineError> {
        let world = self.world();
        let (now, policy) = (world.options.clock.now(), &world.project.spec.housekeeping);
        let mut pinned = self.pinned().await?.remove(table).unwrap_or_default();
        // The newest version is kept by itself.
        let newest = world.lake.snapshot(table, At::Latest).await?;
        pinned.retain(|version| newest.as_ref().is_none_or(|newest| *version < newest.version()));
        let assets: BTreeSet<&AssetId> = world.project.graph.assets().iter().map(|asset| &asset.id).collect();
        let leases = world.state.leases(now).await?;
        let working = leases.iter().filter(|lease| lease.assets.iter().any(|asset| assets.contains(asset)));
        let longest = working.map(|lease| lease.holder.age(now)).max().unwrap_or_default();
        let retention = policy.files.as_std().max(longest + READERS);
        Ok(MaintainOptions { retention, pinned, ..MaintainOptions::at(now) })
    }

    /// The assets whose steps a new version of the table could disturb: its own, and those that read it or have read it.
    async fn writers_of(&self, table: &TableName) -> Result<Vec<AssetId>, EngineError> {
        let world = self.world();
        let graph = &world.project.graph;
        let owner = table.rejected_of().map_or_else(|| table.asset_id(), |owner| owner.asset_id());
        let tables = [table.asset_id(), owner];
        let reads = |asset: &&millstream_plan::AssetFacts| {
            tables.contains(&asset.id) || graph.stored_inputs(&asset.id).any(|input| tables.contains(input))
        };
        let mut assets: BTreeSet<AssetId> =
            graph.assets().iter().filter(reads).map(|asset| asset.id.clone()).collect();
        for (asset, recorded) in world.state.recorded().await? {
            if recorded.input_versions.keys().any(|input| tables.contains(input))
                && graph.get(&asset).is_some()
            {
                assets.insert(asset);
            }
        }
        Ok(assets.into_iter().collect())
    }
}
