//! Training sets for a notebook.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use millstream_api::{datasets::DatasetsAnswer, error::ErrorBody};
use serde::Deserialize;
use tokio_util::io::ReaderStream;

use crate::{
    area::{Name, VERSION, mark_stale},
    body::small_json,
    error::{ApiError, ErrorKind},
    guard::Shared,
};

/// Bytes of a file that are sent at a time.
const CHUNK: usize = 256 << 10;

#[derive(Debug, Deserialize)]
pub(crate) struct DatasetQuery {
    version: Option<String>,
}

/// All datasets with their versions.
#[utoipa::path(get, path = "/v1/datasets", tag = "data", responses((status = 200, body = DatasetsAnswer)))]
pub(crate) async fn datasets(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    Ok(small_json(StatusCode::OK, &DatasetsAnswer { datasets: shared.backends.datasets.datasets().await? }))
}

/// One dataset as a Parquet file, the newest version unless one is named.
#[utoipa::path(
    get,
    path = "/v1/datasets/{name}",
    tag = "data",
    params(
        ("name" = String, Path, description = "The dataset's name"),
        ("version" = Option<String>, Query, description = "A version; the newest if left out"),
    ),
    responses(
        (status = 200, description = "Parquet; the header `x-millstream-version` names the version, `x-millstream-stale` the dataset if it is stale",
         content_type = "application/vnd.apache.parquet"),
        (status = 404, description = "MS-1206", body = ErrorBody),
        (status = 410, description = "MS-0735: the version's file was removed, replaced or damaged",
         body = ErrorBody),
    )
)]
pub(crate) async fn dataset(
    State(shared): State<Arc<Shared>>,
    Name(name): Name,
    query: Result<Query<DatasetQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) =
        query.map_err(|error| ApiError::new(ErrorKind::Invalid, error.body_text()).with_field("version"))?;
    let dataset = shared.backends.datasets.dataset(&name, query.version.as_deref()).await?;
    let mut response = Response::new(Body::from_stream(ReaderStream::with_capacity(dataset.bytes, CHUNK)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.apache.parquet"));
    if let Some(length) = dataset.length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    // A version that a header cannot hold is left out; the file itself is what was asked for.
    if let Ok(version) = HeaderValue::from_str(&dataset.version) {
        headers.insert(VERSION, version);
    }
    mark_stale(&mut response, dataset.stale.iter().map(|stale| stale.asset.as_str()));
    Ok(response)
}
