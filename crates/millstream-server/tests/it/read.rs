//! Reading features through Millstream's own API.

use millstream_server::ReadTarget;

use crate::{
    backend::NOVEMBER,
    client::{options, start},
};

#[tokio::test]
async fn a_service_answers_with_values_statuses_and_event_times() {
    let server = start(options()).await;
    let body = r#"{"service": "churn_v1", "entities": {"customer_id": [1, 3, 4, 77, 1]},
                   "request": {"cart_value": [1, "2.50", 3.25, 4, 5]}}"#;
    insta::assert_snapshot!(server.post("/v1/features/read", body).await.shown());
}

#[tokio::test]
async fn metadata_can_be_left_out() {
    let server = start(options()).await;
    for metadata in ["\"none\"", "false"] {
        let body = format!(
            r#"{{"features": ["orders.spend_30d"], "entities": {{"customer_id": [1, 9]}}, "metadata": {metadata}}}"#
        );
        let answer = server.post("/v1/features/read", &body).await;
        assert_eq!(answer.text(), r#"{"rows":2,"columns":{"orders.spend_30d":{"values":[99.5,null]}}}"#);
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn an_old_version_of_a_service_can_be_read() {
    let server = start(options()).await;
    let body =
        r#"{"service": "churn_v1@2", "entities": {"customer_id": [1]}, "request": {"cart_value": [1]}}"#;
    assert_eq!(server.post("/v1/features/read", body).await.json()["version"], 2);
    let target = server.shop.reads.lock().unwrap()[0].target.clone();
    assert_eq!(target, ReadTarget::Service { name: "churn_v1".to_owned(), version: Some(2) });
}

#[tokio::test]
async fn wildcards_several_entities_and_composite_keys_are_read_together() {
    let server = start(options()).await;
    let body = r#"{"features": ["orders.*", "routes.delay"], "metadata": "none",
        "entities": {"day": ["1970-01-03", "1969-12-31"], "origin": ["TXL", "BER"], "customer_id": [2, 1]}}"#;
    insta::assert_snapshot!(server.post("/v1/features/read", body).await.shown());
}

#[tokio::test]
async fn a_time_and_an_encoding_reach_the_backend() {
    let server = start(options()).await;
    let body = r#"{"features": ["orders.spend_30d"], "entities": {"customer_id": [1]},
                   "at": "2026-11-01T01:00:00+01:00", "encoding": "b3f1"}"#;
    assert_eq!(server.post("/v1/features/read", body).await.status, 200);
    let reads = server.shop.reads.lock().unwrap();
    assert_eq!(reads[0].at, Some(NOVEMBER));
    assert_eq!(reads[0].encoding.as_deref(), Some("b3f1"));
}

#[tokio::test]
async fn nan_is_null_and_its_status_stays_present() {
    let server = start(options()).await;
    let body = r#"{"features": ["orders.spend_30d"], "entities": {"customer_id": [5]}}"#;
    let column = server.post("/v1/features/read", body).await.json()["columns"]["orders.spend_30d"].clone();
    assert_eq!(column["values"], serde_json::json!([null]));
    assert_eq!(column["statuses"], serde_json::json!(["present"]));
}

#[tokio::test]
async fn no_rows_are_answered_with_empty_columns() {
    let server = start(options()).await;
    let body = r#"{"features": ["orders.spend_30d"], "entities": {"customer_id": []}}"#;
    let answer = server.post("/v1/features/read", body).await;
    let expected =
        r#"{"rows":0,"columns":{"orders.spend_30d":{"values":[],"statuses":[],"event_times":[]}}}"#;
    assert_eq!(answer.text(), expected);
}

#[tokio::test]
async fn services_and_views_describe_themselves() {
    let server = start(options()).await;
    let mut shown = String::new();
    for path in
        ["/v1/features/services", "/v1/features/services/churn_v1", "/v1/features/views", "/v1/version"]
    {
        shown.push_str(&format!("{path} {}\n", server.get(path).await.shown()));
    }
    insta::with_settings!({filters => vec![(r#""version": "\d+\.\d+\.\d+""#, r#""version": "[version]""#)]}, {
        insta::assert_snapshot!(shown);
    });
}

#[tokio::test]
async fn many_rows_are_answered_in_order() {
    let server = start(options()).await;
    let ids: Vec<String> = (0..50_000).map(|id| (id % 6 + 1).to_string()).collect();
    let body = format!(r#"{{"features": ["orders.*"], "entities": {{"customer_id": [{}]}}}}"#, ids.join(","));
    let answer = server.post("/v1/features/read", &body).await.json();
    assert_eq!(answer["rows"], 50_000);
    let counts = answer["columns"]["orders.order_count_7d"]["values"].as_array().unwrap();
    assert_eq!(counts.len(), 50_000);
    assert_eq!(counts[6 * 1_000], 9_007_199_254_740_993_i64);
    assert_eq!(counts[6 * 1_000 + 1], -3);
}
