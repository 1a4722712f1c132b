//! Assets that run by themselves, and webhooks.

use crate::client::{options, start};

#[tokio::test]
async fn the_schedule_is_told_and_webhooks_are_taken() {
    let server = start(options()).await;
    let mut shown = String::new();
    for (method, path) in [
        ("GET", "/v1/schedule"),
        ("GET", "/v1/schedule?limit=1"),
        ("GET", "/v1/schedule?limit=many"),
        ("POST", "/v1/triggers/orders_arrived"),
        ("POST", "/v1/triggers/nothing"),
        ("POST", "/v1/triggers/standby"),
        ("GET", "/v1/triggers/orders_arrived"),
    ] {
        let answer = if method == "GET" { server.get(path).await } else { server.post(path, "").await };
        shown.push_str(&format!("{method} {path}\n{} {}\n\n", answer.status, answer.text()));
    }
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn circuits_promises_and_assets_that_are_set_aside_are_told() {
    let server = start(options()).await;
    let mut shown = String::new();
    for (method, path) in [
        ("GET", "/v1/connections"),
        ("GET", "/v1/sla?asset=silver.orders&days=1"),
        ("GET", "/v1/sla?days=many"),
        ("POST", "/v1/schedule/bronze.orders/resume"),
        ("POST", "/v1/schedule/nothing/resume"),
    ] {
        let answer = if method == "GET" { server.get(path).await } else { server.post(path, "").await };
        shown.push_str(&format!("{method} {path}\n{} {}\n\n", answer.status, answer.text()));
    }
    insta::assert_snapshot!(shown);
}
