//! Feast's read, as its own clients send it and as they read the answer.

use millstream_server::{FeastCompat, ReadTarget, ServerOptions};

use crate::client::{options, start};

fn strict() -> ServerOptions {
    ServerOptions { feast_compat: FeastCompat::Strict, ..options() }
}

const FEATURES: &str = r#"{"features": ["orders:spend_30d", "orders:order_count_7d"],
    "entities": {"customer_id": [1, 3, 4, 77, 1]}}"#;

#[tokio::test]
async fn join_keys_come_first_and_statuses_are_true() {
    let server = start(options()).await;
    insta::assert_snapshot!(server.post("/get-online-features", FEATURES).await.text());
}

#[tokio::test]
async fn strict_calls_nulls_present() {
    let server = start(strict()).await;
    let answer = server.post("/get-online-features", FEATURES).await.json();
    let statuses = serde_json::json!(["PRESENT", "PRESENT", "OUTSIDE_MAX_AGE", "NOT_FOUND", "PRESENT"]);
    assert_eq!(answer["results"][1]["statuses"], statuses);
}

#[tokio::test]
async fn a_service_wins_over_features_and_takes_request_values_from_the_entities() {
    let server = start(options()).await;
    let body = r#"{"feature_service": "churn_v1", "features": ["nothing:nothing"], "full_feature_names": true,
                   "entities": {"cart_value": ["1.5"], "customer_id": [2]}, "something_new": {"a": [1]}}"#;
    let answer = server.post("/get-online-features", body).await.json();
    let names = serde_json::json!([
        "customer_id",
        "orders__spend_30d",
        "orders__order_count_7d",
        "orders__last_category",
        "basket_vs_average"
    ]);
    assert_eq!(answer["metadata"]["feature_names"], names);
    let reads = server.shop.reads.lock().unwrap();
    assert_eq!(reads[0].target, ReadTarget::Service { name: "churn_v1".to_owned(), version: None });
}

#[tokio::test]
async fn names_are_taken_in_both_forms() {
    let server = start(options()).await;
    let body = r#"{"features": ["orders:spend_30d", "orders__last_category", "basket_vs_average"],
                   "entities": {"customer_id": [1], "cart_value": [1]}, "include_feature_view_version_metadata": true}"#;
    let answer = server.post("/get-online-features", body).await.json();
    let expected = serde_json::json!({
        "feature_names": ["customer_id", "spend_30d", "last_category", "basket_vs_average"],
        "feature_view_metadata": [{"name": "orders"}]
    });
    assert_eq!(answer["metadata"], expected);
}

#[tokio::test]
async fn composite_keys_come_back_in_the_order_of_the_request() {
    let server = start(options()).await;
    let body = r#"{"features": ["routes:delay"], "entities": {"day": ["1970-01-02", "1970-01-02"], "origin": ["B", "A"]}}"#;
    let answer = server.post("/get-online-features", body).await.json();
    assert_eq!(answer["metadata"]["feature_names"], serde_json::json!(["day", "origin", "delay"]));
    assert_eq!(answer["results"][1]["values"], serde_json::json!(["B", "A"]));
}

#[tokio::test]
async fn int64_keeps_its_digits_and_times_are_seconds() {
    let server = start(options()).await;
    let body = r#"{"features": ["echo:int64", "echo:timestamp", "echo:binary", "echo:decimal"],
        "entities": {"int64": [9007199254740993], "timestamp": ["2026-11-01T00:00:00.75Z"], "binary": ["AAE="], "decimal": [1.5]}}"#;
    let answer = server.post("/get-online-features", body).await;
    let expected = concat!(
        r#"{"results":[{"values":[9007199254740993],"statuses":["PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z"]},"#,
        r#"{"values":[1793491200],"statuses":["PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z"]},"#,
        r#"{"values":["AAE="],"statuses":["PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z"]},"#,
        r#"{"values":["1.50"],"statuses":["PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z"]}],"#,
        r#""metadata":{"feature_names":["int64","timestamp","binary","decimal"]}}"#
    );
    assert_eq!(answer.text(), expected);
}

const MISTAKES: &[(&str, &str)] = &[
    ("/get-online-features", "{"),
    ("/get-online-features", r#"{"features": ["orders:spend_30d"]}"#),
    ("/get-online-features", r#"{"entities": {"customer_id": [1]}}"#),
    ("/get-online-features", r#"{"feature_service": "nobody", "entities": {}}"#),
    ("/get-online-features", r#"{"features": ["orders:nothing:more", "nothing:x"], "entities": {}}"#),
    ("/get-online-features", r#"{"features": ["orders@v2:spend_30d"], "entities": {}}"#),
    ("/get-online-features", r#"{"features": ["orders:spend_30d"], "entities": {"driver": [1]}}"#),
    ("/get-online-features", r#"{"features": ["orders:spend_30d"], "entities": {}}"#),
    ("/get-online-features", r#"{"features": ["orders:spend_30d"], "entities": {"customer_id": ["one"]}}"#),
    (
        "/get-online-features",
        r#"{"features": ["orders:last_category", "returns:last_category"], "entities": {"customer_id": [1]}}"#,
    ),
    ("/get-online-features", r#"{"features": ["panic:x"], "entities": {"customer_id": [1]}}"#),
    ("/get-online-features", r#"{"features": ["down:x"], "entities": {"customer_id": [1]}}"#),
    ("/push", r#"{"push_source_name": "orders", "df": {}, "to": "nowhere"}"#),
    ("/push", r#"{"push_source_name": "nobody", "df": {}}"#),
    ("/push", r#"{"push_source_name": "orders", "df": {"customer_id": [1]}}"#),
    ("/write-to-online-store", r#"{"feature_view_name": "nobody", "df": {}}"#),
    ("/materialize", r#"{"start_ts": "2026-01-01"}"#),
    ("/materialize", r#"{"start_ts": "2026-01-01", "end_ts": "2026-01-02", "version": "v2"}"#),
    ("/materialize-incremental?force=maybe", r#"{"end_ts": "2026-01-02"}"#),
    ("/materialize-incremental", r#"{"end_ts": "2026-01-02", "feature_views": ["nobody"]}"#),
];

async fn told(options: ServerOptions) -> String {
    let server = start(options).await;
    let mut shown = String::new();
    for (path, body) in MISTAKES {
        let answer = server.post(path, body).await;
        shown.push_str(&format!("{path} {body}\n    {} {}\n", answer.status, answer.text()));
    }
    shown.push_str(&format!("GET /push\n    {}\n", server.get("/push").await.text()));
    shown
}

#[tokio::test]
async fn mistakes_are_strings_that_hold_json_with_4xx() {
    insta::assert_snapshot!(told(options()).await);
}

#[tokio::test]
async fn strict_answers_mistakes_as_feast_does() {
    insta::assert_snapshot!(told(strict()).await);
}
