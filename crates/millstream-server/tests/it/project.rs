//! The project that is at work, and loading it again.

use std::{sync::atomic::Ordering, time::Duration};

use millstream_server::{Limits, ServerOptions};
use tokio::time::{sleep, timeout};

use crate::client::{options, start};

#[tokio::test]
async fn a_project_is_loaded_again_or_stays_as_it_was() {
    let server = start(options()).await;
    let mut shown = String::new();
    for (method, path) in [
        ("GET", "/v1/project"),
        ("POST", "/v1/reload"),
        ("POST", "/v1/reload"),
        ("POST", "/v1/reload"),
        ("GET", "/v1/project"),
        ("GET", "/v1/reload"),
    ] {
        let answer = if method == "GET" { server.get(path).await } else { server.post(path, "").await };
        shown.push_str(&format!("{method} {path}\n{} {}\n\n", answer.status, answer.text()));
    }
    insta::assert_snapshot!(shown);
}

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn a_reload_goes_on_when_nobody_waits_for_it_any_more() {
    let limits = Limits { job_time: Duration::from_millis(100), ..Limits::default() };
    let server = start(ServerOptions { limits, ..options() }).await;
    server.shop.reload_waits.store(true, Ordering::SeqCst);
    let answer = server.post("/v1/reload", "").await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert_eq!(server.shop.reloads.load(Ordering::SeqCst), 0);
    server.shop.gate.notify_waiters();
    let ended = async {
        while server.shop.reloads.load(Ordering::SeqCst) == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, ended).await.expect("the reload ends");
}
