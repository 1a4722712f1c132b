//! A certificate and its key: read, and judged as a pair.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::{TlsFiles, validity::validity};

/// More than any chain or key takes; a file beyond it is something else.
const BYTES_MAX: u64 = 1 << 20;

/// Why a pair of files cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read `{}`", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` has no {what}", path.display())]
    Empty { path: PathBuf, what: &'static str },
    #[error("`{}` is not PEM", path.display())]
    Malformed {
        path: PathBuf,
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    #[error("the key of `{}` is not that of the certificate of `{}`", key.display(), certificate.display())]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error("`{}` cannot be used for TLS", path.display())]
    Unusable {
        path: PathBuf,
        #[source]
        source: rustls::Error,
    },
    #[error("the certificate of `{}` is over since {at}", path.display())]
    Expired { path: PathBuf, at: String },
    #[error("the certificate of `{}` is valid from {at} on", path.display())]
    Early { path: PathBuf, at: String },
}

impl TlsError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::File { .. } => "let the server's user read it, and name it as it is",
            Self::Empty { .. } | Self::Malformed { .. } => {
                "name a file in PEM: the certificate with its chain under `--tls-cert`, its private key without a password \
                 under `--tls-key`"
            }
            Self::Mismatch { .. } => "put the key beside the certificate that it was made for",
            Self::Unusable { .. } => "use an RSA, ECDSA or Ed25519 certificate with its key",
            Self::Expired { .. } => {
                "renew the certificate; a running server takes the new one over by itself"
            }
            Self::Early { .. } => "wait until then, or set the machine's clock right",
        }
    }
}

/// A certificate with its key, ready to be shown.
pub(super) struct Pair {
    pub(super) key: CertifiedKey,
    /// The end of the certificate, in microseconds since 1970; `None` where it does not say so in a way that is understood.
    pub(super) until: Option<i64>,
}

/// What stands in the two files.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Texts {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Texts {
    pub(super) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self { certificate: read(&files.certificate)?, key: read(&files.key)? })
    }

    /// The pair, if it may be shown at the time `now`.
    pub(super) fn pair(&self, files: &TlsFiles, now: i64) -> Result<Pair, TlsError> {
        let malformed = |path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::Malformed { path, source }
        };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(malformed(&files.certificate))?;
        let Some(first) = chain.first() else {
            return Err(TlsError::Empty { path: files.certificate.clone(), what: "certificate" });
        };
        let validity = validity(first);
        let key = match PrivateKeyDer::from_pem_slice(&self.key) {
            Ok(key) => key,
            Err(rustls::pki_types::pem::Error::NoItemsFound) => {
                return Err(TlsError::Empty { path: files.key.clone(), what: "private key" });
            }
            Err(source) => return Err(malformed(&files.key)(source)),
        };
        if let Some((from, until)) = &validity {
            let path = files.certificate.clone();
            if until.micros < now {
                return Err(TlsError::Expired { path, at: until.text.clone() });
            }
            if from.micros > now {
                return Err(TlsError::Early { path, at: from.text.clone() });
            }
        }
        let unusable = |source| match source {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() }
            }
            source => TlsError::Unusable { path: files.key.clone(), source },
        };
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(unusable)?;
        Ok(Pair { key, until: validity.map(|(_, until)| until.micros) })
    }
}

/// The cryptography of the whole binary.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::File { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(failed)?.len();
    if bytes > BYTES_MAX {
        let large = io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 1 MiB");
        return Err(failed(large));
    }
    fs::read(path).map_err(failed)
}
