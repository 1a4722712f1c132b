//! Receivers outside: what they are told, by the specification, over outages and kills.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use millstream_state::{Begun, NewMessage, State};
use millstream_types::{RunId, TimestampMicros};
use serde_json::Value;

use crate::{
    harness::{Folder, given},
    serve_process::Server,
};

const SOURCE: &str = "connector: {type: files, path: data/*.csv}\n\
                      contract: {columns: {id: {type: int64, required: true}, n: {type: int64}}}\n";

fn project(telemetry: &str) -> Folder {
    Folder::with(&[
        ("millstream.yaml", &format!("name: told\ntelemetry: {telemetry}\n")),
        ("sources/s.yaml", SOURCE),
        ("tables/silver/rows.sql", "SELECT id, n * 2 AS n FROM bronze.s WHERE id > 1\n"),
        (
            "tables/gold/total.sql",
            "/*---\nchecks: [{row_count: {min: 1}}]\n---*/\nSELECT id % 2 AS odd, sum(n) AS n FROM silver.rows GROUP BY id % 2\n",
        ),
        ("data/1.csv", "id,n\n1,1\n2,2\n3,3\nx,4\n"),
    ])
}

#[test]
fn events_are_valid_by_the_specification() {
    let folder = project("{openlineage: {file: lineage.jsonl}}");
    folder.stdout(&["run"]);
    folder.write("tables/gold/broken.sql", "SELECT 1 / (id - id) AS n FROM silver.rows\n");
    folder.output(&["run"]);
    let lines = std::fs::read_to_string(folder.path().join("lineage.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 8 + 4, "{lines}");
    let suite = "OpenLineage's schemas take our events";
    let Some(python) = given("MILLSTREAM_TEST_PYTHON", suite, "no Python with jsonschema") else { return };
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let said = Command::new(python)
        .args([&format!("{tests}/openlineage.py"), &format!("{tests}/openlineage")])
        .arg(folder.path().join("lineage.jsonl"))
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let seen: Value = serde_json::from_slice(&said.stdout).unwrap();
    for facet in
        ["columnLineage", "dataQualityAssertions", "errorMessage", "nominalTime", "parent", "schema", "test"]
    {
        assert!(seen["facets"].as_array().unwrap().iter().any(|seen| seen == facet), "{facet} in {seen}");
    }
}

/// A receiver over HTTP that can be away.
struct Receiver {
    port: u16,
    taken: Arc<Mutex<Vec<(String, Value)>>>,
    is_away: Arc<AtomicBool>,
    /// The requests that it has refused.
    refused: Arc<AtomicUsize>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (taken, is_away) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (all, away) = (taken.clone(), is_away.clone());
        let refused = Arc::new(AtomicUsize::new(0));
        let refusals = refused.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, all, away) = (stream.unwrap(), all.clone(), away.clone());
                let refusals = refusals.clone();
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while let Some((path, body)) = request(&mut reader) {
                        let status = if away.load(Ordering::SeqCst) { 503 } else { 200 };
                        if status == 200 {
                            all.lock().unwrap().push((path, serde_json::from_slice(&body).unwrap()));
                        }
                        if status == 503 {
                            refusals.fetch_add(1, Ordering::SeqCst);
                        }
                        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { port, taken, is_away, refused }
    }

    /// The run's id, job and kind of each event that was taken, once where it was sent twice.
    fn events(&self) -> Vec<(String, String, String)> {
        let mut events = Vec::new();
        for (_, event) in self.taken.lock().unwrap().iter().filter(|(path, _)| path == "/lineage") {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let event =
                (text(&event["run"]["runId"]), text(&event["job"]["name"]), text(&event["eventType"]));
            if !events.contains(&event) {
                events.push(event);
            }
        }
        events
    }

    /// All spans that were taken, in their order.
    fn spans(&self) -> Vec<Value> {
        let taken = self.taken.lock().unwrap();
        let requests = taken.iter().filter(|(path, _)| path == "/v1/traces");
        let resources = requests.flat_map(|(_, body)| body["resourceSpans"].as_array().unwrap());
        let scopes = resources.flat_map(|resource| resource["scopeSpans"].as_array().unwrap());
        scopes.flat_map(|scope| scope["spans"].as_array().unwrap().clone()).collect()
    }

    fn count(&self, path: &str) -> usize {
        self.taken.lock().unwrap().iter().filter(|(to, _)| to == path).count()
    }
}

fn request(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let (mut path, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        path = path.or_else(|| Some(line.strip_prefix("post ")?.split(' ').next()?.to_owned()));
        if line.is_empty() {
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            return Some((path?, body));
        }
    }
}

/// Waits for what is sure to come, for longer than any machine needs.
fn wait(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(300), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn figure(server: &Server, name: &str) -> f64 {
    let answer = server.get("/metrics");
    let text = answer.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in\n{text}")).parse().unwrap()
}

#[test]
fn messages_wait_while_their_receiver_is_away_and_arrive_once_it_is_back() {
    let receiver = Receiver::start();
    receiver.is_away.store(true, Ordering::SeqCst);
    let base = format!("http://127.0.0.1:{}", receiver.port);
    let folder =
        project(&format!("{{openlineage: {{url: '{base}/lineage'}}, otlp: {{endpoint: '{base}'}}}}"));
    folder.stdout(&["run"]);
    assert_eq!(receiver.count("/lineage"), 0);
    // A server that is killed loses none of them.
    Server::start(&folder).kill();
    let server = Server::start(&folder);
    let waiting = r#"millstream_telemetry_waiting_messages{receiver="openlineage"}"#;
    wait("the messages are counted", || server.get("/metrics").text().contains(waiting));
    assert_eq!(figure(&server, waiting), 8.0);
    // Runs go on.
    for number in 2..8 {
        folder.write(&format!("data/{number}.csv"), &format!("id,n\n{number}0,1\n"));
        let job = server.post("/v1/runs", &serde_json::json!({}));
        assert_eq!(job.status, 202, "{}", job.text());
        let runs = r#"millstream_runs_total{outcome="succeeded"}"#;
        wait("the run ends", || {
            let text = server.get("/metrics");
            text.text().contains(runs) && figure(&server, runs) >= f64::from(number - 1)
        });
    }
    assert_eq!(receiver.count("/lineage"), 0);
    receiver.is_away.store(false, Ordering::SeqCst);
    // A server that begins tries at once, however long the receiver was away.
    server.stop();
    let server = Server::start(&folder);
    wait("all events arrive", || receiver.events().len() >= 8 * 7);
    wait("all spans arrive", || receiver.spans().len() >= 4 * 7);
    // A batch is one request.
    assert!(receiver.count("/v1/traces") < 4 * 7);
    server.stop();
    let events = receiver.events();
    assert_eq!(events.len(), 8 * 7, "{events:?}");
    // Runs came one after the other, and each has its own events between its first and its last.
    let kinds: Vec<_> = events.iter().map(|(_, job, kind)| (job.as_str(), kind.as_str())).collect();
    for run in kinds.chunks(8) {
        assert_eq!((run[0], run[7]), (("told.run", "START"), ("told.run", "COMPLETE")));
    }
    for (at, (run, _, kind)) in events.iter().enumerate() {
        if kind != "START" {
            let start = events.iter().position(|(other, _, kind)| other == run && kind == "START");
            assert!(start.is_some_and(|start| start < at), "{run} in {events:?}");
        }
    }
    for span in receiver.spans() {
        assert!(span["startTimeUnixNano"].as_str().unwrap() <= span["endTimeUnixNano"].as_str().unwrap());
    }
}

/// The messages that wait in the test of a backlog, and the bytes of each.
const BACKLOG: u32 = 12_000;
const MESSAGE_BYTES: u32 = 4_000;

/// Keeps messages for the receiver of lineage, numbered from `from` on.
fn keep_messages(folder: &Folder, from: u32, count: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let state = State::open(&folder.path().join(".millstream/state.db")).await.unwrap();
        let filler = "x".repeat(usize::try_from(MESSAGE_BYTES).unwrap());
        for first in (from..from + count).step_by(1_000) {
            let last = (first + 1_000).min(from + count);
            let message = |number: u32| NewMessage {
                receiver: "openlineage",
                message: format!(r#"{{"number":{number},"filler":"{filler}"}}"#),
            };
            let messages: Vec<_> = (first..last).map(message).collect();
            let run = RunId::new(&format!("backlog-{first}"));
            let at = TimestampMicros(1_790_000_000_000_000);
            let begun = Begun { run: &run, asset: None, at, messages: &messages, last_words: &[] };
            state.tell_begun(&begun).await.unwrap();
        }
    });
}

#[test]
fn a_backlog_takes_neither_memory_nor_files_and_arrives_in_order() {
    let receiver = Receiver::start();
    let folder = project(&format!("{{openlineage: {{url: 'http://127.0.0.1:{}/lineage'}}}}", receiver.port));
    folder.stdout(&["run"]);
    let told_before = receiver.count("/lineage");
    receiver.is_away.store(true, Ordering::SeqCst);
    keep_messages(&folder, 0, 10);
    let server = Server::start(&folder);
    let refused =
        |times: usize| wait("attempts are made", || receiver.refused.load(Ordering::SeqCst) >= times);
    refused(3);
    let (memory, files) =
        (figure(&server, "process_resident_memory_bytes"), figure(&server, "process_open_fds"));
    keep_messages(&folder, 10, BACKLOG - 10);
    let waiting = r#"millstream_telemetry_waiting_messages{receiver="openlineage"}"#;
    wait("the backlog is counted", || {
        server.get("/metrics").text().contains(waiting) && figure(&server, waiting) >= f64::from(BACKLOG)
    });
    let seen = receiver.refused.load(Ordering::SeqCst);
    refused(seen + 2);
    // All that waits would be three times as much.
    let is_bounded = |server: &Server, when: &str| {
        let grown = figure(server, "process_resident_memory_bytes") - memory;
        assert!(grown < f64::from(BACKLOG) * f64::from(MESSAGE_BYTES) / 3.0, "{grown} bytes more {when}");
        let opened = figure(server, "process_open_fds") - files;
        assert!(opened <= 24.0, "{opened} files more {when}");
    };
    is_bounded(&server, "while the receiver is away");
    assert_eq!(receiver.count("/lineage"), told_before);
    receiver.is_away.store(false, Ordering::SeqCst);
    // A server that begins tries at once, however long the receiver was away.
    server.stop();
    let server = Server::start(&folder);
    let numbers = || -> Vec<u64> {
        let taken = receiver.taken.lock().unwrap();
        taken.iter().filter_map(|(_, event)| event["number"].as_u64()).collect()
    };
    wait("half of the backlog arrives", || numbers().len() > usize::try_from(BACKLOG / 2).unwrap());
    is_bounded(&server, "while messages are sent");
    // Whoever goes on sends at most a batch once more.
    server.kill();
    let server = Server::start(&folder);
    wait("all of it arrives", || numbers().last() == Some(&u64::from(BACKLOG - 1)));
    server.stop();
    let mut numbers = numbers();
    let sent = numbers.len();
    assert!(sent <= usize::try_from(BACKLOG).unwrap() + 64, "{sent}");
    // Without those that were sent twice the numbers ascend, and none is missing.
    let mut seen = std::collections::BTreeSet::new();
    numbers.retain(|number| seen.insert(*number));
    assert!(numbers.iter().copied().eq(0..u64::from(BACKLOG)), "{numbers:?}");
}

/// A join that compares each row with each other, and would go on for hours.
const ENDLESS: &str = "SELECT count(*) AS n FROM generate_series(1, 900000) a, generate_series(1, 900000) b, bronze.s \
                       WHERE a.value + b.value = 7 + id\n";

#[test]
fn the_ends_of_steps_that_a_stopping_server_cancels_are_told_by_it() {
    let folder = project("{openlineage: {file: lineage.jsonl}}");
    folder.write("tables/gold/endless.sql", ENDLESS);
    let server = Server::start(&folder);
    let job = server.post("/v1/runs", &serde_json::json!({"selection": ["+gold.endless"]}));
    assert_eq!(job.status, 202, "{}", job.text());
    let told = || std::fs::read_to_string(folder.path().join("lineage.jsonl")).unwrap_or_default();
    let has = |kind: &str, job: &str| {
        told()
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .any(|event| event["eventType"] == kind && event["job"]["name"] == job)
    };
    wait("the step begins", || has("START", "told.gold.endless"));
    server.stop();
    for job in ["told.gold.endless", "told.run"] {
        assert!(has("ABORT", job) || has("FAIL", job), "{job} in {}", told());
    }
}

#[test]
fn figures_need_a_token_unless_they_are_open() {
    let folder = project("{}");
    let server = Server::start(&folder);
    let answer = server.get("/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(answer.text().contains("millstream_build_info{version="));
    server.get("/v1/runs").good();
    let requests = r#"millstream_http_requests_total{route="/v1/runs",status="2xx"}"#;
    assert_eq!(figure(&server, requests), 1.0);
    server.stop();
    let refused = folder.run(&["serve", "--address", "0.0.0.0:0", "--open-metrics"]);
    assert!(refused.contains("token"), "{refused}");
}

#[test]
fn log_lines_are_json_with_the_ids_of_run_and_step() {
    let folder = project("{}");
    folder.write("tables/gold/total.sql", "SELECT 1 / (id - id) AS n FROM silver.rows\n");
    let output = folder.output(&["run", "--log", "debug", "--log-format", "json"]);
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(!lines.is_empty(), "{text}");
    let run = folder.json(&["runs", "--json"])["runs"][0]["run"].clone();
    let in_step = lines.iter().any(|line| {
        let spans = line["spans"].as_array().cloned().unwrap_or_default();
        spans.iter().any(|span| span["name"] == "step" && span["run"] == run && span["asset"].is_string())
    });
    assert!(in_step, "{text}");
}
