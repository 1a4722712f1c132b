//! A change as it will stand in the log: checked against its base, encoded, and able to say whether it
//! still holds after someone else's commit.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::datatypes::Schema;
use bytes::Bytes;
use millstream_types::{TableName, TimestampMicros};

use crate::{
    change::{Operation, TableChange},
    delta::{self, Action, CommitInfo, Format, Metadata, Protocol, Transaction},
    duties::{check_change, check_writable},
    encoding,
    error::{LakeError, Result},
    log::{COMMIT_ID_KEY, Commit, INFO_KEY},
    snapshot::{READER_VERSION, Snapshot, WRITER_VERSION},
};

pub(crate) fn held(snapshot: &Snapshot, txns: &[(String, i64)]) -> bool {
    !txns.is_empty()
        && txns.iter().all(|(app, version)| snapshot.txn(app).is_some_and(|done| done >= *version))
}

pub(crate) fn validate(table: &TableName, base: &Snapshot, change: &TableChange) -> Result<()> {
    let invalid = |reason: String| Err(LakeError::InvalidChange { table: table.clone(), reason });
    check_writable(table, base.protocol())?;
    if base.table() != table {
        return invalid(format!("its base is a snapshot of {}", base.table()));
    }
    check_change(base, change)?;
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
pub(crate) struct Draft {
    id: String,
    pub(crate) actions: Vec<Action>,
    pub(crate) bytes: Bytes,
    pub(crate) time: TimestampMicros,
    txns: Vec<(String, i64)>,
    /// The paths of the files that the change removes.
    removes: HashSet<String>,
    touches_schema: bool,
    data_change: bool,
    /// Whether the new rows are right whatever the table holds, because the change looked at none of its rows.
    blind: bool,
}

impl Draft {
    pub(crate) fn new(table: &TableName, base: Option<&Snapshot>, change: TableChange) -> Result<Self> {
        // This is the only reading of the clock here, for callers that have no time of their own to pass.
        #[allow(clippy::disallowed_methods)]
        let time = change.at.unwrap_or_else(|| TimestampMicros::from_system(std::time::SystemTime::now()));
        let time = base.map_or(time, |base| later(time, base.committed_at()));
        let definition = define(table, base, &change, time)?;
        let id = uuid::Uuid::now_v7().to_string();
        let is_append = change.operation == Operation::Append;
        let blind = is_append && change.remove.is_empty() && definition.is_empty();
        let mut actions = vec![Action::CommitInfo(commit_info(base, &change, &id, time, blind))];
        let touches_schema = !definition.is_empty();
        actions.extend(definition);
        actions.extend(change.txns.iter().map(|(app, version)| {
            Action::Txn(Transaction { app_id: app.clone(), version: *version, last_updated: None })
        }));
        let now_ms = time.as_ms();
        actions.extend(
            change.remove.iter().map(|file| Action::Remove(file.to_remove(change.data_change, now_ms))),
        );
        actions
            .extend(change.add.iter().map(|add| Action::Add(add.file().to_add(change.data_change, now_ms))));
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
            blind,
        })
    }

    pub(crate) fn is(&self, commit: &Commit) -> bool {
        commit.commit_id() == Some(self.id.as_str())
    }

    /// Decides whether the change still holds after `winner`.
    pub(crate) fn step_over(&self, table: &TableName, base: Option<i64>, winner: &Commit) -> Result<()> {
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
        let holds = if !self.data_change {
            // Compaction holds as long as all the files it replaces are still there.
            !winner.removes.iter().any(|remove| self.removes.contains(remove.path.plain()))
        } else if self.blind {
            // Rows that others only added, or only moved between files, do not change what is new.
            !winner.removes_data()
        } else {
            // A merge that found no row to replace, or an overwrite that found no row at all, would now find rows of the
            // winner.
            self.removes.is_empty() && !winner.changes_data()
        };
        if holds { Ok(()) } else { Err(conflict(table, base, winner)) }
    }

    /// Moves the commit's time past that of the commit that came first, so that commit times keep rising.
    pub(crate) fn retime(&mut self, table: &TableName, winner: Option<TimestampMicros>) -> Result<()> {
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

/// `time`, or where it is later, one millisecond after `previous`: a millisecond is Delta's resolution.
fn later(time: TimestampMicros, previous: TimestampMicros) -> TimestampMicros {
    TimestampMicros::from_ms(time.as_ms().max(previous.as_ms().saturating_add(1)))
}

fn commit_info(
    base: Option<&Snapshot>,
    change: &TableChange,
    id: &str,
    time: TimestampMicros,
    blind: bool,
) -> CommitInfo {
    let mut info = HashMap::from([(COMMIT_ID_KEY.to_owned(), id.into())]);
    if !change.info.is_null() {
        info.insert(INFO_KEY.to_owned(), change.info.clone());
    }
    CommitInfo {
        timestamp: Some(time.as_ms()),
        operation: Some(change.operation.delta_name().to_owned()),
        operation_parameters: Some(change.operation.delta_parameters()),
        read_version: base.map(Snapshot::version),
        isolation_level: Some("Serializable".to_owned()),
        is_blind_append: Some(blind && base.is_some()),
        engine_info: Some(concat!("millstream/", env!("CARGO_PKG_VERSION")).to_owned()),
        info,
        ..CommitInfo::default()
    }
}

/// The actions that define the table: protocol and metadata for a new table, metadata for a new schema, nothing
/// otherwise.
fn define(
    table: &TableName,
    base: Option<&Snapshot>,
    change: &TableChange,
    time: TimestampMicros,
) -> Result<Vec<Action>> {
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
    let Some(base) = base else {
        let schema_string = delta::from_arrow(&schema).map_err(|error| unfit(error.to_string()))?;
        let protocol = Protocol {
            min_reader_version: READER_VERSION,
            min_writer_version: WRITER_VERSION,
            reader_features: None,
            writer_features: None,
        };
        let metadata = Metadata {
            id: uuid::Uuid::new_v4().to_string(),
            name: None,
            description: None,
            format: Format::default(),
            schema_string,
            partition_columns: Vec::new(),
            created_time: Some(time.as_ms()),
            configuration: BTreeMap::new(),
        };
        return Ok(vec![Action::Protocol(protocol), Action::Metadata(metadata)]);
    };
    let evolved = delta::evolve(&base.metadata().schema_string, &schema);
    let Some(schema_string) = evolved.map_err(|error| unfit(error.to_string()))? else {
        return Ok(Vec::new());
    };
    let rewritten = change.remove.len() == base.files().len();
    if !rewritten && let Some(reason) = unreadable(&encoding::nullable(&base.schema()), &schema) {
        return Err(unfit(reason));
    }
    Ok(vec![Action::Metadata(Metadata { schema_string, ..base.metadata().clone() })])
}

/// Why files of `old` could not be read as `new`, if they could not.
fn unreadable(old: &Schema, new: &Schema) -> Option<String> {
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
