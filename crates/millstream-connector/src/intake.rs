//! What a source takes in by itself: events that are sent to it, or that it makes. They go into the event log first, in the topic
//! of the source's name, and from there into its table and to whoever follows the source.

use std::{fmt, num::NonZeroU32, sync::Arc};

use async_trait::async_trait;
use futures::future::BoxFuture;
use millstream_log::{
    Batch, EventLog, LogError, Place, ReaderName, Retention, TopicInfo, TopicName, TopicOptions,
};
use millstream_types::{ColumnType, Field, Secret, SourceName, Span, TableName};

use crate::Block;

/// The way by which connectors come to the event log of their process. It is opened when somebody first asks.
#[async_trait]
pub trait LogAccess: Send + Sync + fmt::Debug {
    /// The log, the same one for all who ask.
    ///
    /// # Errors
    ///
    /// Another process has the log open, or it cannot be read.
    async fn log(&self) -> Result<Arc<dyn EventLog>, LogError>;

    /// Whether the log was never made, so that it holds nothing. To ask opens nothing.
    fn is_absent(&self) -> bool;
}

/// What a connector of events makes of records, wherever they were read.
pub trait EventDecoder: Send + Sync {
    /// Records of one partition, with offsets that ascend, as blocks in their order. `columns` are those that most events have.
    fn blocks(&self, place: &Place, batches: Vec<Batch>, columns: &Arc<[Field]>) -> Vec<Box<dyn Block>>;
}

/// How a source takes events in.
#[derive(Clone, Debug, PartialEq)]
pub struct Intake {
    /// How events come about.
    pub what: IntakeKind,
    /// The number of the topic's partitions, from 1 to [`Self::PARTITIONS_MAX`]. It never changes once the topic is there.
    pub partitions: NonZeroU32,
    /// The field of an event whose value decides its partition, so that events with one value stay in order; `None` for sources
    /// that spread events as they come.
    pub key: Option<String>,
    /// How long events stay in the log after they have landed.
    pub retention: Span,
    /// How many bytes of landed events stay in each partition of the log; `None` where their age alone decides.
    pub retention_bytes: Option<u64>,
    /// The most bytes of the topic. Events beyond it are refused until others may go.
    pub bytes_max: Option<u64>,
    /// The most bytes of one event.
    pub event_bytes_max: u64,
    /// The signature that a call has to carry.
    pub signature: Option<SignedCalls>,
    /// A server lands what is in the log at least so often.
    pub commit_every: Span,
    /// The most events that one commit takes in.
    pub commit_rows: u64,
}

/// How the events of a source come about.
#[derive(Clone, Debug, PartialEq)]
pub enum IntakeKind {
    /// They are sent, as JSON or as Arrow.
    Http,
    /// They are made by the source itself.
    Generate(GeneratedEvents),
    /// They are sent by OpenTelemetry's exporters.
    Otlp(OtlpSignal),
}

/// Events that a source makes, the same ones in every process with the same seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeneratedEvents {
    pub shape: EventShape,
    /// The number of events in a second.
    pub per_second: f64,
    pub seed: u64,
}

/// What made events look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventShape {
    /// What customers of a shop do.
    Shop,
}

/// What OpenTelemetry calls a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpSignal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
}

/// Calls whose senders prove by an HMAC with SHA-256 that they know a secret.
#[derive(Clone, Debug, PartialEq)]
pub struct SignedCalls {
    /// The name of the header with the signature.
    pub header: String,
    pub scheme: SignatureScheme,
    pub secret: Secret,
    /// How far the time of a signature that has one may be from the present.
    pub tolerance: Span,
}

/// How a signature stands in its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureScheme {
    /// The HMAC of the body in hexadecimal digits.
    Hex,
    /// `sha256=` and the HMAC of the body in hexadecimal digits, as GitHub signs.
    Prefixed,
    /// `t=<seconds>,v1=<digits>`, where the HMAC is that of the seconds, a full stop and the body, as Stripe signs. One of several
    /// `v1` has to be right.
    Timed,
}

impl Intake {
    pub const PARTITIONS_MAX: u32 = 64;
    /// A week.
    pub const RETENTION: Span = Span::from_ms(7 * 24 * 3_600_000);
    pub const EVENT_BYTES_MAX: u64 = 1 << 20;
    pub const COMMIT_EVERY: Span = Span::from_ms(10_000);
    pub const COMMIT_ROWS: u64 = 1_000_000;

    /// An intake with the bounds that hold where a source says nothing.
    #[must_use]
    pub fn new(what: IntakeKind) -> Self {
        Self {
            what,
            partitions: NonZeroU32::MIN,
            key: None,
            retention: Self::RETENTION,
            retention_bytes: None,
            bytes_max: None,
            event_bytes_max: Self::EVENT_BYTES_MAX,
            signature: None,
            commit_every: Self::COMMIT_EVERY,
            commit_rows: Self::COMMIT_ROWS,
        }
    }

    /// The options of the source's topic. Events that have not landed stay, whatever their age: the source has a pin there.
    #[must_use]
    pub fn topic_options(&self) -> TopicOptions {
        TopicOptions {
            partitions: self.partitions.get(),
            retention: Retention {
                age: Some(self.retention.as_std()),
                bytes: self.retention_bytes,
                over_pins: false,
            },
            bytes_max: self.bytes_max,
            ..TopicOptions::default()
        }
    }

    /// The topic of a source.
    ///
    /// # Errors
    ///
    /// The name of the source is too long for a topic.
    pub fn topic(source: &SourceName) -> Result<TopicName, LogError> {
        TopicName::new(source.as_str())
    }

    /// The reader under whose name the log keeps what has not landed yet.
    ///
    /// # Errors
    ///
    /// The name of the source is too long for a reader.
    pub fn reader(source: &SourceName) -> Result<ReaderName, LogError> {
        ReaderName::new(&TableName::bronze(source).to_string())
    }

    /// The id of a partition as a part of its source: the `_source` of its rows.
    #[must_use]
    pub fn part(source: &SourceName, partition: u32) -> String {
        format!("{source}/{partition}")
    }

    /// The `_sequence` of the row at this place: the same one wherever it is read. Rows of one partition ascend, and those of several
    /// are mixed by their offsets.
    #[must_use]
    pub fn sequence(partition: u32, offset: u64) -> i64 {
        let numbered =
            offset.saturating_mul(u64::from(Self::PARTITIONS_MAX)).saturating_add(u64::from(partition));
        i64::try_from(numbered).unwrap_or(i64::MAX)
    }

    /// The topic of a source as it is to be, made if it was not there. What comes from now on stays until it has landed.
    ///
    /// # Errors
    ///
    /// The topic is there with other partitions, or the log fails.
    pub fn open_topic<'a>(
        &'a self,
        log: &'a dyn EventLog,
        source: &'a SourceName,
    ) -> BoxFuture<'a, Result<TopicInfo, LogError>> {
        Box::pin(async move {
            let (topic, reader) = (Self::topic(source)?, Self::reader(source)?);
            let info = log.create(&topic, &self.topic_options()).await?;
            let pins = log.pins(&topic).await?;
            for (partition, state) in (0..).zip(&info.partitions) {
                let place = Place::new(&topic, partition);
                let is_pinned = pins.iter().any(|pin| pin.reader == reader && pin.position.place == place);
                if !is_pinned {
                    log.pin(&reader, &place.at(state.offsets.start)).await?;
                }
            }
            Ok(info)
        })
    }
}

impl OtlpSignal {
    /// The columns of the signal's events, each of which is one span or one log record. Attributes, resources and events are JSON.
    #[must_use]
    pub fn columns(self) -> Vec<Field> {
        let text = |name: &str| (name.to_owned(), ColumnType::String);
        let time = |name: &str| (name.to_owned(), ColumnType::Timestamp { zone: None });
        let columns = match self {
            Self::Traces => vec![
                text("trace_id"),
                text("span_id"),
                text("parent_span_id"),
                text("name"),
                text("kind"),
                text("service"),
                time("start"),
                time("end"),
                ("duration_us".to_owned(), ColumnType::Int64),
                text("status"),
                text("status_message"),
                text("scope"),
                text("attributes"),
                text("resource"),
                text("events"),
            ],
            Self::Logs => vec![
                time("time"),
                time("observed"),
                text("severity"),
                ("severity_number".to_owned(), ColumnType::Int32),
                text("body"),
                text("service"),
                text("trace_id"),
                text("span_id"),
                text("scope"),
                text("attributes"),
                text("resource"),
            ],
        };
        columns.into_iter().map(|(name, column_type)| Field { name, column_type }).collect()
    }
}
