//! The options as people write them.

use millstream_connector::Secret;
use millstream_types::{ByteSize, Span};
use schemars::JsonSchema;
use serde::Deserialize;

/// `connector: {type: http, …}`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpOptions {
    /// The number of partitions of the source's topic, from 1 to 64; 1 when absent. It cannot be changed later.
    #[schemars(range(min = 1, max = 64))]
    pub(super) partitions: Option<u32>,
    /// The field of an event by which events stay in order among several partitions.
    pub(super) key: Option<String>,
    /// How long events stay in the log after they have landed; `7d` when absent.
    #[schemars(with = "Option<String>")]
    pub(super) retention: Option<Span>,
    /// How many bytes of landed events stay in each partition of the log, such as `10GB`; as many as there are when absent.
    #[schemars(with = "Option<String>")]
    pub(super) retention_bytes: Option<ByteSize>,
    /// The most bytes that the log holds of the source; more events are refused until others may go.
    #[schemars(with = "Option<String>")]
    pub(super) max_bytes: Option<ByteSize>,
    /// The most bytes of one event; `1MB` when absent, `64MB` at most.
    #[schemars(with = "Option<String>")]
    pub(super) max_event_bytes: Option<ByteSize>,
    /// A server lands what is in the log at least so often; `10s` when absent.
    #[schemars(with = "Option<String>")]
    pub(super) commit_every: Option<Span>,
    /// The most events that one commit takes in; 1,000,000 when absent.
    #[schemars(range(min = 1))]
    pub(super) commit_rows: Option<u64>,
    /// The signature that a call has to carry.
    pub(super) signature: Option<SignatureOptions>,
}

/// A webhook's signature: an HMAC with SHA-256.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignatureOptions {
    /// The name of the header, such as `X-Hub-Signature-256`.
    pub(super) header: String,
    /// How the signature stands in the header.
    pub(super) scheme: SchemeOption,
    /// The secret that sender and source share; write it as `${NAME}`.
    pub(super) secret: Secret,
    /// How far the time of a signature of scheme `timed` may be from the present; `5m` when absent.
    #[schemars(with = "Option<String>")]
    pub(super) tolerance: Option<Span>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SchemeOption {
    /// The HMAC of the body in hexadecimal digits.
    Hex,
    /// `sha256=` and the HMAC in hexadecimal digits, as GitHub signs.
    Prefixed,
    /// `t=<seconds>,v1=<digits>`, as Stripe signs.
    Timed,
}

/// `connector: {type: generate, …}`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GenerateOptions {
    /// How many events are made, such as `5000/s`, `10/m`.
    #[schemars(with = "String", example = "5000/s")]
    pub(super) rate: String,
    /// What the events look like; `shop` when absent.
    pub(super) shape: Option<ShapeOption>,
    /// The number that decides over all events; 1 when absent.
    pub(super) seed: Option<u64>,
    /// The number of partitions of the source's topic, from 1 to 64; 1 when absent. It cannot be changed later.
    #[schemars(range(min = 1, max = 64))]
    pub(super) partitions: Option<u32>,
    /// How long events stay in the log after they have landed; `7d` when absent.
    #[schemars(with = "Option<String>")]
    pub(super) retention: Option<Span>,
    /// How many bytes of landed events stay in each partition of the log; as many as there are when absent.
    #[schemars(with = "Option<String>")]
    pub(super) retention_bytes: Option<ByteSize>,
    /// The most bytes that the log holds of the source; no more events are made until others may go.
    #[schemars(with = "Option<String>")]
    pub(super) max_bytes: Option<ByteSize>,
    /// A server lands what is in the log at least so often; `10s` when absent.
    #[schemars(with = "Option<String>")]
    pub(super) commit_every: Option<Span>,
    /// The most events that one commit takes in; 1,000,000 when absent.
    #[schemars(range(min = 1))]
    pub(super) commit_rows: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ShapeOption {
    /// What customers of a shop do.
    Shop,
}

/// `connector: {type: otlp, …}`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OtlpOptions {
    /// What is taken in: spans, or log records.
    pub(super) signal: SignalOption,
    /// The number of partitions of the source's topic, from 1 to 64; 1 when absent. It cannot be changed later.
    #[schemars(range(min = 1, max = 64))]
    pub(super) partitions: Option<u32>,
    /// How long events stay in the log after they have landed; `7d` when absent.
    #[schemars(with = "Option<String>")]
    pub(super) retention: Option<Span>,
    /// How many bytes of landed events stay in each partition of the log; as many as there are when absent.
    #[schemars(with = "Option<String>")]
    pub(super) retention_bytes: Option<ByteSize>,
    /// The most bytes that the log holds of the source; more events are refused until others may go.
    #[schemars(with = "Option<String>")]
    pub(super) max_bytes: Option<ByteSize>,
    /// The most bytes of one span or log record as it is kept; `1MB` when absent, `64MB` at most.
    #[schemars(with = "Option<String>")]
    pub(super) max_event_bytes: Option<ByteSize>,
    /// A server lands what is in the log at least so often; `10s` when absent.
    #[schemars(with = "Option<String>")]
    pub(super) commit_every: Option<Span>,
    /// The most events that one commit takes in; 1,000,000 when absent.
    #[schemars(range(min = 1))]
    pub(super) commit_rows: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SignalOption {
    Traces,
    Logs,
}
