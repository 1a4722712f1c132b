//! `millstream serve` as a process of its own, and a client of a few lines.

use std::{
    fs::{self, File},
    io::{BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStdout, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use arrow::{array::RecordBatch, compute::concat_batches, ipc::reader::StreamReader};
use serde_json::{Value, json};

use crate::harness::{Folder, assert_plain};

/// Longer than any request here takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the server says on standard error goes to this file of the project's folder.
const LOG: &str = "serve.log";

const ARROW: &str = "Accept: application/vnd.apache.arrow.stream";

/// A running server, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    /// The pipe is held open: a server whose standard output is closed could not say anything more.
    _output: BufReader<ChildStdout>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The body of an answer that says all is well.
    pub(crate) fn good(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }

    /// The status, code and message of an answer that refuses.
    pub(crate) fn refusal(&self) -> (u16, String, String) {
        let body = self.json();
        let text = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
        (self.status, text("code"), text("message"))
    }
}

impl Server {
    pub(crate) fn start(folder: &Folder) -> Self {
        Self::start_with(folder, &[])
    }

    /// Starts the server on a free port and waits until it says where it is.
    pub(crate) fn start_with(folder: &Folder, arguments: &[&str]) -> Self {
        let (mut child, mut output) = spawned(folder, &[&["--json"][..], arguments].concat());
        let said = serde_json::Deserializer::from_reader(&mut output).into_iter::<Value>().next();
        let Some(Ok(said)) = said else {
            let _ = child.wait();
            panic!("no server: {}", fs::read_to_string(folder.path().join(LOG)).unwrap());
        };
        Self { child, address: said["address"].as_str().unwrap().to_owned(), _output: output }
    }

    /// As [`Server::start_with`], but the server speaks to people, on standard error.
    pub(crate) fn start_for_people(folder: &Folder, arguments: &[&str]) -> Self {
        let (mut child, output) = spawned(folder, arguments);
        let until = Instant::now() + PATIENCE;
        loop {
            let said = log(folder);
            if let Some((_, address)) = said.split_once("Serving on http://") {
                let address = address.split_whitespace().next().unwrap().to_owned();
                return Self { child, address, _output: output };
            }
            let has_ended = child.try_wait().unwrap().is_some();
            assert!(!has_ended && Instant::now() < until, "no server: {said}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.try_send("GET", path, &[], b"").unwrap()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_send("POST", path, &[], body.to_string().as_bytes()).unwrap()
    }

    /// Sends one request on a connection of its own. `None` when the server went away before it had answered.
    pub(crate) fn try_send(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Option<Answer> {
        send(&self.address, method, path, headers, body)
    }

    /// Features of entities as the Arrow answer has them: exactly typed, each followed by status and event time.
    pub(crate) fn read(
        &self,
        target: &Value,
        entities: &Value,
        request: &Value,
        at: Option<&str>,
    ) -> RecordBatch {
        let mut body = json!({"entities": entities, "request": request});
        let members = body.as_object_mut().unwrap();
        members.extend(target.as_object().unwrap().clone());
        if let Some(at) = at {
            members.insert("at".to_owned(), at.into());
        }
        let answer =
            self.try_send("POST", "/v1/features/read", &[ARROW], body.to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let reader = StreamReader::try_new(answer.body.as_slice(), None).unwrap();
        let schema = reader.schema();
        let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>().unwrap();
        concat_batches(&schema, &batches).unwrap()
    }

    /// Values of single features of one entity, now, as JSON.
    pub(crate) fn values(&self, features: &[&str], entity: &Value) -> Vec<Value> {
        let columns: serde_json::Map<String, Value> =
            entity.as_object().unwrap().iter().map(|(name, value)| (name.clone(), json!([value]))).collect();
        let answer =
            self.post("/v1/features/read", &json!({"features": features, "entities": columns})).good();
        features.iter().map(|name| answer["columns"][name]["values"][0].clone()).collect()
    }

    pub(crate) fn push(&self, view: &str, rows: &Value, to: &str) -> Answer {
        self.post(&format!("/v1/features/views/{view}/push"), &json!({"rows": rows, "to": to}))
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Asks the server to end, as a service manager does.
    pub(crate) fn terminate(&self) {
        let asked = std::process::Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(asked.unwrap().success());
    }

    /// Waits until the server has ended.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Asks the server to end, and waits until it has.
    pub(crate) fn stop(self) {
        self.terminate();
        let status = self.wait();
        assert!(status.success(), "the server ends with {status}");
    }

    /// Ends the server where it stands.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request to the server at `address`.
pub(crate) fn send(address: &str, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    // A server that refuses a body early stops reading it; its answer is still there to be read.
    let _ = stream.write_all(&[request.as_bytes(), body].concat());
    let answer = received(&mut stream)?;
    let length: usize = answer.header("content-length")?.parse().ok()?;
    (answer.body.len() == length).then_some(answer)
}

/// The answer that comes until the server closes the connection.
pub(crate) fn received(stream: &mut TcpStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read_to_end(&mut bytes).ok()?;
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head, body: bytes[end + 4..].to_vec() })
}

/// A server on a free port that has just begun to start.
fn spawned(folder: &Folder, arguments: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut command = folder.command(&["serve", "--address", "127.0.0.1:0"]);
    let log = File::options().create(true).append(true).open(folder.path().join(LOG)).unwrap();
    let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

/// What the servers of a folder said on standard error.
pub(crate) fn log(folder: &Folder) -> String {
    fs::read_to_string(folder.path().join(LOG)).unwrap()
}

/// Nobody is shown a panic on a server's standard error.
pub(crate) fn assert_quiet(folder: &Folder) {
    let status = std::process::ExitStatus::default();
    let stdout = log(folder).into_bytes();
    assert_plain(&std::process::Output { status, stdout, stderr: Vec::new() });
}
