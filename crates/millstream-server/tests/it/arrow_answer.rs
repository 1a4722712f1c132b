//! Features as an Arrow stream.

use arrow::{array::AsArray, ipc::reader::StreamReader};

use crate::client::{columns, options, start};

async fn read(body: &str, accept: &str) -> arrow::array::RecordBatch {
    let server = start(options()).await;
    let answer = server.send("POST", "/v1/features/read", &[accept], body.as_bytes()).await;
    assert_eq!(answer.header("content-type"), Some("application/vnd.apache.arrow.stream"));
    let batches: Vec<_> =
        StreamReader::try_new(answer.body.as_slice(), None).unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.len(), 1);
    batches[0].clone()
}

#[tokio::test]
async fn each_feature_is_followed_by_its_status_and_time() {
    let body = r#"{"features": ["orders.spend_30d", "orders.last_category"], "entities": {"customer_id": [1, 4, 5, 9]}}"#;
    let batch = read(body, "Accept: application/vnd.apache.arrow.stream").await;
    assert!(batch["orders.spend_30d"].as_primitive::<arrow::datatypes::Float64Type>().value(2).is_nan());
    insta::assert_snapshot!(columns(&batch));
}

#[tokio::test]
async fn the_version_of_a_service_is_in_a_header() {
    let server = start(options()).await;
    let keys = r#""entities": {"customer_id": [1]}"#;
    for (target, version) in [
        (r#""service": "churn_v1", "request": {"cart_value": [1]}"#, Some("3")),
        (r#""service": "churn_v1@2", "request": {"cart_value": [1]}"#, Some("2")),
        (r#""features": ["orders.spend_30d"]"#, None),
    ] {
        let accept = "Accept: application/vnd.apache.arrow.stream";
        let body = format!("{{{target}, {keys}}}");
        let answer = server.send("POST", "/v1/features/read", &[accept], body.as_bytes()).await;
        assert_eq!((answer.status, answer.header("x-millstream-version")), (200, version), "{target}");
    }
}

#[tokio::test]
async fn metadata_can_be_left_out_and_no_rows_are_fine() {
    let body = r#"{"features": ["orders.spend_30d"], "entities": {"customer_id": []}, "metadata": "none"}"#;
    let batch = read(body, "Accept: text/html;q=0.1, Application/vnd.apache.Arrow.stream;q=0.9").await;
    assert_eq!((batch.num_columns(), batch.num_rows()), (1, 0));
}

#[tokio::test]
async fn errors_are_json_all_the_same() {
    let server = start(options()).await;
    let accept = "Accept: application/vnd.apache.arrow.stream";
    let answer = server.send("POST", "/v1/features/read", &[accept], b"{").await;
    assert_eq!(answer.json()["error"]["code"], "MS-1201");
}
