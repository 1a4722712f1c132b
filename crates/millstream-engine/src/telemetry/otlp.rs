//! Spans and log records as OTLP over HTTP has them in JSON: a run is a trace, a step a span below that of its run. Of steps
//! that end badly there is a log record too, with the ids of its span.
//!
//! Spans are made at their ends, when their beginnings and outcomes are known, and go through the same outbox as all messages:
//! exporters of libraries drop what a collector that is away does not take.

use millstream_state::{NewMessage, StepOutcome};
use millstream_types::{AssetId, RunId, TimestampMicros};
use serde_json::{Value, json};

use super::{LOGS, TRACES, ToldRun};
use crate::{RunReport, StepReport, engine::World};

/// A span of the product's own work.
const INTERNAL: u8 = 1;

const STATUS_OK: u8 = 1;
const STATUS_ERROR: u8 = 2;

const SEVERITY_ERROR: u8 = 17;

/// What is told of the end of a step.
pub(super) fn step(world: &World, run: &RunId, report: &StepReport) -> Vec<NewMessage> {
    let Some(figures) = &report.figures else { return Vec::new() };
    let Some(started) = figures.started else { return Vec::new() };
    let elapsed = i64::try_from(report.elapsed.as_micros()).unwrap_or(i64::MAX);
    let ended = TimestampMicros(started.0.saturating_add(elapsed));
    let mut attributes = vec![
        text("millstream.run", run.as_str()),
        text("millstream.asset", report.asset.as_str()),
        text("millstream.reason", report.reason.as_str()),
        text("millstream.outcome", report.outcome.as_str()),
        number("millstream.rows_written", Some(report.rows_written)),
        number("millstream.rows_rejected", Some(report.rows_rejected)),
        number("millstream.retries", figures.retries.map(u64::from)),
        number("millstream.queued_us", figures.queued_us()),
        number("millstream.cpu_us", figures.cpu_us),
        number("millstream.memory_peak_bytes", figures.memory_peak),
        number("millstream.bytes_read", figures.bytes_read),
        number("millstream.bytes_written", figures.bytes_written),
    ];
    attributes.retain(|attribute| !attribute.is_null());
    let error = failure(&report.outcome);
    let (trace, span) = (trace_id(run), span_id(run, Some(&report.asset)));
    let span_value = json!({
        "traceId": trace,
        "spanId": span,
        "parentSpanId": span_id(run, None),
        "name": format!("step {}", report.asset),
        "kind": INTERNAL,
        "startTimeUnixNano": nanoseconds(started),
        "endTimeUnixNano": nanoseconds(ended),
        "attributes": attributes,
        "status": status(error.as_deref()),
    });
    let mut messages = vec![traces(world, span_value)];
    if let Some(error) = error {
        let record = json!({
            "timeUnixNano": nanoseconds(ended),
            "severityNumber": SEVERITY_ERROR,
            "severityText": "ERROR",
            "body": {"stringValue": format!("{}: {error}", report.asset)},
            "attributes": [text("millstream.run", run.as_str()), text("millstream.asset", report.asset.as_str())],
            "traceId": trace,
            "spanId": span,
        });
        messages.push(logs(world, record));
    }
    messages
}

/// What is told of the end of a run.
pub(super) fn run(
    world: &World,
    run: ToldRun<'_>,
    report: &RunReport,
    broke: Option<&str>,
    ended: TimestampMicros,
) -> Vec<NewMessage> {
    let failed = report.steps.iter().find_map(|step| failure(&step.outcome));
    let error = broke.map(str::to_owned).or(failed);
    let span = json!({
        "traceId": trace_id(run.run),
        "spanId": span_id(run.run, None),
        "name": "run",
        "kind": INTERNAL,
        "startTimeUnixNano": nanoseconds(run.started),
        "endTimeUnixNano": nanoseconds(ended),
        "attributes": [
            text("millstream.run", run.run.as_str()),
            text("millstream.command", run.command),
            text("millstream.outcome", report.outcome().as_str()),
            number("millstream.steps", Some(report.steps.len() as u64)),
        ],
        "status": status(error.as_deref()),
    });
    vec![traces(world, span)]
}

fn traces(world: &World, span: Value) -> NewMessage {
    let message = json!({
        "resourceSpans": [{"resource": resource(world), "scopeSpans": [{"scope": scope(), "spans": [span]}]}],
    });
    NewMessage { receiver: TRACES, message: message.to_string() }
}

fn logs(world: &World, record: Value) -> NewMessage {
    let message = json!({
        "resourceLogs": [{"resource": resource(world), "scopeLogs": [{"scope": scope(), "logRecords": [record]}]}],
    });
    NewMessage { receiver: LOGS, message: message.to_string() }
}

fn resource(world: &World) -> Value {
    json!({"attributes": [
        text("service.name", "millstream"),
        text("service.version", env!("CARGO_PKG_VERSION")),
        text("service.namespace", &world.project.spec.name),
        text("deployment.environment.name", &world.project.spec.environment.name),
    ]})
}

fn scope() -> Value {
    json!({"name": "millstream", "version": env!("CARGO_PKG_VERSION")})
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// An attribute, or null where the number is not known. OTLP writes numbers of 64 bits as texts.
fn number(key: &str, value: Option<u64>) -> Value {
    value.map_or(Value::Null, |value| json!({"key": key, "value": {"intValue": value.to_string()}}))
}

fn status(error: Option<&str>) -> Value {
    match error {
        Some(error) => json!({"code": STATUS_ERROR, "message": error}),
        None => json!({"code": STATUS_OK}),
    }
}

fn failure(outcome: &StepOutcome) -> Option<String> {
    match outcome {
        StepOutcome::Failed { code, error, .. } => Some(format!("{error} ({code})")),
        StepOutcome::Halted { reason, .. } => Some(reason.clone()),
        _ => None,
    }
}

fn nanoseconds(time: TimestampMicros) -> String {
    (i128::from(time.0) * 1_000).max(0).to_string()
}

/// The trace of a run: 16 bytes, from the run's id.
fn trace_id(run: &RunId) -> String {
    hexadecimal(&hash(run, None, b"trace")[..16])
}

/// The span of a step, or of the run itself: 8 bytes.
fn span_id(run: &RunId, asset: Option<&AssetId>) -> String {
    hexadecimal(&hash(run, asset, b"span")[..8])
}

fn hash(run: &RunId, asset: Option<&AssetId>, what: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(what).update(b"\0").update(run.as_str().as_bytes()).update(b"\0");
    hasher.update(asset.map_or("", AssetId::as_str).as_bytes());
    *hasher.finalize().as_bytes()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
