//! Reads what is in the topic of a source, and tells the log what has landed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use millstream_connector::{
    Block, BlockStream, Bound, Connector, ConnectorError, Discovery, EventDecoder, FoundColumn, Intake,
    KnownPart, LogAccess, MalformedRow, Meter, Part, PartChange, PartVersion, ReadEnd, ReadRequest,
    SourceBatch, WaitingPart,
};
use millstream_log::{
    Batch, EventLog, LogError, Message, Payload, Place, Position, ReadBound, ReaderName, TopicInfo, TopicName,
};
use millstream_types::{Field, SourceName, TimestampMicros};
use serde::{Deserialize, Serialize};

use super::decode::blocks;

/// The most bytes of the log that one commit takes in.
const COMMIT_BYTES_MAX: u64 = 256 << 20;

/// Bytes of the log that are decoded at once: few enough that their columns stay in a core's cache.
const BLOCK_BYTES: usize = 1 << 20;

/// The topic of one source.
#[derive(Debug)]
pub(super) struct EventsConnector {
    source: SourceName,
    topic: TopicName,
    /// The reader under whose name the log keeps what has not landed.
    reader: ReaderName,
    bound: Bound,
    log: Arc<dyn LogAccess>,
    /// Where the last read of each part ended.
    ended: Arc<Mutex<HashMap<String, Ended>>>,
}

/// What a part was when it was discovered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EventsVersion {
    /// The id of the topic, which tells it from another one of the same name.
    topic: String,
    /// The offset behind the last record that was there.
    end: u64,
}

/// Where a read ended.
#[derive(Clone, Copy, Debug)]
struct Ended {
    /// The offset behind the last record that was read.
    next: u64,
    /// Whether the part as it was discovered has more.
    more: bool,
}

impl EventsConnector {
    pub(super) fn new(
        source: &SourceName,
        intake: &Intake,
        log: Arc<dyn LogAccess>,
    ) -> Result<Self, ConnectorError> {
        let unfit =
            |error: LogError| ConnectorError::Options { message: error.to_string(), hint: error.hint() };
        Ok(Self {
            source: source.clone(),
            topic: Intake::topic(source).map_err(unfit)?,
            reader: Intake::reader(source).map_err(unfit)?,
            bound: Bound { rows: Some(intake.commit_rows), bytes: Some(COMMIT_BYTES_MAX), time: None },
            log,
            ended: Arc::default(),
        })
    }

    async fn log(&self) -> Result<Arc<dyn EventLog>, ConnectorError> {
        self.log.log().await.map_err(|error| self.fault(self.topic.as_str(), error))
    }

    /// The partition of a part of this source.
    fn place(&self, part: &str) -> Option<Place> {
        let (topic, partition) = part.rsplit_once('/')?;
        (topic == self.topic.as_str()).then(|| Some(Place::new(&self.topic, partition.parse().ok()?)))?
    }

    fn fault(&self, part: &str, error: LogError) -> ConnectorError {
        fault(&self.source, part, error)
    }

    /// What follows the known position of a partition, if anything does.
    fn found(
        &self,
        info: &TopicInfo,
        partition: u32,
        known: Option<&KnownPart>,
    ) -> Result<Option<Part>, ConnectorError> {
        let id = Intake::part(&self.source, partition);
        let at = usize::try_from(partition).unwrap_or(usize::MAX);
        let Some(state) = info.partitions.get(at) else { return Ok(None) };
        let version = EventsVersion { topic: format!("{:032x}", info.id), end: state.offsets.end };
        let lost = |reason: String| ConnectorError::PositionLost { part: id.clone(), reason };
        let next = match known {
            None => state.offsets.start,
            Some(known) => {
                let former: Option<EventsVersion> = serde_json::from_str(&known.version.0).ok();
                if former.is_some_and(|former| former.topic != version.topic) {
                    return Err(lost("the topic is another one of the same name".to_owned()));
                }
                let next = u64::try_from(known.position.saturating_add(1)).unwrap_or(0);
                if next < state.offsets.start || next > state.offsets.end {
                    let (start, end) = (state.offsets.start, state.offsets.end);
                    return Err(lost(format!("offset {next} comes next, and the log has {start} to {end}")));
                }
                next
            }
        };
        if next >= state.offsets.end {
            return Ok(None);
        }
        let change = if known.is_some() { PartChange::Grown } else { PartChange::New };
        let version = PartVersion(serde_json::to_string(&version).unwrap_or_default());
        Ok(Some(Part { id, version, change, bytes: None }))
    }
}

#[async_trait]
impl Connector for EventsConnector {
    async fn discover(&self, known: &[KnownPart]) -> Result<Discovery, ConnectorError> {
        let nothing = |reason: &str| Discovery {
            waiting: vec![WaitingPart { id: self.topic.to_string(), reason: reason.to_owned() }],
            ..Discovery::default()
        };
        let is_new = known.is_empty();
        if is_new && self.log.is_absent() {
            return Ok(nothing("no event has come yet"));
        }
        let info = match self.log().await?.topic(&self.topic).await {
            Ok(info) => info,
            Err(LogError::NoTopic { .. }) if is_new => return Ok(nothing("no event has come yet")),
            Err(LogError::NoTopic { .. }) => {
                let part = known.first().map_or_else(|| self.topic.to_string(), |part| part.id.clone());
                let reason = "the topic is gone from the event log".to_owned();
                return Err(ConnectorError::PositionLost { part, reason });
            }
            Err(error) => return Err(self.fault(self.topic.as_str(), error)),
        };
        let mut discovery = Discovery::default();
        for partition in 0..info.options.partitions {
            let id = Intake::part(&self.source, partition);
            let known = known.iter().find(|part| part.id == id);
            discovery.parts.extend(self.found(&info, partition, known)?);
        }
        Ok(discovery)
    }

    fn means(&self, id: &str) -> bool {
        self.place(id).is_some()
    }

    async fn describe(&self, _part: &Part) -> Result<Vec<FoundColumn>, ConnectorError> {
        // Events have no schema of their own: the contract says what is expected, and what it does not name turns up as text.
        Ok(Vec::new())
    }

    fn names_every_column(&self, _part: &Part) -> bool {
        false
    }

    fn bound(&self) -> Bound {
        self.bound
    }

    fn events(&self) -> Option<&dyn EventDecoder> {
        Some(self)
    }

    async fn read(&self, part: &Part, request: &ReadRequest) -> Result<BlockStream, ConnectorError> {
        let broken =
            |reason: &str| ConnectorError::Broken { part: part.id.clone(), reason: reason.to_owned() };
        let place = self.place(&part.id).ok_or_else(|| broken("it is no partition of the source"))?;
        let version: EventsVersion = serde_json::from_str(&part.version.0)
            .map_err(|_| broken("its version was not made by this connector"))?;
        let log = self.log().await?;
        let info = log.topic(&self.topic).await.map_err(|error| self.fault(&part.id, error))?;
        if format!("{:032x}", info.id) != version.topic {
            return Err(ConnectorError::Changed { part: part.id.clone() });
        }
        let at = usize::try_from(place.partition).unwrap_or(usize::MAX);
        let start = info.partitions.get(at).map_or(0, |partition| partition.offsets.start);
        let next = match request.after {
            Some(after) => u64::try_from(after.saturating_add(1)).unwrap_or(0),
            None => start,
        };
        let reading = Reading {
            log,
            part: part.id.clone(),
            place,
            next,
            end: version.end,
            meter: Meter::start(request.until),
            has_begun: false,
            columns: request.columns.clone().into(),
            ended: self.ended.clone(),
        };
        let source = self.source.clone();
        let read = stream::try_unfold(reading, move |mut reading| {
            let source = source.clone();
            async move {
                match reading.read().await {
                    Ok(read) => Ok(read.map(|blocks| (stream::iter(blocks.into_iter().map(Ok)), reading))),
                    Err(error) => Err(fault(&source, &reading.part, error)),
                }
            }
        });
        Ok(read.try_flatten().boxed())
    }

    async fn finish(&self, part: &Part) -> Result<ReadEnd, ConnectorError> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).get(&part.id).copied();
        let Some(ended) = ended.filter(|ended| ended.next > 0) else {
            return Ok(ReadEnd::of_part(part.version.clone()));
        };
        let position = i64::try_from(ended.next - 1).unwrap_or(i64::MAX);
        Ok(ReadEnd { version: part.version.clone(), position: Some(position), more: ended.more })
    }

    async fn decode_again(
        &self,
        part: &str,
        rows: Vec<MalformedRow>,
    ) -> Result<Vec<SourceBatch>, ConnectorError> {
        let Some(place) = self.place(part) else { return Ok(Vec::new()) };
        let mut batches = Vec::new();
        for row in rows {
            let value = row.bytes.unwrap_or_else(|| row.text.into_bytes());
            let message = Message { value: Some(value.into()), ..Message::default() };
            let batch = Batch {
                offset: u64::try_from(row.position).unwrap_or(0),
                timestamp: TimestampMicros(0),
                payload: Payload::Messages(vec![message]),
            };
            for block in blocks(&place, vec![batch], &Arc::from([])) {
                let decoded = block.decode()?;
                if decoded.rows.num_rows() == 1 {
                    // The row comes now, whenever its bytes did.
                    batches.push(SourceBatch { arrivals: None, ..decoded });
                }
            }
        }
        Ok(batches)
    }

    async fn acknowledge(&self, durable: &[KnownPart]) -> Result<(), ConnectorError> {
        if self.log.is_absent() {
            return Ok(());
        }
        let log = self.log().await?;
        for part in durable {
            let Some(place) = self.place(&part.id) else { continue };
            let next = u64::try_from(part.position.saturating_add(1)).unwrap_or(0);
            match log.pin(&self.reader, &place.at(next)).await {
                // What is gone is told by the next look.
                Ok(())
                | Err(LogError::NoTopic { .. } | LogError::NoPartition { .. } | LogError::Range { .. }) => {}
                Err(error) => return Err(self.fault(&part.id, error)),
            }
        }
        Ok(())
    }
}

impl EventDecoder for EventsConnector {
    fn blocks(&self, place: &Place, batches: Vec<Batch>, columns: &Arc<[Field]>) -> Vec<Box<dyn Block>> {
        blocks(place, batches, columns)
    }
}

/// The error of a source for one of the log.
fn fault(source: &SourceName, part: &str, error: LogError) -> ConnectorError {
    let place = format!("the event log of source `{source}`");
    match error {
        LogError::Damaged(damage) => ConnectorError::Broken {
            part: part.to_owned(),
            reason: format!(
                "records cannot be read: {damage}; bring the segment's file back from a backup, and what follows lands too"
            ),
        },
        error @ LogError::Range { .. } => {
            ConnectorError::PositionLost { part: part.to_owned(), reason: error.to_string() }
        }
        error @ LogError::Locked { .. } => ConnectorError::Refused {
            place,
            hint: Some(
                "a server that has the log open lands the source by itself: leave it to that, or stop the server first"
                    .to_owned(),
            ),
            source: Box::new(error),
        },
        error @ (LogError::Storage { .. } | LogError::Closed | LogError::OverBound { .. }) => {
            ConnectorError::Unavailable { place, retry_after: None, source: Box::new(error) }
        }
        error => ConnectorError::Refused { place, hint: error.hint(), source: Box::new(error) },
    }
}

/// A read that is under way.
struct Reading {
    log: Arc<dyn EventLog>,
    part: String,
    place: Place,
    next: u64,
    end: u64,
    meter: Meter,
    /// Whether anything was read.
    has_begun: bool,
    columns: Arc<[Field]>,
    ended: Arc<Mutex<HashMap<String, Ended>>>,
}

impl Reading {
    /// The next blocks; `None` at the bound or at the part's end.
    async fn read(&mut self) -> Result<Option<Vec<Box<dyn Block>>>, LogError> {
        // Whatever the bound, a read brings something.
        if self.next >= self.end || self.has_begun && self.meter.is_reached() {
            self.note_end();
            return Ok(None);
        }
        let bound = self.bound();
        let from = Position { place: self.place.clone(), offset: self.next };
        let read = self.log.read(&from, bound).await?;
        let records = read.batches.iter().map(|batch| batch.payload.records()).sum();
        self.has_begun = true;
        self.next = read.next;
        let blocks = blocks(&self.place, read.batches, &self.columns);
        self.meter.add(records, blocks.iter().map(|block| block.bytes()).sum());
        if records == 0 {
            self.end = self.next;
        }
        self.note_end();
        Ok(Some(blocks))
    }

    fn bound(&self) -> ReadBound {
        let left = self.meter.left();
        let of_part = self.end.saturating_sub(self.next);
        let records = left.rows.map_or(of_part, |rows| rows.min(of_part)).max(1);
        let bytes = left.bytes.map_or(BLOCK_BYTES, |bytes| usize::try_from(bytes).unwrap_or(BLOCK_BYTES));
        ReadBound { bytes: bytes.min(BLOCK_BYTES), records: usize::try_from(records).unwrap_or(usize::MAX) }
    }

    fn note_end(&self) {
        let ended = Ended { next: self.next, more: self.next < self.end };
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).insert(self.part.clone(), ended);
    }
}
