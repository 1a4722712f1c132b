//! A look at a server of this machine from outside: what a container's health check asks, where no other client is at hand.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// The bytes of an answer that are looked at; its body is for people.
const ANSWER_MAX: u64 = 64 << 10;

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    pub status: u16,
    pub body: String,
}

/// Asks the server at `address` for a path that needs no token, such as `/health`. `is_tls` says that it speaks TLS; its certificate
/// is not judged, since it is made for the name that clients use, and nothing is told to the server.
///
/// # Errors
///
/// Nobody listens, or the answer does not come within `most` or is none.
pub fn probe<'a>(
    address: SocketAddr,
    path: &'a str,
    is_tls: bool,
    most: Duration,
) -> BoxFuture<'a, io::Result<Probed>> {
    Box::pin(async move {
        let asked = async {
            let stream = TcpStream::connect(address).await?;
            match is_tls {
                false => ask(stream, path).await,
                true => {
                    let name = ServerName::IpAddress(address.ip().into());
                    let secured = TlsConnector::from(trusting()?).connect(name, stream).await?;
                    ask(secured, path).await
                }
            }
        };
        tokio::time::timeout(most, asked).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    })
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> io::Result<Probed> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let no_http = || io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(no_http)?;
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
    Ok(Probed { status: status.ok_or_else(no_http)?, body: body.to_owned() })
}

fn trusting() -> io::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let verifier = Arc::new(AnyCertificate(provider));
    Ok(Arc::new(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
}

/// Takes a certificate of any name and issuer whose key the server has.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
