//! Finds versions and builds their snapshots: from the newest checkpoint below, then commit by commit.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arrow::{
    array::{Array, AsArray, RecordBatch, StringArray, StructArray},
    datatypes::{DataType, Int64Type},
};
use buoyant_kernel::{Engine, actions::get_commit_schema, snapshot::Snapshot as KernelSnapshot};
use deltalake_core::kernel::{Metadata, Protocol, engine::arrow_data::ArrowEngineData};
use millstream_types::{TableName, TimestampMicros};
use url::Url;

use crate::{
    Lake,
    error::{Cause, LakeError, Result},
    file::{DataFile, check_path, file_size, unsupported},
    log::Listing,
    snapshot::{At, Snapshot},
};

impl Lake {
    /// The newest version of `table`, `None` when there is no such table. With the newest version that
    /// the caller knows this is one or two file look-ups instead of a listing.
    pub async fn probe(&self, table: &TableName, known: Option<i64>) -> Result<Option<i64>> {
        let storage = self.storage();
        if let Some(known) = known.filter(|known| *known >= 0) {
            let mut newest = known;
            while storage.commit_exists(table, newest + 1).await? {
                newest += 1;
            }
            // While the known commit is there, no clean-up can have removed what follows it, and nobody
            // has deleted the table.
            if newest > known || storage.commit_exists(table, known).await? {
                return Ok(Some(newest));
            }
        }
        Ok(storage.list_log(table).await?.latest())
    }

    /// One version of `table`, `None` when there is no such table. The newest snapshot of each table is
    /// kept and brought up to date by the commits it lacks.
    pub async fn snapshot(&self, table: &TableName, at: At) -> Result<Option<Arc<Snapshot>>> {
        match at {
            At::Latest => self.latest(table).await,
            At::Version(version) => self.at_version(table, version).await,
            At::Timestamp(instant) => self.at_instant(table, instant).await,
        }
    }

    async fn latest(&self, table: &TableName) -> Result<Option<Arc<Snapshot>>> {
        if let Some(known) = self.cached(table) {
            let newest = self.probe(table, Some(known.version())).await?;
            if newest == Some(known.version()) {
                return Ok(Some(known));
            }
            if let Some(newest) = newest.filter(|newest| *newest > known.version())
                && let Some(snapshot) = self.forward(known, newest).await?
            {
                return Ok(Some(self.remember(snapshot)));
            }
            self.forget(table);
        }
        let listing = self.storage().list_log(table).await?;
        let Some(newest) = listing.latest() else { return Ok(None) };
        let snapshot = self.load(table, &listing, newest).await?;
        Ok(Some(self.remember(snapshot)))
    }

    async fn at_version(&self, table: &TableName, version: i64) -> Result<Option<Arc<Snapshot>>> {
        if let Some(known) = self.cached(table) {
            if known.version() == version {
                return Ok(Some(known));
            }
            if known.version() < version
                && self.storage().commit_exists(table, version).await?
                && let Some(snapshot) = self.forward(known, version).await?
            {
                return Ok(Some(Arc::new(snapshot)));
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

    /// The version that was current at `instant`; `earliest` when that one is younger.
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

    /// When `version` was committed; for one whose commit is cleaned away, when its checkpoint was written.
    pub(crate) async fn commit_time(
        &self,
        table: &TableName,
        listing: &Listing,
        version: i64,
    ) -> Result<TimestampMicros> {
        if listing.commits.contains(&version)
            && let Some(commit) = self.storage().read_commit(table, version).await?
            && let Some(time) = commit.committed_at()
        {
            return Ok(time);
        }
        let checkpoint = listing.checkpoints.get(&version).copied();
        Ok(TimestampMicros::from_ms(checkpoint.unwrap_or_default()))
    }

    /// `snapshot` brought forward to `version`, `None` when a commit on the way is gone.
    pub(crate) async fn forward(&self, snapshot: Arc<Snapshot>, version: i64) -> Result<Option<Snapshot>> {
        let commits = self.storage().read_commits(snapshot.table(), snapshot.version() + 1, version).await?;
        let mut next = Arc::unwrap_or_clone(snapshot);
        for commit in commits {
            let Some(commit) = commit else { return Ok(None) };
            let time = next.committed_at();
            next = next.apply(commit, time)?;
        }
        Ok(Some(next))
    }

    pub(crate) async fn load(&self, table: &TableName, listing: &Listing, version: i64) -> Result<Snapshot> {
        let missing = |version| LakeError::Log {
            table: table.clone(),
            version: Some(version),
            source: "the commit is missing".into(),
        };
        let base = match listing.checkpoint_at_or_before(version) {
            Some((checkpoint, modified_ms)) => {
                let time = self.commit_time(table, listing, checkpoint).await?;
                let time = if time.0 == 0 { TimestampMicros::from_ms(modified_ms) } else { time };
                self.load_checkpoint(table, checkpoint, time).await?
            }
            None => {
                let commit = self.storage().read_commit(table, 0).await?.ok_or_else(|| missing(0))?;
                let time = commit.committed_at().unwrap_or(TimestampMicros(0));
                Snapshot::first(table, commit, time)?
            }
        };
        let base_version = base.version();
        let forward = self.forward(Arc::new(base), version).await?;
        forward.ok_or_else(|| missing(base_version + 1))
    }

    async fn load_checkpoint(
        &self,
        table: &TableName,
        version: i64,
        committed_at: TimestampMicros,
    ) -> Result<Snapshot> {
        let engine = self.storage().log_store(table)?.engine(None);
        let url = self.storage().table_url(table)?;
        let owner = table.clone();
        // The kernel blocks on its own reads.
        let read =
            tokio::task::spawn_blocking(move || read_checkpoint(engine.as_ref(), &url, &owner, version));
        let broken = |source| LakeError::Log { table: table.clone(), version: Some(version), source };
        let checkpoint =
            read.await.map_err(|error| broken(Box::new(error)))?.map_err(|error| match error {
                ReadError::Lake(error) => *error,
                ReadError::Kernel(source) => broken(source),
            })?;
        let Checkpoint { protocol, metadata, files, txns } = checkpoint;
        Snapshot::from_checkpoint(table, version, committed_at, &protocol, &metadata, files, txns)
    }
}

struct Checkpoint {
    protocol: Protocol,
    metadata: Metadata,
    files: Vec<DataFile>,
    txns: HashMap<String, i64>,
}

enum ReadError {
    Lake(Box<LakeError>),
    Kernel(Cause),
}

impl From<LakeError> for ReadError {
    fn from(error: LakeError) -> Self {
        Self::Lake(Box::new(error))
    }
}

impl From<buoyant_kernel::Error> for ReadError {
    fn from(error: buoyant_kernel::Error) -> Self {
        Self::Kernel(Box::new(error))
    }
}

impl From<arrow::error::ArrowError> for ReadError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Kernel(Box::new(error))
    }
}

fn read_checkpoint(
    engine: &dyn Engine,
    url: &Url,
    table: &TableName,
    version: i64,
) -> Result<Checkpoint, ReadError> {
    let wanted = u64::try_from(version).map_err(|error| ReadError::Kernel(Box::new(error)))?;
    let snapshot = KernelSnapshot::builder_for(url).at_version(wanted).build(engine)?;
    let schema = get_commit_schema().project(&["add", "remove", "txn"])?;
    let mut replay = Replay::default();
    // Newest first: the first word about a file or an application counts.
    for actions in snapshot.log_segment().read_actions(engine, schema)? {
        let batch: RecordBatch = ArrowEngineData::try_from_engine_data(actions?.actions)?.into();
        replay.take(table, &batch)?;
    }
    replay.files.sort_unstable_by(|a, b| (a.modified_ms(), a.path()).cmp(&(b.modified_ms(), b.path())));
    let configuration = snapshot.table_configuration();
    Ok(Checkpoint {
        protocol: configuration.protocol().clone(),
        metadata: configuration.metadata().clone(),
        files: replay.files,
        txns: replay.txns,
    })
}

#[derive(Default)]
struct Replay {
    seen: HashSet<String>,
    files: Vec<DataFile>,
    txns: HashMap<String, i64>,
}

impl Replay {
    fn take(&mut self, table: &TableName, batch: &RecordBatch) -> Result<(), ReadError> {
        let action = |name| {
            batch.column_by_name(name).and_then(|column| column.as_struct_opt()).ok_or_else(|| missing(name))
        };
        let (adds, removes, txns) = (action("add")?, action("remove")?, action("txn")?);
        let (removed, added) = (strings(removes, "path")?, strings(adds, "path")?);
        let (stats, applications) = (strings(adds, "stats")?, strings(txns, "appId")?);
        let (sizes, times) = (longs(adds, "size")?, longs(adds, "modificationTime")?);
        let versions = longs(txns, "version")?;
        let vectors = adds.column_by_name("deletionVector").ok_or_else(|| missing("deletionVector"))?;
        for row in 0..batch.num_rows() {
            if txns.is_valid(row) {
                self.txns.entry(applications.value(row).into()).or_insert(versions.value(row));
            }
            if removes.is_valid(row) {
                self.seen.insert(removed.value(row).into());
            }
            if adds.is_valid(row) && self.seen.insert(added.value(row).into()) {
                if vectors.is_valid(row) {
                    return Err(unsupported(table, "deletion vectors").into());
                }
                let path = object_store::path::Path::from_url_path(added.value(row))
                    .map_err(|error| ReadError::Kernel(Box::new(error)))?;
                check_path(table, added.value(row))?;
                let size = file_size(table, sizes.value(row))?;
                let stats = stats.is_valid(row).then(|| stats.value(row).to_owned());
                self.files.push(DataFile::new(table, path.as_ref(), size, times.value(row), true, stats));
            }
        }
        Ok(())
    }
}

fn missing(column: &str) -> ReadError {
    ReadError::Kernel(format!("the checkpoint has no `{column}`").into())
}

fn strings(action: &StructArray, name: &str) -> Result<StringArray, ReadError> {
    let column = action.column_by_name(name).ok_or_else(|| missing(name))?;
    Ok(arrow::compute::cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn longs<'a>(
    action: &'a StructArray,
    name: &str,
) -> Result<&'a arrow::array::PrimitiveArray<Int64Type>, ReadError> {
    let column = action.column_by_name(name).ok_or_else(|| missing(name))?;
    column.as_primitive_opt().ok_or_else(|| missing(name))
}
