//! Building a dataset on request.

use std::sync::Arc;

use axum::{Extension, extract::State, response::Response};
use millstream_api::{
    error::ErrorBody,
    jobs::{JobInfo, JobKind},
};

use crate::{
    area::Name,
    error::{ApiError, ErrorKind},
    guard::Shared,
    jobs::{self, JobEnd, JobOrder, JobReporter},
    principal::Principal,
};

/// Starts to build a dataset of the project, as the command `dataset build` does, and answers with the job. The file lies where
/// the definition says; the job's result is a `DatasetBuildAnswer`, and `GET /v1/datasets/{name}` then has the file.
#[utoipa::path(
    post,
    path = "/v1/datasets/{name}/build",
    tag = "data",
    params(("name" = String, Path, description = "The dataset's name")),
    responses(
        (status = 202, description = "Started; `Location` names the job", body = JobInfo),
        (status = 404, description = "MS-1206", body = ErrorBody),
        (status = 409, description = "MS-1221: the dataset is being built", body = ErrorBody),
    )
)]
pub(super) async fn build(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    Name(name): Name,
) -> Result<Response, ApiError> {
    let backend = shared.backends.datasets.clone();
    if !backend.defined().contains(&name) {
        let message = format!("the project defines no dataset `{name}`");
        return Err(ApiError::new(ErrorKind::UnknownDataset, message));
    }
    let about = vec![name.clone()];
    let order = JobOrder { kind: JobKind::Dataset, claims: about.clone(), about, principal, force: false };
    let work = |job: JobReporter| async move { JobEnd::from(backend.build(&name, job).await) };
    Ok(jobs::accepted(&jobs::start(&shared, order, work)?.job))
}
