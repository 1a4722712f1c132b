//! Rows that are stored and readable when the answer comes.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use axum::{body::Bytes, extract::State, http::StatusCode, response::Response};
use millstream_api::{
    error::ErrorBody,
    features::{PushAnswer, PushBody},
};

use crate::{
    area::Name,
    body::{compute, is_large, parse, small_json},
    error::{ApiError, ErrorKind},
    features::{PushRequest, PushSchema},
    guard::Shared,
    intake::{Intake, missing},
};

/// Stores rows of a view. They are durable when the answer comes, and the next read sees them.
///
/// Times are RFC 3339 (UTC unless they have a zone) or seconds since 1970, decimals strings or numbers, bytes base64. A
/// column that may be null can be left out.
#[utoipa::path(
    post,
    path = "/v1/features/views/{view}/push",
    tag = "features",
    params(("view" = String, Path, description = "A view or a push source")),
    request_body = PushBody,
    responses(
        (status = 200, body = PushAnswer),
        (status = "4XX", description = "The request is wrong; nothing was stored", body = ErrorBody),
        (status = "5XX", description = "The rows may or may not be stored", body = ErrorBody),
    )
)]
pub(crate) async fn push(
    State(shared): State<Arc<Shared>>,
    Name(view): Name,
    body: Bytes,
) -> Result<Response, ApiError> {
    let parsing = shared.clone();
    let request = compute(is_large(&body), move || {
        let body: PushBody<'_> = parse(&body)?;
        let schema = parsing.backends.features.push_schema(&view)?;
        let mut intake = Intake::default();
        intake.take_all("rows", &body.rows, schema.schema.fields(), parsing.limits.rows)?;
        let rows = batch("rows", intake, &schema)?;
        Ok(PushRequest { project: schema.project, name: view, rows, to: body.to })
    })
    .await?;
    Ok(small_json(StatusCode::OK, &shared.backends.features.push(request).await?))
}

/// The rows in their schema; a column that may be null and was not sent is null.
pub(crate) fn batch(part: &str, mut intake: Intake, push: &PushSchema) -> Result<RecordBatch, ApiError> {
    let rows = intake.rows();
    let column = |field: &arrow::datatypes::FieldRef| -> Result<ArrayRef, ApiError> {
        match intake.arrays.swap_remove(field.name()) {
            Some(array) => Ok(array),
            None if field.is_nullable() && *field.name() != push.time => {
                Ok(new_null_array(field.data_type(), rows))
            }
            None => Err(missing(part, field)),
        }
    };
    let columns = push.schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(push.schema.clone(), columns, &options)
        .map_err(|error| ApiError::new(ErrorKind::Internal, "the rows could not be read").with_cause(error))
}
