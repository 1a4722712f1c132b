//! A fence around decoders of binary formats, which may panic on content that nobody has written on purpose.

use std::panic::{AssertUnwindSafe, catch_unwind};

use millstream_connector::ConnectorError;

/// Runs `decode`; a panic inside becomes an error about the content.
pub(super) fn guarded<T>(part: &str, decode: impl FnOnce() -> T) -> Result<T, ConnectorError> {
    catch_unwind(AssertUnwindSafe(decode)).map_err(|_| ConnectorError::Broken {
        part: part.to_owned(),
        reason: "its content makes no sense to the decoder".into(),
    })
}
