//! Signatures of calls from outside: who sends one shows by it that it knows the secret of the webhook or the source, and needs no token.
//!
//! Two shapes are read of calls of webhooks; a source says what the signature of its calls looks like. GitHub's signs the body alone, and Stripe's the instant of the call and the body, so that a call that
//! somebody else recorded is worth nothing a little later.

use std::fmt;

use axum::http::{HeaderMap, HeaderValue};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{ApiError, ErrorKind};

/// The header with `sha256=<hex>`, the signature of the body.
const OF_BODY: &str = "x-hub-signature-256";

/// The headers with `t=<unix seconds>,v1=<hex>`, the signature of the instant, a point and the body.
const TIMED: [&str; 2] = ["x-millstream-signature", "stripe-signature"];

/// How far the instant of a call may be from the server's, in seconds.
const TOLERANCE_SECONDS: u64 = 300;

/// So many signatures of one call are compared: a sender that changes its secret signs with both for a while.
const VALUES_MAX: usize = 8;

/// The secret of a webhook, known to the server and to whoever calls. It does not print itself.
#[derive(Clone)]
pub struct WebhookSecret(Vec<u8>);

impl WebhookSecret {
    #[must_use]
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

/// How the calls of a source are signed.
#[derive(Clone, Debug)]
pub struct SourceSignature {
    /// The name of the header.
    pub header: String,
    pub shape: SignatureShape,
    pub secret: WebhookSecret,
    /// How far a signed instant may be from the server's, in seconds.
    pub tolerance_seconds: u64,
}

/// What stands in the header of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureShape {
    /// The HMAC of the body in hexadecimal digits.
    Hex,
    /// `sha256=` and the HMAC of the body in hexadecimal digits.
    Prefixed,
    /// `t=<unix seconds>,v1=<hex>`, the HMAC of the instant, a point and the body.
    Timed,
}

impl SourceSignature {
    /// How to sign a call.
    pub(crate) fn hint(&self) -> String {
        let (signed, value) = match self.shape {
            SignatureShape::Hex => ("the body", "<hex>"),
            SignatureShape::Prefixed => ("the body", "sha256=<hex>"),
            SignatureShape::Timed => ("the seconds, a point and the body", "t=<seconds since 1970>,v1=<hex>"),
        };
        let header = &self.header;
        format!(
            "sign {signed} as it is sent with HMAC-SHA256 and the secret of the source: `{header}: {value}`"
        )
    }

    /// The signature of a call that came at `now`, in seconds since 1970; `None` where it carries none.
    ///
    /// # Errors
    ///
    /// The header is not of this shape, or the signed instant is too far from `now`.
    pub(crate) fn read(&self, headers: &HeaderMap, now: i64) -> Result<Option<Signature>, ApiError> {
        let Some(value) = only(headers, &self.header)? else { return Ok(None) };
        let of_body = |digits: Option<&str>, expected| {
            let value = digits.and_then(digest).ok_or_else(|| malformed(&self.header, expected))?;
            Ok(Some(Signature { instant: None, values: vec![value] }))
        };
        match self.shape {
            SignatureShape::Hex => of_body(Some(value), "64 hexadecimal digits"),
            SignatureShape::Prefixed => {
                of_body(value.strip_prefix("sha256="), "`sha256=` and 64 hexadecimal digits")
            }
            SignatureShape::Timed => {
                Signature::timed(&self.header, value, now, self.tolerance_seconds).map(Some)
            }
        }
    }
}

/// The signature that a call carries, not yet compared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    /// The instant that is signed before the body, as it was sent.
    instant: Option<String>,
    /// One of these has to be right.
    values: Vec<[u8; 32]>,
}

impl Signature {
    /// The signature of a call that came at `now`, in seconds since 1970; `None` where it carries none.
    ///
    /// # Errors
    ///
    /// The header is not of one of the two shapes, or the signed instant is too far from `now`.
    pub(crate) fn of(headers: &HeaderMap, now: i64) -> Result<Option<Self>, ApiError> {
        for name in TIMED {
            if let Some(value) = only(headers, name)? {
                return Self::timed(name, value, now, TOLERANCE_SECONDS).map(Some);
            }
        }
        let Some(value) = only(headers, OF_BODY)? else { return Ok(None) };
        let value = value.strip_prefix("sha256=").and_then(digest);
        let value = value.ok_or_else(|| malformed(OF_BODY, "`sha256=` and 64 hexadecimal digits"))?;
        Ok(Some(Self { instant: None, values: vec![value] }))
    }

    fn timed(name: &str, header: &str, now: i64, tolerance_seconds: u64) -> Result<Self, ApiError> {
        let shape = || malformed(name, "`t=` with seconds since 1970, and `v1=` with 64 hexadecimal digits");
        let (mut instant, mut values) = (None, Vec::new());
        for part in header.split(',') {
            match part.trim().split_once('=') {
                Some(("t", at)) if instant.is_none() => instant = Some(at),
                Some(("v1", value)) if values.len() < VALUES_MAX => {
                    values.push(digest(value).ok_or_else(shape)?);
                }
                // Other versions of a signature stand beside the one that is read.
                Some((key, _)) if key != "t" && key != "v1" => {}
                _ => return Err(shape()),
            }
        }
        let instant = instant.filter(|_| !values.is_empty()).ok_or_else(shape)?;
        let at: i64 = instant.parse().map_err(|_| shape())?;
        if at.abs_diff(now) > tolerance_seconds {
            let message = format!(
                "the call was signed at {at}, more than {tolerance_seconds} seconds from {now}, the server's time"
            );
            return Err(ApiError::new(ErrorKind::BadSignature, message)
                .with_hint("send the call when it is signed, and set the clocks of both machines right"));
        }
        Ok(Self { instant: Some(instant.to_owned()), values })
    }

    /// Compares in a time that does not tell how much of a signature was right.
    pub(crate) fn verify(&self, secret: &WebhookSecret, body: &[u8]) -> Result<(), ApiError> {
        let wrong = || {
            let message = "the signature is not that of the body by the secret";
            ApiError::new(ErrorKind::BadSignature, message)
        };
        // A key may be of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).map_err(|_| wrong())?;
        if let Some(instant) = &self.instant {
            mac.update(instant.as_bytes());
            mac.update(b".");
        }
        mac.update(body);
        let fits = |value: &[u8; 32]| mac.clone().verify_slice(value).is_ok();
        let is_right = self.values.iter().fold(false, |is_right, value| fits(value) | is_right);
        if is_right { Ok(()) } else { Err(wrong()) }
    }
}

/// The refusal of a call that has to be signed.
pub(crate) fn unsigned() -> ApiError {
    ApiError::new(
        ErrorKind::BadSignature,
        "calls have to be signed with the secret, and this one has no signature",
    )
}

/// The header's text, if the request has it.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
    let mut all = headers.get_all(name).iter();
    let first = all.next().map(HeaderValue::to_str);
    match (first, all.next()) {
        (None, _) => Ok(None),
        (Some(Ok(text)), None) => Ok(Some(text)),
        _ => Err(malformed(name, "one text")),
    }
}

fn malformed(name: &str, expected: &str) -> ApiError {
    ApiError::new(ErrorKind::BadSignature, format!("the header `{name}` has to be {expected}"))
}

/// The bytes of 64 hexadecimal digits.
fn digest(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}
