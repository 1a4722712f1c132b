//! Jobs: how far they are, what they tell, and how they end.

use std::{sync::atomic::Ordering, time::Duration};

use crate::{
    backend_work::RUN,
    client::{Running, options, start},
};

/// Starts a job and returns its id.
async fn started(server: &Running, path: &str, body: &str) -> String {
    let answer = server.post(path, body).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let place = answer.header("location").unwrap();
    place.strip_prefix("/v1/jobs/").unwrap().to_owned()
}

async fn run(server: &Running, asset: &str) -> String {
    started(server, "/v1/runs", &format!(r#"{{"selection": ["{asset}"]}}"#)).await
}

#[tokio::test]
async fn a_job_says_what_it_made_or_why_not() {
    let server = start(options()).await;
    let mut shown = String::new();
    for (path, body) in [
        ("/v1/runs", r#"{"selection": ["silver.orders"]}"#),
        ("/v1/runs", r#"{"selection": ["broken"]}"#),
        ("/v1/datasets/churn/build", ""),
        ("/v1/features/materialize", r#"{"views": ["orders"], "wait": false}"#),
        ("/v1/features/materialize", r#"{"views": [], "wait": false}"#),
    ] {
        let job = started(&server, path, if body.is_empty() { "{}" } else { body }).await;
        let ended = serde_json::to_string_pretty(&server.ended(&job).await).unwrap();
        shown.push_str(&format!("{path} {body}\n{ended}\n\n"));
    }
    let jobs = server.get("/v1/jobs").await.json();
    let kinds: Vec<&str> =
        jobs["jobs"].as_array().unwrap().iter().map(|job| job["kind"].as_str().unwrap()).collect();
    shown.push_str(&kinds.join(" "));
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn events_are_told_as_they_happen_and_again_from_where_a_client_was() {
    let server = start(options()).await;
    let job = run(&server, "silver.orders").await;
    let all = server.events(&job, "").await;
    assert_eq!(all.header("content-type"), Some("text/event-stream"));
    assert_eq!(all.header("x-accel-buffering"), Some("no"));
    insta::assert_snapshot!(all.text());
    let ids: Vec<u64> =
        all.text().lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
    for (place, id) in ids.iter().enumerate() {
        let rest = server.events(&job, &format!("Last-Event-ID: {id}\r\n")).await;
        let found: Vec<u64> =
            rest.text().lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
        assert_eq!(found, ids[place + 1..], "after {id}");
        assert_eq!(rest.status, if found.is_empty() { 204 } else { 200 });
    }
    assert_eq!(server.events(&job, "Last-Event-ID: soon\r\n").await.json()["error"]["code"], "MS-1202");
    assert_eq!(server.events("0-0", "").await.json()["error"]["code"], "MS-1230");
}

#[tokio::test]
async fn the_events_of_a_job_are_bounded_and_the_newest_are_kept() {
    let server = start(options()).await;
    let job = run(&server, "chatty").await;
    server.ended(&job).await;
    let events = server.events(&job, "Last-Event-ID: 1\r\n").await;
    let ids: Vec<u64> =
        events.text().lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
    assert_eq!((ids.len(), ids.last()), (1_024, Some(&3_007)));
    assert!(events.text().contains("event: ended\n"));
}

#[tokio::test]
async fn a_follower_outlives_the_idle_limit() {
    let mut options = options();
    options.limits.idle_time = Duration::from_millis(150);
    let server = start(options).await;
    let job = run(&server, "slow").await;
    let open = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        server.shop.open_gate(1).await;
    };
    let (events, ()) = tokio::join!(server.events(&job, ""), open);
    let comments = events.text().lines().filter(|line| line.starts_with(':')).count();
    assert!(comments >= 3, "{}", events.text());
    assert!(events.text().contains("event: ended\n"), "{}", events.text());
}

#[tokio::test]
async fn a_job_ends_when_it_is_told_to() {
    let server = start(options()).await;
    for (path, body) in [
        ("/v1/runs", r#"{"selection": ["slow"]}"#),
        ("/v1/datasets/fraud/build", "{}"),
        ("/v1/features/materialize", r#"{"views": ["routes"], "wait": false}"#),
    ] {
        let job = started(&server, path, body).await;
        server.shop.wait_for(1).await;
        let told = server.send("DELETE", &format!("/v1/jobs/{job}"), &[], b"").await;
        assert_eq!((told.status, told.json()["state"].clone()), (202, "cancelling".into()));
        let ended = server.ended(&job).await;
        assert_eq!((&ended["state"], &ended["error"]["code"]), (&"cancelled".into(), &"MS-1233".into()));
        if path == "/v1/runs" {
            assert_eq!(ended["progress"]["done"], 0, "{ended}");
        }
        let again = server.send("DELETE", &format!("/v1/jobs/{job}"), &[], b"").await;
        assert_eq!((again.status, again.json()["state"].clone()), (202, "cancelled".into()));
    }
    let unknown = server.send("DELETE", "/v1/jobs/0-0", &[], b"").await;
    assert_eq!((unknown.status, unknown.json()["error"]["code"].clone()), (404, "MS-1230".into()));
}

#[tokio::test]
async fn one_dataset_is_built_once_at_a_time() {
    let server = start(options()).await;
    let job = started(&server, "/v1/datasets/fraud/build", "{}").await;
    let refused = server.post("/v1/datasets/fraud/build", "{}").await;
    assert_eq!((refused.status, refused.json()["error"]["code"].clone()), (409, "MS-1221".into()));
    started(&server, "/v1/datasets/churn/build", "{}").await;
    let unknown = server.post("/v1/datasets/chrun/build", "{}").await;
    assert_eq!((unknown.status, unknown.json()["error"]["code"].clone()), (404, "MS-1206".into()));
    server.shop.open_gate(1).await;
    assert_eq!(server.ended(&job).await["state"], "succeeded");
    started(&server, "/v1/datasets/fraud/build", "{}").await;
}

#[tokio::test]
async fn a_job_that_meets_a_defect_has_ended() {
    let server = start(options()).await;
    let answer = server.post("/v1/runs", r#"{"selection": ["panics"]}"#).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (500, "MS-1226".into()));
    assert!(!answer.text().contains("secret"), "{}", answer.text());
    assert_eq!(server.get("/v1/jobs").await.text(), r#"{"jobs":[]}"#);
}

#[tokio::test]
async fn the_newest_jobs_are_remembered() {
    let server = start(options()).await;
    let slow = run(&server, "slow").await;
    let first = run(&server, "silver.orders").await;
    for _ in 0..220 {
        let job = run(&server, "silver.orders").await;
        server.ended(&job).await;
    }
    let jobs = server.get("/v1/jobs").await.json();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 201, "those that ended, and the one at work");
    assert_eq!(server.get(&format!("/v1/jobs/{first}")).await.status, 404);
    assert_eq!(server.get(&format!("/v1/jobs/{slow}")).await.json()["state"], "running");
}

#[tokio::test]
async fn a_run_ends_in_an_orderly_way_when_the_server_stops() {
    let mut options = options();
    options.limits.shutdown_time = Duration::from_secs(60);
    let server = start(options).await;
    let job = run(&server, "slow").await;
    let shop = server.shop.clone();
    let stop = async {
        server.shop.wait_for(1).await;
        // A connection that was not taken up yet would be refused.
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.shutdown.cancel();
    };
    let (events, ()) = tokio::join!(server.events(&job, ""), stop);
    assert!(events.text().contains("MS-1224"), "{}", events.text());
    server.stop().await;
    assert_eq!(shop.cancelled.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_job_whose_time_is_over_is_told_to_end() {
    let mut options = options();
    options.limits.job_time = Duration::from_millis(50);
    let server = start(options).await;
    let job = run(&server, "slow").await;
    let ended = server.ended(&job).await;
    assert_eq!((&ended["state"], &ended["error"]["code"]), (&"failed".into(), &"MS-1217".into()));
    assert_eq!(ended["result"]["cancelled"], true);
}

#[tokio::test]
async fn rows_are_those_of_what_is_worked_on_now() {
    let server = start(options()).await;
    let both = r#"{"views": ["orders", "routes"], "wait": false}"#;
    let job = started(&server, "/v1/features/materialize", both).await;
    server.shop.wait_for(1).await;
    let told = server.get(&format!("/v1/jobs/{job}")).await.json();
    let expected = serde_json::json!({"doing": "view:routes", "done": 0, "total": null, "unit": "rows"});
    assert_eq!((&told["progress"], &told["run"]), (&expected, &RUN.into()), "{told}");
    server.shop.open_gate(1).await;
    server.ended(&job).await;
    let events = server.events(&job, "").await;
    let names: Vec<_> = events.text().lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names, ["waiting", "run_started", "step_started", "step_progress", "step_started", "ended"]);
}
