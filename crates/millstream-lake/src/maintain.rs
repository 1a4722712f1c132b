//! Maintenance, never on the hot path: compaction, checkpoint, log clean-up, vacuum.
//!
//! What can be lost: versions older than the retention that nothing pins. Never the newest version, a
//! pinned one, one inside the retention, or a file that may still be committed.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt, future::BoxFuture};
use millstream_query::{Execution, Order, QueryRuntime, scan};
use millstream_types::{TableName, TimestampMicros};
use object_store::ObjectStoreExt;

use crate::{
    Lake, LakeTable,
    change::{Operation, TableChange},
    commit::blocking,
    durable,
    duties::check_writable,
    error::{LakeError, Result},
    file::{DataFile, StagedFile},
    listing::{CheckpointFiles, Listing, commit_name},
    retention::retention,
    snapshot::{At, Snapshot},
    storage::LOG_FOLDER,
    writer::WriteOptions,
};

/// A checkpoint is worth its cost after this many commits.
const COMMITS_PER_CHECKPOINT: i64 = 10;

/// What maintenance may do, and from which instant it looks back.
#[derive(Clone, Debug)]
pub struct MaintainOptions {
    /// Files much smaller than this are put together.
    pub target_bytes: u64,
    /// Compaction takes files of so many bytes together, and one group of files at least; what is left is for the next call. So
    /// a call takes a bounded time, however much there is to do.
    pub compact_bytes: u64,
    /// Versions that were current within this time stay readable, or within the table's own time where that is longer.
    pub retention: Duration,
    /// Files that no version lists are deleted only at this age: they may be about to be committed.
    pub staged_grace: Duration,
    /// Versions that stay readable at any age.
    pub pinned: BTreeSet<i64>,
    pub now: TimestampMicros,
}

impl MaintainOptions {
    /// The usual options: a week of versions, files of 128 MiB, all of them in one call, and a day for uncommitted files.
    #[must_use]
    pub fn at(now: TimestampMicros) -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self {
            target_bytes: 128 << 20,
            compact_bytes: u64::MAX,
            retention: 7 * day,
            staged_grace: day,
            pinned: BTreeSet::new(),
            now,
        }
    }

    /// The instant that lies `age` ago; what is from before it is old.
    pub(crate) fn before(&self, age: Duration) -> TimestampMicros {
        let micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        TimestampMicros(self.now.0.saturating_sub(micros))
    }
}

/// What maintenance did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// The version that compaction made, if there was something to compact.
    pub compacted: Option<i64>,
    pub files_compacted: usize,
    pub files_written: usize,
    /// The number of small files that a further call puts together.
    pub files_left: usize,
    /// The version of the checkpoint that was written.
    pub checkpoint: Option<i64>,
    pub log_files_deleted: usize,
    pub data_files_deleted: usize,
    pub bytes_deleted: u64,
    /// The number of files that no kept version lists, and that stay because they are too young.
    pub data_files_young: usize,
    pub bytes_young: u64,
    /// The oldest version that can still be read.
    pub earliest: i64,
}

impl Maintained {
    /// What was done to a table first and `later`, as one.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            compacted: later.compacted.or(self.compacted),
            files_compacted: self.files_compacted + later.files_compacted,
            files_written: self.files_written + later.files_written,
            checkpoint: later.checkpoint.or(self.checkpoint),
            log_files_deleted: self.log_files_deleted + later.log_files_deleted,
            data_files_deleted: self.data_files_deleted + later.data_files_deleted,
            bytes_deleted: self.bytes_deleted + later.bytes_deleted,
            ..later
        }
    }
}

impl Lake {
    /// Puts small files together, writes a checkpoint, and deletes what neither the retention nor a pin
    /// needs. `None` when there is no such table, [`LakeError::Unsupported`] when Millstream may not write to it. Safe
    /// beside writers and readers. Rows are read by `runtime`, which must know the lake's store, see [`Lake::register`]; they
    /// stream by and take none of the memory that queries share.
    pub fn maintain<'a>(
        &'a self,
        runtime: &'a dyn QueryRuntime,
        table: &'a TableName,
        options: &'a MaintainOptions,
    ) -> BoxFuture<'a, Result<Option<Maintained>>> {
        Box::pin(async move {
            let Some(compacted) = self.compact(runtime, table, options).await? else { return Ok(None) };
            Ok(self.clean(table, options).await?.map(|cleaned| compacted.and(cleaned)))
        })
    }

    /// The first half of [`Lake::maintain`]: puts small files together, in one commit that changes no row. A writer who replaces
    /// files of the same table meanwhile is in the way of this, and this of the writer.
    pub fn compact<'a>(
        &'a self,
        runtime: &'a dyn QueryRuntime,
        table: &'a TableName,
        options: &'a MaintainOptions,
    ) -> BoxFuture<'a, Result<Option<Maintained>>> {
        Box::pin(async move {
            let Some(snapshot) = self.snapshot(table, At::Latest).await? else { return Ok(None) };
            // Only a writer that knows all that the table asks of its writers may delete and rewrite.
            check_writable(table, snapshot.protocol())?;
            let mut done = Maintained::default();
            self.put_together(runtime, &snapshot, options, &mut done).await?;
            Ok(Some(done))
        })
    }

    /// The number of small files that [`Lake::compact`] would put together in as many calls as that takes. Reads no row.
    pub fn small_files<'a>(
        &'a self,
        table: &'a TableName,
        options: &'a MaintainOptions,
    ) -> BoxFuture<'a, Result<Option<usize>>> {
        Box::pin(async move {
            let Some(snapshot) = self.snapshot(table, At::Latest).await? else { return Ok(None) };
            check_writable(table, snapshot.protocol())?;
            Ok(Some(bins(snapshot.files(), options.target_bytes).iter().map(Vec::len).sum()))
        })
    }

    /// The second half of [`Lake::maintain`]: writes a checkpoint, and deletes what neither the retention nor a pin needs. It
    /// makes no version, so that nobody who writes is in its way.
    pub fn clean<'a>(
        &'a self,
        table: &'a TableName,
        options: &'a MaintainOptions,
    ) -> BoxFuture<'a, Result<Option<Maintained>>> {
        Box::pin(async move {
            let Some(snapshot) = self.snapshot(table, At::Latest).await? else { return Ok(None) };
            check_writable(table, snapshot.protocol())?;
            let mut done = Maintained::default();
            let listing = self.storage().list_log(table).await?;
            self.checkpoint(&snapshot, &listing, options, &mut done).await?;
            let listing = self.storage().list_log(table).await?;
            let Some(retention) = retention(&snapshot.metadata().configuration, options.retention) else {
                done.earliest = listing.earliest().unwrap_or(0);
                return Ok(Some(done));
            };
            let options = MaintainOptions { retention, ..options.clone() };
            let kept = self.first_kept(&snapshot, &listing, &options).await?;
            let listing = self.checkpoint_kept(&snapshot, listing, kept, &options).await?;
            self.clean_log(table, &listing, kept, &mut done).await?;
            // Every version that the log still offers has to keep its files.
            self.vacuum(&snapshot, kept.min(done.earliest), &options, &mut done).await?;
            Ok(Some(done))
        })
    }

    /// The oldest version that the retention or a pin needs.
    async fn first_kept(
        &self,
        snapshot: &Snapshot,
        listing: &Listing,
        options: &MaintainOptions,
    ) -> Result<i64> {
        let cutoff = options.before(options.retention);
        let (table, latest) = (snapshot.table(), snapshot.version());
        let earliest = listing.earliest().unwrap_or(latest);
        let kept = self.current_at(table, listing, earliest, latest, cutoff).await?;
        let pinned = options.pinned.iter().copied().filter(|version| *version >= 0).min();
        // A pinned version that is gone already cannot be kept any more.
        Ok(pinned.map_or(kept, |pinned| pinned.max(earliest).min(kept)))
    }

    async fn put_together(
        &self,
        runtime: &dyn QueryRuntime,
        snapshot: &Snapshot,
        options: &MaintainOptions,
        done: &mut Maintained,
    ) -> Result<()> {
        let all = bins(snapshot.files(), options.target_bytes);
        let bins = within(&all, options.compact_bytes);
        let files_left = all.iter().skip(bins.len()).map(Vec::len).sum();
        if bins.is_empty() {
            return Ok(());
        }
        let (mut add, mut remove) = (Vec::new(), Vec::new());
        for bin in bins {
            match self.rewrite(runtime, snapshot, bin.clone(), options).await {
                Ok(staged) => add.extend(staged),
                Err(error) => {
                    self.discard(add).await;
                    return Err(error);
                }
            }
            remove.extend(bin.iter().cloned());
        }
        let (written, compacted) = (add.len(), remove.len());
        let change = TableChange {
            add: add.clone(),
            remove,
            operation: Operation::Compact,
            data_change: false,
            at: Some(options.now),
            ..TableChange::default()
        };
        match self.commit(snapshot.table(), Some(snapshot), change).await {
            Ok(version) => {
                done.compacted = Some(version);
                done.files_compacted = compacted;
                done.files_written = written;
                done.files_left = files_left;
                Ok(())
            }
            // Someone replaced the files meanwhile; the next maintenance finds what is left to do.
            Err(LakeError::Conflict { .. }) => {
                self.discard(add).await;
                Ok(())
            }
            // The commit may be in the log, or come there late; if it is not, a later maintenance deletes the files.
            Err(error @ (LakeError::CommitUnknown { .. } | LakeError::Storage { .. })) => Err(error),
            Err(error) => {
                self.discard(add).await;
                Err(error)
            }
        }
    }

    /// Writes the rows of `files`, in their order, into new files of the target size.
    async fn rewrite(
        &self,
        runtime: &dyn QueryRuntime,
        snapshot: &Snapshot,
        files: Vec<DataFile>,
        options: &MaintainOptions,
    ) -> Result<Vec<StagedFile>> {
        let failed = |error| LakeError::unread(snapshot.table(), error);
        let provider = LakeTable::new(self, snapshot.schema(), files)?;
        let plan = scan(provider).and_then(|rows| rows.build()).map_err(failed)?;
        let how = Execution { order: Order::Stable, ..Execution::default() };
        let mut batches = runtime.stream(plan, how).await.map_err(failed)?;
        let write = WriteOptions { target_bytes: options.target_bytes, ..WriteOptions::default() };
        let mut writer = self.writer(snapshot.table(), snapshot.schema(), write);
        while let Some(batch) = batches.next().await {
            writer.write(&batch.map_err(failed)?)?;
        }
        writer.finish().await
    }

    async fn checkpoint(
        &self,
        snapshot: &Snapshot,
        listing: &Listing,
        options: &MaintainOptions,
        done: &mut Maintained,
    ) -> Result<()> {
        let version = snapshot.version();
        let last = listing.checkpoint_at_or_before(version).map_or(-1, |(version, _)| version);
        if version - last >= COMMITS_PER_CHECKPOINT {
            self.write_checkpoint(snapshot, listing, options.now).await?;
            done.checkpoint = Some(version);
        }
        Ok(())
    }

    /// Writes a checkpoint of the oldest version that stays, so that the log can be cut there, and returns the log's new
    /// listing. Versions before it lose their files, and nobody is to find such a version half there.
    async fn checkpoint_kept(
        &self,
        newest: &Snapshot,
        listing: Listing,
        kept: i64,
        options: &MaintainOptions,
    ) -> Result<Listing> {
        let table = newest.table();
        if listing.earliest().is_none_or(|earliest| earliest >= kept)
            || listing.checkpoints.contains_key(&kept)
        {
            return Ok(listing);
        }
        let Some(oldest) = self.snapshot(table, At::Version(kept)).await? else { return Ok(listing) };
        self.write_checkpoint(&oldest, &listing, options.now).await?;
        self.storage().list_log(table).await
    }

    /// Deletes commits and checkpoints below the newest checkpoint that every kept version can start from.
    async fn clean_log(
        &self,
        table: &TableName,
        listing: &Listing,
        kept: i64,
        done: &mut Maintained,
    ) -> Result<()> {
        let Some((floor, files)) = listing.checkpoint_at_or_before(kept) else {
            done.earliest = listing.earliest().unwrap_or(0);
            return Ok(());
        };
        // Oldest first: a reader that finds a commit may rely on those after it.
        let commits = listing.commits.range(..floor).map(|version| commit_name(*version));
        let checkpoints = listing.checkpoints.range(..floor);
        let checkpoints = checkpoints.flat_map(|(version, files)| files.names(*version));
        let names: Vec<String> = commits.chain(checkpoints).collect();
        if !names.is_empty() && !self.is_sound(table, floor, files).await? {
            done.earliest = listing.earliest().unwrap_or(0);
            return Ok(());
        }
        done.earliest = floor;
        let log = self.storage().log_path(table);
        for name in names {
            let path = log.clone().join(name);
            match self.storage().store.delete(&path).await {
                Ok(()) => done.log_files_deleted += 1,
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(LakeError::store("delete", path, error)),
            }
        }
        Ok(())
    }

    /// Whether the checkpoint of `version` can be read, also after a power cut: the commits that it stands for are about
    /// to go.
    async fn is_sound(&self, table: &TableName, version: i64, files: CheckpointFiles) -> Result<bool> {
        // Another program may have written the checkpoint, and `object_store` does not sync.
        if let Some(folder) = self.storage().table_folder(table) {
            let folder = folder.join(LOG_FOLDER);
            let shown = folder.display().to_string();
            blocking(shown, "sync", move || durable::sync_matching(&folder, &format!("{version:020}.")))
                .await?;
        }
        let written = TimestampMicros::from_ms(files.modified_ms);
        match self.load_checkpoint(table, version, files, written).await {
            Ok(_) => Ok(true),
            Err(error @ LakeError::Log { .. }) => {
                tracing::warn!(%table, version, %error, "the log is not cleaned, its checkpoint cannot be read");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// Groups of consecutive small files of which each fits into one file; a file that would be alone in its group is left
/// out.
fn bins(files: &[DataFile], target: u64) -> Vec<Vec<DataFile>> {
    let small = |file: &&DataFile| file.size() < target / 4 * 3;
    let (mut bins, mut bin, mut bytes) = (Vec::new(), Vec::new(), 0u64);
    for file in files.iter().filter(small) {
        if bytes.saturating_add(file.size()) > target {
            bins.push(std::mem::take(&mut bin));
            bytes = 0;
        }
        bytes = bytes.saturating_add(file.size());
        bin.push(file.clone());
    }
    bins.push(bin);
    bins.retain(|bin| bin.len() > 1);
    bins
}

/// The first of the groups, as many as have so many bytes together, and one at least.
fn within(bins: &[Vec<DataFile>], bytes_max: u64) -> &[Vec<DataFile>] {
    let mut bytes = 0u64;
    let fits = |bin: &&Vec<DataFile>| {
        bytes = bin.iter().fold(bytes, |bytes, file| bytes.saturating_add(file.size()));
        bytes <= bytes_max
    };
    let count = bins.iter().take_while(fits).count().max(1).min(bins.len());
    bins.split_at(count).0
}
