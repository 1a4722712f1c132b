//! Whatever an answer shows of an asset that is stale, it says so, in the body where that has a place for it and in a header.

use serde_json::json;

use crate::client::{options, start};

const ARROW: &str = "Accept: application/vnd.apache.arrow.stream";
const HEADER: &str = "x-millstream-stale";

#[tokio::test]
async fn values_of_a_stale_view_are_marked_in_every_form() {
    let server = start(options()).await;
    let read = r#"{"features": ["returns.spend_30d"], "entities": {"customer_id": [1]}}"#;
    let answer = server.post("/v1/features/read", read).await;
    let mark = json!([{
        "asset": "view:returns",
        "since": "2026-11-01T00:00:00Z",
        "cause": "failed",
        "because": "the last step failed",
    }]);
    assert_eq!((answer.json()["stale"].clone(), answer.header(HEADER)), (mark, Some("view:returns")));
    let arrow = server.send("POST", "/v1/features/read", &[ARROW], read.as_bytes()).await;
    assert_eq!(arrow.header(HEADER), Some("view:returns"));
    let feast = r#"{"features": ["returns:spend_30d"], "entities": {"customer_id": [1]}}"#;
    assert_eq!(server.post("/get-online-features", feast).await.header(HEADER), Some("view:returns"));
}

#[tokio::test]
async fn values_of_fresh_views_have_no_mark() {
    let server = start(options()).await;
    let read = r#"{"features": ["orders.spend_30d"], "entities": {"customer_id": [1]}}"#;
    let answer = server.post("/v1/features/read", read).await;
    assert_eq!((answer.json().get("stale").cloned(), answer.header(HEADER)), (None, None));
}

#[tokio::test]
async fn repairs_are_told() {
    let server = start(options()).await;
    let expected = concat!(
        r#"{"repairs":[{"asset":"silver.orders","code":"MS-0507","cause":"a data file is damaged","#,
        r#""action":"rebuild","found":"2026-11-01T00:00:00Z","state":"repaired","ended":"2026-11-01T00:00:30Z"}]}"#
    );
    assert_eq!(server.get("/v1/repairs").await.text(), expected);
    assert_eq!(server.get("/v1/repairs?limit=0").await.text(), r#"{"repairs":[]}"#);
    assert_eq!(server.get("/v1/repairs?limit=many").await.status, 422);
}

#[tokio::test]
async fn rows_of_a_stale_table_are_marked() {
    let server = start(options()).await;
    let query = r#"{"sql": "select id from stale"}"#;
    let answer = server.post("/v1/query", query).await;
    assert_eq!(answer.json()["stale"][0]["asset"], "silver.orders");
    assert_eq!(answer.header(HEADER), Some("silver.orders"));
    let arrow = server.send("POST", "/v1/query", &[ARROW], query.as_bytes()).await;
    assert_eq!(arrow.header(HEADER), Some("silver.orders"));
}

#[tokio::test]
async fn the_header_has_a_bound_and_the_body_has_none() {
    let server = start(options()).await;
    let answer = server.post("/v1/query", r#"{"sql": "select id from all_stale"}"#).await;
    assert_eq!(answer.json()["stale"].as_array().map(Vec::len), Some(300));
    let header = answer.header(HEADER).unwrap();
    assert!(header.len() <= 1_100 && header.ends_with("silver.orders, ..."), "{header}");
}

#[tokio::test]
async fn whoever_has_no_token_is_told_how_many_assets_are_stale_and_not_which() {
    let server = start(options()).await;
    assert_eq!(server.get("/ready").await.json(), json!({"ready": true, "waiting_for": [], "stale": 0}));
}
