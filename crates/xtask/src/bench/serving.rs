//! Servers that benches put under load: started, watched, stopped.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::Context;
use crate::Result;

/// How long a server may take until it accepts connections.
const START_MAX: Duration = Duration::from_secs(120);
/// How long a server may take to stop.
const STOP_MAX: Duration = Duration::from_secs(15);

/// A server's process, which ends with this value.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    /// The host and port on which the server listens.
    pub(super) address: String,
    /// The seconds from the server's start until it could be asked.
    pub(super) start_seconds: f64,
}

impl Server {
    /// `millstream serve` on the project in `folder`, on a free port.
    pub(super) fn millstream(context: &Context<'_>, folder: &Path) -> Result<Self> {
        let mut command = Command::new(&context.binary);
        command.args(["serve", "--json", "--address", "127.0.0.1:0", "--project"]).arg(folder);
        let started = Instant::now();
        let said = fs::File::create(context.folder.join("serve.log"))?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(said).spawn()?;
        let mut server = Self { child, address: String::new(), start_seconds: 0.0 };
        let said = server.child.stdout.take().ok_or("the server has no output")?;
        let said = serde_json::Deserializer::from_reader(said).into_iter::<Value>().next();
        server.start_seconds = started.elapsed().as_secs_f64();
        let said = said.ok_or("the server ended before it listened")??;
        said["address"].as_str().ok_or("the server did not say its address")?.clone_into(&mut server.address);
        Ok(server)
    }

    /// Another server, which `command` makes listen on the port it is given.
    pub(super) fn other(command: impl FnOnce(u16) -> Command) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let started = Instant::now();
        let child = command(port).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut server = Self { child, address: format!("127.0.0.1:{port}"), start_seconds: 0.0 };
        while TcpStream::connect(&server.address).is_err() {
            if server.child.try_wait()?.is_some() || started.elapsed() > START_MAX {
                return Err(format!("no server came up on {}", server.address).into());
            }
            thread::sleep(Duration::from_millis(100));
        }
        server.start_seconds = started.elapsed().as_secs_f64();
        Ok(server)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The seconds of processor time that the server and the processes it started have used.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        cpu_ticks(self.child.id()).map(|ticks| ticks / TICKS_PER_SECOND)
    }

    /// The memory that the server uses now.
    pub(super) fn resident_bytes(&self) -> Result<f64> {
        self.memory("VmRSS")
    }

    /// The part of the resident memory that no file is behind: neither code nor what the kernel keeps of files.
    pub(super) fn anonymous_bytes(&self) -> Result<f64> {
        self.memory("RssAnon")
    }

    fn memory(&self, name: &str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kibibytes: f64 = line.ok_or(name)?.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024.0)
    }
}

impl Drop for Server {
    /// Asks the server to stop, so that it stops its own processes too, and kills it when it does not.
    fn drop(&mut self) {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        let asked_at = Instant::now();
        while asked.is_ok() && asked_at.elapsed() < STOP_MAX && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(20));
        }
        // The server may have ended by itself, so an error here tells nothing.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends a request and waits until it is answered, or hangs up when `stop` says so.
pub(super) fn ask_until(address: &str, path: &str, body: &str, stop: &AtomicBool) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = [0; 4_096];
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut answer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The JSON that a server answers on `path`.
pub(super) fn get(address: &str, path: &str) -> Result<Value> {
    ask(address, &format!("GET {path} HTTP/1.1\r\n"), "")
}

/// The JSON that a server answers on `path` when `body` is sent there.
pub(super) fn post(address: &str, path: &str, body: &str) -> Result<Value> {
    ask(address, &format!("POST {path} HTTP/1.1\r\ncontent-length: {}\r\n", body.len()), body)
}

/// The value of a figure of `/metrics` that has no labels.
pub(super) fn metric(address: &str, name: &str) -> Result<f64> {
    let figures = ask_text(address, "GET /metrics HTTP/1.1\r\n", "")?;
    let value = figures.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(value.ok_or_else(|| format!("`/metrics` has no `{name}`"))?.parse()?)
}

fn ask(address: &str, head: &str, body: &str) -> Result<Value> {
    Ok(serde_json::from_str(&ask_text(address, head, body)?)?)
}

fn ask_text(address: &str, head: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "{head}host: {address}\r\nconnection: close\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the server hung up")?;
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        return Err(format!("the server answered {status}: {body}").into());
    }
    Ok(body.to_owned())
}

/// The number of ticks per second in which Linux counts processor time, for every program that reads it.
const TICKS_PER_SECOND: f64 = 100.0;

fn cpu_ticks(process: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, in parentheses, may hold anything; user and system time are the 12th and 13th field after it.
    let (_, fields) = stat.rsplit_once(')').ok_or("no process name")?;
    let mut ticks = 0.0;
    for field in fields.split_whitespace().skip(11).take(2) {
        ticks += field.parse::<f64>()?;
    }
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    for child in children.split_whitespace() {
        ticks += cpu_ticks(child.parse()?)?;
    }
    Ok(ticks)
}
