//! Faults of the engine in the words of a request.

use millstream_engine::EngineError;
use millstream_server::{ApiError, ErrorKind};
use millstream_sql::SqlError;

/// What a client is told. Causes go to the log.
pub(super) fn api_error(error: EngineError) -> ApiError {
    let kind = match &error {
        EngineError::UnknownFeature { what: "service", .. } => ErrorKind::UnknownService,
        EngineError::UnknownFeature { what: "view", .. } => ErrorKind::UnknownView,
        EngineError::UnknownFeature { what: "dataset", .. } => ErrorKind::UnknownDataset,
        EngineError::UnknownFeature { .. } => ErrorKind::UnknownFeature,
        EngineError::Request { .. } | EngineError::View { .. } => ErrorKind::Invalid,
        EngineError::Query(SqlError::Invalid { .. }) => ErrorKind::BadQuery,
        EngineError::Busy { .. } => ErrorKind::AlreadyRunning,
        EngineError::Online(source) if source.retryable() => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    let (code, hint) = (error.code(), error.hint());
    let mut told = ApiError::new(kind, message(&error)).with_code(code);
    if let Some(hint) = hint {
        told = told.with_hint(hint);
    }
    told.with_cause(error)
}

/// The message with its causes in one line.
fn message(error: &EngineError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = next.source();
    }
    text
}
