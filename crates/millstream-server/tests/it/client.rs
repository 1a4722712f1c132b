//! A server on a free port and a client of a few lines, which sends exactly the bytes it is told to.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arrow::array::RecordBatch;
use millstream_server::{Backends, ColumnWriter, Server, ServerError, ServerOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::backend::Shop;

/// Longer than anything here takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) shop: Arc<Shop>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), ServerError>>,
}

pub(crate) fn options() -> ServerOptions {
    ServerOptions { address: SocketAddr::from(([127, 0, 0, 1], 0)), ..ServerOptions::default() }
}

pub(crate) async fn start(options: ServerOptions) -> Running {
    let shop = Arc::new(Shop::default());
    let server = Server::bind(options, Backends::of(shop.clone())).await.unwrap();
    let (address, shutdown) = (server.address(), CancellationToken::new());
    let task = tokio::spawn(server.run(shutdown.clone()));
    Running { address, shop, shutdown, task }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Status and indented body, for snapshots.
    pub(crate) fn shown(&self) -> String {
        let body = if self.body.is_empty() {
            String::new()
        } else {
            serde_json::to_string_pretty(&self.json()).unwrap()
        };
        format!("{}\n{body}", self.status)
    }
}

impl Running {
    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &[], body.as_bytes()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|header| header.starts_with("Host:")) {
            head.push_str("Host: localhost\r\n");
        }
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        self.raw(&[head.as_bytes(), body].concat()).await
    }

    /// Everything that a job tells until it has ended. HTTP/1.0 knows no chunks, so the events come as they are.
    pub(crate) async fn events(&self, job: &str, headers: &str) -> Answer {
        self.raw(format!("GET /v1/jobs/{job}/events HTTP/1.0\r\n{headers}\r\n").as_bytes()).await
    }

    /// The job, once it has ended.
    pub(crate) async fn ended(&self, job: &str) -> serde_json::Value {
        self.events(job, "").await;
        self.get(&format!("/v1/jobs/{job}")).await.json()
    }

    /// Sends bytes as they are and reads what comes back until the server closes.
    pub(crate) async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that refuses a body early stops reading it; what it said before is still there to be read.
        let _ = stream.write_all(request).await;
        read_answer(&mut stream).await
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

pub(crate) async fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("an answer in time");
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    assert!(!chunked, "every answer here announces its length");
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}

/// A batch as text, a line per column.
pub(crate) fn columns(batch: &RecordBatch) -> String {
    let mut out = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        out.extend_from_slice(format!("{} {}: ", field.name(), field.data_type()).as_bytes());
        ColumnWriter::new(column.as_ref()).unwrap().write_all(&mut out);
        out.push(b'\n');
    }
    String::from_utf8(out).unwrap()
}
