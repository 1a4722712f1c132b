//! SQL that only reads, as JSON rows or as an Arrow stream.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode},
    response::Response,
};
use millstream_api::{error::ErrorBody, query::QueryBody};

use crate::{
    area::mark_stale,
    body::{self, compute, parse},
    error::{ApiError, ErrorKind},
    features::read::unwritten,
    guard::{Shared, stopped},
    query::{QueryAnswer, QueryRequest},
    wire::{
        arrow_stream,
        json::{self, ColumnWriter},
        types::type_name,
    },
};

/// Says in an Arrow answer, which has no other place for it, that rows were cut off.
const TRUNCATED: &str = "x-millstream-truncated";

/// Runs one statement that only reads. Rows beyond the limits are cut off, and `truncated` says so.
#[utoipa::path(
    post,
    path = "/v1/query",
    tag = "data",
    request_body = QueryBody,
    responses(
        (status = 200, body = millstream_api::query::QueryAnswer),
        (status = "4XX", description = "The statement is wrong", body = ErrorBody),
    )
)]
pub(crate) async fn query(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let body: QueryBody = parse(&body)?;
    if body.sql.trim().is_empty() {
        return Err(ApiError::new(ErrorKind::Invalid, "`sql` is empty").with_field("sql"));
    }
    let most = shared.limits.query_rows;
    let limit = body.limit.map_or(most, |limit| limit.min(most));
    let freshness = body.freshness.unwrap_or_default();
    let request = QueryRequest { sql: body.sql, limit, bytes: shared.limits.query_bytes, freshness };
    let answer = tokio::select! {
        biased;
        answer = shared.backends.query.query(request) => answer?,
        () = shared.queries_stop.cancelled() => return Err(stopped()),
    };
    let truncated = answer.truncated;
    let stale: Vec<String> = answer.stale.iter().map(|stale| stale.asset.clone()).collect();
    let stale = || stale.iter().map(String::as_str);
    if body::wants_arrow(&headers) {
        let write = move || arrow_stream::batches(&answer.schema, &answer.batches).map_err(unwritten);
        let bytes = compute(true, write).await?;
        let mut response = body::response(StatusCode::OK, arrow_stream::MEDIA_TYPE, bytes);
        let truncated = HeaderValue::from_static(if truncated { "true" } else { "false" });
        response.headers_mut().insert(TRUNCATED, truncated);
        mark_stale(&mut response, stale());
        return Ok(response);
    }
    let bytes = compute(true, move || written(&answer).map_err(unwritten)).await?;
    let mut response = body::json(StatusCode::OK, bytes);
    mark_stale(&mut response, stale());
    Ok(response)
}

fn written(answer: &QueryAnswer) -> Result<Vec<u8>, arrow::error::ArrowError> {
    let mut out = Vec::new();
    out.extend_from_slice(b"{\"columns\":");
    json::list(&mut out, answer.schema.fields(), |out, field| {
        let column = [("name", field.name().clone()), ("type", type_name(field.data_type()))];
        json::object(out, column, |out, text| json::value(out, &text));
    });
    out.extend_from_slice(b",\"rows\":[");
    let mut first = true;
    for batch in &answer.batches {
        let arrays = batch.columns().iter().map(json::plain).collect::<Result<Vec<_>, _>>()?;
        let writers =
            arrays.iter().map(|array| ColumnWriter::new(array.as_ref())).collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            let members = answer.schema.fields().iter().map(|field| field.name()).zip(&writers);
            json::object(&mut out, members, |out, writer| writer.write(out, row));
        }
    }
    out.extend_from_slice(b"],\"truncated\":");
    json::value(&mut out, &answer.truncated);
    if !answer.stale.is_empty() {
        out.extend_from_slice(b",\"stale\":");
        json::value(&mut out, &answer.stale);
    }
    out.push(b'}');
    Ok(out)
}
