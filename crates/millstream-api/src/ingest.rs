//! Events that are sent to a source.

use serde::Serialize;
use utoipa::ToSchema;

/// Events that are durable in the event log.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct IngestAnswer {
    /// The number of events of the request.
    pub accepted: u64,
    /// Whether they were there already, because the request came again with its `Idempotency-Key`.
    pub repeated: bool,
    /// Where they are, by partition.
    pub offsets: Vec<IngestedRange>,
}

/// Where the events of one partition are in the event log.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct IngestedRange {
    pub partition: u32,
    /// The offset of the first event. Absent where a request came again so late that it is forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// The offset of the last event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
}

/// A row of a request that cannot be taken.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RowFault {
    /// The place of the row among those of the request, from 0.
    pub index: u64,
    /// The byte of the body, after it was decompressed, at which the fault was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    pub reason: String,
}
