//! Features of entities, as they are now or were at a time.

use std::{collections::HashSet, sync::Arc};

use arrow::array::Array;
use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode},
    response::Response,
};
use millstream_api::{
    error::ErrorBody,
    features::{Metadata, MetadataWord, ReadBody, Status},
};

use crate::{
    area::{VERSION, mark_stale},
    body::{self, compute, is_large, parse},
    error::{ApiError, ErrorKind},
    features::{AnswerColumn, FeatureBackend, ReadAnswer, ReadRequest, ReadTarget, Statuses},
    guard::Shared,
    intake::Intake,
    options::Limits,
    wire::{
        arrow_stream, instant,
        json::{self, ColumnWriter},
        times::TimesWriter,
    },
};

/// The number of values from which on writing an answer keeps a thread busy so long that other requests would notice.
const LARGE_ANSWER: usize = 20_000;

/// A checked read and what its answer should look like.
struct CheckedRead {
    request: ReadRequest,
    metadata: bool,
}

/// Values of a service's features, or of single features, for the rows of entities in the request.
///
/// `service` may name a version, as in `churn_v1@3`. Every value comes with a status (`present`, `null`, `missing`, `expired`,
/// `degraded`) and the time of the newest event behind it, unless `metadata` is `none`. NaN and infinities, which JSON does
/// not have, are null with their status. Views whose last good values are served because newer ones could not be made are named
/// under `stale`, and in the header `x-millstream-stale`. With `Accept: application/vnd.apache.arrow.stream` the answer is an Arrow stream
/// with a column per feature, each followed by `<name>__status` and `<name>__event_time`; the header `x-millstream-version` names
/// the service's version.
#[utoipa::path(
    post,
    path = "/v1/features/read",
    tag = "features",
    request_body = ReadBody,
    responses(
        (status = 200, body = millstream_api::features::ReadAnswer),
        (status = "4XX", description = "The request is wrong", body = ErrorBody),
        (status = "5XX", description = "The server could not answer", body = ErrorBody),
    )
)]
pub(crate) async fn read(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let (large, parsing) = (is_large(&body), shared.clone());
    let check = move || checked_read(&body, parsing.backends.features.as_ref(), &parsing.limits);
    let CheckedRead { request, metadata } = compute(large, check).await?;
    let (rows, target) = (request.rows, request.target.clone());
    let answer = shared.backends.features.read(request).await?;
    checked(&answer, rows, &shared.limits)?;
    let much = rows.saturating_mul(answer.columns.len()) > LARGE_ANSWER;
    let stale: Vec<String> = answer.stale.iter().map(|stale| stale.asset.clone()).collect();
    let stale = || stale.iter().map(String::as_str);
    if body::wants_arrow(&headers) {
        let version = answer.service_version;
        let bytes =
            compute(much, move || arrow_stream::answer(&answer, rows, metadata).map_err(unwritten)).await?;
        let mut response = body::response(StatusCode::OK, arrow_stream::MEDIA_TYPE, bytes);
        if let Some(version) = version {
            response.headers_mut().insert(VERSION, HeaderValue::from(version));
        }
        mark_stale(&mut response, stale());
        return Ok(response);
    }
    let bytes = compute(much, move || written(&target, &answer, rows, metadata).map_err(unwritten)).await?;
    let mut response = body::json(StatusCode::OK, bytes);
    mark_stale(&mut response, stale());
    Ok(response)
}

fn checked_read(body: &[u8], backend: &dyn FeatureBackend, limits: &Limits) -> Result<CheckedRead, ApiError> {
    let body: ReadBody<'_> = parse(body)?;
    let target = target(body.service, body.features)?;
    let schema = backend.entity_schema(&target)?;
    let mut intake = Intake::default();
    if schema.keys.is_empty() {
        // Nothing is looked up: whoever sends the keys all the same says how many rows there are.
        intake.count("entities", &body.entities, limits.rows)?;
    } else {
        intake.take_all("entities", &body.entities, &schema.keys, limits.rows)?;
    }
    intake.take_all("request", &body.request, &schema.request, limits.rows)?;
    intake.complete("entities", &schema.keys)?;
    intake.complete("request", &schema.request)?;
    bounded(intake.rows(), schema.features, limits)?;
    let at = body.at.map(|text| at(&text)).transpose()?;
    let metadata = match body.metadata {
        None => true,
        Some(Metadata::Flag(flag)) => flag,
        Some(Metadata::Word(word)) => word == MetadataWord::Full,
    };
    let rows = intake.rows();
    let (project, entities, encoding) = (schema.project, intake.arrays, body.encoding);
    let request = ReadRequest { project, target, entities, rows, at, encoding };
    Ok(CheckedRead { request, metadata })
}

fn target(service: Option<String>, features: Option<Vec<String>>) -> Result<ReadTarget, ApiError> {
    let invalid = |message: &str, field| ApiError::new(ErrorKind::Invalid, message).with_field(field);
    match (service, features) {
        (Some(_), Some(_)) => Err(invalid("`service` and `features` exclude each other", "features")),
        (None, None) => Err(invalid("`service` or `features` is needed", "service")),
        (None, Some(features)) if features.is_empty() => Err(invalid("`features` is empty", "features")),
        (None, Some(features)) => Ok(ReadTarget::Features(features)),
        (Some(service), None) => {
            let Some((name, version)) = service.split_once('@') else {
                return Ok(ReadTarget::Service { name: service, version: None });
            };
            let version = version.parse().map_err(|_| {
                invalid("`service` takes a name, or a name and a version as in churn_v1@3", "service")
            })?;
            Ok(ReadTarget::Service { name: name.to_owned(), version: Some(version) })
        }
    }
}

fn at(text: &str) -> Result<i64, ApiError> {
    instant::parse_micros(text).ok_or_else(|| {
        let message = "`at` has to be an RFC 3339 time such as 2026-11-21T12:00:00Z";
        ApiError::new(ErrorKind::Invalid, message).with_field("at")
    })
}

/// Refuses a request whose answer would be too large to be held in memory.
pub(crate) fn bounded(rows: usize, features: usize, limits: &Limits) -> Result<(), ApiError> {
    let values = rows.saturating_mul(features);
    if values <= limits.values {
        return Ok(());
    }
    let most = limits.values;
    let message = format!(
        "{rows} rows of {features} features are {values} values, the server answers with at most {most} at once"
    );
    Err(ApiError::new(ErrorKind::TooManyRows, message))
}

/// Refuses an answer in which a feature is there twice (JSON would lose one), or whose columns are not as long as the request: values would stand beside the wrong entities.
///
/// An answer of too many bytes is refused too: texts, lists and vectors have no bound of their own.
pub(crate) fn checked(answer: &ReadAnswer, rows: usize, limits: &Limits) -> Result<(), ApiError> {
    let fits = |column: &AnswerColumn| {
        let statuses = match &column.statuses {
            Statuses::Uniform(_) => rows,
            Statuses::Each(each) => each.len(),
        };
        let times = column.event_times.as_ref().map_or(rows, Array::len);
        column.values.len() == rows && statuses == rows && times == rows
    };
    if let Some(column) = answer.columns.iter().find(|column| !fits(column)) {
        let message = format!("`{}` was answered with another number of rows than asked for", column.name);
        return Err(ApiError::new(ErrorKind::Internal, message));
    }
    let bytes = |column: &AnswerColumn| column.values.to_data().get_slice_memory_size().unwrap_or(usize::MAX);
    let bytes = answer.columns.iter().map(bytes).fold(0, usize::saturating_add);
    if bytes > limits.answer_bytes {
        let most = limits.answer_bytes;
        let message =
            format!("the values have {bytes} bytes, the server answers with at most {most} at once");
        return Err(ApiError::new(ErrorKind::TooManyRows, message));
    }
    let mut names = HashSet::with_capacity(answer.columns.len());
    match answer.columns.iter().find(|column| !names.insert(column.name.as_str())) {
        None => Ok(()),
        Some(column) => {
            let message = format!("`{}` is asked for twice", column.name);
            Err(ApiError::new(ErrorKind::NameCollision, message).with_field("features"))
        }
    }
}

pub(crate) fn unwritten(error: arrow::error::ArrowError) -> ApiError {
    ApiError::new(ErrorKind::Internal, "the answer could not be written").with_cause(error)
}

fn written(
    target: &ReadTarget,
    answer: &ReadAnswer,
    rows: usize,
    metadata: bool,
) -> Result<Vec<u8>, arrow::error::ArrowError> {
    let per_value = if metadata { 56 } else { 16 };
    let mut out = Vec::with_capacity(128 + answer.columns.len() * (80 + rows * per_value));
    out.push(b'{');
    if let ReadTarget::Service { name, .. } = target {
        out.extend_from_slice(b"\"service\":");
        json::value(&mut out, name);
        if let Some(version) = answer.service_version {
            out.extend_from_slice(b",\"version\":");
            json::value(&mut out, &version);
        }
        out.push(b',');
    }
    out.extend_from_slice(b"\"rows\":");
    json::value(&mut out, &rows);
    if metadata && !answer.stale.is_empty() {
        out.extend_from_slice(b",\"stale\":");
        json::value(&mut out, &answer.stale);
    }
    out.extend_from_slice(b",\"columns\":{");
    let mut times = TimesWriter::new(b"null");
    for (index, column) in answer.columns.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::value(&mut out, &column.name);
        out.extend_from_slice(b":{\"values\":");
        let values = json::plain(&column.values)?;
        ColumnWriter::new(values.as_ref())?.write_all(&mut out);
        if metadata {
            write_statuses(&mut out, &column.statuses, rows);
            out.extend_from_slice(b",\"event_times\":");
            times.write(&mut out, column.event_times.as_ref(), rows);
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"}}");
    Ok(out)
}

fn write_statuses(out: &mut Vec<u8>, statuses: &Statuses, rows: usize) {
    out.extend_from_slice(b",\"statuses\":");
    json::list(out, 0..rows, |out, row| out.extend_from_slice(quoted(statuses.of(row))));
}

/// The word for a status in quotes, to be appended at once.
fn quoted(status: Status) -> &'static [u8] {
    match status {
        Status::Present => b"\"present\"",
        Status::Null => b"\"null\"",
        Status::Missing => b"\"missing\"",
        Status::Expired => b"\"expired\"",
        Status::Degraded => b"\"degraded\"",
    }
}
