//! What an export holds, whichever way it was written, and the events that its spans and log records become.

use axum::body::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::wire::instant;

/// Why an export cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// Attributes by name, as JSON.
pub(super) type Attributes = Map<String, Value>;

/// Where spans or log records come from.
#[derive(Clone, Debug, Default)]
pub(super) struct Resource {
    pub attributes: Attributes,
}

/// A span.
#[derive(Clone, Debug, Default)]
pub(super) struct Span {
    /// Hexadecimal digits, as those of the other ids.
    pub trace_id: String,
    pub span_id: String,
    pub parent_span_id: String,
    pub name: String,
    pub kind: i64,
    /// Nanoseconds since 1970.
    pub start: u64,
    pub end: u64,
    pub status: i64,
    pub status_message: String,
    /// The name of the library that made the span.
    pub scope: String,
    pub attributes: Attributes,
    pub events: Vec<Moment>,
}

/// What happened at an instant within a span.
#[derive(Clone, Debug, Default)]
pub(super) struct Moment {
    pub time: u64,
    pub name: String,
    pub attributes: Attributes,
}

/// A log record.
#[derive(Clone, Debug, Default)]
pub(super) struct LogRecord {
    pub time: u64,
    pub observed: u64,
    pub severity_number: i64,
    pub severity: String,
    pub body: Value,
    /// The name of the library that made the record.
    pub scope: String,
    pub attributes: Attributes,
    pub trace_id: String,
    pub span_id: String,
}

/// The events of an export, and what of it was no span or log record.
#[derive(Clone, Debug, Default)]
pub(super) struct Exported {
    pub events: Vec<Bytes>,
    pub rejected: u64,
    /// Why the first one was rejected.
    pub reason: Option<String>,
}

impl Exported {
    /// Adds the event of a span or a log record, unless it is larger than an event may be.
    fn add(&mut self, event: &impl Serialize, bytes_max: u64) {
        match serde_json::to_vec(event) {
            Ok(bytes) if bytes.len() as u64 <= bytes_max => self.events.push(bytes.into()),
            Ok(bytes) => {
                self.reject(format!("an event has {} bytes, at most {bytes_max} are taken", bytes.len()));
            }
            Err(error) => self.reject(error.to_string()),
        }
    }

    fn reject(&mut self, reason: String) {
        self.rejected += 1;
        self.reason.get_or_insert(reason);
    }

    pub(super) fn span(&mut self, span: &Span, resource: &Resource, bytes_max: u64) {
        if !is_id(&span.trace_id, 32) || !is_id(&span.span_id, 16) {
            return self.reject(format!("the span `{}` has no valid trace id or span id", span.name));
        }
        let moments: Vec<MomentText<'_>> = span.events.iter().map(MomentText::of).collect();
        let event = SpanEvent {
            trace_id: &span.trace_id,
            span_id: &span.span_id,
            parent_span_id: some(&span.parent_span_id),
            name: &span.name,
            kind: kind(span.kind),
            service: service(resource),
            start: time(span.start),
            end: time(span.end),
            duration_us: span.end.saturating_sub(span.start) / 1_000,
            status: status(span.status),
            status_message: some(&span.status_message),
            scope: some(&span.scope),
            attributes: json_text(&span.attributes),
            resource: json_text(&resource.attributes),
            events: json_text(&moments),
        };
        self.add(&event, bytes_max);
    }

    pub(super) fn log_record(&mut self, record: &LogRecord, resource: &Resource, bytes_max: u64) {
        let body = match &record.body {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(json_text(other)),
        };
        let event = LogRecordEvent {
            time: time(if record.time > 0 { record.time } else { record.observed }),
            observed: time(record.observed),
            severity_number: record.severity_number,
            severity: some(&record.severity),
            service: service(resource),
            body,
            trace_id: some(&record.trace_id),
            span_id: some(&record.span_id),
            scope: some(&record.scope),
            attributes: json_text(&record.attributes),
            resource: json_text(&resource.attributes),
        };
        self.add(&event, bytes_max);
    }
}

/// A span as an event: the columns of its source's table.
#[derive(Debug, Serialize)]
struct SpanEvent<'a> {
    trace_id: &'a str,
    span_id: &'a str,
    parent_span_id: Option<&'a str>,
    name: &'a str,
    kind: &'static str,
    service: Option<&'a str>,
    start: Option<String>,
    end: Option<String>,
    duration_us: u64,
    status: &'static str,
    status_message: Option<&'a str>,
    scope: Option<&'a str>,
    attributes: String,
    resource: String,
    events: String,
}

/// A moment of a span in its event.
#[derive(Debug, Serialize)]
struct MomentText<'a> {
    time: Option<String>,
    name: &'a str,
    attributes: &'a Attributes,
}

impl<'a> MomentText<'a> {
    fn of(moment: &'a Moment) -> Self {
        Self { time: time(moment.time), name: &moment.name, attributes: &moment.attributes }
    }
}

/// A log record as an event.
#[derive(Debug, Serialize)]
struct LogRecordEvent<'a> {
    time: Option<String>,
    observed: Option<String>,
    severity_number: i64,
    severity: Option<&'a str>,
    service: Option<&'a str>,
    body: Option<String>,
    trace_id: Option<&'a str>,
    span_id: Option<&'a str>,
    scope: Option<&'a str>,
    attributes: String,
    resource: String,
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).collect()
}

/// Whether it is an id of so many digits that are not all zeros.
fn is_id(text: &str, digits: usize) -> bool {
    text.len() == digits
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && text.bytes().any(|byte| byte != b'0')
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn service(resource: &Resource) -> Option<&str> {
    resource.attributes.get("service.name")?.as_str()
}

/// An instant by RFC 3339; `None` for 0, which says that it is not known.
fn time(nanos: u64) -> Option<String> {
    let mut text = Vec::with_capacity(32);
    instant::write_micros(&mut text, i64::try_from(nanos / 1_000).ok()?);
    if nanos == 0 { None } else { String::from_utf8(text).ok() }
}

fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn kind(kind: i64) -> &'static str {
    match kind {
        1 => "internal",
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "unspecified",
    }
}

fn status(code: i64) -> &'static str {
    match code {
        1 => "ok",
        2 => "error",
        _ => "unset",
    }
}
