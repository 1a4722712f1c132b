//! The areas of Millstream's own API. Each is a folder: what it asks of the rest of Millstream (`backend.rs`), its endpoints,
//! and, in its `mod.rs`, where they are served and how they are described.

use axum::{
    extract::{FromRequestParts, Path},
    http::{HeaderValue, Method, Uri, request::Parts},
    response::Response,
};
use utoipa::openapi::OpenApi;

use crate::{
    backfills, catalog, datasets,
    error::{ApiError, ErrorKind},
    features, ingest, jobs, pipelines, process, project, query, runs, schedule,
    scoped::Endpoints,
};

/// Header with the version of the service or the dataset that answered, where the body has no place for it.
pub(crate) const VERSION: &str = "x-millstream-version";

/// Header with the names of the assets behind an answer that are stale, whatever form its body has.
const STALE: &str = "x-millstream-stale";

/// So many bytes of names at most: proxies refuse an answer whose headers are long.
const STALE_MAX: usize = 1024;

/// Says in the answer's header which assets behind it are stale, if any is.
pub(crate) fn mark_stale<'a>(response: &mut Response, stale: impl Iterator<Item = &'a str>) {
    let mut names = String::new();
    for name in stale {
        let comma = if names.is_empty() { "" } else { ", " };
        if names.len() + comma.len() + name.len() > STALE_MAX {
            // The body has them all.
            names.push_str(comma);
            names.push_str("...");
            break;
        }
        names.push_str(comma);
        names.push_str(name);
    }
    // Names of assets are printable.
    if !names.is_empty()
        && let Ok(names) = HeaderValue::from_str(&names)
    {
        response.headers_mut().insert(STALE, names);
    }
}

/// The endpoints of one area.
pub(crate) struct Area {
    /// The endpoints that answer within the time of a request.
    pub(crate) quick: Endpoints,
    /// The endpoints that may go through whole tables, and have the time of a job.
    pub(crate) long: Endpoints,
    /// The description of all endpoints of the area.
    pub(crate) document: OpenApi,
}

/// All areas.
/// `open_metrics` says whether figures are among what everybody may read.
pub(crate) fn areas(open_metrics: bool) -> [Area; 12] {
    [
        features::area(),
        ingest::area(),
        datasets::area(),
        query::area(),
        catalog::area(),
        runs::area(),
        backfills::area(),
        schedule::area(),
        pipelines::area(),
        jobs::area(),
        project::area(),
        process::area(open_metrics),
    ]
}

pub(crate) async fn unknown_path(uri: Uri) -> ApiError {
    ApiError::new(ErrorKind::UnknownPath, format!("there is no endpoint `{}`", uri.path()))
}

pub(crate) async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    ApiError::new(ErrorKind::WrongMethod, format!("`{}` does not take {method}", uri.path()))
}

/// The name in a path.
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(error) => Err(ApiError::new(ErrorKind::Invalid, error.body_text())),
        }
    }
}
