//! `/push` and `/write-to-online-store`: rows as columns of a data frame.

use axum::{
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use millstream_api::{
    Columns,
    feast::{FeastPushBody, FeastWriteBody},
    features::PushTarget,
};

use super::SharedState;
use crate::{
    body::{self, compute, is_large, parse},
    error::{ApiError, ErrorKind},
    features::{FeatureBackend, PushRequest, PushSchema, push::batch},
    intake::{Intake, missing},
};

/// What Feast's clients call the event time, whatever the view calls it.
const EVENT_TIMESTAMP: &str = "event_timestamp";

/// Feast's push. The rows are durable and readable when the answer comes.
#[utoipa::path(
    post,
    path = "/push",
    tag = "feast",
    request_body = FeastPushBody,
    responses(
        (status = 200, description = "Empty"),
        (status = "4XX", description = "A string that holds JSON with module, class and message", body = String, content_type = "application/json"),
    )
)]
pub(super) async fn push(State(shared): SharedState, body: Bytes) -> Result<Response, ApiError> {
    let (large, parsing) = (is_large(&body), shared.clone());
    let request = compute(large, move || {
        let body: FeastPushBody<'_> = parse(&body)?;
        let to = match body.to.as_str() {
            "" | "online" => PushTarget::Online,
            "offline" => PushTarget::Offline,
            "online_and_offline" => PushTarget::OnlineAndOffline,
            other => {
                let message =
                    format!("`to` cannot be `{other}`, it is online, offline or online_and_offline");
                return Err(ApiError::new(ErrorKind::Invalid, message).with_field("to"));
            }
        };
        let (backend, limit) = (parsing.backends.features.as_ref(), parsing.limits.rows);
        let request = request(backend, body.push_source_name, &body.df, to, limit);
        request.map_err(|error| match error.kind() {
            ErrorKind::UnknownView => error.into_kind(ErrorKind::UnknownPushSource),
            _ => error,
        })
    })
    .await?;
    shared.backends.features.push(request).await?;
    Ok(StatusCode::OK.into_response())
}

/// Feast's write of rows to a view's online store.
#[utoipa::path(
    post,
    path = "/write-to-online-store",
    tag = "feast",
    request_body = FeastWriteBody,
    responses(
        (status = 200, description = "`null`"),
        (status = "4XX", description = "A string that holds JSON with module, class and message", body = String, content_type = "application/json"),
    )
)]
pub(super) async fn write_to_online_store(
    State(shared): SharedState,
    body: Bytes,
) -> Result<Response, ApiError> {
    let (large, parsing) = (is_large(&body), shared.clone());
    let request = compute(large, move || {
        let body: FeastWriteBody<'_> = parse(&body)?;
        let backend = parsing.backends.features.as_ref();
        request(backend, body.feature_view_name, &body.df, PushTarget::Online, parsing.limits.rows)
    })
    .await?;
    shared.backends.features.push(request).await?;
    Ok(body::json(StatusCode::OK, b"null".to_vec()))
}

/// The rows of a data frame. As with Feast it has every column that the view takes; others are skipped, as Feast's clients send
/// a `created` column with every frame, but not finished values, which would be lost.
fn request(
    backend: &dyn FeatureBackend,
    name: String,
    frame: &Columns<'_>,
    to: PushTarget,
    limit: usize,
) -> Result<PushRequest, ApiError> {
    let schema = backend.push_schema(&name)?;
    let mut intake = Intake::default();
    let renamed = renamed_time(frame, &schema);
    for (column, values) in &frame.0 {
        let target = if renamed && column == EVENT_TIMESTAMP { &schema.time } else { column };
        match schema.schema.fields().find(target) {
            Some((_, field)) => intake.take("df", target, values, field, limit)?,
            None if schema.features.contains(column) => return Err(finished(&name, column, &schema)),
            None => {}
        }
    }
    if let Some(field) = intake.first_missing(schema.schema.fields()) {
        return Err(missing("df", field).with_hint(rows_of(&name, &schema)));
    }
    let rows = batch("df", intake, &schema)?;
    Ok(PushRequest { project: schema.project, name, rows, to })
}

/// The error for a column with values of a feature.
fn finished(view: &str, column: &str, schema: &PushSchema) -> ApiError {
    let message =
        format!("`df.{column}` is a feature of `{view}`, which is computed from rows and not written");
    ApiError::new(ErrorKind::Invalid, message)
        .with_field(format!("df.{column}"))
        .with_hint(rows_of(view, schema))
}

/// What a frame has to hold.
fn rows_of(view: &str, schema: &PushSchema) -> String {
    let columns: Vec<String> =
        schema.schema.fields().iter().map(|field| format!("`{}`", field.name())).collect();
    format!(
        "`{view}` takes rows of its table, with {}; a value that is not known is null",
        columns.join(", ")
    )
}

/// Whether the frame calls the view's event time by Feast's name.
fn renamed_time(frame: &Columns<'_>, push: &PushSchema) -> bool {
    let has = |name: &str| frame.0.iter().any(|(column, _)| column == name);
    push.schema.fields().find(EVENT_TIMESTAMP).is_none() && !has(&push.time) && has(EVENT_TIMESTAMP)
}
