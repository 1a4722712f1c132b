//! The one commit path of the product.
//!
//! A commit is one file that is put only if its version is absent. deltalake-core's own retry loop is
//! not used: it replays the table's files on every commit, and it treats a commit whose answer was lost
//! as a stranger's. Here every error is answered by reading the log: the commit's id and its txns say
//! whether it landed.

use std::collections::HashSet;

use bytes::Bytes;
use deltalake_core::kernel::{
    Action, CommitInfo, IsolationLevel, Metadata, MetadataExt, Protocol, StructType, Transaction,
    contains_timestampntz, engine::arrow_conversion::TryIntoKernel, new_metadata,
};
use millstream_types::{TableName, TimestampMicros};
use object_store::{PutMode, PutOptions};

use crate::{
    Lake,
    change::TableChange,
    durable, encoding,
    error::{LakeError, Result},
    log::{COMMIT_ID_KEY, Commit, INFO_KEY, commit_name},
    snapshot::{At, READER_VERSION, Snapshot, WRITER_VERSION, check_writable},
    storage::LOG_FOLDER,
};

/// How many commits of others an append may step over before it is planned again.
const STEPS_MAX: usize = 64;
/// Looks at the log after a commit without answer.
const LOOKS_MAX: u32 = 4;

impl Lake {
    /// Makes `change` the next version of `table` and returns that version. `base` is the snapshot the
    /// change was computed from; `None` creates the table. On return the commit and all it names are
    /// durable.
    ///
    /// A change that only adds steps over commits of others that took nothing away, did not touch the
    /// schema and carry none of its txns' applications; any other meeting is [`LakeError::Conflict`].
    /// A change whose txn the log holds already is [`LakeError::AlreadyCommitted`].
    pub async fn commit(
        &self,
        table: &TableName,
        base: Option<&Snapshot>,
        change: TableChange,
    ) -> Result<i64> {
        let lock = self.commit_lock(table);
        let _turn = lock.lock().await;
        if let Some(base) = base {
            validate(table, base, &change)?;
        }
        let mut draft = Draft::new(table, base, change)?;
        self.prepare_folders(table, base.is_none()).await?;
        let base_version = base.map(Snapshot::version);
        let mut version = base_version.map_or(0, |version| version + 1);
        for _ in 0..STEPS_MAX {
            match self.put_commit(table, version, &draft).await? {
                Put::Done => {
                    self.advance(table, base, version, draft);
                    return Ok(version);
                }
                Put::Taken(winner) => {
                    draft.step_over(table, base_version, &winner)?;
                    draft.retime(table, winner.committed_at())?;
                    version += 1;
                }
            }
        }
        Err(LakeError::Conflict { table: table.clone(), base: base_version, found: version })
    }

    /// New data files' names become durable before a commit names them.
    async fn prepare_folders(&self, table: &TableName, create: bool) -> Result<()> {
        let Some(folder) = self.storage().table_folder(table) else { return Ok(()) };
        let shown = folder.display().to_string();
        blocking(shown, "prepare", move || {
            if create {
                durable::create_folders(&folder.join(LOG_FOLDER))?;
            }
            durable::sync_folder(&folder)
        })
        .await
    }

    async fn put_commit(&self, table: &TableName, version: i64, draft: &Draft) -> Result<Put> {
        match self.put_once(table, version, &draft.bytes).await {
            Ok(true) => Ok(Put::Done),
            Ok(false) => match self.storage().read_commit(table, version).await? {
                Some(winner) if draft.is(&winner) => Ok(Put::Done),
                Some(winner) => Ok(Put::Taken(Box::new(winner))),
                // Taken and gone again: the log was cleaned far beyond the base.
                None => Err(self.moved(table, version).await?),
            },
            Err(error) => self.settle(table, version, draft, error).await,
        }
    }

    /// `Ok(false)` when the version is taken.
    async fn put_once(&self, table: &TableName, version: i64, bytes: &Bytes) -> Result<bool> {
        if let Some(folder) = self.storage().table_folder(table) {
            let folder = folder.join(LOG_FOLDER);
            let name = commit_name(version);
            let shown = folder.join(&name).display().to_string();
            let bytes = bytes.clone();
            return blocking(shown, "commit", move || {
                let token = uuid::Uuid::now_v7().to_string();
                match durable::write_new(&folder, &name, &bytes, &token) {
                    Ok(()) => Ok(true),
                    Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
                    Err(error) => Err(error),
                }
            })
            .await;
        }
        let path = self.storage().commit_path(table, version);
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.storage().store.put_opts(&path, bytes.clone().into(), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(false)
            }
            Err(error) => Err(LakeError::store("commit", path, error)),
        }
    }

    /// After an error nobody knows whether the commit landed, except the log.
    async fn settle(&self, table: &TableName, version: i64, draft: &Draft, error: LakeError) -> Result<Put> {
        let mut looks = 0;
        let found = loop {
            match self.storage().read_commit(table, version).await {
                Ok(found) => break found,
                Err(_) if looks < LOOKS_MAX => {
                    looks += 1;
                    tokio::time::sleep(std::time::Duration::from_millis(25 << looks)).await;
                }
                Err(_) => {
                    let source = Box::new(error);
                    return Err(LakeError::CommitUnknown { table: table.clone(), version, source });
                }
            }
        };
        match found {
            Some(commit) if draft.is(&commit) => {
                self.prepare_log(table).await?;
                Ok(Put::Done)
            }
            Some(winner) => Ok(Put::Taken(Box::new(winner))),
            None => Err(error),
        }
    }

    /// A commit that landed although its write failed may still lack the sync of its name.
    async fn prepare_log(&self, table: &TableName) -> Result<()> {
        let Some(folder) = self.storage().table_folder(table) else { return Ok(()) };
        let folder = folder.join(LOG_FOLDER);
        blocking(folder.display().to_string(), "sync", move || durable::sync_folder(&folder)).await
    }

    async fn moved(&self, table: &TableName, version: i64) -> Result<LakeError> {
        let found = self.probe(table, None).await?.unwrap_or(version);
        Ok(LakeError::Conflict { table: table.clone(), base: Some(version - 1), found })
    }

    /// The cache learns of one's own commit without reading it.
    fn advance(&self, table: &TableName, base: Option<&Snapshot>, version: i64, draft: Draft) {
        let commit = Commit::from_actions(version, draft.actions);
        let next = match base {
            None => Snapshot::first(table, commit, draft.time),
            Some(base) if base.version() + 1 == version => base.clone().apply(commit, draft.time),
            // Others' commits lie between; the next read brings the cache forward.
            Some(_) => return,
        };
        match next {
            Ok(snapshot) => drop(self.remember(snapshot)),
            Err(_) => self.forget(table),
        }
    }

    /// Whether `table` exists and holds the txns; what a caller asks after an unknown outcome.
    pub async fn holds(&self, table: &TableName, txns: &[(String, i64)]) -> Result<bool> {
        let snapshot = self.snapshot(table, At::Latest).await?;
        Ok(snapshot.is_some_and(|snapshot| held(&snapshot, txns)))
    }
}

enum Put {
    Done,
    Taken(Box<Commit>),
}

async fn blocking<T: Send + 'static>(
    path: String,
    action: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| LakeError::io(action, path, error)),
        Err(error) => Err(LakeError::io(action, path, std::io::Error::other(error))),
    }
}

fn held(snapshot: &Snapshot, txns: &[(String, i64)]) -> bool {
    !txns.is_empty()
        && txns.iter().all(|(app, version)| snapshot.txn(app).is_some_and(|done| done >= *version))
}

fn validate(table: &TableName, base: &Snapshot, change: &TableChange) -> Result<()> {
    let invalid = |reason: String| Err(LakeError::InvalidChange { table: table.clone(), reason });
    check_writable(table, base.protocol())?;
    if base.table() != table {
        return invalid(format!("its base is a snapshot of {}", base.table()));
    }
    if held(base, &change.txns) {
        return Err(LakeError::AlreadyCommitted { table: table.clone(), version: base.version() });
    }
    if let Some((app, version)) =
        change.txns.iter().find(|(app, version)| base.txn(app).is_some_and(|done| done >= *version))
    {
        return invalid(format!(
            "`{app}` has reached {version} already, but not all of the change's txns are there"
        ));
    }
    if let Some(add) = change.add.iter().find(|add| add.file().table() != table) {
        return invalid(format!("`{}` was written for {}", add.file().path(), add.file().table()));
    }
    if change.remove.is_empty() {
        return Ok(());
    }
    let present: HashSet<&str> = base.files().iter().map(|file| file.path()).collect();
    match change.remove.iter().find(|file| !present.contains(file.path())) {
        Some(file) => {
            invalid(format!("it removes `{}`, which version {} does not have", file.path(), base.version()))
        }
        None => Ok(()),
    }
}

/// The commit as it will be written.
struct Draft {
    id: String,
    actions: Vec<Action>,
    bytes: Bytes,
    time: TimestampMicros,
    txns: Vec<(String, i64)>,
    /// Files the change removes.
    removes: HashSet<String>,
    touches_schema: bool,
    data_change: bool,
}

impl Draft {
    fn new(table: &TableName, base: Option<&Snapshot>, change: TableChange) -> Result<Self> {
        let clock = || TimestampMicros::from_system(std::time::SystemTime::now());
        let time = change.at.unwrap_or_else(clock);
        let time = base.map_or(time, |base| later(time, base.committed_at()));
        let definition = define(table, base, &change)?;
        let id = uuid::Uuid::now_v7().to_string();
        let pure_append = change.remove.is_empty() && definition.is_empty();
        let mut actions = vec![Action::CommitInfo(commit_info(base, &change, &id, time, pure_append))];
        let touches_schema = !definition.is_empty();
        actions.extend(definition);
        actions.extend(change.txns.iter().map(|(app, version)| Action::Txn(Transaction::new(app, *version))));
        let now_ms = time.as_ms();
        actions.extend(
            change.remove.iter().map(|file| Action::Remove(file.to_remove(change.data_change, now_ms))),
        );
        actions.extend(change.add.iter().map(|add| Action::Add(add.file().to_add(change.data_change))));
        let bytes = encode(table, &actions)?;
        Ok(Self {
            id,
            bytes,
            actions,
            time,
            txns: change.txns,
            removes: change.remove.iter().map(|file| file.path().to_owned()).collect(),
            touches_schema,
            data_change: change.data_change,
        })
    }

    fn is(&self, commit: &Commit) -> bool {
        commit.commit_id() == Some(self.id.as_str())
    }

    /// Decides whether the change still holds after `winner`.
    fn step_over(&self, table: &TableName, base: Option<i64>, winner: &Commit) -> Result<()> {
        let reached = |(app, version): &(String, i64)| {
            winner.txns.iter().any(|(other, done)| other == app && done >= version)
        };
        if !self.txns.is_empty() && self.txns.iter().all(reached) {
            return Err(LakeError::AlreadyCommitted { table: table.clone(), version: winner.version });
        }
        let fenced = winner.txns.iter().any(|(app, _)| self.txns.iter().any(|(own, _)| own == app));
        if fenced || base.is_none() || self.touches_schema || winner.changes_table() {
            return Err(conflict(table, base, winner));
        }
        let holds = if self.data_change {
            // Rows that were only added elsewhere, or only moved between files, do not change what is new.
            self.removes.is_empty() && !winner.removes_data()
        } else {
            // Compaction holds as long as all the files it replaces are still there.
            !winner.removes.iter().any(|remove| self.removes.contains(&remove.path))
        };
        if holds { Ok(()) } else { Err(conflict(table, base, winner)) }
    }

    /// Keeps commit times rising after a commit of another.
    fn retime(&mut self, table: &TableName, winner: Option<TimestampMicros>) -> Result<()> {
        let Some(winner) = winner else { return Ok(()) };
        let time = later(self.time, winner);
        if time != self.time
            && let Some(Action::CommitInfo(info)) = self.actions.first_mut()
        {
            info.timestamp = Some(time.as_ms());
            self.time = time;
            self.bytes = encode(table, &self.actions)?;
        }
        Ok(())
    }
}

fn conflict(table: &TableName, base: Option<i64>, winner: &Commit) -> LakeError {
    LakeError::Conflict { table: table.clone(), base, found: winner.version }
}

/// At least a millisecond after `previous`, which is Delta's resolution.
fn later(time: TimestampMicros, previous: TimestampMicros) -> TimestampMicros {
    TimestampMicros::from_ms(time.as_ms().max(previous.as_ms().saturating_add(1)))
}

fn commit_info(
    base: Option<&Snapshot>,
    change: &TableChange,
    id: &str,
    time: TimestampMicros,
    pure_append: bool,
) -> CommitInfo {
    let mut info = std::collections::HashMap::from([(COMMIT_ID_KEY.to_owned(), id.into())]);
    if !change.info.is_null() {
        info.insert(INFO_KEY.to_owned(), change.info.clone());
    }
    CommitInfo {
        timestamp: Some(time.as_ms()),
        operation: Some(change.operation.delta_name().to_owned()),
        operation_parameters: Some(change.operation.delta_parameters()),
        read_version: base.and_then(|base| u64::try_from(base.version()).ok()),
        isolation_level: Some(IsolationLevel::Serializable),
        is_blind_append: Some(pure_append && base.is_some()),
        engine_info: Some(concat!("millstream/", env!("CARGO_PKG_VERSION")).to_owned()),
        info,
        ..CommitInfo::default()
    }
}

/// Protocol and metadata for a new table, metadata for a new schema, nothing otherwise.
fn define(table: &TableName, base: Option<&Snapshot>, change: &TableChange) -> Result<Vec<Action>> {
    let Some(schema) = &change.schema else {
        return if base.is_some() {
            Ok(Vec::new())
        } else {
            let reason = "a new table needs a schema".into();
            Err(LakeError::InvalidChange { table: table.clone(), reason })
        };
    };
    let schema = encoding::nullable(schema);
    let unfit = |reason: String| LakeError::Schema { table: table.clone(), reason };
    let delta: StructType = schema.as_ref().try_into_kernel().map_err(|error| unfit(error.to_string()))?;
    if contains_timestampntz(delta.fields()) {
        return Err(unfit("timestamps have to be in UTC".into()));
    }
    let metadata = |made: Result<Metadata, deltalake_core::kernel::Error>| {
        made.map(Action::Metadata).map_err(|error| unfit(error.to_string()))
    };
    let Some(base) = base else {
        let protocol: Protocol = serde_json::from_value(serde_json::json!({
            "minReaderVersion": READER_VERSION,
            "minWriterVersion": WRITER_VERSION,
        }))
        .map_err(|error| unfit(error.to_string()))?;
        let none = std::iter::empty::<(String, String)>();
        let metadata = metadata(new_metadata(&delta, std::iter::empty::<String>(), none))?;
        return Ok(vec![Action::Protocol(protocol), metadata]);
    };
    if schema == base.schema() {
        return Ok(Vec::new());
    }
    let rewritten = change.remove.len() == base.files().len();
    if !rewritten && let Some(reason) = unreadable(&base.schema(), &schema) {
        return Err(unfit(reason));
    }
    Ok(vec![metadata(base.metadata().clone().with_schema(&delta))?])
}

/// Why files of `old` could not be read as `new`, if they could not.
fn unreadable(old: &arrow::datatypes::Schema, new: &arrow::datatypes::Schema) -> Option<String> {
    old.fields().iter().find_map(|field| match new.field_with_name(field.name()) {
        Err(_) => Some(format!("column `{}` cannot be dropped while files hold it", field.name())),
        Ok(kept) if kept.data_type() != field.data_type() => Some(format!(
            "column `{}` cannot become {} while files hold it as {}",
            field.name(),
            kept.data_type(),
            field.data_type()
        )),
        Ok(_) => None,
    })
}

fn encode(table: &TableName, actions: &[Action]) -> Result<Bytes> {
    let mut bytes = Vec::new();
    for action in actions {
        serde_json::to_writer(&mut bytes, action).map_err(|source| LakeError::Log {
            table: table.clone(),
            version: None,
            source: Box::new(source),
        })?;
        bytes.push(b'\n');
    }
    Ok(bytes.into())
}
