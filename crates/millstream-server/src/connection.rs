//! Connections: a bounded number of them, plain or by TLS, and none that only waits.
//!
//! A connection counts as alive while a request of it runs or bytes go back to the client. One that is silent, whose headers
//! trickle in, or whose client does not read its answer, is closed after the idle time.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};

use crate::tls::{Handshake, Secured, handshake};

/// Accepts connections as long as there is room for one more.
pub(crate) struct BoundedListener {
    pub(crate) listener: TcpListener,
    pub(crate) room: Arc<Semaphore>,
    pub(crate) idle_time: Duration,
    /// How connections are secured; `None` for plain HTTP.
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // The semaphore is never closed; should that change, connections are unbounded rather than refused.
        let permit = self.room.clone().acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("a connection keeps its delay: {error}");
        }
        let transport = match &self.tls {
            None => Transport::Plain(stream),
            Some(config) => Transport::Shaking(handshake(stream, address, config.clone())),
        };
        (BoundedStream::new(transport, permit, self.idle_time), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// How many requests of a connection are running.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection(Arc<AtomicUsize>);

impl Connection {
    /// Counts a request until the result is dropped.
    pub(crate) fn request(&self) -> RunningRequest {
        self.0.fetch_add(1, Ordering::Relaxed);
        RunningRequest(self.0.clone())
    }
}

impl Connected<IncomingStream<'_, BoundedListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, BoundedListener>) -> Self {
        stream.io().connection.clone()
    }
}

/// A request that is running on a connection.
pub(crate) struct RunningRequest(Arc<AtomicUsize>);

impl Drop for RunningRequest {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The bytes of a connection.
enum Transport {
    Plain(TcpStream),
    /// The handshake goes on, driven by whoever reads or writes.
    Shaking(Handshake),
    Secured(Box<Secured>),
}

impl Transport {
    /// The open stream, once its handshake is done.
    fn open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Pin<&mut dyn Bytes>>> {
        if let Self::Shaking(handshake) = self {
            let secured = ready!(handshake.as_mut().poll(context))?;
            *self = Self::Secured(Box::new(secured));
        }
        Poll::Ready(match self {
            Self::Plain(stream) => Ok(Pin::new(stream)),
            Self::Secured(stream) => Ok(Pin::new(stream.as_mut())),
            // It was replaced above.
            Self::Shaking(_) => Err(io::ErrorKind::NotConnected.into()),
        })
    }
}

/// Both directions of a stream.
trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl Bytes for TcpStream {}
impl Bytes for Secured {}

/// A stream that fails once it was idle for too long.
pub(crate) struct BoundedStream {
    transport: Transport,
    connection: Connection,
    idle_time: Duration,
    /// The time at which bytes last went out.
    active: Instant,
    timer: Pin<Box<Sleep>>,
    /// The connection's part of the listener's room, which is free again when the stream is dropped.
    _permit: Option<OwnedSemaphorePermit>,
}

impl BoundedStream {
    fn new(transport: Transport, permit: Option<OwnedSemaphorePermit>, idle_time: Duration) -> Self {
        let timer = Box::pin(tokio::time::sleep(idle_time));
        Self {
            transport,
            connection: Connection::default(),
            idle_time,
            active: Instant::now(),
            timer,
            _permit: permit,
        }
    }

    /// What to answer instead of pending: an error once the idle time is over. It also arms the timer that wakes the task.
    fn pending<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        while self.timer.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            if self.connection.0.load(Ordering::Relaxed) > 0 {
                self.active = now;
            }
            let end = self.active + self.idle_time;
            if end <= now {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the connection was idle")));
            }
            self.timer.as_mut().reset(end);
        }
        Poll::Pending
    }

    fn written(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match result {
            Poll::Pending => self.pending(context),
            ready => {
                self.active = Instant::now();
                ready
            }
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = match this.transport.open(context) {
            Poll::Ready(Ok(stream)) => stream.poll_read(context, buffer),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        match read {
            Poll::Pending => this.pending(context),
            ready => ready,
        }
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = match this.transport.open(context) {
            Poll::Ready(Ok(stream)) => stream.poll_write(context, bytes),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        this.written(context, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = match this.transport.open(context) {
            Poll::Ready(Ok(stream)) => stream.poll_write_vectored(context, slices),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        this.written(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        // Both kinds of stream take several slices at once.
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = match this.transport.open(context) {
            Poll::Ready(Ok(stream)) => stream.poll_flush(context),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        // What TLS has taken it keeps until the client reads, so that a client that does not is waited for here.
        match flushed {
            Poll::Pending => this.pending(context),
            ready => ready,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = match &mut this.transport {
            // There is nobody yet to say goodbye to.
            Transport::Shaking(_) => Poll::Ready(Ok(())),
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Secured(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        };
        match shut {
            Poll::Pending => this.pending(context),
            ready => ready,
        }
    }
}
