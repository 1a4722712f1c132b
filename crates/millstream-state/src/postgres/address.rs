//! The address of a server: what `postgres://…` says, and what is left to this room.

use std::{path::PathBuf, str::FromStr, time::Duration};

use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod};
use futures::stream::StreamExt;
use percent_encoding::percent_decode_str;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::{
    Client, Config, Connection, NoTls, Socket,
    config::{Host, SslMode},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{PostgresFault, news::Messages};

/// How long an attempt to connect may take, for each address of a host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may be idle, or wait for an acknowledgement, before the server is no longer trusted to be there.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The words of `sslmode` that ask for the check of the server's certificate. Here every encrypted connection checks it, so
/// that they mean the same as `require`.
const VERIFYING: [&str; 2] = ["verify-ca", "verify-full"];

pub(super) struct Address {
    config: Config,
    /// The file with the certificate authorities to trust in the place of the machine's own ones.
    roots: Option<PathBuf>,
}

impl Address {
    /// Reads a `postgres://` or `postgresql://` URL. The options are those of libpq that `tokio_postgres::Config` knows,
    /// and `sslrootcert` with the path of a file.
    pub(super) fn parse(url: &str) -> Result<Self, PostgresFault> {
        let (base, options) = url.split_once('?').unwrap_or((url, ""));
        let mut roots = None;
        let mut kept = Vec::new();
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("sslrootcert", path)) => {
                    let path = percent_decode_str(path).decode_utf8_lossy();
                    roots = Some(PathBuf::from(path.as_ref()));
                }
                Some(("sslmode", word)) if VERIFYING.contains(&word) => kept.push("sslmode=require"),
                _ => kept.push(option),
            }
        }
        let mut config = Config::from_str(&format!("{base}?{}", kept.join("&")))?;
        if config.get_application_name().is_none() {
            config.application_name("millstream");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if !options.contains("keepalives_idle=") {
            config.keepalives_idle(SILENCE_MAX);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE_MAX);
        }
        if config.get_hosts().is_empty() {
            config.host("localhost");
        }
        Ok(Self { config, roots })
    }

    /// The server and the database, for people: without user and password.
    pub(super) fn place(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            None => "localhost".to_owned(),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or_default();
        format!("postgres://{host}:{port}/{database}")
    }

    pub(super) fn manager(&self) -> Result<Manager, PostgresFault> {
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let config = self.config.clone();
        Ok(match self.tls()? {
            None => Manager::from_config(config, NoTls, manager),
            Some(tls) => Manager::from_config(config, tls, manager),
        })
    }

    /// A connection that is in no pool, and all that the server says on it; it is alive as long as that is read.
    pub(super) async fn listen(&self) -> Result<(Client, Messages), PostgresFault> {
        Ok(match self.tls()? {
            None => messages(self.config.connect(NoTls).await?),
            Some(tls) => messages(self.config.connect(tls).await?),
        })
    }

    /// How connections are encrypted; `None` where they are not to be.
    fn tls(&self) -> Result<Option<MakeRustlsConnect>, PostgresFault> {
        if self.config.get_ssl_mode() == SslMode::Disable {
            return Ok(None);
        }
        let roots = match &self.roots {
            Some(path) => roots_in(path)?,
            None => roots_of_machine(),
        };
        let provider = ring::default_provider().into();
        let versions = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| PostgresFault::refusal(error.to_string()))?;
        Ok(Some(MakeRustlsConnect::new(versions.with_root_certificates(roots).with_no_client_auth())))
    }
}

fn messages<T>((client, mut connection): (Client, Connection<Socket, T>)) -> (Client, Messages)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    (client, futures::stream::poll_fn(move |context| connection.poll_message(context)).boxed())
}

fn roots_in(path: &PathBuf) -> Result<RootCertStore, PostgresFault> {
    let fault = |error: String| {
        PostgresFault::refusal(format!(
            "cannot read the certificates of `sslrootcert`, `{}`: {error}",
            path.display()
        ))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))? {
        let certificate = certificate.map_err(|error| fault(error.to_string()))?;
        roots.add(certificate).map_err(|error| fault(error.to_string()))?;
    }
    match roots.is_empty() {
        true => Err(fault("there are none in it".into())),
        false => Ok(roots),
    }
}

/// The certificate authorities that the machine trusts. Certificates that cannot be read are left out: they prove nothing,
/// and the others may suffice.
fn roots_of_machine() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
