//! The door of sources that take events in: events go into the event log, in the topic of the source's name, and whoever sent them
//! is answered when they are durable there.
//!
//! ```text
//! HTTP, command line, OTLP, generator ──► events.rs: bytes → events ──► SourceIntake ──► one append for each partition
//! ```

mod error;
mod events;
mod generate;
mod json;
mod rows;

use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use arrow::{array::RecordBatch, compute::concat_batches};
use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use millstream_connector::{Intake, IntakeKind, OtlpSignal};
use millstream_log::{
    Append, Appended, EventLog, LogError, Message, Payload, Place, Sequenced, TopicName, partition_of,
};
use millstream_project::nearest;
use millstream_types::SourceName;
use tokio::sync::Semaphore;

use crate::{Engine, EngineError, engine::World};

pub use error::{IntakeError, IntakeFailure};
pub use events::{EventFault, EventFormat, EventRules, Events, FAULTS_MAX, read_events};
pub use generate::Generators;
pub use rows::EventRows;

/// The most bytes of one source's events that wait for the disk, in units of [`UNIT`].
const WAITING_UNITS_MAX: usize = 64 << 10;
const UNIT: usize = 1 << 10;

/// Bodies from this size on are read apart from what answers other requests.
const LARGE_BODY: usize = 256 << 10;

/// A source that takes events in, ready to take them.
pub struct SourceIntake {
    name: SourceName,
    intake: Intake,
    log: Arc<dyn EventLog>,
    topic: TopicName,
    waiting: Semaphore,
    /// The partition of the next events that no key places.
    next: AtomicU32,
}

impl fmt::Debug for SourceIntake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceIntake").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The sources of a project that have been asked for, by name.
pub(crate) type Intakes = Mutex<BTreeMap<SourceName, Arc<SourceIntake>>>;

/// How events come to a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// As events, in a body or from the command line.
    Events,
    Otlp(OtlpSignal),
    /// From this program itself.
    Generator,
}

/// A body with events.
#[derive(Clone, Debug)]
pub struct EventBody {
    pub format: EventFormat,
    pub bytes: Bytes,
    /// The most events that it may have.
    pub events_max: usize,
}

/// Events that are durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenEvents {
    pub accepted: u64,
    /// Whether all of them had been taken before, by a request with the same idempotency key.
    pub repeated: bool,
    /// Where they are, by partition.
    pub offsets: Vec<TakenRange>,
}

/// Where events of one partition are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenRange {
    pub partition: u32,
    /// `None` where they were taken so long ago that their offsets are forgotten.
    pub offsets: Option<Range<u64>>,
}

impl Engine {
    /// The source of this name, ready to take events in by this door. Its topic is made, and the event log opened, when it is first
    /// asked for.
    ///
    /// # Errors
    ///
    /// There is no such source, it takes no events in by this door, or the log cannot be opened.
    pub fn intake<'a>(
        &'a self,
        source: &'a str,
        door: Door,
    ) -> BoxFuture<'a, Result<Arc<SourceIntake>, IntakeError>> {
        Box::pin(async move {
            let world = self.world();
            let (name, intake) = taking(world, source, door)?;
            let known = world.intakes.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
            if let Some(known) = known {
                return Ok(known);
            }
            let opened = Arc::new(SourceIntake::open(world, name, intake.clone()).await?);
            let mut intakes = world.intakes.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(intakes.entry(name.clone()).or_insert(opened).clone())
        })
    }

    /// How the source of this name takes events in by this door.
    ///
    /// # Errors
    ///
    /// There is no such source, or it takes no events in by this door.
    pub fn takes(&self, source: &str, door: Door) -> Result<&Intake, IntakeError> {
        taking(self.world(), source, door).map(|(_, intake)| intake)
    }

    /// How the source of this name takes events in; `None` where there is none, or it is only read.
    #[must_use]
    pub fn intake_of(&self, source: &str) -> Option<&Intake> {
        let name = SourceName::new(source).ok()?;
        self.project().connectors.get(&name)?.intake()
    }
}

/// The source of this name with how it takes events in.
fn taking<'a>(
    world: &'a World,
    source: &str,
    door: Door,
) -> Result<(&'a SourceName, &'a Intake), IntakeError> {
    let connectors = &world.project.connectors;
    let found = SourceName::new(source).ok().and_then(|name| connectors.get_key_value(&name));
    let Some((name, config)) = found else {
        // Those that take events in are meant, if there are any.
        let known = connectors.iter().filter(|(_, config)| config.intake().is_some());
        let near = nearest(source, known.map(|(name, _)| name.as_str()));
        let near = near.or_else(|| nearest(source, connectors.keys().map(SourceName::as_str)));
        return Err(IntakeError::UnknownSource { name: source.to_owned(), nearest: near.map(str::to_owned) });
    };
    let refused = |reason: &str, hint: Option<String>| IntakeError::NotTaking {
        name: source.to_owned(),
        reason: reason.to_owned(),
        hint,
    };
    let Some(intake) = config.intake() else {
        let hint = "events are sent to sources whose connector is of type `http`";
        return Err(refused("is read where its data is, and takes no events", Some(hint.into())));
    };
    match (&intake.what, door) {
        (IntakeKind::Http, Door::Events) | (IntakeKind::Generate(_), Door::Generator) => Ok((name, intake)),
        (IntakeKind::Otlp(signal), Door::Otlp(sent)) if *signal == sent => Ok((name, intake)),
        (IntakeKind::Otlp(signal), _) => {
            let signal = match signal {
                OtlpSignal::Traces => "traces",
                OtlpSignal::Logs => "logs",
            };
            let hint = format!("exporters send it {signal} by `POST /v1/otlp/{source}/v1/{signal}`");
            Err(refused(&format!("takes {signal} of OpenTelemetry alone"), Some(hint)))
        }
        (IntakeKind::Generate(_), _) => Err(refused("makes its events itself", None)),
        (IntakeKind::Http, _) => {
            let hint = format!("send it events by `POST /v1/ingest/{source}`");
            Err(refused("takes events as they are sent", Some(hint)))
        }
    }
}

impl SourceIntake {
    async fn open(world: &World, name: &SourceName, intake: Intake) -> Result<Self, IntakeError> {
        let failed = |source| IntakeError::Log { name: name.to_string(), source };
        let log = world.process.log.open().await.map_err(failed)?;
        let topic = intake.open_topic(&*log, name).await.map_err(failed)?.topic;
        let waiting = Semaphore::new(WAITING_UNITS_MAX);
        Ok(Self { name: name.clone(), intake, log, topic, waiting, next: AtomicU32::new(0) })
    }

    #[must_use]
    pub fn name(&self) -> &SourceName {
        &self.name
    }

    /// How the source takes events in.
    #[must_use]
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// What its events have to be.
    #[must_use]
    pub fn rules(&self, events_max: usize) -> EventRules {
        EventRules { key: self.intake.key.clone(), event_bytes_max: self.intake.event_bytes_max, events_max }
    }

    /// Takes the events of a body in, and returns when they are durable. An idempotency key makes it safe to send the same body
    /// again.
    ///
    /// # Errors
    ///
    /// As [`IntakeError`] says. No event was taken, unless it is [`IntakeError::Partly`], or a [`LogError::Unsynced`] below
    /// [`IntakeError::Log`].
    pub fn take_body(
        self: Arc<Self>,
        body: EventBody,
        idempotency_key: Option<String>,
    ) -> BoxFuture<'static, Result<TakenEvents, IntakeError>> {
        Box::pin(async move {
            let EventBody { format, bytes, events_max } = body;
            let rules = self.rules(events_max);
            let is_apart = format == EventFormat::Arrow || bytes.len() > LARGE_BODY;
            let found = if is_apart {
                let reading = tokio::task::spawn_blocking(move || read_events(format, &bytes, &rules));
                reading.await.map_err(|_| EngineError::Worker { doing: "reading events" })?
            } else {
                read_events(format, &bytes, &rules)
            };
            self.take(found?, idempotency_key.as_deref()).await
        })
    }

    /// Takes events in, and returns when they are durable.
    ///
    /// # Errors
    ///
    /// As in [`Self::take_body`].
    pub fn take<'a>(
        &'a self,
        events: Events,
        idempotency_key: Option<&'a str>,
    ) -> BoxFuture<'a, Result<TakenEvents, IntakeError>> {
        Box::pin(async move {
            let count = events.count();
            let bytes = events.bytes();
            let units = u32::try_from(bytes.div_ceil(UNIT).min(WAITING_UNITS_MAX)).unwrap_or(u32::MAX);
            let _room = self.waiting.try_acquire_many(units).map_err(|_| IntakeError::Busy {
                name: self.name.to_string(),
                bytes: WAITING_UNITS_MAX * UNIT,
            })?;
            let producer = idempotency_key.map(|key| producer_of(&self.name, key));
            let appends = self.appends(events, producer)?;
            let appended = join_all(appends.into_iter().map(|append| self.append(append))).await;
            self.taken(count, appended)
        })
    }

    /// Appends to partitions of the source's topic, one for each.
    fn appends(&self, events: Events, producer: Option<u128>) -> Result<Vec<Append>, IntakeError> {
        let partitions = self.intake.partitions.get();
        // A request that comes again goes to the same partition as before.
        let otherwise = || match producer {
            _ if partitions == 1 => 0,
            Some(producer) => partition_of(&producer.to_be_bytes(), partitions),
            None => self.next.fetch_add(1, Ordering::Relaxed) % partitions,
        };
        let payloads: Vec<(u32, Payload)> = match events {
            Events::Messages(messages) if messages.is_empty() => Vec::new(),
            Events::Messages(messages) if partitions == 1 => vec![(0, Payload::Messages(messages))],
            Events::Messages(messages) => by_partition(messages, partitions, otherwise()),
            Events::Rows(rows) => {
                let by_partition = rows.by_partition(partitions, otherwise())?;
                by_partition.into_iter().map(one_batch).collect::<Result<_, _>>()?
            }
        };
        let appends = payloads.into_iter().map(|(partition, payload)| Append {
            place: Place::new(&self.topic, partition),
            payload,
            timestamp: None,
            sequenced: producer.map(|producer| Sequenced { producer, epoch: 0, sequence: 0 }),
        });
        Ok(appends.collect())
    }

    async fn append(&self, append: Append) -> (u32, u64, Result<Appended, LogError>) {
        let (partition, records) = (append.place.partition, append.payload.records() as u64);
        (partition, records, self.log.append(append).await)
    }

    fn taken(
        &self,
        count: u64,
        appended: Vec<(u32, u64, Result<Appended, LogError>)>,
    ) -> Result<TakenEvents, IntakeError> {
        let mut taken = TakenEvents { accepted: 0, repeated: !appended.is_empty(), offsets: Vec::new() };
        let mut failed = None;
        for (partition, records, outcome) in appended {
            match outcome {
                Ok(Appended { offsets, repeated }) => {
                    taken.accepted += records;
                    taken.repeated &= repeated;
                    taken.offsets.push(TakenRange { partition, offsets });
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let name = self.name.to_string();
        match failed {
            None => Ok(taken),
            Some(LogError::OutOfOrder { .. }) => Err(IntakeError::KeyReused { name }),
            Some(source) if taken.accepted == 0 => Err(IntakeError::Log { name, source }),
            Some(source) => Err(IntakeError::Partly { taken: taken.accepted, count, source }),
        }
    }
}

/// The events of each partition, in their order.
fn by_partition(messages: Vec<Message>, partitions: u32, otherwise: u32) -> Vec<(u32, Payload)> {
    let mut all: BTreeMap<u32, Vec<Message>> = BTreeMap::new();
    for message in messages {
        let partition = message.key.as_ref().map_or(otherwise, |key| partition_of(key, partitions));
        all.entry(partition).or_default().push(message);
    }
    all.into_iter().map(|(partition, messages)| (partition, Payload::Messages(messages))).collect()
}

/// The rows of a partition in one batch, since one append is there as a whole or not at all.
fn one_batch((partition, batches): (u32, Vec<RecordBatch>)) -> Result<(u32, Payload), IntakeError> {
    let schema = batches
        .first()
        .map(RecordBatch::schema)
        .unwrap_or_else(|| Arc::new(arrow::datatypes::Schema::empty()));
    let rows = concat_batches(&schema, &batches)
        .map_err(|error| IntakeError::NotArrow { reason: error.to_string() })?;
    Ok((partition, Payload::Rows(rows)))
}

/// The producer that a request with this key is for the log.
fn producer_of(source: &SourceName, key: &str) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(source.as_str().as_bytes()).update(&[0]).update(key.as_bytes());
    let hash = hasher.finalize();
    u128::from_be_bytes(*hash.as_bytes().first_chunk().unwrap_or(&[0; 16]))
}
