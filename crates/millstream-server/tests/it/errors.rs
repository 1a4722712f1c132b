//! Every mistake of a client has a status, a code, and words that say where it is.

use std::collections::BTreeSet;

use millstream_server::{CODES, ErrorKind, ServerError, TlsError};

use crate::{
    client::{options, start},
    random::Random,
};

const READS: &[(&str, &str)] = &[
    ("empty", ""),
    ("a list", "[\"churn_v1\", null, {}, {}, null, null, null]"),
    ("a text", "\"churn_v1\""),
    ("a number", "7"),
    ("cut off", r#"{"features": ["orders.spend_30d"], "entities": {"customer_id": [1, "#),
    ("rest after the end", r#"{"features": ["orders.spend_30d"], "entities": {"customer_id": [1]}} x"#),
    ("NaN", r#"{"features": ["orders.spend_30d"], "entities": {"customer_id": [1, NaN]}}"#),
    ("infinity", r#"{"features": ["orders.spend_30d"], "entities": {"customer_id": [-Infinity]}}"#),
    ("single quotes", "{'features': ['orders.spend_30d']}"),
    ("trailing comma", r#"{"features": ["orders.spend_30d",]}"#),
    (
        "a number with a leading zero",
        r#"{"features": ["orders.spend_30d"], "entities": {"customer_id": [01]}}"#,
    ),
    ("neither service nor features", r#"{"entities": {}}"#),
    ("both service and features", r#"{"service": "churn_v1", "features": ["orders.*"]}"#),
    ("no features at all", r#"{"features": []}"#),
    ("unknown member", r#"{"service": "churn_v1", "entitis": {}}"#),
    ("unknown service", r#"{"service": "churn"}"#),
    ("unknown version", r#"{"service": "churn_v1@9"}"#),
    ("version that is no number", r#"{"service": "churn_v1@latest"}"#),
    ("unknown feature", r#"{"features": ["nothing.spent"]}"#),
    ("entities that are a list", r#"{"service": "churn_v1", "entities": [1]}"#),
    ("column that is a value", r#"{"features": ["orders.*"], "entities": {"customer_id": 7}}"#),
    ("column twice", r#"{"features": ["orders.*"], "entities": {"customer_id": [7], "customer_id": [8]}}"#),
    ("missing key", r#"{"features": ["orders.*"], "entities": {}}"#),
    ("missing part of a key", r#"{"features": ["routes.delay"], "entities": {"origin": ["TXL"]}}"#),
    ("unknown key", r#"{"features": ["orders.*"], "entities": {"customer": [7]}}"#),
    ("missing request value", r#"{"service": "churn_v1", "entities": {"customer_id": [1]}}"#),
    (
        "request value that nothing takes",
        r#"{"features": ["orders.*"], "entities": {"customer_id": [1]}, "request": {"x": [1]}}"#,
    ),
    (
        "uneven columns",
        r#"{"features": ["routes.delay"], "entities": {"origin": ["TXL", "BER"], "day": ["2026-11-01"]}}"#,
    ),
    ("text for a number", r#"{"features": ["orders.*"], "entities": {"customer_id": [1, 2, "3"]}}"#),
    ("null for a key", r#"{"features": ["orders.*"], "entities": {"customer_id": [1, null]}}"#),
    (
        "time that is none",
        r#"{"features": ["orders.*"], "entities": {"customer_id": [1]}, "at": "yesterday"}"#,
    ),
    (
        "metadata that is none",
        r#"{"features": ["orders.*"], "entities": {"customer_id": [1]}, "metadata": "some"}"#,
    ),
    ("feature twice", r#"{"features": ["orders.*", "orders.spend_30d"], "entities": {"customer_id": [1]}}"#),
    ("answer of another length", r#"{"features": ["broken.short"], "entities": {"customer_id": [1]}}"#),
    ("panic", r#"{"features": ["panic.x"], "entities": {"customer_id": [1]}}"#),
    ("store that is down", r#"{"features": ["down.x"], "entities": {"customer_id": [1]}}"#),
];

#[tokio::test]
async fn mistakes_in_a_read_are_told() {
    let server = start(options()).await;
    let mut shown = String::new();
    for (name, body) in READS {
        let answer = server.post("/v1/features/read", body).await;
        assert_eq!(answer.header("content-type"), Some("application/json"), "{name}");
        shown.push_str(&format!("{name}\n    {} {}\n", answer.status, answer.text()));
    }
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn mistakes_elsewhere_are_told() {
    let cases = [
        ("GET", "/v1/features", ""),
        ("GET", "/v1/features/read", ""),
        ("DELETE", "/v1/query", ""),
        ("GET", "/v1/features/services/nobody", ""),
        ("GET", "/v1/features/services/%ff", ""),
        ("POST", "/v1/features/views/nobody/push", r#"{"rows": {}}"#),
        ("POST", "/v1/query", r#"{"sql": "  "}"#),
        ("POST", "/v1/query", r#"{"sql": "drop table orders"}"#),
        ("POST", "/v1/query", r#"{"sql": "select 1", "limit": -1}"#),
        ("GET", "/v1/datasets/nothing", ""),
        ("GET", "/v1/datasets/churn?version=old", ""),
        ("GET", "/v1/datasets/churn?version=a&version=b", ""),
        ("POST", "/v1/features/materialize", r#"{"views": ["nothing"]}"#),
        ("POST", "/v1/features/materialize", r#"{"start": "2026-01-01", "end": "2026-01-02"}"#),
        ("POST", "/ready", ""),
    ];
    let server = start(options()).await;
    let mut shown = String::new();
    for (method, path, body) in cases {
        let answer = server.send(method, path, &[], body.as_bytes()).await;
        shown.push_str(&format!("{method} {path} {body}\n    {} {}\n", answer.status, answer.text()));
    }
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn a_panic_tells_the_client_nothing_and_the_server_lives() {
    let server = start(options()).await;
    let body = r#"{"features": ["panic.x"], "entities": {"customer_id": [1]}}"#;
    let answer = server.post("/v1/features/read", body).await;
    assert_eq!(answer.status, 500);
    assert!(!answer.text().contains("secret"), "{}", answer.text());
    assert_eq!(server.get("/health").await.status, 200);
}

#[tokio::test]
async fn causes_stay_in_the_log() {
    let server = start(options()).await;
    let body = r#"{"features": ["down.x"], "entities": {"customer_id": [1]}}"#;
    let answer = server.post("/v1/features/read", body).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["error"]["code"], "MS-1101");
    assert!(!answer.text().contains("10.0.0.7"));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused() {
    let server = start(options()).await;
    let answer = server.send("POST", "/v1/features/read", &[], b"{\"service\": \"\xff\"}").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["message"], "the body is no UTF-8 text from byte 13 on");
}

#[tokio::test]
async fn an_encoded_body_is_refused() {
    let server = start(options()).await;
    let answer = server.send("POST", "/v1/features/read", &["Content-Encoding: gzip"], b"\x1f\x8b").await;
    assert_eq!(answer.status, 415);
    assert_eq!(answer.json()["error"]["code"], "MS-1220");
}

#[test]
fn every_code_is_described_once() {
    let listed: Vec<&str> = CODES.iter().map(|(code, ..)| *code).collect();
    let distinct: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(distinct.len(), listed.len());
    let kinds = [
        ErrorKind::Malformed,
        ErrorKind::Invalid,
        ErrorKind::UnknownService,
        ErrorKind::UnknownFeature,
        ErrorKind::UnknownView,
        ErrorKind::UnknownDataset,
        ErrorKind::WrongType,
        ErrorKind::UnknownColumn,
        ErrorKind::MissingColumn,
        ErrorKind::UnevenColumns,
        ErrorKind::TooManyRows,
        ErrorKind::BodyTooLarge,
        ErrorKind::Unauthorized,
        ErrorKind::ForeignOrigin,
        ErrorKind::BadHost,
        ErrorKind::DatasetGone,
        ErrorKind::Busy,
        ErrorKind::SlowBody,
        ErrorKind::TimedOut,
        ErrorKind::UnknownPath,
        ErrorKind::WrongMethod,
        ErrorKind::Encoding,
        ErrorKind::AlreadyRunning,
        ErrorKind::NameCollision,
        ErrorKind::BadQuery,
        ErrorKind::ShuttingDown,
        ErrorKind::Unavailable,
        ErrorKind::Forbidden,
        ErrorKind::UnknownJob,
        ErrorKind::UnknownRun,
        ErrorKind::UnknownAsset,
        ErrorKind::Cancelled,
        ErrorKind::RunFailed,
        ErrorKind::NotReloaded,
        ErrorKind::UnknownTrigger,
        ErrorKind::BadSignature,
        ErrorKind::UnknownSource,
        ErrorKind::NotTaking,
        ErrorKind::BadEvents,
        ErrorKind::Full,
        ErrorKind::MediaType,
        ErrorKind::EventTooLarge,
        ErrorKind::KeyReused,
        ErrorKind::PartlyTaken,
        ErrorKind::Internal,
    ];
    let address = ([127, 0, 0, 1], 1).into();
    let failed = || std::io::Error::other("x");
    let starts = [
        ServerError::TokenNeeded { address },
        ServerError::OpenMetrics { address },
        ServerError::WeakToken { name: "ci".to_owned(), found: 1, needed: 2 },
        ServerError::TwoTokens { name: "ci".to_owned() },
        ServerError::Bind { address, source: failed() },
        ServerError::Serve { source: failed() },
        ServerError::Tls(TlsError::Empty { path: "a.pem".into(), what: "certificate" }),
    ];
    let used = kinds.iter().map(|kind| kind.status_and_code().1).chain(starts.iter().map(ServerError::code));
    // A client that does not speak TLS is answered before there is a request.
    let used = used.chain(["MS-1276"]);
    assert_eq!(used.collect::<BTreeSet<_>>(), distinct);
}

#[tokio::test]
async fn no_garbled_body_is_a_fault_of_the_server() {
    let server = start(options()).await;
    let bodies = [
        (
            "/v1/features/read",
            r#"{"service": "churn_v1", "entities": {"customer_id": [1, -2, null]}, "request": {"cart_value": [1.5, "2", 3e0]}}"#,
        ),
        (
            "/v1/features/views/orders/push",
            r#"{"rows": {"customer_id": [1], "ordered_at": ["2026-11-01T00:00:00Z"], "amount": ["1.50"]}}"#,
        ),
        (
            "/get-online-features",
            r#"{"features": ["echo:place", "echo:list"], "entities": {"place": [{"city": "a", "zip": 1}], "list": [[1, 2]]}}"#,
        ),
    ];
    let mut random = Random(7);
    for round in 0..600 {
        let (path, body) = bodies[round % bodies.len()];
        let mut bytes = body.as_bytes().to_vec();
        for _ in 0..=random.below(3) {
            let (from, to) = (random.below(bytes.len()), random.below(bytes.len()));
            match random.below(4) {
                0 => bytes[from] = random.next().to_le_bytes()[0],
                1 => bytes.truncate(from.max(1)),
                2 => bytes[from] = bytes[to],
                _ => drop(bytes.splice(from..from, *b"[{")),
            }
        }
        let answer = server.send("POST", path, &[], &bytes).await;
        assert!(answer.status < 500, "{path} {:?}: {}", String::from_utf8_lossy(&bytes), answer.text());
    }
}
