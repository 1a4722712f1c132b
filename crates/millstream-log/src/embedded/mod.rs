//! The embedded log: segments in a folder of this machine, for one process.
//!
//! ```text
//! <folder>/lock                                   who has it open
//!          log                                    the format
//!          topics/<topic>/topic                   options, number of partitions
//!                         pins                    what readers have yet to read
//!                         schemas/00000000.arrow  schemas of rows
//!                         0/manifest              what partition 0 consists of
//!                           <offset>.log          a segment, named after its first offset
//!                           <offset>.index        where its batches begin; worked out from it
//!                           <offset>.producers    what was known of producers before it; worked out too
//! ```
//!
//! An append goes through `append.rs` (bytes are made by the caller), waits in the queue of `partition.rs`, and is written, synced and
//! answered in `commit.rs` together with all that wait. Readers (`read.rs`) see what was synced. `recover.rs` opens what is left after
//! a crash. docs/decisions/0028 says why it is as it is.

mod append;
mod batch;
mod commit;
mod facts;
mod files;
mod index;
mod manifest;
mod messages;
mod options;
mod owner;
mod partition;
mod pins;
mod producers;
mod read;
mod recover;
mod recovery;
mod retain;
mod rows;
mod scan;
mod segment;
mod topic;

use std::{
    any::Any,
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use futures::future::{self, BoxFuture};
use millstream_types::TimestampMicros;

pub use files::{Disk, Files, FolderLock, LogFile, OpenMode};
pub use options::EmbeddedOptions;
pub use recovery::{Rebuilt, Recovery, Truncated};

use self::{
    facts::Facts,
    manifest::{checked_lines, with_check},
    partition::{Partition, locked},
    topic::Topic,
};
use crate::{
    Append, Appended, Damage, EventLog, Lag, LogError, Maintained, Pin, Place, Position, Read, ReadBound,
    ReaderName, TopicInfo, TopicName, TopicOptions, error::Result, topic::PARTITIONS_MAX,
};

/// The version of the format of the log's folder.
const FORMAT: u32 = 1;

/// An event log in a folder.
#[derive(Debug)]
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    location: String,
    /// The topics; `Err` for one that cannot be understood, which leaves the others alone.
    topics: RwLock<BTreeMap<TopicName, Result<Arc<Topic>>>>,
    /// Held while topics are made or removed.
    changing: tokio::sync::Mutex<()>,
    recovery: Recovery,
    is_closed: AtomicBool,
}

/// What the parts of an open log have in common.
#[derive(Debug)]
struct Shared {
    options: EmbeddedOptions,
    /// What all topics take, what waits to be written included.
    bytes: AtomicU64,
    /// When retention last looked for room because a bound was reached, in microseconds.
    looked_for_room: AtomicI64,
    facts: Facts,
    /// Keeps other processes away, until the log is closed.
    lock: Mutex<Option<Box<dyn Any + Send + Sync>>>,
}

impl Shared {
    fn topics_folder(&self) -> PathBuf {
        self.options.folder.join("topics")
    }

    fn topic_folder(&self, topic: &TopicName) -> PathBuf {
        self.topics_folder().join(topic.as_str())
    }

    fn random(&self) -> u128 {
        uuid::Uuid::new_v4().as_u128()
    }

    fn salt(&self) -> batch::Salt {
        self.random().to_be_bytes()
    }

    fn retention(&self, topic: &TopicName) -> crate::Retention {
        self.facts.retention(topic)
    }

    fn pinned(&self, place: &Place) -> Option<u64> {
        self.facts.pinned(place)
    }
}

impl EmbeddedLog {
    /// Opens the log, makes it where it is not there, and brings it into order after a crash; what was found is in
    /// [`Self::recovery`].
    pub fn open(options: EmbeddedOptions) -> BoxFuture<'static, Result<Arc<Self>>> {
        Box::pin(blocking(move || Self::open_blocking(options).map(Arc::new)))
    }

    /// What was found when the log was opened, besides what was expected.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    fn open_blocking(options: EmbeddedOptions) -> Result<Self> {
        let files = Arc::clone(&options.files);
        let folder = options.folder.clone();
        let location = format!("embedded:{}", folder.display());
        files.create_folder(&folder).map_err(LogError::storage("make", &folder))?;
        let lock = match files.lock(&folder).map_err(LogError::storage("lock", &folder))? {
            FolderLock::Held(lock) => lock,
            FolderLock::InUse(pid) => return Err(LogError::Locked { location, pid }),
        };
        check_format(&*files, &folder)?;
        let shared = Arc::new(Shared {
            options,
            bytes: AtomicU64::new(0),
            looked_for_room: AtomicI64::new(i64::MIN),
            facts: Facts::default(),
            lock: Mutex::new(Some(lock)),
        });
        let topics_folder = shared.topics_folder();
        files.create_folder(&topics_folder).map_err(LogError::storage("make", &topics_folder))?;
        for made in [
            Some(&*topics_folder),
            Some(&*folder),
            folder.parent().filter(|parent| !parent.as_os_str().is_empty()),
        ] {
            let Some(made) = made else { continue };
            files.sync_folder(made).map_err(LogError::storage("sync", made))?;
        }
        let mut recovery = Recovery::default();
        let mut topics = BTreeMap::new();
        for name in files.list(&topics_folder).map_err(LogError::storage("list", &topics_folder))? {
            if name.contains('~') {
                // A topic that was being made or removed.
                let _ = files.remove_folder(&topics_folder.join(&name));
                continue;
            }
            let Ok(name) = TopicName::new(&name) else { continue };
            let topic = Topic::open(&shared, &name, &mut recovery);
            if let Err(error) = &topic {
                tracing::error!(topic = %name, %error, "a topic of the event log cannot be opened");
            }
            topics.insert(name, topic);
        }
        recovery.tell();
        let (topics, changing, is_closed) =
            (RwLock::new(topics), tokio::sync::Mutex::default(), AtomicBool::new(false));
        Ok(Self { shared, location, topics, changing, recovery, is_closed })
    }

    fn find(&self, topic: &TopicName) -> Result<Arc<Topic>> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(LogError::Closed);
        }
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(topic).cloned().unwrap_or_else(|| Err(LogError::NoTopic { topic: topic.clone() }))
    }

    fn find_partition(&self, place: &Place) -> Result<(Arc<Topic>, Arc<Partition>)> {
        let topic = self.find(&place.topic)?;
        let partition = Arc::clone(topic.partition(place.partition)?);
        Ok((topic, partition))
    }

    /// The topics that can be used.
    fn all(&self) -> Result<Vec<Arc<Topic>>> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(LogError::Closed);
        }
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        Ok(topics.values().filter_map(|topic| topic.as_ref().ok().cloned()).collect())
    }

    fn put(&self, topic: &Arc<Topic>) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.insert(topic.name.clone(), Ok(Arc::clone(topic)));
    }

    /// Removes the topic from those that can be used; `None` where it cannot be understood anyway.
    fn take(&self, topic: &TopicName) -> Result<Option<Arc<Topic>>> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let taken = topics.remove(topic).ok_or_else(|| LogError::NoTopic { topic: topic.clone() })?;
        Ok(taken.ok())
    }
}

#[async_trait]
impl EventLog for EmbeddedLog {
    fn location(&self) -> &str {
        &self.location
    }

    async fn create(&self, topic: &TopicName, options: &TopicOptions) -> Result<TopicInfo> {
        let _changing = self.changing.lock().await;
        if !(1..=PARTITIONS_MAX).contains(&options.partitions) {
            let reason = format!("a topic has 1 to {PARTITIONS_MAX} partitions, not {}", options.partitions);
            return Err(LogError::Request { reason });
        }
        let (name, options) = (topic.clone(), options.clone());
        let found = match self.find(topic) {
            Err(LogError::NoTopic { .. }) => None,
            found => Some(found?),
        };
        let shared = Arc::clone(&self.shared);
        let made = blocking(move || {
            let topic = match found {
                Some(found) => found,
                None => Topic::make(&shared, &name, &options)?,
            };
            topic.configure(&options)?;
            Ok(topic)
        });
        let made = made.await?;
        self.put(&made);
        blocking(move || Ok(made.info())).await
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>> {
        let topics = self.all()?;
        blocking(move || Ok(topics.iter().map(|topic| topic.info()).collect())).await
    }

    async fn topic(&self, topic: &TopicName) -> Result<TopicInfo> {
        let topic = self.find(topic)?;
        blocking(move || Ok(topic.info())).await
    }

    async fn delete(&self, topic: &TopicName) -> Result<()> {
        let _changing = self.changing.lock().await;
        if self.is_closed.load(Ordering::Acquire) {
            return Err(LogError::Closed);
        }
        let taken = self.take(topic)?;
        let (shared, name) = (Arc::clone(&self.shared), topic.clone());
        blocking(move || {
            if let Some(topic) = taken {
                topic.partitions.iter().for_each(|partition| partition.retire());
            }
            shared.facts.remove(&name);
            let (files, folder) = (&*shared.options.files, shared.topic_folder(&name));
            let gone = folder.with_file_name(format!("{name}~"));
            let remove = || LogError::storage("remove", &folder);
            files.rename(&folder, &gone).map_err(remove())?;
            files.sync_folder(&shared.topics_folder()).map_err(remove())?;
            // What stays is removed when the log is opened.
            let _ = files.remove_folder(&gone);
            Ok(())
        })
        .await
    }

    async fn append(&self, append: Append) -> Result<Appended> {
        let (topic, partition) = self.find_partition(&append.place)?;
        append::append(topic, partition, append).await
    }

    async fn read(&self, from: &Position, bound: ReadBound) -> Result<Read> {
        let (topic, partition) = self.find_partition(&from.place)?;
        let offset = from.offset;
        let end = partition.end();
        if offset == end || bound.records == 0 {
            return Ok(Read { batches: Vec::new(), next: offset, end });
        }
        blocking(move || partition.read(offset, bound, &|number| topic.schema(number))).await
    }

    async fn wait(&self, positions: &[Position]) -> Result<()> {
        let mut waits = Vec::with_capacity(positions.len());
        for position in positions {
            let (_, partition) = self.find_partition(&position.place)?;
            let (mut end, offset) = (partition.watch_end(), position.offset);
            waits.push(Box::pin(async move {
                let found = end.wait_for(|end| end.offset > offset || end.is_final).await.map(|end| *end);
                match found {
                    Ok(end) if end.offset > offset => Ok(()),
                    _ => Err(partition.ended().unwrap_or(LogError::Closed)),
                }
            }));
        }
        if waits.is_empty() {
            return Err(LogError::Request { reason: "nobody can wait for no partition".into() });
        }
        future::select_all(waits).await.0
    }

    async fn offset_at(&self, place: &Place, time: TimestampMicros) -> Result<Option<u64>> {
        let (_, partition) = self.find_partition(place)?;
        blocking(move || partition.offset_at(time)).await
    }

    async fn lag(&self, position: &Position) -> Result<Lag> {
        let (_, partition) = self.find_partition(&position.place)?;
        let offset = position.offset;
        blocking(move || partition.lag(offset)).await
    }

    async fn trim(&self, before: &Position) -> Result<()> {
        let (_, partition) = self.find_partition(&before.place)?;
        let offset = before.offset;
        blocking(move || partition.trim(offset)).await
    }

    async fn pin(&self, reader: &ReaderName, position: &Position) -> Result<()> {
        let (topic, partition) = self.find_partition(&position.place)?;
        let (shared, reader, offset) = (Arc::clone(&self.shared), reader.clone(), position.offset);
        let Place { topic: name, partition: number } = position.place.clone();
        let former = shared.facts.pin(&name, &reader, number, offset);
        // Only whole segments go, so what is on disk may be behind within one.
        let segment_of = |offset| partition.segments_from(offset).first().map(|segment| segment.base);
        if former.is_some_and(|former| former <= offset && segment_of(former) == segment_of(offset)) {
            return Ok(());
        }
        blocking(move || shared.facts.write_pins(&name, &*shared.options.files, &topic.folder)).await
    }

    async fn unpin(&self, reader: &ReaderName, topic: &TopicName) -> Result<()> {
        let found = self.find(topic)?;
        if !self.shared.facts.unpin(topic, reader) {
            return Ok(());
        }
        let (shared, name) = (Arc::clone(&self.shared), topic.clone());
        blocking(move || shared.facts.write_pins(&name, &*shared.options.files, &found.folder)).await
    }

    async fn pins(&self, topic: &TopicName) -> Result<Vec<Pin>> {
        self.find(topic)?;
        Ok(self.shared.facts.pins(topic))
    }

    async fn maintain(&self) -> Result<Maintained> {
        let topics = self.all()?;
        blocking(move || maintain(&topics)).await
    }

    async fn verify(&self, place: &Place) -> Result<Vec<Damage>> {
        let (_, partition) = self.find_partition(place)?;
        blocking(move || partition.verify()).await
    }

    async fn close(&self) -> Result<()> {
        let _changing = self.changing.lock().await;
        let Ok(topics) = self.all() else { return Ok(()) };
        self.is_closed.store(true, Ordering::Release);
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let mut first_fault = Ok(());
            for topic in topics {
                let pins = shared.facts.write_pins(&topic.name, &*shared.options.files, &topic.folder);
                topic.end_schemas();
                let closed = topic.partitions.iter().map(|partition| partition.close());
                for outcome in closed.chain([pins]) {
                    first_fault = first_fault.and(outcome);
                }
            }
            shared.facts.close();
            locked(&shared.lock).take();
            first_fault
        })
        .await
    }
}

/// Does so for all partitions, and gives the first fault when all had their turn.
fn maintain(topics: &[Arc<Topic>]) -> Result<Maintained> {
    let mut sum = Maintained::default();
    let mut first_fault = None;
    for partition in topics.iter().flat_map(|topic| &topic.partitions) {
        match partition.maintain(&mut locked(&partition.writer)) {
            Ok(maintained) => {
                sum.segments += maintained.segments;
                sum.bytes += maintained.bytes;
            }
            Err(error) => first_fault = first_fault.or(Some(error)),
        }
    }
    first_fault.map_or(Ok(sum), Err)
}

fn check_format(files: &dyn Files, folder: &std::path::Path) -> Result<()> {
    let path = folder.join("log");
    let Some(bytes) = files::read(files, &path).map_err(LogError::storage("read", &path))? else {
        return files::replace(files, &path, with_check(format!("log {FORMAT}\n")).as_bytes())
            .map_err(|fault| LogError::storage("write", &path)(fault.into_error()));
    };
    let text = String::from_utf8_lossy(&bytes);
    let found = checked_lines(&text).and_then(|lines| lines.trim_end().strip_prefix("log ")?.parse().ok());
    match found {
        Some(FORMAT) => Ok(()),
        Some(found) => Err(LogError::Format { path, found, readable: FORMAT }),
        None => Err(LogError::File { path, reason: "its content is not what was written".into() }),
    }
}

/// Runs what blocks on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    // A thread that does not answer has ended with the process's runtime.
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(LogError::Closed))
}
