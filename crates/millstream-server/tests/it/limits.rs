//! Bounds: bodies, rows, depth, time, requests at a time, idle connections.

use std::time::Duration;

use millstream_server::{Limits, ServerOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::client::{options, read_answer, start};

fn limited(change: impl FnOnce(&mut Limits)) -> ServerOptions {
    let mut options = options();
    change(&mut options.limits);
    options
}

const SLOW: &str = r#"{"features": ["slow.x"], "entities": {"customer_id": [1]}}"#;

#[tokio::test]
async fn a_large_body_is_refused_before_and_while_it_is_read() {
    let server = start(limited(|limits| limits.body_bytes = 1_000)).await;
    let announced =
        b"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\nConnection: close\r\n\r\n";
    let answer = server.raw(announced).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["error"]["message"], "the body has more than 1000 bytes, the server's limit");
    let chunk = format!("{:x}\r\n{}\r\n0\r\n\r\n", 1_001, "x".repeat(1_001));
    let chunked = format!(
        "POST /v1/query HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{chunk}"
    );
    let answer = server.raw(chunked.as_bytes()).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (413, "MS-1212".into()));
    let fits = format!(r#"{{"sql": "select {}"}}"#, "x".repeat(900));
    assert_eq!(server.post("/v1/query", &fits).await.status, 200);
}

#[tokio::test]
async fn a_chunked_body_is_read() {
    let server = start(options()).await;
    let request = "POST /v1/query HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                   7\r\n{\"sql\":\r\n9\r\n\"select\"}\r\n0\r\n\r\n";
    assert_eq!(server.raw(request.as_bytes()).await.status, 200);
}

#[tokio::test]
async fn a_body_that_ends_early_is_no_request() {
    let server = start(options()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"POST /push HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(!String::from_utf8(rest).unwrap().contains("200 OK"));
    assert!(server.shop.pushes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_request_with_a_million_entities_is_refused_with_the_limit() {
    let server = start(options()).await;
    let ids = "7,".repeat(999_999) + "7";
    let body = format!(r#"{{"features": ["orders.*"], "entities": {{"customer_id": [{ids}]}}}}"#);
    let answer = server.post("/v1/features/read", &body).await;
    assert_eq!(answer.status, 413);
    let error = answer.json()["error"].clone();
    assert_eq!(error["code"], "MS-1211");
    assert_eq!(error["message"], "the request has 1000000 rows, the server takes at most 100000 at once");
    assert_eq!(error["hint"], "split the request into smaller ones");
}

#[tokio::test]
async fn rows_times_features_are_bounded() {
    let server = start(limited(|limits| limits.values = 8)).await;
    let expected = "3 rows of 3 features are 9 values, the server answers with at most 8 at once";
    for (path, fits) in [("/v1/features/read", 2), ("/get-online-features", 2)] {
        let body = |rows: usize| {
            let ids = vec!["1"; rows].join(",");
            let features = r#"["orders.spend_30d", "orders.last_category", "orders.order_count_7d"]"#;
            format!(r#"{{"features": {features}, "entities": {{"customer_id": [{ids}]}}}}"#)
        };
        assert_eq!(server.post(path, &body(fits)).await.status, 200);
        let answer = server.post(path, &body(fits + 1)).await;
        assert_eq!(answer.status, 413);
        assert!(answer.text().contains(expected), "{}", answer.text());
    }
}

#[tokio::test]
async fn deep_nesting_is_refused_wherever_it_stands() {
    let server = start(options()).await;
    let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
    let objects = r#"{"a":"#.repeat(200_000) + "1" + &"}".repeat(200_000);
    let bodies = [
        deep.clone(),
        format!(r#"{{"service": {deep}}}"#),
        format!(r#"{{"features": ["orders.*"], "entities": {deep}}}"#),
        format!(r#"{{"features": ["orders.*"], "entities": {{"customer_id": {deep}}}}}"#),
        format!(r#"{{"features": ["echo.list"], "request": {{"list": {deep}}}}}"#),
        format!(r#"{{"features": ["echo.place"], "request": {{"place": [{objects}]}}}}"#),
        format!(r#"{{"metadata": {deep}}}"#),
    ];
    for (index, body) in bodies.iter().enumerate() {
        for path in ["/v1/features/read", "/get-online-features"] {
            let answer = server.post(path, body).await;
            assert!((400..500).contains(&answer.status), "{path} {index}: {}", answer.status);
        }
    }
    assert_eq!(server.get("/health").await.status, 200);
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up() {
    let server = start(limited(|limits| limits.request_time = Duration::from_millis(50))).await;
    for (path, body) in [("/v1/features/read", SLOW), ("/v1/query", r#"{"sql": "select slow"}"#)] {
        let answer = server.post(path, body).await;
        assert_eq!(
            (answer.status, answer.json()["error"]["code"].clone()),
            (504, "MS-1217".into()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_body_that_takes_too_long_is_given_up() {
    let server = start(limited(|limits| limits.request_time = Duration::from_millis(50))).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{")
        .await
        .unwrap();
    let answer = read_answer(&mut stream).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (408, "MS-1216".into()));
}

#[tokio::test]
async fn more_requests_than_allowed_are_told_to_come_back() {
    let server = start(limited(|limits| limits.concurrent_requests = 2)).await;
    let (one, two) = (server.post("/v1/features/read", SLOW), server.post("/v1/features/read", SLOW));
    let third = async {
        server.shop.wait_for(2).await;
        let third = server.get("/v1/version").await;
        assert_eq!(server.get("/health").await.status, 200, "the process can be watched while it is busy");
        server.shop.open_gate(2).await;
        third
    };
    let (one, two, third) = tokio::join!(one, two, third);
    assert_eq!((one.status, two.status, third.status), (200, 200, 503));
    assert_eq!(third.header("retry-after"), Some("1"));
    assert_eq!(server.get("/v1/version").await.status, 200);
}

#[tokio::test]
async fn bodies_share_a_bounded_room() {
    let server = start(limited(|limits| {
        limits.body_bytes = 10_000;
        limits.buffered_bytes = 10_000;
    }))
    .await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first
        .write_all(b"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000\r\n\r\n{")
        .await
        .unwrap();
    let body = format!(r#"{{"sql": "select {}"}}"#, "x".repeat(5_000));
    while server.post("/v1/query", &body).await.status == 200 {
        tokio::task::yield_now().await;
    }
    drop(first);
    while server.post("/v1/query", &body).await.status == 503 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_that_only_waits_is_closed() {
    let server = start(limited(|limits| limits.idle_time = Duration::from_millis(100))).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut trickling = TcpStream::connect(server.address).await.unwrap();
    let mut used = TcpStream::connect(server.address).await.unwrap();
    used.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let trickle = async {
        for byte in b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter().cycle() {
            tokio::time::sleep(Duration::from_millis(10)).await;
            if trickling.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    };
    let all = async {
        let mut bytes = Vec::new();
        let _ = silent.read_to_end(&mut bytes).await;
        assert!(bytes.is_empty());
        let _ = used.read_to_end(&mut bytes).await;
        assert!(bytes.starts_with(b"HTTP/1.1 200 OK"));
        trickle.await;
    };
    tokio::time::timeout(Duration::from_secs(300), all).await.expect("all three are closed");
}

#[tokio::test]
async fn a_request_that_runs_longer_than_the_idle_time_is_answered() {
    let server = start(limited(|limits| limits.idle_time = Duration::from_millis(50))).await;
    let gate = async {
        server.shop.wait_for(1).await;
        tokio::time::sleep(Duration::from_millis(250)).await;
        server.shop.open_gate(1).await;
    };
    let (answer, ()) = tokio::join!(server.post("/v1/features/read", SLOW), gate);
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_their_turn() {
    let server = start(limited(|limits| limits.connections = 1)).await;
    let first = TcpStream::connect(server.address).await.unwrap();
    let second = server.get("/health");
    let wait = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(first);
    };
    let (answer, ()) = tokio::join!(second, wait);
    assert_eq!(answer.status, 200);
}
