//! A topic of the embedded log: its folder, options, schemas, pins and partitions.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, atomic::AtomicU64},
    time::Duration,
};

use arrow::datatypes::SchemaRef;

use super::{
    Shared,
    files::{self, BESIDE, Files},
    manifest::{Manifest, checked_lines, with_check},
    partition::{Partition, locked},
    pins::Pins,
    recover::recover,
    recovery::Recovery,
    rows::TopicSchema,
    segment,
};
use crate::{
    Compression, LogError, Place, Retention, TimestampKind, TopicInfo, TopicName, TopicOptions,
    error::Result, topic::PARTITIONS_MAX,
};

const OPTIONS: &str = "topic";
const SCHEMAS: &str = "schemas";
/// The version of the format of a topic's folder.
const FORMAT: u32 = 1;
/// The most schemas of a topic: one for each change of its rows' columns.
const SCHEMAS_MAX: usize = 10_000;

/// Whether schemas can be added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Adding {
    #[default]
    Allowed,
    Ended,
}

#[derive(Debug)]
pub(super) struct Topic {
    pub shared: Arc<Shared>,
    pub name: TopicName,
    pub folder: PathBuf,
    pub id: u128,
    options: RwLock<TopicOptions>,
    pub partitions: Vec<Arc<Partition>>,
    /// Schemas of rows, each at the place of its number; `Err` for one that cannot be read.
    schemas: RwLock<Vec<Result<Arc<TopicSchema>>>>,
    /// Held while a schema is added, and says whether any may be.
    adding: Mutex<Adding>,
}

impl Topic {
    /// Makes the folder of a topic, in full or not at all, and opens it.
    pub(super) fn make(shared: &Arc<Shared>, name: &TopicName, options: &TopicOptions) -> Result<Arc<Self>> {
        let files = &*shared.options.files;
        let folder = shared.topic_folder(name);
        let beside = folder.with_file_name(format!("{name}{BESIDE}~"));
        let make = || LogError::storage("make", &folder);
        let _ = files.remove_folder(&beside);
        files.create_folder(&beside.join(SCHEMAS)).map_err(make())?;
        for partition in 0..options.partitions {
            let place = beside.join(partition.to_string());
            files.create_folder(&place).map_err(make())?;
            let salt = shared.salt();
            segment::create(files, &segment::log_path(&place, 0), 0, &salt).map_err(make())?;
            let manifest = Manifest { segments: vec![(0, salt)], ..Manifest::default() };
            manifest.write(files, &place).map_err(|fault| make()(fault.into_error()))?;
        }
        write_options(files, &beside, shared.random(), options)?;
        files.sync_folder(&beside.join(SCHEMAS)).map_err(make())?;
        files.sync_folder(&beside).map_err(make())?;
        files.rename(&beside, &folder).map_err(make())?;
        files.sync_folder(&shared.topics_folder()).map_err(make())?;
        Self::open(shared, name, &mut Recovery::default())
    }

    pub(super) fn open(shared: &Arc<Shared>, name: &TopicName, report: &mut Recovery) -> Result<Arc<Self>> {
        let files = &*shared.options.files;
        let folder = shared.topic_folder(name);
        for made in [&folder, &folder.join(SCHEMAS)] {
            files.sync_folder(made).map_err(LogError::storage("sync", made))?;
        }
        let (id, options) = read_options(files, &folder)?;
        shared.facts.insert(name, options.retention.clone(), Pins::read(files, &folder)?);
        let bytes = Arc::new(AtomicU64::new(0));
        let mut partitions = Vec::new();
        for number in 0..options.partitions {
            let place = Place::new(name, number);
            let folder = folder.join(number.to_string());
            let recovered = recover(shared, &place, &folder, report)?;
            partitions.extend(Partition::new(shared, place, folder, &bytes, recovered));
        }
        let schemas = read_schemas(files, &folder)?;
        let (options, schemas) = (RwLock::new(options), RwLock::new(schemas));
        let (shared, name) = (Arc::clone(shared), name.clone());
        Ok(Arc::new(Self {
            shared,
            name,
            folder,
            id,
            options,
            partitions,
            schemas,
            adding: Mutex::default(),
        }))
    }

    pub(super) fn options(&self) -> TopicOptions {
        self.options.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives the topic other options, but for those that never change.
    pub(super) fn configure(&self, asked: &TopicOptions) -> Result<()> {
        let found = self.options();
        let kinds = |options: &TopicOptions| {
            let kind = match options.timestamps {
                TimestampKind::Appended => "times of appending",
                TimestampKind::Producer => "times of producers",
            };
            format!("{} partitions and {kind}", options.partitions)
        };
        if (found.partitions, found.timestamps) != (asked.partitions, asked.timestamps) {
            let (topic, found, asked) = (self.name.clone(), kinds(&found), kinds(asked));
            return Err(LogError::TopicDiffers { topic, found, asked });
        }
        if found == *asked {
            return Ok(());
        }
        write_options(&*self.shared.options.files, &self.folder, self.id, asked)?;
        self.shared.facts.set_retention(&self.name, asked.retention.clone());
        *self.options.write().unwrap_or_else(PoisonError::into_inner) = asked.clone();
        Ok(())
    }

    pub(super) fn info(&self) -> TopicInfo {
        let partitions = self.partitions.iter().map(|partition| partition.info()).collect();
        TopicInfo { topic: self.name.clone(), id: self.id, options: self.options(), partitions }
    }

    pub(super) fn partition(&self, number: u32) -> Result<&Arc<Partition>> {
        let partitions = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        let place = Place::new(&self.name, number);
        self.partitions.get(number as usize).ok_or(LogError::NoPartition { place, partitions })
    }

    /// The schema with that number.
    pub(super) fn schema(&self, number: u32) -> Result<Arc<TopicSchema>> {
        let schemas = self.schemas.read().unwrap_or_else(PoisonError::into_inner);
        schemas
            .get(number as usize)
            .cloned()
            .unwrap_or_else(|| Err(no_schema(&schema_path(&self.folder, number))))
    }

    /// The number of the schema, if the topic has it.
    pub(super) fn known_schema(&self, schema: &SchemaRef) -> Option<Arc<TopicSchema>> {
        let schemas = self.schemas.read().unwrap_or_else(PoisonError::into_inner);
        // The latest one is the likeliest.
        let mut known = schemas.iter().rev().filter_map(|known| known.as_ref().ok());
        known.find(|known| Arc::ptr_eq(&known.schema, schema) || known.schema == *schema).cloned()
    }

    /// Adds a schema to those of the topic, durably. Blocks.
    pub(super) fn add_schema(&self, schema: &SchemaRef) -> Result<Arc<TopicSchema>> {
        let adding = locked(&self.adding);
        if *adding == Adding::Ended {
            return Err(LogError::Closed);
        }
        if let Some(known) = self.known_schema(schema) {
            return Ok(known);
        }
        let count = self.schemas.read().unwrap_or_else(PoisonError::into_inner).len();
        if count >= SCHEMAS_MAX {
            let reason = format!("topic `{}` has had rows of {SCHEMAS_MAX} schemas already", self.name);
            return Err(LogError::Request { reason });
        }
        let number = u32::try_from(count).unwrap_or(u32::MAX);
        let added = Arc::new(TopicSchema::new(number, schema).map_err(LogError::rows("stored"))?);
        let path = schema_path(&self.folder, number);
        let mut bytes = added.message().to_vec();
        bytes.extend_from_slice(&crc32fast::hash(added.message()).to_le_bytes());
        files::replace(&*self.shared.options.files, &path, &bytes)
            .map_err(|fault| LogError::storage("write", &path)(fault.into_error()))?;
        self.schemas.write().unwrap_or_else(PoisonError::into_inner).push(Ok(Arc::clone(&added)));
        Ok(added)
    }

    /// Adds no more schemas: somebody else may open the log.
    pub(super) fn end_schemas(&self) {
        *locked(&self.adding) = Adding::Ended;
    }
}

fn schema_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(SCHEMAS).join(format!("{number:08}.arrow"))
}

fn no_schema(path: &Path) -> LogError {
    LogError::File { path: path.to_path_buf(), reason: "the schema of rows cannot be read".into() }
}

/// The schemas in the order of their numbers.
fn read_schemas(files: &dyn Files, folder: &Path) -> Result<Vec<Result<Arc<TopicSchema>>>> {
    let folder_of = folder.join(SCHEMAS);
    let names = files.list(&folder_of).map_err(LogError::storage("list", &folder_of))?;
    let number = |name: &String| name.strip_suffix(".arrow")?.parse::<u32>().ok();
    let count = names.iter().filter_map(number).max().map_or(0, |last| last + 1);
    let read = |number: u32| {
        let path = schema_path(folder, number);
        let bytes = files::read(files, &path).ok().flatten().ok_or_else(|| no_schema(&path))?;
        let (message, crc) = bytes.split_last_chunk::<4>().ok_or_else(|| no_schema(&path))?;
        if crc32fast::hash(message) != u32::from_le_bytes(*crc) {
            return Err(no_schema(&path));
        }
        let schema = TopicSchema::from_message(number, message.to_vec()).map_err(|_| no_schema(&path))?;
        Ok(Arc::new(schema))
    };
    Ok((0..count.min(u32::try_from(SCHEMAS_MAX).unwrap_or(u32::MAX))).map(read).collect())
}

fn write_options(files: &dyn Files, folder: &Path, id: u128, options: &TopicOptions) -> Result<()> {
    let TopicOptions { partitions, retention, timestamps, compression, bytes_max } = options;
    let mut text = format!("topic {FORMAT}\nid {id:032x}\npartitions {partitions}\n");
    let _ = writeln!(
        text,
        "timestamps {}",
        match timestamps {
            TimestampKind::Appended => "appended",
            TimestampKind::Producer => "producer",
        }
    );
    let _ = writeln!(
        text,
        "compression {}",
        match compression {
            Compression::None => "none",
            Compression::Lz4 => "lz4",
        }
    );
    if let Some(age) = retention.age {
        let _ = writeln!(text, "age_us {}", age.as_micros());
    }
    if let Some(bytes) = retention.bytes {
        let _ = writeln!(text, "bytes {bytes}");
    }
    if retention.over_pins {
        text.push_str("over_pins yes\n");
    }
    if let Some(bytes_max) = bytes_max {
        let _ = writeln!(text, "bytes_max {bytes_max}");
    }
    let path = folder.join(OPTIONS);
    files::replace(files, &path, with_check(text).as_bytes())
        .map_err(|fault| LogError::storage("write", &path)(fault.into_error()))
}

fn read_options(files: &dyn Files, folder: &Path) -> Result<(u128, TopicOptions)> {
    let path = folder.join(OPTIONS);
    let bytes = files::read(files, &path).map_err(LogError::storage("read", &path))?;
    let damaged =
        || LogError::File { path: path.clone(), reason: "its content is not what was written".into() };
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(damaged)?;
    let lines = checked_lines(&text).ok_or_else(damaged)?;
    let format = lines.lines().next().and_then(|line| line.strip_prefix("topic ")?.parse::<u32>().ok());
    if let Some(found) = format.filter(|found| *found != FORMAT) {
        return Err(LogError::Format { path, found, readable: FORMAT });
    }
    parse_options(lines).ok_or_else(damaged)
}

fn parse_options(lines: &str) -> Option<(u128, TopicOptions)> {
    let mut options = TopicOptions { retention: Retention::default(), ..TopicOptions::default() };
    let mut id = None;
    for line in lines.lines().skip(1) {
        let (name, value) = line.split_once(' ')?;
        match (name, value) {
            ("id", value) => id = Some(u128::from_str_radix(value, 16).ok()?),
            ("partitions", value) => {
                options.partitions = value.parse().ok().filter(|count| *count <= PARTITIONS_MAX)?;
            }
            ("timestamps", "appended") => options.timestamps = TimestampKind::Appended,
            ("timestamps", "producer") => options.timestamps = TimestampKind::Producer,
            ("compression", "none") => options.compression = Compression::None,
            ("compression", "lz4") => options.compression = Compression::Lz4,
            ("age_us", value) => options.retention.age = Some(Duration::from_micros(value.parse().ok()?)),
            ("bytes", value) => options.retention.bytes = Some(value.parse().ok()?),
            ("over_pins", "yes") => options.retention.over_pins = true,
            ("bytes_max", value) => options.bytes_max = Some(value.parse().ok()?),
            _ => return None,
        }
    }
    Some((id?, options))
}
