//! `/get-online-features`: join keys first, then the features, each as a column of values, statuses and times.

use arrow::{
    array::{Array, ArrayRef},
    datatypes::FieldRef,
    error::ArrowError,
};
use axum::{body::Bytes, extract::State, http::StatusCode, response::Response};
use indexmap::{IndexMap, IndexSet};
use millstream_api::{
    feast::{FeastReadAnswer, FeastReadBody},
    features::Status,
};

use super::{SharedState, names};
use crate::{
    area::mark_stale,
    body::{self, compute, is_large, parse},
    error::{ApiError, ErrorKind},
    features::{
        AnswerColumn, FeatureBackend, ReadAnswer, ReadRequest, ReadTarget,
        read::{bounded, checked, unwritten},
    },
    intake::{Intake, unknown},
    options::{FeastCompat, Limits},
    wire::{
        json::{self, ColumnWriter, Instants},
        times::TimesWriter,
    },
};

/// The time of a value that has none.
const NO_TIME: &[u8] = b"\"1970-01-01T00:00:00Z\"";

/// The number of values from which on writing an answer keeps a thread busy so long that other requests would notice.
const LARGE_ANSWER: usize = 20_000;

/// A checked read and what its answer should look like.
struct CheckedFeastRead {
    request: ReadRequest,
    /// Key columns in the order of the request; values for on-demand features are not repeated in the answer.
    keys: IndexMap<String, ArrayRef>,
    style: Style,
}

#[derive(Clone, Copy)]
struct Style {
    full_names: bool,
    view_metadata: bool,
    compat: FeastCompat,
}

/// Feast's read of online features. `feature_service` wins over `features`, entities and request values are columns of one
/// map, statuses are true: `PRESENT`, `NULL_VALUE`, `NOT_FOUND` or `OUTSIDE_MAX_AGE`.
#[utoipa::path(
    post,
    path = "/get-online-features",
    tag = "feast",
    request_body = FeastReadBody,
    responses(
        (status = 200, body = FeastReadAnswer),
        (status = "4XX", description = "A string that holds JSON with module, class and message", body = String, content_type = "application/json"),
    )
)]
pub(super) async fn get_online_features(
    State(shared): SharedState,
    compat: FeastCompat,
    body: Bytes,
) -> Result<Response, ApiError> {
    let (large, parsing) = (is_large(&body), shared.clone());
    let check = move || checked_read(&body, parsing.backends.features.as_ref(), &parsing.limits, compat);
    let CheckedFeastRead { request, keys, style } = compute(large, check).await?;
    let rows = request.rows;
    let answer = shared.backends.features.read(request).await?;
    checked(&answer, rows, &shared.limits)?;
    let much = rows.saturating_mul(answer.columns.len()) > LARGE_ANSWER;
    let stale: Vec<String> = answer.stale.iter().map(|stale| stale.asset.clone()).collect();
    let bytes = compute(much, move || written(&keys, &answer, rows, style)).await?;
    let mut response = body::json(StatusCode::OK, bytes);
    mark_stale(&mut response, stale.iter().map(String::as_str));
    Ok(response)
}

fn checked_read(
    body: &[u8],
    backend: &dyn FeatureBackend,
    limits: &Limits,
    compat: FeastCompat,
) -> Result<CheckedFeastRead, ApiError> {
    let body: FeastReadBody<'_> = parse(body)?;
    let target = target(body.feature_service, body.features)?;
    let schema = backend.entity_schema(&target)?;
    let mut intake = Intake::default();
    let mut keys = IndexMap::with_capacity(schema.keys.len());
    for (name, values) in &body.entities.0 {
        let named = |field: &&FieldRef| field.name() == name;
        let key = schema.keys.iter().find(named);
        let Some(field) = key.or_else(|| schema.request.iter().find(named)) else {
            let fields: Vec<FieldRef> = schema.keys.iter().chain(schema.request.iter()).cloned().collect();
            return Err(unknown("entities", name, &fields));
        };
        intake.take("entities", name, values, field, limits.rows)?;
        if let (Some(_), Some(array)) = (key, intake.arrays.get(name)) {
            keys.insert(name.clone(), array.clone());
        }
    }
    intake.complete("entities", &schema.keys)?;
    intake.complete("entities", &schema.request)?;
    bounded(intake.rows(), schema.features, limits)?;
    let style = Style {
        full_names: body.full_feature_names,
        view_metadata: body.include_feature_view_version_metadata,
        compat,
    };
    let rows = intake.rows();
    let (project, entities) = (schema.project, intake.arrays);
    let request = ReadRequest { project, target, entities, rows, at: None, encoding: None };
    Ok(CheckedFeastRead { request, keys, style })
}

fn target(service: Option<String>, features: Option<Vec<String>>) -> Result<ReadTarget, ApiError> {
    if let Some(name) = service {
        return Ok(ReadTarget::Service { name, version: None });
    }
    let features = features.filter(|features| !features.is_empty()).ok_or_else(|| {
        let message = "`feature_service` or `features` is needed";
        ApiError::new(ErrorKind::Invalid, message).with_field("features")
    })?;
    let features = features.iter().map(|name| names::from_feast(name));
    Ok(ReadTarget::Features(features.collect::<Result<_, _>>()?))
}

fn written(
    keys: &IndexMap<String, ArrayRef>,
    answer: &ReadAnswer,
    rows: usize,
    style: Style,
) -> Result<Vec<u8>, ApiError> {
    let features: Vec<String> =
        answer.columns.iter().map(|column| names::to_feast(&column.name, style.full_names)).collect();
    let names = || keys.keys().chain(&features).map(String::as_str);
    names::distinct(names(), style.full_names)?;
    let mut out = Vec::with_capacity(128 + (keys.len() + features.len()) * (96 + rows * 48));
    out.extend_from_slice(b"{\"results\":[");
    for (index, values) in keys.values().enumerate() {
        separate(&mut out, index);
        write_values(&mut out, values).map_err(unwritten)?;
        write_words(&mut out, b",\"statuses\":", rows, |_| b"\"PRESENT\"");
        out.extend_from_slice(b",\"event_timestamps\":");
        json::list(&mut out, 0..rows, |out, _| out.extend_from_slice(NO_TIME));
        out.push(b'}');
    }
    let mut times = TimesWriter::new(NO_TIME);
    for (index, column) in answer.columns.iter().enumerate() {
        separate(&mut out, keys.len() + index);
        write_feature(&mut out, &mut times, column, rows, style.compat).map_err(unwritten)?;
    }
    out.extend_from_slice(b"],\"metadata\":{\"feature_names\":");
    json::list(&mut out, names(), json::value);
    if style.view_metadata {
        let views: IndexSet<&str> =
            answer.columns.iter().filter_map(|column| Some(column.name.split_once('.')?.0)).collect();
        out.extend_from_slice(b",\"feature_view_metadata\":");
        json::list(&mut out, views, |out, view| json::object(out, [("name", view)], json::value));
    }
    out.extend_from_slice(b"}}");
    Ok(out)
}

fn separate(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.push(b',');
    }
}

fn write_values(out: &mut Vec<u8>, values: &ArrayRef) -> Result<(), ArrowError> {
    let values = json::plain(values)?;
    out.extend_from_slice(b"{\"values\":");
    ColumnWriter::with_instants(values.as_ref(), Instants::EpochSeconds)?.write_all(out);
    Ok(())
}

fn write_feature<'a>(
    out: &mut Vec<u8>,
    times: &mut TimesWriter<'a>,
    column: &'a AnswerColumn,
    rows: usize,
    compat: FeastCompat,
) -> Result<(), ArrowError> {
    write_values(out, &column.values)?;
    write_words(out, b",\"statuses\":", rows, |row| {
        status(column.statuses.of(row), column.values.is_null(row), compat)
    });
    out.extend_from_slice(b",\"event_timestamps\":");
    times.write(out, column.event_times.as_ref(), rows);
    out.push(b'}');
    Ok(())
}

fn write_words(out: &mut Vec<u8>, name: &[u8], rows: usize, word: impl Fn(usize) -> &'static [u8]) {
    out.extend_from_slice(name);
    json::list(out, 0..rows, |out, row| out.extend_from_slice(word(row)));
}

/// Feast's word for a status, in quotes. It has none for a degraded value, and its own server calls every null present.
fn status(status: Status, null: bool, compat: FeastCompat) -> &'static [u8] {
    match status {
        Status::Missing => b"\"NOT_FOUND\"",
        Status::Expired => b"\"OUTSIDE_MAX_AGE\"",
        Status::Null if compat == FeastCompat::Strict => b"\"PRESENT\"",
        Status::Null => b"\"NULL_VALUE\"",
        Status::Degraded if null && compat == FeastCompat::Correct => b"\"NULL_VALUE\"",
        Status::Present | Status::Degraded => b"\"PRESENT\"",
    }
}
