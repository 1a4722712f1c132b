//! Checkpoints of tables: read into a snapshot, and written by maintenance.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arrow::{
    array::{Array, AsArray, RecordBatch, StringArray, StructArray},
    datatypes::{DataType, Int64Type},
};
use bytes::Bytes;
use millstream_types::{TableName, TimestampMicros};
use object_store::ObjectStoreExt;

use crate::{
    Lake,
    commit::blocking,
    delta::{self, Action, FilePath, Metadata, Protocol, Replay},
    durable,
    duties::check_writable,
    error::{Cause, LakeError, Result},
    file::{DataFile, check_path, file_size, unsupported},
    listing::{CheckpointFiles, Listing, checkpoint_name},
    snapshot::Snapshot,
    state::LogState,
    storage::LOG_FOLDER,
};

/// The file that tells readers which checkpoint is the newest, so that they need not list the log.
const NEWEST_FILE: &str = "_last_checkpoint";
/// The actions that make a snapshot.
const OF_SNAPSHOT: [&str; 4] = ["protocol", "metaData", "add", "txn"];
/// The actions that a checkpoint hands on to the next one.
const OF_CHECKPOINT: [&str; 5] = ["protocol", "metaData", "add", "remove", "txn"];

impl Lake {
    /// The state that the checkpoint of `version` holds.
    pub(crate) async fn load_checkpoint(
        &self,
        table: &TableName,
        version: i64,
        files: CheckpointFiles,
        committed_at: TimestampMicros,
    ) -> Result<LogState> {
        let broken = |source| LakeError::Log { table: table.clone(), version: Some(version), source };
        let parts = self.checkpoint_bytes(table, version, files).await?;
        let owner = table.clone();
        // Decoding a large checkpoint takes long enough to keep others waiting.
        let read = tokio::task::spawn_blocking(move || Contents::read(&owner, parts)).await;
        let read = read.map_err(|error| broken(Box::new(error)))?;
        let Contents { protocol, metadata, mut files, txns, .. } = read.map_err(|error| match error {
            ReadError::Lake(error) => *error,
            ReadError::Broken(source) => broken(source),
        })?;
        let (Some(protocol), Some(metadata)) = (protocol, metadata) else {
            return Err(broken("the checkpoint has no protocol or no metadata".into()));
        };
        files.sort_unstable_by(|a, b| (a.modified_ms(), a.path()).cmp(&(b.modified_ms(), b.path())));
        let (table, metadata, protocol) = (table.clone(), Arc::new(metadata), Arc::new(protocol));
        Ok(LogState { table, version, committed_at, metadata, protocol, files, txns })
    }

    /// Writes the checkpoint of `snapshot`. `listing` is the table's log; `now` decides which removed files are old enough to
    /// be forgotten.
    ///
    /// # Errors
    ///
    /// The table asks of its writers what Millstream does not know, the log cannot be read, or the checkpoint cannot
    /// be written.
    pub(crate) async fn write_checkpoint(
        &self,
        snapshot: &Snapshot,
        listing: &Listing,
        now: TimestampMicros,
    ) -> Result<()> {
        let (table, version) = (snapshot.table(), snapshot.version());
        check_writable(table, snapshot.protocol())?;
        let broken = |source| LakeError::Log { table: table.clone(), version: Some(version), source };
        let replay = self.replay(table, version, listing).await?;
        let written = replay.checkpoint(now.as_ms()).map_err(broken)?;
        let newest = serde_json::json!({
            "version": version,
            "size": written.actions,
            "sizeInBytes": written.bytes.len(),
            "numOfAddFiles": written.files,
        });
        // The file that names the checkpoint comes after the checkpoint.
        self.put_log_file(table, checkpoint_name(version), written.bytes).await?;
        if listing.checkpoints.keys().next_back().is_some_and(|newest| *newest > version) {
            return Ok(());
        }
        self.put_log_file(table, NEWEST_FILE.to_owned(), newest.to_string().into()).await
    }

    /// Stores a file of the log, which may be there already. Every load starts from what these files say, so on a local
    /// disk the content is durable before the file's name appears.
    async fn put_log_file(&self, table: &TableName, name: String, bytes: Vec<u8>) -> Result<()> {
        if let Some(folder) = self.storage().table_folder(table) {
            let folder = folder.join(LOG_FOLDER);
            let shown = folder.join(&name).display().to_string();
            return blocking(shown, "write", move || {
                durable::replace(&folder, &name, &bytes, &uuid::Uuid::now_v7().to_string())
            })
            .await;
        }
        let path = self.storage().log_path(table).join(name);
        let put = self.storage().store.put(&path, Bytes::from(bytes).into()).await;
        put.map(|_| ()).map_err(|error| LakeError::store("write", path, error))
    }

    /// The actions of `version`, read from the newest readable checkpoint at or below it and from the commits since.
    async fn replay(&self, table: &TableName, version: i64, listing: &Listing) -> Result<Replay> {
        let broken =
            |version, source| LakeError::Log { table: table.clone(), version: Some(version), source };
        let (mut replay, mut start, mut next) = (Replay::default(), version, 0);
        while let Some((checkpoint, files)) = listing.checkpoint_at_or_before(start) {
            let parts = self.checkpoint_bytes(table, checkpoint, files).await?;
            match take_parts(parts) {
                Ok(taken) => {
                    (replay, next) = (taken, checkpoint + 1);
                    break;
                }
                Err(source) => {
                    let error = broken(checkpoint, source);
                    start = listing.start_before_damage(table, checkpoint, version, error)?;
                }
            }
        }
        for version in next..=version {
            let bytes = self.storage().commit_bytes(table, version).await?;
            let bytes = bytes.ok_or_else(|| broken(version, "the commit is missing".into()))?;
            let actions = Action::parse_all(&bytes).map_err(|error| broken(version, Box::new(error)))?;
            actions.into_iter().for_each(|action| replay.apply(action));
        }
        Ok(replay)
    }

    /// The bytes of a checkpoint's files. They are small beside the table: some hundred bytes for each of its data files.
    async fn checkpoint_bytes(
        &self,
        table: &TableName,
        version: i64,
        files: CheckpointFiles,
    ) -> Result<Vec<Bytes>> {
        let log = self.storage().log_path(table);
        let mut parts = Vec::new();
        for name in files.names(version) {
            let path = log.clone().join(name);
            let read = async { self.storage().store.get(&path).await?.bytes().await };
            parts.push(read.await.map_err(|error| LakeError::store("read", path, error))?);
        }
        Ok(parts)
    }
}

fn take_parts(parts: Vec<Bytes>) -> Result<Replay, Cause> {
    let mut replay = Replay::default();
    for part in parts {
        for batch in delta::open(part, &OF_CHECKPOINT)? {
            delta::actions_of(&batch?)?.into_iter().for_each(|action| replay.apply(action));
        }
    }
    Ok(replay)
}

/// What a snapshot takes from a checkpoint.
#[derive(Default)]
struct Contents {
    protocol: Option<Protocol>,
    metadata: Option<Metadata>,
    files: Vec<DataFile>,
    txns: HashMap<String, i64>,
    seen: HashSet<String>,
}

enum ReadError {
    Lake(Box<LakeError>),
    Broken(Cause),
}

impl From<LakeError> for ReadError {
    fn from(error: LakeError) -> Self {
        Self::Lake(Box::new(error))
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<Box<E>> for ReadError {
    fn from(error: Box<E>) -> Self {
        Self::Broken(error)
    }
}

impl Contents {
    fn read(table: &TableName, parts: Vec<Bytes>) -> Result<Self, ReadError> {
        let mut contents = Self::default();
        for part in parts {
            for batch in delta::open(part, &OF_SNAPSHOT).map_err(ReadError::Broken)? {
                contents.take(table, &batch.map_err(ReadError::Broken)?)?;
            }
        }
        Ok(contents)
    }

    fn take(&mut self, table: &TableName, batch: &RecordBatch) -> Result<(), ReadError> {
        self.take_definition(batch).map_err(ReadError::Broken)?;
        if let Some(txns) = struct_column(batch, "txn") {
            let (applications, versions) = (strings(txns, "appId")?, longs(txns, "version")?);
            for row in (0..batch.num_rows()).filter(|row| txns.is_valid(*row)) {
                self.txns.insert(applications.value(row).into(), versions.value(row));
            }
        }
        let Some(adds) = struct_column(batch, "add") else { return Ok(()) };
        let (paths, sizes) = (strings(adds, "path")?, longs(adds, "size")?);
        let times = longs(adds, "modificationTime")?;
        let stats = adds.column_by_name("stats").map(|_| strings(adds, "stats")).transpose()?;
        let vectors = adds.column_by_name("deletionVector");
        for row in (0..batch.num_rows()).filter(|row| adds.is_valid(*row)) {
            if vectors.is_some_and(|vectors| vectors.is_valid(row)) {
                return Err(unsupported(table, "deletion vectors").into());
            }
            let path = FilePath::parse(paths.value(row)).map_err(Box::new)?;
            check_path(table, &path)?;
            let size = file_size(table, sizes.value(row))?;
            let stats = stats.as_ref().filter(|stats| stats.is_valid(row));
            let stats = stats.map(|stats| stats.value(row).to_owned());
            if self.seen.insert(path.plain().to_owned()) {
                self.files.push(DataFile::new(table, path, size, times.value(row), true, stats));
            }
        }
        Ok(())
    }

    /// Protocol and metadata, of which a checkpoint has one each.
    fn take_definition(&mut self, batch: &RecordBatch) -> Result<(), Cause> {
        let kinds = ["protocol", "metaData"].map(|kind| batch.schema().index_of(kind).ok());
        let batch = batch.project(&kinds.into_iter().flatten().collect::<Vec<_>>())?;
        let set = |row: &usize| batch.columns().iter().any(|column| column.is_valid(*row));
        for row in (0..batch.num_rows()).filter(set) {
            for action in delta::actions_of(&batch.slice(row, 1))? {
                match action {
                    Action::Protocol(protocol) => self.protocol = Some(protocol),
                    Action::Metadata(metadata) => self.metadata = Some(metadata),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn struct_column<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a StructArray> {
    batch.column_by_name(name)?.as_struct_opt()
}

fn missing(column: &str) -> ReadError {
    ReadError::Broken(format!("the checkpoint has no `{column}`").into())
}

fn strings(action: &StructArray, name: &str) -> Result<StringArray, ReadError> {
    let column = action.column_by_name(name).ok_or_else(|| missing(name))?;
    let texts = arrow::compute::cast(column, &DataType::Utf8).map_err(Box::new)?;
    Ok(texts.as_string::<i32>().clone())
}

fn longs<'a>(
    action: &'a StructArray,
    name: &str,
) -> Result<&'a arrow::array::PrimitiveArray<Int64Type>, ReadError> {
    let column = action.column_by_name(name).ok_or_else(|| missing(name))?;
    column.as_primitive_opt().ok_or_else(|| missing(name))
}
