//! Runs: started, refused, remembered.

use crate::client::{options, start};

const PATH: &str = "/v1/runs";

#[tokio::test]
async fn a_run_takes_what_the_command_takes() {
    let server = start(options()).await;
    let body = r#"{"selection": ["silver.orders", "+gold.x"], "exclude": ["tag:slow"], "full_refresh": true,
                   "forget_gone": true, "force": true, "concurrency": 2, "wait_for_others": true}"#;
    let answer = server.post(PATH, body).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let job = answer.json();
    assert_eq!(answer.header("location").unwrap(), format!("/v1/jobs/{}", job["id"].as_str().unwrap()));
    assert_eq!((&job["kind"], &job["principal"]), (&"run".into(), &"local".into()));
    server.ended(job["id"].as_str().unwrap()).await;
    assert_eq!(server.post(PATH, "{}").await.status, 202, "everything");
    insta::assert_snapshot!(format!("{:#?}", server.shop.runs.lock().unwrap()));
}

#[tokio::test]
async fn a_run_that_cannot_begin_is_refused() {
    let server = start(options()).await;
    let mut shown = String::new();
    for body in [
        r#"{"selection": ["held"]}"#,
        r#"{"selection": ["nowhere"]}"#,
        r#"{"selection": "silver.orders"}"#,
        r#"{"full_refresh": true, "forget_gone": true}"#,
        r#"{"selection": ["silver.orders"], "forget_gone": true}"#,
        r#"{"concurrency": 0}"#,
        r#"{"speed": "high"}"#,
        "",
    ] {
        let answer = server.post(PATH, body).await;
        shown.push_str(&format!("{body}\n{} {}\n\n", answer.status, answer.text()));
    }
    insta::assert_snapshot!(shown);
    assert_eq!(server.get("/v1/jobs").await.text(), r#"{"jobs":[]}"#, "what was refused is no job");
}

#[tokio::test]
async fn runs_are_remembered() {
    let server = start(options()).await;
    let mut shown = String::new();
    for path in ["/v1/runs", "/v1/runs?limit=1", "/v1/runs?limit=many", "/v1/runs/0199-a", "/v1/runs/0199-z"]
    {
        let answer = server.get(path).await;
        shown.push_str(&format!("{path}\n{} {}\n\n", answer.status, answer.text()));
    }
    insta::assert_snapshot!(shown);
}
