//! Carrying views from the lake to the online store, on request.

use std::sync::Arc;

use axum::{Extension, body::Bytes, extract::State, http::StatusCode, response::Response};
use millstream_api::{
    error::ErrorBody,
    features::{MaterializeAnswer, MaterializeBody},
    jobs::{JobInfo, JobKind},
};

use crate::{
    body::{parse, small_json},
    error::{ApiError, ErrorKind},
    features::MaterializeRequest,
    guard::Shared,
    jobs::{self, JobEnd, JobOrder, JobReporter, StartedJob},
    principal::Principal,
    wire::instant,
};

/// Materialises views: all rows of all times up to the present, which windows need. The work goes on when the client leaves, and a second request for a view at work is refused.
#[utoipa::path(
    post,
    path = "/v1/features/materialize",
    tag = "features",
    request_body = MaterializeBody,
    responses(
        (status = 200, body = MaterializeAnswer),
        (status = 202, description = "Started, with `wait: false`; `Location` names the job", body = JobInfo),
        (status = 409, description = "MS-1221", body = ErrorBody),
        (status = "4XX", description = "The request is wrong", body = ErrorBody),
    )
)]
pub(crate) async fn materialize(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let body: MaterializeBody = parse(&body)?;
    let range = Range { start: None, end: None, incremental: body.incremental };
    let started = start(&shared, principal, body.views, range, false)?;
    if body.wait {
        return Ok(small_json(StatusCode::OK, &started.done().await?));
    }
    Ok(jobs::accepted(&started.job))
}

/// Which rows a request to materialise asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) start: Option<i64>,
    pub(crate) end: Option<i64>,
    pub(crate) incremental: bool,
}

/// Starts to materialise the named views, or every view of the project if `views` is `None`. With `force` the job also works on
/// views that another job is materialising.
///
/// # Errors
///
/// A view is not known, or another job works on it.
pub(crate) fn start(
    shared: &Arc<Shared>,
    principal: Principal,
    views: Option<Vec<String>>,
    range: Range,
    force: bool,
) -> Result<StartedJob, ApiError> {
    let backend = shared.backends.features.clone();
    let known: Vec<String> = backend.views().into_iter().map(|view| view.name).collect();
    let views = match views {
        None => known,
        Some(views) => {
            if let Some(unknown) = views.iter().find(|view| !known.contains(view)) {
                let error = ApiError::new(ErrorKind::UnknownView, format!("there is no view `{unknown}`"));
                return Err(error.with_field("views"));
            }
            views
        }
    };
    if let (Some(start), Some(end)) = (range.start, range.end)
        && start >= end
    {
        let error = ApiError::new(ErrorKind::Invalid, "the range ends before it starts");
        return Err(error.with_field("end"));
    }
    let order = JobOrder {
        kind: JobKind::Materialize,
        about: views.clone(),
        principal,
        claims: views.clone(),
        force,
    };
    let request = MaterializeRequest { views, end: range.end, incremental: range.incremental };
    let work = |job: JobReporter| async move {
        if request.views.is_empty() {
            return JobEnd::made(&MaterializeAnswer { views: Vec::new(), failed: Vec::new() }, None);
        }
        let result = backend.materialize(request, job).await;
        for failed in result.iter().flat_map(|answer| &answer.failed) {
            tracing::warn!("{} was not materialised: {}", failed.view, failed.message);
        }
        JobEnd::from(result)
    };
    jobs::start(shared, order, work)
}

pub(crate) fn time(field: &str, text: &str) -> Result<i64, ApiError> {
    instant::parse_micros(text).ok_or_else(|| {
        let message = format!("`{field}` has to be an RFC 3339 time such as 2026-11-21T12:00:00Z");
        ApiError::new(ErrorKind::Invalid, message).with_field(field)
    })
}
