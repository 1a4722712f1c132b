//! The handshake of a connection: by the task of the connection, so that it holds up nobody else, and within a bound of time.

use std::{io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// The time that a client has for its handshake.
const TIME_MAX: Duration = Duration::from_secs(10);

/// The time, and the bytes, that a client has left to send that did not speak TLS.
const FAREWELL: Duration = Duration::from_millis(500);
const FAREWELL_BYTES: u64 = 64 << 10;

/// The first byte of every TLS connection.
const HANDSHAKE_RECORD: u8 = 0x16;

/// What a client of plain HTTP is told, in words that it understands.
const SPEAK_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 107\r\n\r\n\
{\"error\":{\"code\":\"MS-1276\",\"message\":\"this port speaks TLS\",\"hint\":\"ask for https:// instead of http://\"}}\n";

/// A stream that is encrypted.
pub(crate) type Secured = TlsStream<TcpStream>;

/// A handshake that goes on.
pub(crate) type Handshake = Pin<Box<dyn Future<Output = io::Result<Secured>> + Send>>;

/// Begins the handshake of an accepted connection.
pub(crate) fn handshake(stream: TcpStream, peer: SocketAddr, config: Arc<ServerConfig>) -> Handshake {
    Box::pin(async move {
        let done = tokio::time::timeout(TIME_MAX, shake(stream, peer, config)).await;
        done.unwrap_or_else(|_| {
            tracing::debug!(%peer, "a handshake took too long");
            Err(io::ErrorKind::TimedOut.into())
        })
    })
}

async fn shake(mut stream: TcpStream, peer: SocketAddr, config: Arc<ServerConfig>) -> io::Result<Secured> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
        _ if first[0] == HANDSHAKE_RECORD => {}
        _ => {
            tracing::warn!(%peer, "a client did not speak TLS on a port that does; it has to ask for https://");
            farewell(&mut stream).await;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the client did not speak TLS"));
        }
    }
    TlsAcceptor::from(config).accept(stream).await.inspect_err(|error| {
        tracing::debug!(%peer, %error, "a handshake failed");
    })
}

/// Tells a client of plain HTTP what it has to speak. What it still sends is taken, since the answer would be lost with a
/// connection that is reset.
async fn farewell(stream: &mut TcpStream) {
    let told = async {
        stream.write_all(SPEAK_TLS).await?;
        stream.shutdown().await?;
        let mut left = stream.take(FAREWELL_BYTES);
        tokio::io::copy(&mut left, &mut tokio::io::sink()).await
    };
    // A client that is gone misses nothing.
    let _ = tokio::time::timeout(FAREWELL, told).await;
}
