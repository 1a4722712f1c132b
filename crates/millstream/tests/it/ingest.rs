//! Events that are sent to a server and by the command line: what was acknowledged is there after a kill, once.

use std::{
    collections::BTreeSet,
    fs,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread::{scope, sleep},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    harness::{Folder, given},
    serve_process::{Server, assert_quiet, send},
};

const FILES: &[(&str, &str)] = &[
    ("millstream.yaml", "name: shop\n"),
    (
        "sources/clicks.yaml",
        "connector: {type: http, partitions: 2, key: id}\ncontract:\n  columns:\n    id: {type: int64, required: true}\n    page: {type: string}\n",
    ),
    (
        "sources/files.yaml",
        "connector: {type: files, path: data/*.csv}\ncontract:\n  columns:\n    id: {type: int64}\n",
    ),
];

const NDJSON: &str = "Content-Type: application/x-ndjson";

/// The ids that have landed, and how many rows they are in.
fn landed(folder: &Folder) -> (BTreeSet<u64>, usize) {
    folder.stdout(&["run", "source:clicks"]);
    let rows = folder.json(&["query", "SELECT id FROM bronze.clicks", "--json"]);
    let ids: Vec<u64> = rows.as_array().unwrap().iter().map(|row| row["id"].as_u64().unwrap()).collect();
    (ids.iter().copied().collect(), ids.len())
}

#[test]
fn acknowledged_events_survive_kills_and_retries_double_nothing() {
    let folder = Folder::with(FILES);
    let (acknowledged, next) = (AtomicU64::new(0), AtomicU64::new(0));
    for life in 0..4 {
        let server = Server::start(&folder);
        let (address, is_over) = (server.address.clone(), AtomicBool::new(false));
        scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let id = next.fetch_add(1, Ordering::Relaxed);
                        // Two events of one request, which may be in two partitions.
                        let body =
                            format!("{{\"id\": {}, \"page\": \"a\"}}\n{{\"id\": {}}}\n", 2 * id, 2 * id + 1);
                        let key = format!("Idempotency-Key: {id}");
                        let headers = [NDJSON, key.as_str()];
                        // Whoever hears nothing sends again, to the next server too.
                        while let Some(answer) =
                            send(&address, "POST", "/v1/ingest/clicks", &headers, body.as_bytes())
                        {
                            if answer.status == 202 {
                                acknowledged.fetch_max(id + 1, Ordering::Relaxed);
                                break;
                            }
                            assert_eq!(answer.status, 503, "{}", answer.text());
                        }
                    }
                });
            }
            sleep(Duration::from_millis(200 + 150 * life));
            is_over.store(true, Ordering::Relaxed);
            server.kill();
        });
    }
    // Each request comes once more, as from senders that heard nothing.
    let server = Server::start(&folder);
    let sent = next.load(Ordering::Relaxed);
    for id in 0..sent {
        let body = format!("{{\"id\": {}, \"page\": \"a\"}}\n{{\"id\": {}}}\n", 2 * id, 2 * id + 1);
        let key = format!("Idempotency-Key: {id}");
        let answer =
            server.try_send("POST", "/v1/ingest/clicks", &[NDJSON, key.as_str()], body.as_bytes()).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    server.stop();
    let (ids, rows) = landed(&folder);
    assert_eq!(ids, (0..2 * sent).collect());
    assert_eq!(rows, ids.len());
    assert!(acknowledged.load(Ordering::Relaxed) > 0);
    assert_quiet(&folder);
}

#[test]
fn the_command_takes_events_in_by_itself_and_through_a_server() {
    let folder = Folder::with(FILES);
    let lines: String = (0..25_000).map(|id| format!("{{\"id\": {id}}}\n")).collect();
    folder.write("clicks.jsonl", &lines);
    let said = folder.json(&["ingest", "clicks", "clicks.jsonl", "--once", "--json"]);
    assert_eq!(said, json!({"source": "clicks", "accepted": 25_000, "repeated": 0, "batches": 3}));
    // Once more is the same, here and through a server, and lines that come after are new.
    let said = folder.json(&["ingest", "clicks", "clicks.jsonl", "--once", "--json"]);
    assert_eq!(said["repeated"], 25_000);
    let server = Server::start(&folder);
    fs::write(folder.path().join("more.jsonl"), format!("{lines}{{\"id\": 25000}}\n")).unwrap();
    // The server has the log open from the first event on.
    assert_eq!(server.post("/v1/ingest/clicks", &json!({"id": 25_001})).status, 202);
    let url = server.url();
    let said = folder.json(&["ingest", "clicks", "more.jsonl", "--once", "--json", "--server", &url]);
    assert_eq!((&said["accepted"], &said["repeated"]), (&json!(25_001), &json!(20_000)));
    let locked = folder.run(&["ingest", "clicks", "clicks.jsonl"]);
    assert!(locked.contains("MS-1402") && locked.contains("--server http://"), "{locked}");
    server.stop();
    let (ids, _) = landed(&folder);
    assert_eq!(ids, (0..25_002).collect());
}

#[test]
fn what_cannot_be_taken_is_told_with_its_place() {
    let folder = Folder::with(FILES);
    folder.write("bad.jsonl", "{\"id\": 1}\n{\"id\": 2\n{\"page\": \"a\"}\n");
    let bad = folder.run(&["ingest", "clicks", "bad.jsonl"]);
    assert!(
        bad.starts_with("exit: 1") && bad.contains("error[MS-1252]: 2 rows of the body cannot be taken"),
        "{bad}"
    );
    assert!(bad.contains("event 2 (byte 18): it ends in the middle"), "{bad}");
    assert!(bad.contains("event 3 (byte 19): it has no value for its key `id`"), "{bad}");
    let unknown = folder.run(&["ingest", "click", "bad.jsonl"]);
    assert!(unknown.starts_with("exit: 2") && unknown.contains("did you mean `clicks`?"), "{unknown}");
    let read = folder.run(&["ingest", "files", "bad.jsonl"]);
    assert!(read.starts_with("exit: 2") && read.contains("MS-1251"), "{read}");
    let away = folder.run(&["ingest", "clicks", "bad.jsonl", "--server", "http://127.0.0.1:1"]);
    assert!(away.starts_with("exit: 1") && away.contains("MS-1261"), "{away}");
    let server = Server::start(&folder);
    let refused = folder.run(&["ingest", "clicks", "bad.jsonl", "--server", &server.url()]);
    assert!(refused.contains("MS-1261") && refused.contains("MS-1252"), "{refused}");
    assert!(refused.contains("event 2 (byte 18): it ends in the middle"), "{refused}");
    server.stop();
}

#[test]
fn a_source_that_makes_events_makes_them_while_it_is_served() {
    let folder = Folder::with(FILES);
    folder.write(
        "sources/made.yaml",
        "connector: {type: generate, rate: 500/s, seed: 7}\ncontract:\n  columns:\n    session_id: {type: int64}\n    event_type: {type: string}\n  evolution: add_columns\n",
    );
    let server = Server::start(&folder);
    sleep(Duration::from_millis(1_500));
    server.stop();
    folder.stdout(&["run", "source:made"]);
    let count = |folder: &Folder| -> u64 {
        let rows: Value = folder.json(&["query", "SELECT count(*) AS n FROM bronze.made", "--json"]);
        rows[0]["n"].as_u64().unwrap()
    };
    let first = count(&folder);
    assert!(first > 0);
    let server = Server::start(&folder);
    sleep(Duration::from_millis(1_000));
    server.kill();
    folder.stdout(&["run", "source:made"]);
    assert!(count(&folder) > first);
}

#[test]
fn exporters_of_opentelemetry_send_spans_and_log_records() {
    let suite = "OpenTelemetry's exporters send us spans";
    let Some(python) = given("MILLSTREAM_TEST_PYTHON", suite, "no Python with OpenTelemetry") else { return };
    let folder = Folder::with(&[
        ("millstream.yaml", "name: traces\n"),
        ("sources/spans.yaml", "connector: {type: otlp, signal: traces}\n"),
        ("sources/logs.yaml", "connector: {type: otlp, signal: logs}\n"),
    ]);
    let server = Server::start(&folder);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/otlp.py");
    let said = Command::new(python).args([script, &server.url()]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    server.stop();
    folder.stdout(&["run"]);
    let sql = "SELECT name, kind, service, status, status_message, scope, attributes, parent_span_id IS NULL AS is_root FROM bronze.spans ORDER BY name";
    let spans = folder.json(&["query", sql, "--json"]);
    let span = |name: &str, kind: &str, status: &str, message: Value, attributes: &str, is_root: bool| {
        json!({
            "name": name, "kind": kind, "service": "assistant", "status": status, "status_message": message,
            "scope": "tests", "attributes": attributes, "is_root": is_root,
        })
    };
    let chat = r#"{"gen_ai.usage.input_tokens":12,"gen_ai.response.finish_reasons":["stop","length"]}"#;
    let chat = span("chat", "client", "unset", Value::Null, chat, true);
    let embed = span("embed", "internal", "error", json!("too long"), "{}", false);
    // Each span came by two exporters, plain and compressed.
    assert_eq!(spans, json!([chat, chat, embed, embed]));
    let sql = "SELECT time, severity, severity_number, body, attributes FROM bronze.logs";
    let logs = folder.json(&["query", sql, "--json"]);
    let expected = json!([{
        "time": "2026-11-01T00:00:00Z", "severity": "WARN", "severity_number": 13,
        "body": r#"{"answer":["a",1]}"#, "attributes": r#"{"user":"ann"}"#,
    }]);
    assert_eq!(logs, expected);
}
