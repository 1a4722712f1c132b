//! Connections: a bounded number of them, and none that only waits.
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
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};

/// Accepts connections as long as there is room for one more.
pub(crate) struct BoundedListener {
    pub(crate) listener: TcpListener,
    pub(crate) room: Arc<Semaphore>,
    pub(crate) idle_time: Duration,
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
        (BoundedStream::new(stream, permit, self.idle_time), address)
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

/// A stream that fails once it was idle for too long.
pub(crate) struct BoundedStream {
    stream: TcpStream,
    connection: Connection,
    idle_time: Duration,
    /// The time at which bytes last went out.
    active: Instant,
    timer: Pin<Box<Sleep>>,
    /// The connection's part of the listener's room, which is free again when the stream is dropped.
    _permit: Option<OwnedSemaphorePermit>,
}

impl BoundedStream {
    fn new(stream: TcpStream, permit: Option<OwnedSemaphorePermit>, idle_time: Duration) -> Self {
        let timer = Box::pin(tokio::time::sleep(idle_time));
        Self {
            stream,
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
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Pending => this.pending(context),
            ready => ready,
        }
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.written(context, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.written(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
