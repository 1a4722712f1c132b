//! Jobs through Millstream's own API.

use crate::client::{options, start};

const PATH: &str = "/v1/features/materialize";

#[tokio::test]
async fn every_view_is_materialised_when_none_is_named() {
    let server = start(options()).await;
    let shop = server.shop.clone();
    let gate = tokio::spawn(async move { shop.open_gate(1).await });
    let answer = server.post(PATH, "{}").await;
    gate.await.unwrap();
    let expected = serde_json::json!({"views": [
        {"view": "orders", "rows": 7, "left_out": 0, "table_version": 4},
        {"view": "routes", "rows": 7, "left_out": 0, "table_version": 4},
    ]});
    assert_eq!(answer.json(), expected);
    assert!(server.shop.materialized.lock().unwrap()[0].incremental);
}

#[tokio::test]
async fn a_job_goes_on_when_its_client_leaves() {
    let server = start(options()).await;
    let accepted = server.post(PATH, r#"{"views": ["routes"], "wait": false}"#).await;
    let job = accepted.json();
    let place = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    assert_eq!((accepted.status, accepted.header("location")), (202, Some(place.as_str())));
    let told = (&job["kind"], &job["about"], &job["state"]);
    assert_eq!(told, (&"materialize".into(), &serde_json::json!(["routes"]), &"running".into()));
    server.shop.wait_for(1).await;
    let refused = server.post(PATH, r#"{"views": ["orders", "routes"]}"#).await;
    assert_eq!(refused.status, 409);
    assert_eq!(refused.json()["error"]["code"], "MS-1221");
    assert_eq!(server.get("/ready").await.status, 503);
    server.shop.open_gate(1).await;
    server.stop().await;
}
