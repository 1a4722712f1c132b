//! The Redis store: a hash per entity with a field per space, so that all views of an entity are one look-up.
//!
//! Several processes may use it at once. Clusters come later; the keys are ready for them, see `layout`.

mod layout;
mod server;
mod update;

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use redis::Pipeline;

use self::{
    layout::{FORMAT, Keys},
    server::Server,
    update::Scripts,
};
use super::{
    EntityKey, Load, LogEntry, OnlineStore, RecordKey, RedisOptions, ReplicaWait, ScanCursor, ScanPage,
    SpaceInfo, Update, Updated,
    check::{check_marks, check_name, check_update, check_value},
    stripes::Stripes,
};
use crate::error::{OnlineError, Result};

/// The most commands that one pipeline sends.
const PIPELINE_MAX: usize = 1000;

/// The approximate number of bytes that one pipeline sends.
const PIPELINE_BYTES: usize = 8 * 1024 * 1024;

const READ: &str = "read records";
const MARK: &str = "store a mark";

/// What a damaged record is called in messages.
const RECORD: &str = "a record";

/// A stored stream entry: its id, then its fields and values.
type StreamEntry = (String, Vec<Vec<u8>>);

#[derive(Debug)]
pub(super) struct RedisStore {
    server: Server,
    keys: Keys,
    scripts: Scripts,
    /// The locks at which callers of this process wait for each other, rather than work out changes that come too late.
    stripes: Stripes,
    wait: Option<ReplicaWait>,
}

impl RedisStore {
    pub(super) async fn open(url: &str, options: &RedisOptions) -> Result<Self> {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.:".contains(letter);
        if options.prefix.is_empty() || !options.prefix.chars().all(plain) {
            return Err(OnlineError::Location {
                location: "redis://…".into(),
                reason: "the prefix of its keys may have letters, digits and `_-.:` only".into(),
            });
        }
        let store = Self {
            server: Server::connect(url, options).await?,
            keys: Keys::new(&options.prefix),
            scripts: Scripts::new(),
            stripes: Stripes::new(),
            wait: options.wait,
        };
        store.check_format().await?;
        store.server.change::<()>("be opened", &store.scripts.load()).await?;
        Ok(store)
    }

    /// Writes the layout's version into a new store and refuses one with another.
    async fn check_format(&self) -> Result<()> {
        let mut commands = Pipeline::new();
        commands.cmd("SET").arg(self.keys.format()).arg(FORMAT).arg("NX").ignore();
        commands.cmd("GET").arg(self.keys.format());
        let (found,): (String,) = self.server.change("be opened", &commands).await?;
        if found == FORMAT.to_string() {
            return Ok(());
        }
        Err(OnlineError::Format { location: self.server.location.clone(), found, readable: FORMAT })
    }

    fn damaged(&self, what: &str) -> OnlineError {
        let reason = format!("{what} is not what was stored, or of a later version");
        OnlineError::Damaged { location: self.server.location.clone(), reason, source: None }
    }

    async fn put_marks(&self, space: u64, marks: &[(&str, &[u8])]) -> Result<()> {
        if marks.is_empty() {
            return Ok(());
        }
        let mut commands = Pipeline::new();
        commands.cmd("HSET").arg(self.keys.marks(space)).ignore();
        for (name, value) in marks {
            commands.arg(name).arg(value);
        }
        self.server.change(MARK, &commands).await
    }

    /// Remembers that a space has records, before it gets any.
    async fn begin_space(&self, space: u64) -> Result<()> {
        let mut commands = Pipeline::new();
        commands.cmd("SADD").arg(self.keys.spaces()).arg(format!("{space:016x}")).ignore();
        self.server.change("begin a space", &commands).await
    }

    /// Waits for the replicas that were asked for.
    async fn confirm(&self) -> Result<()> {
        let Some(wait) = self.wait else { return Ok(()) };
        let mut commands = Pipeline::new();
        let milliseconds = u64::try_from(wait.timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        commands.cmd("WAIT").arg(wait.replicas).arg(milliseconds);
        let (found,): (u32,) = self.server.change("confirm a change", &commands).await?;
        if found < wait.replicas {
            return Err(OnlineError::Replicas { wanted: wait.replicas, found });
        }
        Ok(())
    }

    /// A part of the entities' keys and where to go on.
    async fn scan_keys(&self, cursor: &str, limit: usize) -> Result<(String, Vec<Vec<u8>>)> {
        let mut commands = Pipeline::new();
        commands
            .cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(self.keys.entities())
            .arg("COUNT")
            .arg(limit.max(1));
        let (page,) = self.server.read("scan a space", &commands).await?;
        Ok(page)
    }
}

/// Makes an integer at least the argument.
const RAISE: &str = r"
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
";

#[async_trait]
impl OnlineStore for RedisStore {
    fn location(&self) -> &str {
        &self.server.location
    }

    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Bytes>>> {
        let groups = by_entity(keys);
        let mut records = vec![None; keys.len()];
        for part in groups.chunks(PIPELINE_MAX) {
            let mut commands = Pipeline::with_capacity(part.len());
            for (entity, places) in part {
                commands.cmd("HMGET").arg(self.keys.entity(entity));
                for key in places.iter().filter_map(|place| keys.get(*place)) {
                    commands.arg(&key.space.to_be_bytes());
                }
            }
            let answers: Vec<Vec<Option<Vec<u8>>>> = self.server.read(READ, &commands).await?;
            for ((_, places), answer) in part.iter().zip(answers) {
                for (place, stored) in places.iter().zip(answer) {
                    let Some(stored) = stored else { continue };
                    let record = layout::record(stored.into()).ok_or_else(|| self.damaged(RECORD))?;
                    if let Some(slot) = records.get_mut(*place) {
                        *slot = Some(record);
                    }
                }
            }
        }
        Ok(records)
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated> {
        let Update { space, entities, change, marks, append, durable } = update;
        check_update(entities, marks, append.as_ref())?;
        let _held = self.stripes.lock(space, entities.iter()).await?;
        if !entities.is_empty() {
            self.begin_space(space).await?;
        }
        let mut touched = false;
        let stored = async {
            let append = append.as_ref();
            let stored = self.change_records(space, entities, change, append, &mut touched).await?;
            self.put_marks(space, marks).await?;
            Ok(stored)
        };
        let stored = stored.await;
        let (changed, positions) = stored.map_err(|error| if touched { half_done(error) } else { error })?;
        if durable {
            self.confirm().await?;
        }
        Ok(Updated { changed, positions })
    }

    async fn load(&self, load: Load<'_>) -> Result<()> {
        let Load { space, records, marks } = load;
        check_marks(marks)?;
        for (entity, record) in &records {
            entity.check()?;
            check_value("a record", record)?;
        }
        let _held = self.stripes.lock(space, records.iter().map(|(entity, _)| entity)).await?;
        self.begin_space(space).await?;
        let mut rest = records.iter().peekable();
        while rest.peek().is_some() {
            let mut commands = Pipeline::new();
            let mut bytes = 0;
            while commands.len() < PIPELINE_MAX
                && bytes < PIPELINE_BYTES
                && let Some((entity, record)) = rest.next()
            {
                bytes += record.len();
                commands.cmd("HSET").arg(self.keys.entity(entity)).arg(&space.to_be_bytes());
                commands.arg(layout::stamped(record)).ignore();
            }
            self.server.change::<()>("load records", &commands).await?;
        }
        self.put_marks(space, marks).await
    }

    async fn mark(&self, space: u64, name: &str) -> Result<Option<Bytes>> {
        check_name("a mark", name)?;
        let mut commands = Pipeline::new();
        commands.cmd("HGET").arg(self.keys.marks(space)).arg(name);
        let (value,): (Option<Vec<u8>>,) = self.server.read("read a mark", &commands).await?;
        Ok(value.map(Bytes::from))
    }

    async fn set_mark(&self, space: u64, name: &str, value: Option<&[u8]>) -> Result<()> {
        check_name("a mark", name)?;
        if let Some(value) = value {
            check_value("a mark", value)?;
            self.put_marks(space, &[(name, value)]).await?;
        } else {
            let mut commands = Pipeline::new();
            commands.cmd("HDEL").arg(self.keys.marks(space)).arg(name).ignore();
            self.server.change::<()>(MARK, &commands).await?;
        }
        self.confirm().await
    }

    async fn reserve(&self, log: &str, count: u64) -> Result<u64> {
        check_name("a log", log)?;
        let mut commands = Pipeline::new();
        commands.cmd("INCRBY").arg(self.keys.number(log)).arg(count);
        // A command that is sent twice leaves numbers out, which is allowed.
        let (last,): (u64,) = self.server.change("reserve numbers", &commands).await?;
        Ok(last.saturating_sub(count) + 1)
    }

    async fn raise(&self, log: &str, position: u64, number: u64) -> Result<()> {
        check_name("a log", log)?;
        for (key, least) in [(self.keys.position(log), position), (self.keys.number(log), number)] {
            let mut commands = Pipeline::new();
            commands.cmd("EVAL").arg(RAISE).arg(1).arg(key).arg(least).ignore();
            self.server.change::<()>("raise a log", &commands).await?;
        }
        Ok(())
    }

    async fn log(&self, log: &str, after: u64, limit: usize) -> Result<Vec<LogEntry>> {
        check_name("a log", log)?;
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut commands = Pipeline::new();
        commands.cmd("XRANGE").arg(self.keys.log(log)).arg(format!("{}-0", after.saturating_add(1))).arg("+");
        commands.arg("COUNT").arg(limit);
        let (entries,): (Vec<StreamEntry>,) = self.server.read("read a log", &commands).await?;
        let entry = |(id, fields): StreamEntry| {
            let position = id.split_once('-').and_then(|(position, _)| position.parse().ok());
            let bytes = fields.into_iter().nth(1).map(Bytes::from);
            let (Some(position), Some(bytes)) = (position, bytes) else {
                return Err(self.damaged("a log entry"));
            };
            Ok(LogEntry { position, bytes })
        };
        entries.into_iter().map(entry).collect()
    }

    async fn trim_log(&self, log: &str, up_to: u64) -> Result<()> {
        check_name("a log", log)?;
        let mut commands = Pipeline::new();
        commands.cmd("XTRIM").arg(self.keys.log(log)).arg("MINID");
        commands.arg(format!("{}-0", up_to.saturating_add(1))).ignore();
        self.server.change("trim a log", &commands).await
    }

    async fn scan(&self, space: u64, from: Option<&ScanCursor>, limit: usize) -> Result<ScanPage> {
        let cursor = match from {
            Some(cursor) => std::str::from_utf8(&cursor.0).unwrap_or("0").to_owned(),
            None => "0".to_owned(),
        };
        let (next, found) = self.scan_keys(&cursor, limit.min(PIPELINE_MAX)).await?;
        let mut page = ScanPage::default();
        if !found.is_empty() {
            let mut commands = Pipeline::with_capacity(found.len());
            for key in &found {
                commands.cmd("HGET").arg(key).arg(&space.to_be_bytes());
            }
            let answers: Vec<Option<Vec<u8>>> = self.server.read("scan a space", &commands).await?;
            for (key, stored) in found.iter().zip(answers) {
                let (Some(entity), Some(stored)) = (self.keys.entity_of(key), stored) else { continue };
                let record = layout::record(stored.into()).ok_or_else(|| self.damaged(RECORD))?;
                page.records.push((entity, record));
            }
        }
        page.next = (next != "0").then(|| ScanCursor(next.into()));
        Ok(page)
    }

    async fn spaces(&self) -> Result<Vec<SpaceInfo>> {
        let mut commands = Pipeline::new();
        commands.cmd("SMEMBERS").arg(self.keys.spaces());
        let (names,): (Vec<String>,) = self.server.read("list its spaces", &commands).await?;
        let mut spaces: Vec<u64> =
            names.iter().filter_map(|name| u64::from_str_radix(name, 16).ok()).collect();
        spaces.sort_unstable();
        Ok(spaces.into_iter().map(|space| SpaceInfo { space, records: None, bytes: None }).collect())
    }

    async fn drop_space(&self, space: u64) -> Result<()> {
        const ACTION: &str = "drop a space";
        let _held = self.stripes.lock_all().await;
        let mut commands = Pipeline::new();
        commands.cmd("DEL").arg(self.keys.marks(space)).ignore();
        self.server.change::<()>(ACTION, &commands).await?;
        let mut cursor = "0".to_owned();
        loop {
            let (next, found) = self.scan_keys(&cursor, PIPELINE_MAX).await?;
            let mut commands = Pipeline::with_capacity(found.len());
            for key in found {
                commands.cmd("HDEL").arg(key).arg(&space.to_be_bytes()).ignore();
            }
            if !commands.is_empty() {
                self.server.change::<()>(ACTION, &commands).await?;
            }
            if next == "0" {
                break;
            }
            cursor = next;
        }
        let mut commands = Pipeline::new();
        commands.cmd("SREM").arg(self.keys.spaces()).arg(format!("{space:016x}")).ignore();
        self.server.change(ACTION, &commands).await
    }

    async fn sync(&self) -> Result<()> {
        self.confirm().await
    }
}

/// A fault after a part of an update may be stored: doing all of it again could do that part twice.
fn half_done(error: OnlineError) -> OnlineError {
    if error.retryable() {
        return OnlineError::OutcomeUnknown { action: "store all of an update", source: Box::new(error) };
    }
    error
}

/// The places of each entity's keys, in order of the entities' first appearance.
fn by_entity(keys: &[RecordKey]) -> Vec<(&EntityKey, Vec<usize>)> {
    let mut groups: Vec<(&EntityKey, Vec<usize>)> = Vec::new();
    let mut found: HashMap<&EntityKey, usize> = HashMap::new();
    for (place, key) in keys.iter().enumerate() {
        let group = *found.entry(&key.entity).or_insert_with(|| {
            groups.push((&key.entity, Vec::new()));
            groups.len() - 1
        });
        if let Some((_, places)) = groups.get_mut(group) {
            places.push(place);
        }
    }
    groups
}
