//! Exports as JSON, in OTLP's own mapping: ids are hexadecimal, numbers of 64 bits may be texts.

use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

use super::model::{Attributes, Exported, LogRecord, Moment, Resource, Span};

/// The spans of an export.
pub(super) fn traces(body: &[u8], bytes_max: u64) -> Result<Exported, serde_json::Error> {
    let request: TraceRequest = serde_json::from_slice(body)?;
    let mut exported = Exported::default();
    for of_resource in request.resource_spans {
        let resource = Resource { attributes: attributes(of_resource.resource.attributes) };
        for ScopeSpans { scope, spans } in of_resource.scope_spans {
            for span in spans {
                let span = Span { scope: scope.name.clone(), ..span.into() };
                exported.span(&span, &resource, bytes_max);
            }
        }
    }
    Ok(exported)
}

/// The log records of an export.
pub(super) fn logs(body: &[u8], bytes_max: u64) -> Result<Exported, serde_json::Error> {
    let request: LogsRequest = serde_json::from_slice(body)?;
    let mut exported = Exported::default();
    for of_resource in request.resource_logs {
        let resource = Resource { attributes: attributes(of_resource.resource.attributes) };
        for ScopeLogs { scope, log_records } in of_resource.scope_logs {
            for record in log_records {
                let record = LogRecord { scope: scope.name.clone(), ..record.into() };
                exported.log_record(&record, &resource, bytes_max);
            }
        }
    }
    Ok(exported)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TraceRequest {
    #[serde(default)]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceSpans {
    resource: ResourceText,
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ScopeSpans {
    scope: ScopeText,
    spans: Vec<SpanText>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogsRequest {
    #[serde(default)]
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceLogs {
    resource: ResourceText,
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ScopeLogs {
    scope: ScopeText,
    log_records: Vec<LogRecordText>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ScopeText {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResourceText {
    attributes: Vec<KeyValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SpanText {
    trace_id: String,
    span_id: String,
    parent_span_id: String,
    name: String,
    kind: i64,
    #[serde(deserialize_with = "number")]
    start_time_unix_nano: u64,
    #[serde(deserialize_with = "number")]
    end_time_unix_nano: u64,
    attributes: Vec<KeyValue>,
    events: Vec<MomentText>,
    status: StatusText,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StatusText {
    code: i64,
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MomentText {
    #[serde(deserialize_with = "number")]
    time_unix_nano: u64,
    name: String,
    attributes: Vec<KeyValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LogRecordText {
    #[serde(deserialize_with = "number")]
    time_unix_nano: u64,
    #[serde(deserialize_with = "number")]
    observed_time_unix_nano: u64,
    severity_number: i64,
    severity_text: String,
    body: AnyValue,
    attributes: Vec<KeyValue>,
    trace_id: String,
    span_id: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct KeyValue {
    key: String,
    value: AnyValue,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AnyValue {
    string_value: Option<String>,
    bool_value: Option<bool>,
    int_value: Option<Value>,
    double_value: Option<Value>,
    array_value: Option<ArrayText>,
    kvlist_value: Option<ListText>,
    bytes_value: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ArrayText {
    values: Vec<AnyValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListText {
    values: Vec<KeyValue>,
}

/// A number of 64 bits, written as one or as a text.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u64),
        Text(String),
    }
    match Written::deserialize(deserializer)? {
        Written::Number(number) => Ok(number),
        Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

fn attributes(list: Vec<KeyValue>) -> Attributes {
    list.into_iter().map(|KeyValue { key, value }| (key, value.into())).collect()
}

impl From<AnyValue> for Value {
    fn from(any: AnyValue) -> Self {
        if let Some(text) = any.string_value.or(any.bytes_value) {
            return Self::String(text);
        }
        if let Some(is) = any.bool_value {
            return Self::Bool(is);
        }
        if let Some(number) = any.int_value.or(any.double_value) {
            return match number {
                // `NaN` and infinities stay texts.
                Self::String(text) => match text.parse::<Number>() {
                    Ok(number) => Self::Number(number),
                    Err(_) => Self::String(text),
                },
                other => other,
            };
        }
        if let Some(list) = any.array_value {
            return list.values.into_iter().map(Self::from).collect();
        }
        any.kvlist_value.map_or(Self::Null, |list| Self::Object(attributes(list.values)))
    }
}

impl From<SpanText> for Span {
    fn from(span: SpanText) -> Self {
        let moment = |moment: MomentText| Moment {
            time: moment.time_unix_nano,
            name: moment.name,
            attributes: attributes(moment.attributes),
        };
        Self {
            trace_id: span.trace_id.to_ascii_lowercase(),
            span_id: span.span_id.to_ascii_lowercase(),
            parent_span_id: span.parent_span_id.to_ascii_lowercase(),
            name: span.name,
            kind: span.kind,
            start: span.start_time_unix_nano,
            end: span.end_time_unix_nano,
            status: span.status.code,
            status_message: span.status.message,
            scope: String::new(),
            attributes: attributes(span.attributes),
            events: span.events.into_iter().map(moment).collect(),
        }
    }
}

impl From<LogRecordText> for LogRecord {
    fn from(record: LogRecordText) -> Self {
        Self {
            time: record.time_unix_nano,
            observed: record.observed_time_unix_nano,
            severity_number: record.severity_number,
            severity: record.severity_text,
            body: record.body.into(),
            scope: String::new(),
            attributes: attributes(record.attributes),
            trace_id: record.trace_id.to_ascii_lowercase(),
            span_id: record.span_id.to_ascii_lowercase(),
        }
    }
}
