//! Bodies that are compressed: taken apart within the bound of a body, and of all bodies together.

use std::io::{self, Read};

use axum::{
    body::Bytes,
    http::{HeaderMap, header},
};
use flate2::read::MultiGzDecoder;
use tokio::sync::SemaphorePermit;

use crate::{
    body::units,
    error::{ApiError, ErrorKind},
    guard::Shared,
};

/// The bytes that are taken out at once.
const CHUNK: usize = 256 << 10;

/// The memory that a zstd stream may ask for to look back, as a power of two; 8 MiB, what RFC 9659 tells senders to keep to.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Zstd,
}

/// A body as it was before it was compressed, with its part of the room that all bodies share.
pub(super) async fn decoded<'a>(
    shared: &'a Shared,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<(Bytes, Option<SemaphorePermit<'a>>), ApiError> {
    let Some(encoding) = encoding(headers)? else { return Ok((body, None)) };
    let limit = shared.limits.body_bytes;
    // How much it becomes is not known before.
    let permit = u32::try_from(units(limit)).ok().and_then(|size| shared.buffers.try_acquire_many(size).ok());
    let permit = permit.ok_or_else(|| {
        ApiError::new(
            ErrorKind::Busy,
            "the bodies of the requests that are running take all the room there is",
        )
    })?;
    let taking_apart = tokio::task::spawn_blocking(move || match encoding {
        Encoding::Gzip => taken_out(MultiGzDecoder::new(body.as_ref()), limit),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(body.as_ref()).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
            taken_out(decoder, limit)
        }
    });
    let bytes = taking_apart.await.map_err(|error| {
        ApiError::new(ErrorKind::Internal, "a body could not be decompressed").with_cause(error)
    })??;
    Ok((bytes, Some(permit)))
}

fn encoding(headers: &HeaderMap) -> Result<Option<Encoding>, ApiError> {
    let mut all = headers.get_all(header::CONTENT_ENCODING).iter();
    let Some(first) = all.next() else { return Ok(None) };
    let name = first.to_str().unwrap_or("something unknown").trim().to_ascii_lowercase();
    match (name.as_str(), all.next()) {
        ("identity" | "", None) => Ok(None),
        ("gzip" | "x-gzip", None) => Ok(Some(Encoding::Gzip)),
        ("zstd", None) => Ok(Some(Encoding::Zstd)),
        _ => Err(ApiError::new(ErrorKind::Encoding, format!("the body is encoded as {name}"))
            .with_hint("send it as it is, or compressed once with `gzip` or `zstd`")),
    }
}

fn taken_out(mut decoder: impl Read, limit: usize) -> Result<Bytes, ApiError> {
    let mut bytes = Vec::new();
    loop {
        let taken = decoder.by_ref().take(CHUNK as u64).read_to_end(&mut bytes).map_err(broken)?;
        if bytes.len() > limit {
            let message =
                format!("the body has more than {limit} bytes once it is decompressed, the server's limit");
            return Err(ApiError::new(ErrorKind::BodyTooLarge, message));
        }
        if taken == 0 {
            return Ok(bytes.into());
        }
    }
}

fn broken(error: io::Error) -> ApiError {
    ApiError::new(ErrorKind::Malformed, format!("the body cannot be decompressed: {error}"))
}
