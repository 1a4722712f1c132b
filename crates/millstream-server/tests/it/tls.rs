//! TLS with real certificates and a real client: what is shown, what is refused, and certificates that are renewed.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use millstream_server::{Backends, Server, ServerError, ServerOptions, TlsError, TlsFiles, Token};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

use crate::{
    backend::Shop,
    client::{Running, options, read_answer, start},
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name)
}

/// A folder whose files hold the pair of this name.
struct Folder(TempDir);

impl Folder {
    fn with(name: &str) -> Self {
        let folder = Self(TempDir::new().unwrap());
        folder.renew(name, name);
        folder
    }

    /// Puts another pair in the place of the present one.
    fn renew(&self, certificate: &str, key: &str) {
        std::fs::copy(sample(&format!("{certificate}.cert.pem")), self.path("cert.pem")).unwrap();
        std::fs::copy(sample(&format!("{key}.key.pem")), self.path("key.pem")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn files(&self) -> TlsFiles {
        TlsFiles { certificate: self.path("cert.pem"), key: self.path("key.pem") }
    }

    fn options(&self) -> ServerOptions {
        ServerOptions { tls: Some(self.files()), ..options() }
    }
}

fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(sample(&format!("{name}.cert.pem"))).unwrap()
}

/// A client that trusts the certificates of these names alone.
fn client(trusted: &[&str], versions: &[&'static rustls::SupportedProtocolVersion]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for name in trusted {
        roots.add(certificate(name)).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// Asks for a path over TLS and gives the answer's text.
async fn ask(address: SocketAddr, client: &TlsConnector, path: &str) -> std::io::Result<String> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = client.connect(name, stream).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

async fn healthy(server: &Running, client: &TlsConnector) -> bool {
    let asked = timeout(PATIENCE, ask(server.address, client, "/health")).await.expect("an answer in time");
    asked.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn refused(files: TlsFiles) -> TlsError {
    let options = ServerOptions { tls: Some(files), ..options() };
    match Server::bind(options, Backends::of(Arc::new(Shop::default()))).await {
        Err(ServerError::Tls(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_versions_are_spoken_and_others_are_not_trusted() {
    let folder = Folder::with("first");
    let server = start(folder.options()).await;
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        assert!(healthy(&server, &client(&["first"], &[version])).await, "{version:?}");
    }
    let stranger = client(&["second"], &[&rustls::version::TLS13]);
    assert!(ask(server.address, &stranger, "/health").await.is_err());
    // Requests with bodies, one after the other on one connection, and an answer that is larger than a record.
    let stream = TcpStream::connect(server.address).await.unwrap();
    let trusting = client(&["first"], &[&rustls::version::TLS13]);
    let mut stream = trusting.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let mut piece = [0; 4_096];
        while !answer.windows(2).any(|end| end == b"}}") || answer.len() < 20_000 {
            let count = timeout(PATIENCE, stream.read(&mut piece)).await.unwrap().unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&piece[..count]);
            let head = String::from_utf8_lossy(&answer).into_owned();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let Some(length) = length.and_then(|length| length.trim().parse::<usize>().ok()) else {
                continue;
            };
            let body = head.find("\r\n\r\n").map(|at| answer.len() - at - 4);
            if body == Some(length) {
                break;
            }
        }
    }
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn a_new_pair_is_taken_over_and_a_broken_one_is_not() {
    let folder = Folder::with("first");
    let server = start(folder.options()).await;
    let (first, second) =
        (client(&["first"], &[&rustls::version::TLS13]), client(&["second"], &[&rustls::version::TLS13]));
    assert!(healthy(&server, &first).await && !healthy(&server, &second).await);
    // A key without its certificate, and no PEM at all: the pair of before is served.
    folder.renew("second", "first");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(healthy(&server, &first).await, "a broken pair was taken over");
    std::fs::write(folder.path("cert.pem"), "nonsense").unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(healthy(&server, &first).await, "nonsense was taken over");
    folder.renew("second", "second");
    until("the new pair is not taken over", async || healthy(&server, &second).await).await;
    // A client that knows the server resumes its session, so that another one has to come.
    assert!(!healthy(&server, &client(&["first"], &[&rustls::version::TLS13])).await);
    std::fs::remove_file(folder.path("key.pem")).unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(healthy(&server, &second).await, "a missing file ends nothing");
    server.stop().await;
}

#[tokio::test]
async fn a_pair_that_cannot_be_served_is_refused_with_a_reason() {
    let folder = Folder::with("first");
    let said = |error: TlsError| {
        let code = ServerError::from(error);
        assert_eq!(code.code(), "MS-1275");
        assert!(code.hint().is_some());
        code.to_string().replace(&folder.0.path().display().to_string(), "DIR")
    };
    folder.renew("first", "second");
    assert_eq!(
        said(refused(folder.files()).await),
        "the key of `DIR/key.pem` is not that of the certificate of `DIR/cert.pem`"
    );
    folder.renew("over", "over");
    assert_eq!(
        said(refused(folder.files()).await),
        "the certificate of `DIR/cert.pem` is over since 2021-01-01 00:00:00 UTC"
    );
    folder.renew("early", "early");
    assert_eq!(
        said(refused(folder.files()).await),
        "the certificate of `DIR/cert.pem` is valid from 2100-01-01 00:00:00 UTC on"
    );
    folder.renew("first", "first");
    std::fs::copy(sample("first.cert.pem"), folder.path("key.pem")).unwrap();
    assert_eq!(said(refused(folder.files()).await), "`DIR/key.pem` has no private key");
    std::fs::write(folder.path("cert.pem"), "").unwrap();
    assert_eq!(said(refused(folder.files()).await), "`DIR/cert.pem` has no certificate");
    let broken = "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n";
    std::fs::write(folder.path("cert.pem"), broken).unwrap();
    assert_eq!(said(refused(folder.files()).await), "`DIR/cert.pem` is not PEM");
    let gone = TlsFiles { certificate: folder.path("gone.pem"), ..folder.files() };
    assert_eq!(said(refused(gone).await), "cannot read `DIR/gone.pem`");
    // With TLS too, other machines need a token.
    folder.renew("first", "first");
    let address = SocketAddr::from(([0, 0, 0, 0], 0));
    let open = ServerOptions { address, ..folder.options() };
    let error = Server::bind(open.clone(), Backends::of(Arc::new(Shop::default()))).await.unwrap_err();
    assert!(matches!(error, ServerError::TokenNeeded { .. }), "{error}");
    let token = Some(Token::new("a long enough secret"));
    Server::bind(ServerOptions { token, ..open }, Backends::of(Arc::new(Shop::default()))).await.unwrap();
}

#[tokio::test]
async fn a_client_of_plain_http_is_told_and_silent_ones_hold_up_nobody() {
    let folder = Folder::with("first");
    let server = start(folder.options()).await;
    let plain = server.get("/health").await;
    assert_eq!((plain.status, plain.json()["error"]["code"].as_str()), (400, Some("MS-1276")));
    let mut large = TcpStream::connect(server.address).await.unwrap();
    large.write_all(b"POST /v1/query HTTP/1.1\r\nContent-Length: 9000\r\n\r\n").await.unwrap();
    large.write_all(&[b'x'; 9_000]).await.unwrap();
    assert_eq!(read_answer(&mut large).await.status, 400);
    // Clients that say nothing, and one that begins and stops.
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    silent[0].write_all(&[0x16, 3, 1]).await.unwrap();
    let begun = Instant::now();
    assert!(healthy(&server, &client(&["first"], &[&rustls::version::TLS13])).await);
    assert!(begun.elapsed() < PATIENCE / 2, "the handshakes of others held it up");
    // They are let go after a while, all of them.
    let mut byte = [0];
    for stream in &mut silent {
        let ended = timeout(PATIENCE, stream.read(&mut byte)).await.expect("an end in time");
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_room_of_connections_is_free_again_after_failed_handshakes() {
    let folder = Folder::with("first");
    let mut options = folder.options();
    options.limits.connections = 2;
    let server = start(options).await;
    for _ in 0..6 {
        assert_eq!(server.get("/health").await.status, 400);
    }
    assert!(healthy(&server, &client(&["first"], &[&rustls::version::TLS13])).await);
    server.stop().await;
}

/// What TLS has taken waits for the client, who may never read it.
#[tokio::test]
async fn a_client_that_asks_and_does_not_read_is_let_go() {
    let folder = Folder::with("first");
    let mut options = folder.options();
    options.limits.idle_time = Duration::from_secs(1);
    let server = start(options).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let trusting = client(&["first"], &[&rustls::version::TLS13]);
    let mut stream = trusting.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let requests = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    let asking = async {
        loop {
            if let Err(ended) = stream.write_all(requests.as_bytes()).await {
                return ended;
            }
        }
    };
    timeout(PATIENCE, asking).await.expect("an end in time");
    server.stop().await;
}
