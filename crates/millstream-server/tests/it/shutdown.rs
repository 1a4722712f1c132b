//! A shutdown lets running requests finish, within a bound.

use std::time::Duration;

use crate::client::{options, start};

const SLOW: &str = r#"{"features": ["slow.x"], "entities": {"customer_id": [1]}}"#;

/// Longer than anything here takes on a machine that stands still for a while.
const HANG: Duration = Duration::from_secs(240);

#[tokio::test]
async fn a_running_request_finishes() {
    let server = start(options()).await;
    let stop = async {
        server.shop.wait_for(1).await;
        server.shutdown.cancel();
        // Nobody is accepted any more, and the running request is still at work.
        while tokio::net::TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(!server.task.is_finished());
        server.shop.open_gate(1).await;
    };
    let (answer, ()) = tokio::join!(server.post("/v1/features/read", SLOW), stop);
    assert_eq!(answer.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_does_not_finish_is_told_so() {
    let mut options = options();
    options.limits.shutdown_time = Duration::from_millis(50);
    let server = start(options).await;
    let stop = async {
        server.shop.wait_for(1).await;
        server.shutdown.cancel();
    };
    let (answer, ()) = tokio::join!(server.post("/v1/features/read", SLOW), stop);
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (503, "MS-1224".into()));
    server.stop().await;
}

#[tokio::test]
async fn a_query_has_less_time_to_finish() {
    let mut options = options();
    options.limits.query_shutdown_time = Duration::from_millis(50);
    options.limits.shutdown_time = 2 * HANG;
    let server = start(options).await;
    let stop = async {
        server.shop.wait_for(1).await;
        server.shutdown.cancel();
    };
    let asked = server.post("/v1/query", r#"{"sql": "select slow"}"#);
    let both = tokio::time::timeout(HANG, async { tokio::join!(asked, stop) });
    let (answer, ()) = both.await.expect("well before the time of the shutdown");
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (503, "MS-1224".into()));
    server.stop().await;
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_a_shutdown_up() {
    let mut options = options();
    options.limits.shutdown_time = 2 * HANG;
    let server = start(options).await;
    let silent = tokio::net::TcpStream::connect(server.address).await.unwrap();
    assert_eq!(server.get("/health").await.status, 200);
    let stopped = tokio::time::timeout(HANG, server.stop());
    stopped.await.expect("well before the time of the shutdown");
    drop(silent);
}

#[tokio::test]
async fn a_job_that_does_not_finish_is_ended() {
    let mut options = options();
    options.limits.shutdown_time = Duration::from_millis(50);
    let server = start(options).await;
    let accepted = server.post("/v1/features/materialize", r#"{"views": ["routes"], "wait": false}"#).await;
    assert_eq!(accepted.status, 202);
    server.shop.wait_for(1).await;
    server.stop().await;
}
