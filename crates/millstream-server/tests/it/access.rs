//! Who may ask.

use std::sync::Arc;

use millstream_server::{Backends, Scope, Server, ServerOptions, Token, TokenGrant, openapi_json};

use crate::{
    backend::Shop,
    client::{Answer, Running, options, start},
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
    let printed = format!("{:?} {:?}", with_token(), with_tokens());
    assert!(!printed.contains(SECRET) && !printed.contains(&secret("ci")), "{printed}");
}

/// The token of a name.
fn secret(name: &str) -> String {
    format!("{name}-0123456789abcdef")
}

fn grant(name: &str, scope: Scope) -> TokenGrant {
    TokenGrant { name: name.to_owned(), scope, token: Token::new(secret(name)) }
}

fn with_tokens() -> ServerOptions {
    let tokens = vec![
        grant("notebook", Scope::Read),
        grant("ci", Scope::Write),
        grant("scheduler", Scope::Write),
        grant("root", Scope::Admin),
    ];
    ServerOptions { tokens, ..with_token() }
}

/// A request with the token of a name.
async fn asked(server: &Running, name: &str, method: &str, path: &str, body: &str) -> Answer {
    let token = if name == "admin" { SECRET.to_owned() } else { secret(name) };
    server.send(method, path, &[&format!("Authorization: Bearer {token}")], body.as_bytes()).await
}

#[test]
fn tokens_are_told_apart() {
    let weak = TokenGrant { token: Token::new("short"), ..grant("ci", Scope::Read) };
    let cases = [
        (vec![grant("ci", Scope::Read), grant("ci", Scope::Write)], "MS-1244"),
        (vec![grant("admin", Scope::Read)], "MS-1244"),
        (vec![weak], "MS-1241"),
    ];
    for (tokens, expected) in cases {
        let options = ServerOptions { tokens, ..with_token() };
        assert_eq!(options.validate().unwrap_err().code(), expected);
    }
    let address = "0.0.0.0:0".parse().unwrap();
    let open = ServerOptions { address, tokens: vec![grant("ci", Scope::Read)], ..ServerOptions::default() };
    assert!(open.validate().is_ok());
}

#[tokio::test]
async fn a_scope_includes_those_before_it() {
    let server = start(with_tokens()).await;
    let cases: [(&str, &str, &str, [u16; 3]); 17] = [
        ("GET", "/v1/version", "", [200, 200, 200]),
        ("GET", "/v1/jobs", "", [200, 200, 200]),
        ("GET", "/v1/assets", "", [200, 200, 200]),
        ("POST", "/v1/query", r#"{"sql": "select 1"}"#, [200, 200, 200]),
        ("POST", "/v1/runs", "{}", [403, 202, 202]),
        ("POST", "/v1/datasets/churn/build", "", [403, 202, 202]),
        ("POST", "/v1/features/materialize", r#"{"views": ["orders"]}"#, [403, 200, 200]),
        ("POST", "/write-to-online-store", "{}", [403, 422, 422]),
        ("DELETE", "/v1/jobs/0-0", "", [403, 404, 404]),
        ("GET", "/v1/schedule", "", [200, 200, 200]),
        ("POST", "/v1/triggers/orders_arrived", "", [403, 202, 202]),
        ("GET", "/v1/connections", "", [200, 200, 200]),
        ("GET", "/v1/pipelines", "", [200, 200, 200]),
        ("GET", "/v1/stream/silver.totals", "", [200, 200, 200]),
        ("GET", "/v1/sla", "", [200, 200, 200]),
        ("POST", "/v1/schedule/bronze.orders/resume", "", [403, 202, 202]),
        ("POST", "/v1/reload", "", [403, 403, 200]),
    ];
    for (method, path, body, expected) in cases {
        for (name, expected) in ["notebook", "ci", "root"].into_iter().zip(expected) {
            let answer = asked(&server, name, method, path, body).await;
            assert_eq!(answer.status, expected, "{name}: {method} {path}: {}", answer.text());
        }
    }
    let refused = asked(&server, "notebook", "POST", "/v1/runs", "{}").await;
    insta::assert_snapshot!(refused.text(), @r#"{"error":{"code":"MS-1229","message":"`notebook` has the scope read, and this needs write","hint":"use a token with this scope; `serve --tokens` says which token has which"}}"#);
    let feast = asked(&server, "notebook", "POST", "/push", "{}").await;
    assert!(feast.text().contains("FeastPermissionError"), "{}", feast.text());
    assert_eq!(asked(&server, "nobody", "GET", "/v1/version", "").await.status, 401);
}

#[tokio::test]
async fn nothing_that_changes_something_is_open_to_who_may_only_read() {
    let reading = ["/v1/features/read", "/v1/query", "/get-online-features", "/v1/backfills/preview"];
    let server = start(with_tokens()).await;
    let document: serde_json::Value = serde_json::from_str(&openapi_json()).unwrap();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let place = path.replace("{name}", "churn").replace("{view}", "orders").replace("{id}", "0199-a");
        for method in operations.as_object().unwrap().keys() {
            let answer = asked(&server, "notebook", &method.to_uppercase(), &place, "{}").await;
            let changes = method != "get" && !reading.contains(&path.as_str());
            assert_eq!(answer.status == 403, changes, "{method} {path}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn a_job_has_the_name_of_who_started_it_and_ends_for_them_or_an_admin() {
    let server = start(with_tokens()).await;
    for (other, status) in [("scheduler", 403), ("ci", 202), ("root", 202), ("admin", 202)] {
        let started = asked(&server, "ci", "POST", "/v1/runs", r#"{"selection": ["slow"]}"#).await;
        assert_eq!((started.status, started.json()["principal"].clone()), (202, "ci".into()));
        let path = started.header("location").unwrap();
        assert_eq!(asked(&server, other, "DELETE", path, "").await.status, status, "{other}");
        asked(&server, "admin", "DELETE", path, "").await;
    }
    let runs = server.shop.runs.lock().unwrap();
    assert!(runs.iter().all(|(_, principal)| principal == "ci"), "{runs:?}");
}

#[tokio::test]
async fn a_change_is_answered_with_the_id_that_it_came_with() {
    let server = start(options()).await;
    let long = format!("X-Request-Id: {}", "a".repeat(200));
    for (header, expected) in [("X-Request-Id: 7f-1", Some("7f-1")), (long.as_str(), None)] {
        let answer = server.send("POST", "/v1/runs", &[header], b"{}").await;
        assert_eq!((answer.status, answer.header("x-request-id")), (202, expected));
    }
}
