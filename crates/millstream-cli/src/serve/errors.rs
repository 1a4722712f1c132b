//! Faults of the engine in the words of a request.

use std::error::Error;

use millstream_engine::EngineError;
use millstream_features::view::OnlineViewError;
use millstream_lake::LakeError;
use millstream_project::cover;
use millstream_server::{ApiError, ErrorKind};
use millstream_sql::SqlError;
use millstream_state::StateError;

/// What a client is told of an error in a part of its request, as in [`api_error`].
pub(super) fn api_error_in(part: &str, error: EngineError) -> ApiError {
    let field = match &error {
        EngineError::EntityKey { column, .. } => Some(format!("{part}.{column}")),
        _ => None,
    };
    let told = api_error(error);
    match field {
        Some(field) => told.with_field(field),
        None => told,
    }
}

/// What a client is told. Causes go to the log.
pub(super) fn api_error(error: EngineError) -> ApiError {
    let kind = match &error {
        _ if is_full(&error) => ErrorKind::Unavailable,
        EngineError::UnknownFeature { what: "service", .. } => ErrorKind::UnknownService,
        EngineError::UnknownFeature { what: "view", .. } => ErrorKind::UnknownView,
        EngineError::UnknownFeature { what: "dataset", .. } => ErrorKind::UnknownDataset,
        EngineError::UnknownFeature { .. } => ErrorKind::UnknownFeature,
        EngineError::DatasetFile { .. } => ErrorKind::DatasetGone,
        EngineError::Request { .. } | EngineError::View { .. } | EngineError::EntityKey { .. } => {
            ErrorKind::Invalid
        }
        EngineError::Materialize { source, .. } if source.retry().is_some() => ErrorKind::Unavailable,
        EngineError::Materialize { .. } => ErrorKind::Invalid,
        EngineError::Query(query) => query_kind(query),
        EngineError::State(StateError::Locked { .. }) => ErrorKind::AlreadyRunning,
        EngineError::State(source) if source.is_transient() => ErrorKind::Unavailable,
        EngineError::UnknownAsset { .. } | EngineError::Plan(_) => ErrorKind::Invalid,
        EngineError::Cancelled => ErrorKind::Cancelled,
        EngineError::Online(source) if source.retryable() => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    let (code, hint) = match &error {
        // A command may wait for its turn, a request does not.
        EngineError::State(error @ StateError::Locked { .. }) => (
            error.code(),
            Some("ask again when it has ended; a run waits for it with `wait_for_others`".to_owned()),
        ),
        error => (error.code(), error.hint()),
    };
    let mut told = ApiError::new(kind, message(&error));
    // What a client can tell apart has the server's own codes, whoever found it out.
    if !matches!(
        kind,
        ErrorKind::UnknownService
            | ErrorKind::UnknownView
            | ErrorKind::UnknownFeature
            | ErrorKind::UnknownDataset
            | ErrorKind::Cancelled
    ) {
        told = told.with_code(code);
    }
    if let Some(hint) = hint.or_else(|| view_error(&error).and_then(OnlineViewError::hint)) {
        told = told.with_hint(hint);
    }
    told.with_cause(error)
}

/// Whose fault it is that a statement was not answered: a version that is not there is the client's, a file is not.
fn query_kind(error: &SqlError) -> ErrorKind {
    match error {
        SqlError::Invalid { .. }
        | SqlError::Execution { .. }
        | SqlError::Memory { .. }
        | SqlError::NotBuilt { .. } => ErrorKind::BadQuery,
        SqlError::Lake(error) => match error.as_ref() {
            LakeError::VersionUnavailable { .. } | LakeError::TimestampUnavailable { .. } => {
                ErrorKind::BadQuery
            }
            LakeError::VersionLost { .. } => ErrorKind::Unavailable,
            error if error.retryable() => ErrorKind::Unavailable,
            _ => ErrorKind::Internal,
        },
        _ => ErrorKind::Internal,
    }
}

/// Whether more was pushed than the store keeps beside the lake: the same push succeeds once the lake has taken it up.
fn is_full(error: &EngineError) -> bool {
    matches!(view_error(error), Some(OnlineViewError::TooManyPushed { .. }))
}

/// What a view said, however deep it is.
fn view_error(error: &EngineError) -> Option<&OnlineViewError> {
    let mut cause = error.source();
    while let Some(found) = cause {
        if let Some(view) = found.downcast_ref() {
            return Some(view);
        }
        cause = found.source();
    }
    None
}

/// The message with its causes in one line, without the credentials that a library may have put into them.
fn message(error: &EngineError) -> String {
    // Where files of this machine lie is no affair of a client.
    let mut text = match error {
        EngineError::DatasetFile { name, found, .. } => format!("the file of `{name}` {found}"),
        error => error.to_string(),
    };
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = next.source();
    }
    cover(&text).text.into_owned()
}
