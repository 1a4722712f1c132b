//! Who may ask.

use std::sync::Arc;

use millstream_server::{Backends, Server, ServerOptions, Token};

use crate::{
    backend::Shop,
    client::{options, start},
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn with_token() -> ServerOptions {
    ServerOptions { token: Some(Token::new(SECRET)), ..options() }
}

#[tokio::test]
async fn an_open_address_needs_a_token() {
    for address in ["0.0.0.0:0", "[::]:0", "192.168.1.1:0"] {
        let open = ServerOptions { address: address.parse().unwrap(), ..ServerOptions::default() };
        let error = Server::bind(open, Backends::of(Arc::new(Shop::default()))).await.unwrap_err();
        assert_eq!(error.code(), "MS-1240", "{address}");
    }
    let weak = ServerOptions { token: Some(Token::new("secret")), ..options() };
    assert_eq!(weak.validate().unwrap_err().code(), "MS-1241");
    assert!(with_token().validate().is_ok());
}

#[tokio::test]
async fn a_taken_address_is_told() {
    let server = start(options()).await;
    let taken = ServerOptions { address: server.address, ..options() };
    let error = Server::bind(taken, Backends::of(Arc::new(Shop::default()))).await.unwrap_err();
    assert_eq!(error.code(), "MS-1242");
    assert_eq!(error.to_string(), format!("cannot listen on {}", server.address));
}

#[tokio::test]
async fn only_the_right_token_is_let_in() {
    let server = start(with_token()).await;
    let right = format!("Authorization: Bearer {SECRET}");
    let lower = format!("authorization: bearer {SECRET}");
    let longer = format!("Authorization: Bearer {SECRET}0");
    let zeros = format!("Authorization: Bearer {}\0", &SECRET[..31]);
    let cases: [(&[&str], u16); 8] = [
        (&[&right], 200),
        (&[&lower], 200),
        (&[], 401),
        (&["Authorization: Bearer "], 401),
        (&["Authorization: Bearer 0123456789abcdef"], 401),
        (&[&longer], 401),
        (&["Authorization: Basic MDE6MjM="], 401),
        // Asked from another machine's page with the right token: the token decides.
        (&[&right, "Origin: https://notebooks.example.com", "Host: features.example.com"], 200),
    ];
    for (headers, expected) in cases {
        let answer = server.send("GET", "/v1/version", headers, b"").await;
        assert_eq!(answer.status, expected, "{headers:?}");
        if expected == 401 {
            assert_eq!(answer.json()["error"]["code"], "MS-1213");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    assert_eq!(server.send("GET", "/v1/version", &[&zeros], b"").await.status, 400);
    let feast = server.post("/push", "{}").await;
    assert_eq!(feast.status, 403, "as Feast does");
    assert!(feast.text().contains("FeastPermissionError"));
}

#[tokio::test]
async fn those_who_watch_the_process_need_no_token() {
    let server = start(with_token()).await;
    assert_eq!(server.get("/health").await.status, 200);
    assert_eq!(server.get("/ready").await.status, 200);
}

#[tokio::test]
async fn pages_of_others_cannot_use_a_server_without_a_token() {
    let server = start(options()).await;
    let cases: [(&[&str], u16); 13] = [
        (&[], 200),
        (&["Host: 127.0.0.1:6566"], 200),
        (&["Host: [::1]:6566"], 200),
        (&["Host: LOCALHOST", "Origin: http://localhost:3000"], 200),
        (&["Origin: https://evil.example.com"], 403),
        (&["Origin: null"], 403),
        (&["Origin: http://localhost:3000, http://evil.example.com"], 403),
        (&["Origin: http://localhost:3000", "Origin: http://evil.example.com"], 403),
        (&["Origin: http://localhost@evil.example.com"], 403),
        (&["Host: localhost", "Host: localhost"], 400),
        (&["Host: localhost", "Host: evil.example.com"], 400),
        (&["Host: evil.example.com"], 403),
        (&["Host: localhost.evil.example.com"], 403),
    ];
    for (headers, expected) in cases {
        let answer = server.send("GET", "/v1/version", headers, b"").await;
        assert_eq!(answer.status, expected, "{headers:?}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    let unnamed = |version: &str| format!("GET /v1/version HTTP/{version}\r\nConnection: close\r\n\r\n");
    for (version, expected) in [("1.1", 400), ("1.0", 200)] {
        assert_eq!(server.raw(unnamed(version).as_bytes()).await.status, expected, "HTTP/{version}");
    }
}

#[test]
fn a_token_is_not_printed() {
    let printed = format!("{:?}", with_token());
    assert!(!printed.contains(SECRET), "{printed}");
}
