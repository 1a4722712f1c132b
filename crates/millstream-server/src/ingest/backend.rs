//! What the endpoints of events ask of the rest of Millstream.

use async_trait::async_trait;
use axum::body::Bytes;
use millstream_api::ingest::IngestAnswer;

use crate::{SourceSignature, error::ApiError};

/// Sources that take events in.
#[async_trait]
pub trait IngestBackend: Send + Sync + 'static {
    /// The most bytes of one event of the source.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::UnknownSource`], or [`crate::ErrorKind::NotTaking`] when the source takes no events that come so.
    fn takes(&self, source: &str, sent: EventsSent) -> Result<u64, ApiError>;

    /// How calls of the source are signed; `None` where they need not be, or there is no such source.
    fn signature(&self, source: &str) -> Option<SourceSignature>;

    /// Takes events in. Once this returns, they are durable.
    ///
    /// # Errors
    ///
    /// Those of [`Self::takes`]; that rows are no events, or too large; that there is no room for them now, or that the log does not
    /// take any.
    async fn ingest(&self, source: &str, request: IngestRequest) -> Result<IngestAnswer, ApiError>;
}

/// How events are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventsSent {
    /// As events of their own.
    AsEvents,
    /// As spans of OpenTelemetry.
    AsSpans,
    /// As log records of OpenTelemetry.
    AsLogRecords,
}

/// Events to take in.
#[derive(Clone, Debug)]
pub struct IngestRequest {
    pub events: IngestEvents,
    /// What makes it safe to send the request again.
    pub idempotency_key: Option<String>,
    /// The most events that are taken at once.
    pub events_max: usize,
}

/// The events of a request.
#[derive(Clone, Debug)]
pub enum IngestEvents {
    /// One JSON object, or a list of them.
    Json(Bytes),
    /// A JSON object in each line.
    Ndjson(Bytes),
    /// Arrow's stream format.
    Arrow(Bytes),
    /// JSON objects, each an event of this kind.
    Written(EventsSent, Vec<Bytes>),
}
