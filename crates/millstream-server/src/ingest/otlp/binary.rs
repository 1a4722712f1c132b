//! Exports as protocol buffers. Numbers are those of `opentelemetry-proto` 1.x.

use serde_json::{Number, Value as Json};

use super::{
    model::{Attributes, Exported, LogRecord, Malformed, Moment, Resource, Span, hex},
    proto::{Fields, Value},
};
use crate::wire::base64;

/// How deep values of attributes may be nested.
const NESTING_MAX: u32 = 32;

type Result<T> = std::result::Result<T, Malformed>;

/// The spans of an `ExportTraceServiceRequest`.
pub(super) fn traces(body: &[u8], bytes_max: u64) -> Result<Exported> {
    let mut exported = Exported::default();
    each(body, &mut |resource, scope, bytes| {
        let span = Span { scope: scope.to_owned(), ..span(bytes)? };
        exported.span(&span, resource, bytes_max);
        Ok(())
    })?;
    Ok(exported)
}

/// The log records of an `ExportLogsServiceRequest`.
pub(super) fn logs(body: &[u8], bytes_max: u64) -> Result<Exported> {
    let mut exported = Exported::default();
    each(body, &mut |resource, scope, bytes| {
        let record = LogRecord { scope: scope.to_owned(), ..log_record(bytes)? };
        exported.log_record(&record, resource, bytes_max);
        Ok(())
    })?;
    Ok(exported)
}

/// What is done with each span or log record: its resource, the name of its scope, and its bytes.
type OfEach<'a> = dyn FnMut(&Resource, &str, &[u8]) -> Result<()> + 'a;

/// Goes through the spans or log records. Exports of both signals have them under the same numbers.
fn each(body: &[u8], of_each: &mut OfEach<'_>) -> Result<()> {
    for field in Fields(body) {
        let (1, value) = field? else { continue };
        let (mut resource, mut scopes) = (Resource::default(), Vec::new());
        for field in Fields(value.bytes()?) {
            match field? {
                (1, value) => {
                    for field in Fields(value.bytes()?) {
                        if let (1, value) = field? {
                            attribute(&mut resource.attributes, value)?;
                        }
                    }
                }
                (2, value) => scopes.push(value.bytes()?),
                _ => {}
            }
        }
        for scope in scopes {
            each_of_scope(scope, &resource, of_each)?;
        }
    }
    Ok(())
}

fn each_of_scope(bytes: &[u8], resource: &Resource, of_each: &mut OfEach<'_>) -> Result<()> {
    let (mut name, mut inside) = ("", Vec::new());
    for field in Fields(bytes) {
        match field? {
            (1, value) => {
                for field in Fields(value.bytes()?) {
                    if let (1, value) = field? {
                        name = value.text()?;
                    }
                }
            }
            (2, value) => inside.push(value.bytes()?),
            _ => {}
        }
    }
    inside.into_iter().try_for_each(|bytes| of_each(resource, name, bytes))
}

fn span(bytes: &[u8]) -> Result<Span> {
    let mut span = Span::default();
    for field in Fields(bytes) {
        match field? {
            (1, value) => span.trace_id = hex(value.bytes()?),
            (2, value) => span.span_id = hex(value.bytes()?),
            (4, value) => span.parent_span_id = hex(value.bytes()?),
            (5, value) => value.text()?.clone_into(&mut span.name),
            (6, value) => span.kind = value.signed()?,
            (7, value) => span.start = value.number()?,
            (8, value) => span.end = value.number()?,
            (9, value) => attribute(&mut span.attributes, value)?,
            (11, value) => span.events.push(moment(value.bytes()?)?),
            (15, value) => {
                for field in Fields(value.bytes()?) {
                    match field? {
                        (2, value) => value.text()?.clone_into(&mut span.status_message),
                        (3, value) => span.status = value.signed()?,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(span)
}

fn moment(bytes: &[u8]) -> Result<Moment> {
    let mut moment = Moment::default();
    for field in Fields(bytes) {
        match field? {
            (1, value) => moment.time = value.number()?,
            (2, value) => value.text()?.clone_into(&mut moment.name),
            (3, value) => attribute(&mut moment.attributes, value)?,
            _ => {}
        }
    }
    Ok(moment)
}

fn log_record(bytes: &[u8]) -> Result<LogRecord> {
    let mut record = LogRecord::default();
    for field in Fields(bytes) {
        match field? {
            (1, value) => record.time = value.number()?,
            (2, value) => record.severity_number = value.signed()?,
            (3, value) => value.text()?.clone_into(&mut record.severity),
            (5, value) => record.body = any(value.bytes()?, 0)?,
            (6, value) => attribute(&mut record.attributes, value)?,
            (9, value) => record.trace_id = hex(value.bytes()?),
            (10, value) => record.span_id = hex(value.bytes()?),
            (11, value) => record.observed = value.number()?,
            _ => {}
        }
    }
    Ok(record)
}

fn attribute(attributes: &mut Attributes, value: Value<'_>) -> Result<()> {
    let (name, value) = key_value(value.bytes()?, 0)?;
    attributes.insert(name, value);
    Ok(())
}

fn key_value(bytes: &[u8], depth: u32) -> Result<(String, Json)> {
    let (mut name, mut found) = (String::new(), Json::Null);
    for field in Fields(bytes) {
        match field? {
            (1, value) => value.text()?.clone_into(&mut name),
            (2, value) => found = any(value.bytes()?, depth)?,
            _ => {}
        }
    }
    Ok((name, found))
}

/// An `AnyValue` as JSON.
fn any(bytes: &[u8], depth: u32) -> Result<Json> {
    if depth > NESTING_MAX {
        return Err(Malformed("a value is nested too deep"));
    }
    let mut found = Json::Null;
    for field in Fields(bytes) {
        found = match field? {
            (1, value) => Json::String(value.text()?.to_owned()),
            (2, value) => Json::Bool(value.number()? != 0),
            (3, value) => Json::from(value.signed()?),
            (4, value) => {
                let number = f64::from_bits(value.number()?);
                // JSON has no NaN and no infinity.
                Number::from_f64(number).map_or_else(|| Json::String(number.to_string()), Json::Number)
            }
            (5, value) => {
                let mut list = Vec::new();
                for field in Fields(value.bytes()?) {
                    if let (1, value) = field? {
                        list.push(any(value.bytes()?, depth + 1)?);
                    }
                }
                Json::Array(list)
            }
            (6, value) => {
                let mut object = Attributes::new();
                for field in Fields(value.bytes()?) {
                    if let (1, value) = field? {
                        let (name, value) = key_value(value.bytes()?, depth + 1)?;
                        object.insert(name, value);
                    }
                }
                Json::Object(object)
            }
            (7, value) => {
                let mut text = Vec::new();
                base64::encode(&mut text, value.bytes()?);
                Json::String(String::from_utf8_lossy(&text).into_owned())
            }
            _ => continue,
        };
    }
    Ok(found)
}
