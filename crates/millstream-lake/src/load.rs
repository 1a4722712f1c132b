//! Finds versions and builds their snapshots: from the newest checkpoint below, then commit by commit.

use std::sync::Arc;

use futures::future::BoxFuture;
use millstream_types::{TableName, TimestampMicros};

use crate::{
    Lake,
    error::{LakeError, Result},
    listing::Listing,
    log::COMMITS_AT_A_TIME,
    snapshot::{At, Snapshot},
    state::LogState,
};

impl Lake {
    /// The newest version of `table`, `None` when there is no such table. Where the caller passes the newest version that
    /// it knows as `known`, this takes one or two look-ups of files instead of a listing.
    pub fn probe<'a>(
        &'a self,
        table: &'a TableName,
        known: Option<i64>,
    ) -> BoxFuture<'a, Result<Option<i64>>> {
        Box::pin(async move {
            let storage = self.storage();
            if let Some(known) = known.filter(|known| (0..i64::MAX).contains(known)) {
                let newest = self.newest_after(table, known).await?;
                // While the known commit is there, no clean-up can have removed what follows it, and nobody
                // has deleted the table.
                if newest > known || storage.commit_exists(table, known).await? {
                    return Ok(Some(newest));
                }
            }
            Ok(storage.list_log(table).await?.latest())
        })
    }

    /// The last version that follows `known` without a gap.
    async fn newest_after(&self, table: &TableName, known: i64) -> Result<i64> {
        let mut newest = known;
        while self.storage().commit_exists(table, newest + 1).await? {
            newest += 1;
        }
        Ok(newest)
    }

    /// One version of `table`, `None` when there is no such table. The newest snapshot of each table is
    /// kept and brought up to date by the commits it lacks.
    pub fn snapshot<'a>(
        &'a self,
        table: &'a TableName,
        at: At,
    ) -> BoxFuture<'a, Result<Option<Arc<Snapshot>>>> {
        Box::pin(async move {
            match at {
                At::Latest => self.latest(table).await,
                At::Version(version) => self.at_version(table, version).await,
                At::Timestamp(instant) => self.at_instant(table, instant).await,
            }
        })
    }

    async fn latest(&self, table: &TableName) -> Result<Option<Arc<Snapshot>>> {
        if let Some(known) = self.known(table).await? {
            let newest = self.newest_after(table, known.version()).await?;
            if newest == known.version() {
                return Ok(Some(known));
            }
            if let Some(state) = self.forward(known.state().clone(), newest).await? {
                return Ok(Some(self.remember(Snapshot::of(state, Some(&known))?)));
            }
            self.forget(table);
        }
        let listing = self.storage().list_log(table).await?;
        let Some(newest) = listing.latest() else { return Ok(None) };
        let snapshot = self.load(table, &listing, newest).await?;
        Ok(Some(self.remember(snapshot)))
    }

    /// The snapshot that is kept of the table, unless its commit is another's by now: a table that was deleted and made again, of
    /// which the kept one says nothing.
    async fn known(&self, table: &TableName) -> Result<Option<Arc<Snapshot>>> {
        let Some(known) = self.cached(table) else { return Ok(None) };
        let mark = self.storage().commit_mark(table, known.version()).await?;
        if mark.is_some_and(|mark| self.recognises(&known, &mark)) {
            return Ok(Some(known));
        }
        self.forget(table);
        Ok(None)
    }

    async fn at_version(&self, table: &TableName, version: i64) -> Result<Option<Arc<Snapshot>>> {
        if let Some(known) = self.known(table).await? {
            if known.version() == version {
                return Ok(Some(known));
            }
            if known.version() < version
                && self.storage().commit_exists(table, version).await?
                && let Some(state) = self.forward(known.state().clone(), version).await?
            {
                return Ok(Some(Arc::new(Snapshot::of(state, Some(&known))?)));
            }
        }
        let listing = self.storage().list_log(table).await?;
        let Some((earliest, latest)) = listing.earliest().zip(listing.latest()) else { return Ok(None) };
        if !(earliest..=latest).contains(&version) {
            return Err(LakeError::VersionUnavailable {
                table: table.clone(),
                wanted: version,
                earliest,
                latest,
            });
        }
        Ok(Some(Arc::new(self.load(table, &listing, version).await?)))
    }

    async fn at_instant(&self, table: &TableName, wanted: TimestampMicros) -> Result<Option<Arc<Snapshot>>> {
        let listing = self.storage().list_log(table).await?;
        let Some((earliest, latest)) = listing.earliest().zip(listing.latest()) else { return Ok(None) };
        let first = self.commit_time(table, &listing, earliest).await?;
        if wanted < first {
            let earliest = first;
            return Err(LakeError::TimestampUnavailable { table: table.clone(), wanted, earliest });
        }
        let version = self.current_at(table, &listing, earliest, latest, wanted).await?;
        self.at_version(table, version).await
    }

    /// The version that was current at `instant`; `earliest` when even that one is younger.
    pub(crate) async fn current_at(
        &self,
        table: &TableName,
        listing: &Listing,
        earliest: i64,
        latest: i64,
        instant: TimestampMicros,
    ) -> Result<i64> {
        // Commit times rise with versions, so halving finds the last that is not later.
        let (mut low, mut high) = (earliest, latest);
        while low < high {
            let middle = low + (high - low + 1) / 2;
            if self.commit_time(table, listing, middle).await? <= instant {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        Ok(low)
    }

    /// When `version` was committed or, where its commit is cleaned away, when its checkpoint was written.
    pub(crate) async fn commit_time(
        &self,
        table: &TableName,
        listing: &Listing,
        version: i64,
    ) -> Result<TimestampMicros> {
        if listing.commits.contains(&version)
            && let Some(commit) = self.storage().read_commit(table, version).await?
            && let Some(time) = self.storage().commit_time(table, &commit).await?
        {
            return Ok(time);
        }
        let checkpoint = listing.checkpoints.get(&version);
        Ok(TimestampMicros::from_ms(checkpoint.map_or(0, |files| files.modified_ms)))
    }

    /// `state` brought forward to `version`, `None` when a commit on the way is gone.
    async fn forward(&self, state: LogState, version: i64) -> Result<Option<LogState>> {
        let mut next = state;
        while next.version < version {
            let from = next.version + 1;
            let to = version.min(next.version.saturating_add(COMMITS_AT_A_TIME));
            let Some(commits) = self.storage().read_some(&next.table, from, to).await? else {
                return Ok(None);
            };
            for commit in commits {
                // The store is asked only for the wanted version's time; a commit on the way that says none gets that of
                // the one before.
                let time = if commit.version == version {
                    self.storage().commit_time(&next.table, &commit).await?
                } else {
                    commit.committed_at()
                };
                let time = time.unwrap_or(next.committed_at);
                next = next.apply(commit, time)?;
            }
        }
        Ok(Some(next))
    }

    pub(crate) async fn load(&self, table: &TableName, listing: &Listing, version: i64) -> Result<Snapshot> {
        // The listing is asked for gaps, because a stray file with a far number would have billions of versions looked
        // for. A commit that came while the log was listed may be absent from the listing although a later one is in it.
        let mut start = listing.checkpoint_at_or_before(version).map_or(0, |(checkpoint, _)| checkpoint + 1);
        while let Some(gap) = listing.gap(start, version) {
            if !self.storage().commit_exists(table, gap).await? {
                return Err(missing(table, gap));
            }
            start = gap + 1;
        }
        let base = self.load_base(table, listing, version).await?;
        let next = base.version + 1;
        let state = self.forward(base, version).await?;
        Snapshot::of(state.ok_or_else(|| missing(table, next))?, None)
    }

    /// The state that `version` is built from: the newest readable checkpoint at or below it, or version 0.
    async fn load_base(&self, table: &TableName, listing: &Listing, version: i64) -> Result<LogState> {
        let mut start = version;
        while let Some((checkpoint, files)) = listing.checkpoint_at_or_before(start) {
            let time = self.commit_time(table, listing, checkpoint).await?;
            let time = if time.0 == 0 { TimestampMicros::from_ms(files.modified_ms) } else { time };
            match self.load_checkpoint(table, checkpoint, files, time).await {
                Err(error @ LakeError::Log { .. }) => {
                    start = listing.start_before_damage(table, checkpoint, version, error)?;
                }
                loaded => return loaded,
            }
        }
        let commit = self.storage().read_commit(table, 0).await?.ok_or_else(|| missing(table, 0))?;
        let time = self.storage().commit_time(table, &commit).await?.unwrap_or(TimestampMicros(0));
        LogState::first(table, commit, time)
    }
}

fn missing(table: &TableName, version: i64) -> LakeError {
    let source = "the commit is missing".into();
    LakeError::Log { table: table.clone(), version: Some(version), source }
}
