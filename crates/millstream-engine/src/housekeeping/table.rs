//! One table: compacted in rounds under leases, then cleaned beside everybody.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use millstream_lake::{At, LakeError, MaintainOptions, Maintained};
use millstream_state::StateError;
use millstream_types::{AssetId, TableName};
use tokio_util::sync::CancellationToken;

use super::{COMMAND, Quiet, served};
use crate::{
    Engine, EngineError, MaintenanceReport, Publisher,
    assets::feature_view,
    features::rows,
    maintain::{Standing, report},
};

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
    /// Others are at work on it, so that it was not compacted; what else was done to it.
    Busy(Option<MaintenanceReport>),
    /// Something else has to be done first.
    Held(String),
    /// There is no such table.
    Gone,
}

/// How the compaction of a table ended.
enum Compacted {
    Done(Maintained),
    Busy(Maintained),
    Instead(Tidied),
}

/// What one round under the table's lease did.
enum Round {
    Done(Maintained),
    Busy,
    Held(String),
    Gone,
}

impl Engine {
    /// Tidies one table. It ends soon after `cancel`, with no lease left behind; what it did until then stays done.
    pub(super) async fn tidy_table(
        &self,
        table: &TableName,
        quiet: &mut Quiet,
        events: &Publisher,
        cancel: &CancellationToken,
    ) -> Result<Tidied, EngineError> {
        let tidied = async {
            let writers = self.writers_of(table).await?;
            let (done, is_busy) = match self.compact_in_rounds(table, &writers, quiet, events, cancel).await?
            {
                Compacted::Done(done) => (done, false),
                Compacted::Busy(done) => (done, true),
                Compacted::Instead(tidied) => return Ok(tidied),
            };
            let options = self.options_of(table, &writers).await?;
            let cleaned = tokio::select! {
                cleaned = self.world().lake.clean(table, &options) => cleaned?,
                () = cancel.cancelled() => return Err(EngineError::Cancelled),
            };
            let Some(cleaned) = cleaned else { return Ok(Tidied::Gone) };
            let done = Maintained { files_left: done.files_left, ..done.and(cleaned) };
            let report = report(table, &done, &options);
            Ok(if is_busy { Tidied::Busy(Some(report)) } else { Tidied::Done(report) })
        };
        match tidied.await {
            Err(EngineError::Lake(error @ LakeError::Unsupported { .. })) => {
                Ok(Tidied::Foreign(MaintenanceReport::left_alone(table, error.to_string())))
            }
            tidied => tidied,
        }
    }

    /// Compacts a table in rounds, each under a lease. Where nothing is to compact nobody is waited for.
    async fn compact_in_rounds(
        &self,
        table: &TableName,
        writers: &[AssetId],
        quiet: &mut Quiet,
        events: &Publisher,
        cancel: &CancellationToken,
    ) -> Result<Compacted, EngineError> {
        let (world, began) = (self.world(), Instant::now());
        let mut done = Maintained::default();
        loop {
            let standing = self.standing(table).await?;
            let options = MaintainOptions::at(world.options.clock.now());
            match world.lake.small_files(table, &options).await? {
                None => return Ok(Compacted::Instead(Tidied::Gone)),
                // A table that nobody is known to write is under no lease; it is only cleaned.
                Some(small)
                    if standing == Standing::Free
                        && (small == 0 || writers.is_empty() && !served::is_served(table)) =>
                {
                    return Ok(Compacted::Done(Maintained { files_left: 0, ..done }));
                }
                Some(_) => {}
            }
            tokio::select! {
                () = quiet.wait(QUIET_MAX) => {}
                () = cancel.cancelled() => return Err(EngineError::Cancelled),
            }
            match self.round_leased(table, writers, events, cancel).await? {
                Round::Done(round) => done = done.and(round),
                Round::Gone => return Ok(Compacted::Instead(Tidied::Gone)),
                Round::Held(because) => return Ok(Compacted::Instead(Tidied::Held(because))),
                Round::Busy if standing == Standing::Free => return Ok(Compacted::Busy(done)),
                // Whoever works on it may be about what has to be done first.
                Round::Busy => return Ok(Compacted::Instead(Tidied::Busy(None))),
            }
            if done.files_left == 0 || began.elapsed() > COMPACT_MAX {
                return Ok(Compacted::Done(done));
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = cancel.cancelled() => return Err(EngineError::Cancelled),
            }
        }
    }

    /// One round of compaction under the leases of those whom it could disturb.
    async fn round_leased(
        &self,
        table: &TableName,
        writers: &[AssetId],
        events: &Publisher,
        cancel: &CancellationToken,
    ) -> Result<Round, EngineError> {
        let world = self.world();
        if served::is_served(table) {
            return self.round_alone(table).await;
        }
        let lease = match world.lease(COMMAND, writers, BUSY_MAX, events, cancel).await {
            Ok(lease) => lease,
            Err(EngineError::State(StateError::Locked { .. })) => return Ok(Round::Busy),
            Err(error) => return Err(error),
        };
        let round = tokio::select! {
            round = self.round(table) => round,
            reason = lease.over() => Err(reason),
        };
        // What the round has staged is nobody's, and as long as the lease is held nothing else is staged. Once the lease is lost, a
        // step may have staged files too: then they stay, until they are a day old.
        if round.is_err() && lease.hold().await.is_ok() {
            world.lake.abandon(table).await;
        }
        lease.end().await;
        round
    }

    /// A round of the table that the server itself writes now and then, which waits meanwhile. Another process may write it too.
    async fn round_alone(&self, table: &TableName) -> Result<Round, EngineError> {
        let world = self.world();
        let _alone = world.served.lock().await;
        let round = self.round(table).await;
        if round.is_err() {
            world.lake.abandon(table).await;
        }
        match round {
            Err(EngineError::Lake(LakeError::Conflict { .. })) => Ok(Round::Busy),
            round => round,
        }
    }

    async fn round(&self, table: &TableName) -> Result<Round, EngineError> {
        match self.standing(table).await? {
            Standing::Free => {}
            Standing::Held(because) => return Ok(Round::Held(because)),
            Standing::Gone => return Ok(Round::Gone),
        }
        let now = self.world().options.clock.now();
        let options = MaintainOptions { compact_bytes: ROUND_BYTES, ..MaintainOptions::at(now) };
        Ok(self.compact_table(table, &options).await?.map_or(Round::Gone, Round::Done))
    }

    /// What may go: neither what the policy keeps, nor what is pinned or read, nor what work on the table, or on those that read it, may have
    /// opened.
    async fn options_of(
        &self,
        table: &TableName,
        writers: &[AssetId],
    ) -> Result<MaintainOptions, EngineError> {
        let world = self.world();
        let (now, policy) = (world.options.clock.now(), &world.project.spec.housekeeping);
        let mut pinned = self.pinned().await?.remove(table).unwrap_or_default();
        // The newest version is kept by itself.
        let newest = world.lake.snapshot(table, At::Latest).await?;
        pinned.retain(|version| newest.as_ref().is_none_or(|newest| *version < newest.version()));
        let leases = world.state.leases(now).await?;
        let working = leases.iter().filter(|lease| writers.iter().any(|asset| lease.assets.contains(asset)));
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
            // A pipeline holds its lease for as long as it works, and reads the events of its sources from the log.
            let reads =
                !asset.follows_events && graph.stored_inputs(&asset.id).any(|input| tables.contains(input));
            tables.contains(&asset.id) || reads
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
        // Its step appends what was pushed, whether the project or only a stored version of a service still has the view.
        assets.extend(rows::view_of_pushed(table).map(feature_view::id));
        Ok(assets.into_iter().collect())
    }
}
