//! TLS: a certificate with its key, read from two files and taken over again when these change; and the handshake of a
//! connection, which holds up nobody but its client.

mod handshake;
mod pair;
mod rotation;
mod validity;

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

pub(crate) use handshake::{Handshake, Secured, handshake};
pub use pair::TlsError;
use pair::{Pair, Texts, provider};
pub(crate) use rotation::Rotation;

/// The files of a certificate and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, and behind it those that it is signed by, but for the root.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What clients are shown at present.
#[derive(Debug)]
struct Present(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Present {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// How a server speaks TLS.
pub(crate) struct Tls {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) rotation: Rotation,
}

impl Tls {
    /// Reads the files; `now` is the present time in microseconds since 1970.
    ///
    /// # Errors
    ///
    /// A file cannot be read or has no certificate or key, the two do not belong together, or the certificate is over or not
    /// valid yet.
    pub(crate) fn load(files: TlsFiles, now: i64) -> Result<Self, TlsError> {
        let texts = Texts::read(&files)?;
        let Pair { key, until } = texts.pair(&files, now)?;
        let present = Arc::new(Present(ArcSwap::from_pointee(key)));
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&versions)
            .map_err(|source| TlsError::Unusable { path: files.certificate.clone(), source })?;
        let mut config = config.with_no_client_auth().with_cert_resolver(present.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), rotation: Rotation::of(files, present, texts, until) })
    }
}
