//! Events that are sent: forms of bodies, compressed ones, keys, signatures, refusals, OTLP.

use std::io::Write;

use millstream_server::{IngestEvents, Limits, ServerOptions, Token};
use serde_json::json;

use crate::client::{Running, options, start};

const EVENT: &[u8] = br#"{"id": 1}"#;

async fn status(server: &Running, path: &str, headers: &[&str], body: &[u8]) -> u16 {
    server.send("POST", path, headers, body).await.status
}

/// What reached the backend last.
fn last(server: &Running) -> (&'static str, Vec<u8>) {
    let all = server.shop.ingested.lock().unwrap();
    match &all.last().expect("a request").events {
        IngestEvents::Json(body) => ("json", body.to_vec()),
        IngestEvents::Ndjson(body) => ("ndjson", body.to_vec()),
        IngestEvents::Arrow(body) => ("arrow", body.to_vec()),
        IngestEvents::Written(_, events) => {
            let events: Vec<_> =
                events.iter().map(|event| String::from_utf8(event.to_vec()).unwrap()).collect();
            ("written", events.join("\n").into_bytes())
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn an_event_is_taken_and_answered_with_its_offset() {
    let server = start(options()).await;
    let answer = server.send("POST", "/v1/ingest/orders", &["Content-Type: application/json"], EVENT).await;
    assert_eq!(answer.status, 202);
    let expected =
        json!({"accepted": 1, "repeated": false, "offsets": [{"partition": 0, "first": 7, "last": 7}]});
    assert_eq!(answer.json(), expected);
    let again = server.send("POST", "/v1/ingest/orders", &["Idempotency-Key: again"], EVENT).await;
    assert_eq!(again.json()["repeated"], true);
    server.stop().await;
}

#[tokio::test]
async fn the_type_of_a_body_says_how_it_is_read() {
    let server = start(options()).await;
    for (media_type, read) in [
        ("application/json", "json"),
        ("application/JSON; charset=utf-8", "json"),
        ("application/cloudevents+json", "json"),
        ("application/x-www-form-urlencoded", "json"),
        ("application/x-ndjson", "ndjson"),
        ("application/jsonl", "ndjson"),
        ("application/vnd.apache.arrow.stream", "arrow"),
    ] {
        let header = format!("Content-Type: {media_type}");
        assert_eq!(status(&server, "/v1/ingest/orders", &[&header], EVENT).await, 202, "{media_type}");
        assert_eq!(last(&server), (read, EVENT.to_vec()), "{media_type}");
    }
    for media_type in ["text/plain", "text/csv", "image/png", "multipart/form-data"] {
        let header = format!("Content-Type: {media_type}");
        let answer = server.send("POST", "/v1/ingest/orders", &[&header], EVENT).await;
        assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (415, Some("MS-1254")));
        // That there is no such source says more.
        assert_eq!(status(&server, "/v1/ingest/nothing", &[&header], EVENT).await, 404);
        assert_eq!(status(&server, "/v1/ingest/customers", &[&header], EVENT).await, 409);
    }
    server.stop().await;
}

#[tokio::test]
async fn refusals_have_their_status_and_say_when_to_come_again() {
    let server = start(options()).await;
    for (source, status, code, again) in [
        ("full", 429, "MS-1416", true),
        ("away", 503, "MS-1225", true),
        ("partly", 503, "MS-1258", true),
        ("reused", 422, "MS-1257", false),
        ("large", 413, "MS-1256", false),
        ("bad", 422, "MS-1252", false),
    ] {
        let answer = server.send("POST", &format!("/v1/ingest/{source}"), &[], EVENT).await;
        assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (status, Some(code)));
        assert_eq!(answer.header("retry-after").is_some(), again, "{source}");
    }
    let answer = server.send("POST", "/v1/ingest/bad", &[], EVENT).await;
    let rows = json!([{"index": 3, "offset": 41, "reason": "it is no JSON object"}]);
    assert_eq!(answer.json()["error"]["rows"], rows);
    server.stop().await;
}

#[tokio::test]
async fn idempotency_keys_that_are_none_are_refused() {
    let server = start(options()).await;
    let long = format!("Idempotency-Key: {}", "x".repeat(256));
    for headers in
        [vec!["Idempotency-Key: "], vec![long.as_str()], vec!["Idempotency-Key: a", "Idempotency-Key: b"]]
    {
        let answer = server.send("POST", "/v1/ingest/orders", &headers, EVENT).await;
        assert_eq!((answer.status, answer.json()["error"]["field"].as_str()), (422, Some("Idempotency-Key")));
    }
    server.stop().await;
}

#[tokio::test]
async fn compressed_bodies_are_taken_apart_within_their_bound() {
    let limits = Limits { body_bytes: 100_000, ..Limits::default() };
    let server = start(ServerOptions { limits, ..options() }).await;
    let path = "/v1/ingest/orders";
    // Two members of gzip are one text.
    let two = [gzip(b"{\"id\":"), gzip(b" 1}")].concat();
    assert_eq!(status(&server, path, &["Content-Encoding: gzip"], &two).await, 202);
    assert_eq!(last(&server).1, EVENT);
    let packed = zstd::encode_all(EVENT, 3).unwrap();
    assert_eq!(status(&server, path, &["Content-Encoding: zstd"], &packed).await, 202);
    assert_eq!(last(&server).1, EVENT);
    // A few hundred bytes become more than is taken.
    let zeros = vec![b'0'; 200_000];
    for (encoding, bomb) in [("gzip", gzip(&zeros)), ("zstd", zstd::encode_all(zeros.as_slice(), 3).unwrap())]
    {
        assert!(bomb.len() < 10_000);
        let header = format!("Content-Encoding: {encoding}");
        let answer = server.send("POST", path, &[&header], &bomb).await;
        assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (413, Some("MS-1212")));
        let cut = server.send("POST", path, &[&header], &bomb[..bomb.len() / 2]).await;
        assert!(matches!(cut.status, 400 | 413), "{}", cut.text());
        let none = server.send("POST", path, &[&header], EVENT).await;
        assert_eq!((none.status, none.json()["error"]["code"].as_str()), (400, Some("MS-1201")));
    }
    let answer = server.send("POST", path, &["Content-Encoding: br"], EVENT).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (415, Some("MS-1220")));
    // What it unpacks to is nobody's room afterwards: more bodies than fit at once come one after the other.
    for _ in 0..20 {
        assert_eq!(status(&server, path, &["Content-Encoding: gzip"], &gzip(EVENT)).await, 202);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_is_cut_off_takes_nothing() {
    let server = start(options()).await;
    let head = "POST /v1/ingest/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{\"id\": 1}";
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    drop(stream);
    assert_eq!(status(&server, "/v1/ingest/orders", &[], EVENT).await, 202);
    assert_eq!(server.shop.ingested.lock().unwrap().len(), 1);
    server.stop().await;
}

/// Signatures of `BODY` with the secret of the sources.
const BODY: &[u8] = b"Hello, World!";
const DIGEST: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
/// Signed at the server's time.
const NOW: &str = "t=1793491200,v1=2793a24fcfba1692365a7baa43c82b0a2a0db651723c84ed090345112f2b8a79";
/// Signed 300 seconds before, longer ago than this source allows.
const REPLAYED: &str = "t=1793490900,v1=13169ef3a9a1ea3138b4b01a0974ed7a08902aabe30e58cb1704b85de254d139";

#[tokio::test]
async fn a_source_reads_the_signature_that_it_declares_and_no_other() {
    let token = Some(Token::new("0123456789abcdef0123456789abcdef"));
    let server = start(ServerOptions { token, ..options() }).await;
    let prefixed = format!("X-Hub-Signature-256: sha256={DIGEST}");
    let hex = format!("X-Signature: {DIGEST}");
    let (now, replayed) = (format!("Stripe-Signature: {NOW}"), format!("Stripe-Signature: {REPLAYED}"));
    let wrong = format!("X-Signature: {}", "0".repeat(64));
    for (source, header, expected) in [
        ("github", &prefixed, 202),
        ("plain", &hex, 202),
        ("stripe", &now, 202),
        ("stripe", &replayed, 401),
        ("plain", &wrong, 401),
        ("plain", &prefixed, 401),
        ("github", &now, 401),
        // A source without a signature wants a token.
        ("orders", &prefixed, 401),
    ] {
        let answer = server.send("POST", &format!("/v1/ingest/{source}"), &[header], BODY).await;
        assert_eq!(answer.status, expected, "{source} {header}: {}", answer.text());
    }
    assert_eq!(status(&server, "/v1/ingest/plain", &[&hex], b"Hello, world!").await, 401);
    let answer = server.send("POST", "/v1/ingest/plain", &[&wrong], BODY).await;
    assert!(answer.json()["error"]["hint"].as_str().unwrap().contains("x-signature"), "{}", answer.text());
    server.stop().await;
}

#[tokio::test]
async fn a_signature_is_needed_where_no_token_says_who_sends() {
    let server = start(options()).await;
    assert_eq!(status(&server, "/v1/ingest/plain", &[], BODY).await, 401);
    // The same name in other letters is none.
    assert_eq!(status(&server, "/v1/ingest/%70lain", &[], BODY).await, 404);
    server.stop().await;
}

/// A field of a message, as protocol buffers write texts, bytes and messages.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 16_384);
    let part = |number: usize| u8::try_from(number).unwrap();
    let (low, high) = (part(bytes.len() & 0x7f) | 0x80, part(bytes.len() >> 7));
    [&[number << 3 | 2, low, high][..], bytes].concat()
}

fn fixed(number: u8, value: u64) -> Vec<u8> {
    [&[number << 3 | 1][..], &value.to_le_bytes()].concat()
}

fn attribute(name: &str, value: &[u8]) -> Vec<u8> {
    [field(1, name.as_bytes()), field(2, value)].concat()
}

/// An export with these spans.
fn export(spans: &[Vec<u8>]) -> Vec<u8> {
    let resource = field(1, &attribute("service.name", &field(1, b"checkout")));
    let scope = field(1, &field(1, b"lib"));
    let spans = spans.iter().flat_map(|span| field(2, span)).collect::<Vec<_>>();
    field(1, &[field(1, &resource), field(2, &[scope, spans].concat())].concat())
}

fn span(trace: &[u8], name: &str) -> Vec<u8> {
    [
        field(1, trace),
        field(2, &[2; 8]),
        field(5, name.as_bytes()),
        vec![6 << 3, 2],
        fixed(7, 1_793_491_200_000_001_000),
        fixed(8, 1_793_491_200_000_251_000),
        field(9, &attribute("http.status", &[3 << 3, 200, 1])),
        field(11, &[fixed(1, 1_793_491_200_000_002_000), field(2, b"sent")].concat()),
        field(15, &[3 << 3, 2]),
    ]
    .concat()
}

const SPAN: &str = concat!(
    r#"{"trace_id":"01010101010101010101010101010101","span_id":"0202020202020202","parent_span_id":null,"#,
    r#""name":"pay","kind":"server","service":"checkout","start":"2026-11-01T00:00:00.000001Z","#,
    r#""end":"2026-11-01T00:00:00.000251Z","duration_us":250,"status":"error","status_message":null,"scope":"lib","#,
    r#""attributes":"{\"http.status\":200}","resource":"{\"service.name\":\"checkout\"}","#,
    r#""events":"[{\"time\":\"2026-11-01T00:00:00.000002Z\",\"name\":\"sent\",\"attributes\":{}}]"}"#
);

#[tokio::test]
async fn spans_become_events_whichever_way_they_are_written() {
    let server = start(options()).await;
    let path = "/v1/otlp/spans/v1/traces";
    let binary = export(&[span(&[1; 16], "pay")]);
    let headers = ["Content-Type: application/x-protobuf", "Content-Encoding: gzip"];
    let answer = server.send("POST", path, &headers, &gzip(&binary)).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-type"), Some("application/x-protobuf"));
    let said: serde_json::Value = serde_json::from_slice(&last(&server).1).unwrap();
    assert_eq!(said, serde_json::from_str::<serde_json::Value>(SPAN).unwrap());

    let text = json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "checkout"}}]},
        "scopeSpans": [{"scope": {"name": "lib"}, "spans": [{
            "traceId": "01010101010101010101010101010101", "spanId": "0202020202020202", "name": "pay", "kind": 2,
            "startTimeUnixNano": "1793491200000001000", "endTimeUnixNano": 1_793_491_200_000_251_000_u64,
            "attributes": [{"key": "http.status", "value": {"intValue": "200"}}],
            "events": [{"timeUnixNano": "1793491200000002000", "name": "sent"}],
            "status": {"code": 2},
        }]}],
    }]});
    let answer =
        server.send("POST", path, &["Content-Type: application/json"], text.to_string().as_bytes()).await;
    assert_eq!((answer.status, answer.json()), (200, json!({})));
    let again: serde_json::Value = serde_json::from_slice(&last(&server).1).unwrap();
    assert_eq!(again, said);
    server.stop().await;
}

#[tokio::test]
async fn spans_that_cannot_be_taken_are_counted_and_the_others_are_taken() {
    let server = start(options()).await;
    let long = "x".repeat(2_000);
    let spans = [span(&[0; 16], "no trace"), span(&[1; 16], "pay"), span(&[1; 16], &long)];
    let path = "/v1/otlp/spans/v1/traces";
    let answer = server.send("POST", path, &["Content-Type: application/x-protobuf"], &export(&spans)).await;
    assert_eq!(answer.status, 200);
    // Field 1 with field 1, the number of rejected spans.
    assert_eq!((answer.body[0], answer.body[2], answer.body[3]), (1 << 3 | 2, 1 << 3, 2));
    assert_eq!(last(&server).1, SPAN.as_bytes());
    server.stop().await;
}

#[tokio::test]
async fn exports_that_are_none_are_answered_as_they_were_written() {
    let server = start(options()).await;
    let path = "/v1/otlp/spans/v1/traces";
    let whole = export(&[span(&[1; 16], "pay")]);
    for cut in 1..whole.len() {
        let answer =
            server.send("POST", path, &["Content-Type: application/x-protobuf"], &whole[..cut]).await;
        assert!(matches!(answer.status, 200 | 400), "{cut}");
        assert_eq!(answer.header("content-type"), Some("application/x-protobuf"));
    }
    let mut nested = field(1, b"x");
    for _ in 0..200 {
        nested = field(5, &field(1, &nested));
    }
    let deep = export(&[[span(&[1; 16], "pay"), field(9, &attribute("deep", &nested))].concat()]);
    assert_eq!(status(&server, path, &["Content-Type: application/x-protobuf"], &deep).await, 400);
    let answer =
        server.send("POST", path, &["Content-Type: application/json"], b"{\"resourceSpans\": 1}").await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (400, Some("MS-1201")));
    assert_eq!(status(&server, path, &["Content-Type: text/plain"], EVENT).await, 415);
    assert_eq!(
        status(&server, "/v1/otlp/logs/v1/traces", &["Content-Type: application/json"], b"{}").await,
        409
    );
    assert_eq!(
        status(&server, "/v1/otlp/nothing/v1/logs", &["Content-Type: application/json"], b"{}").await,
        404
    );
    assert_eq!(
        status(&server, "/v1/otlp/logs/v1/logs", &["Content-Type: application/json"], b"{}").await,
        200
    );
    server.stop().await;
}

#[tokio::test]
async fn ten_thousand_tiny_requests_at_once_are_taken_or_told_to_come_again() {
    let server = std::sync::Arc::new(start(options()).await);
    let mut tasks = tokio::task::JoinSet::new();
    // The sockets of a test's process are bounded, so that each of the tasks sends several, one after the other.
    for _ in 0..500 {
        let server = server.clone();
        tasks.spawn(async move {
            let mut taken = 0;
            for _ in 0..20 {
                match status(&server, "/v1/ingest/orders", &[], EVENT).await {
                    202 => taken += 1,
                    503 => {}
                    other => panic!("{other}"),
                }
            }
            taken
        });
    }
    let taken: usize = tasks.join_all().await.into_iter().sum();
    assert_eq!(server.shop.ingested.lock().unwrap().len(), taken);
    assert!(taken > 0);
    std::sync::Arc::into_inner(server).unwrap().stop().await;
}
