//! The document describes what is served.

use std::sync::Arc;

use millstream_server::{ServerOptions, openapi_json};

use crate::client::{options, start};

#[tokio::test]
async fn every_described_endpoint_is_served() {
    let metrics = Some(Arc::new(millstream_telemetry::Metrics::new().unwrap()));
    let server = start(ServerOptions { metrics, ..options() }).await;
    let served = server.get("/v1/openapi.json").await;
    assert_eq!(served.text(), openapi_json());
    let document = served.json();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 45);
    for (path, operations) in paths {
        let path = path.replace("{name}", "churn_v1").replace("{view}", "orders").replace("{id}", "0199-a");
        for method in operations.as_object().unwrap().keys() {
            let answer = server.send(&method.to_uppercase(), &path, &[], b"").await;
            let unserved = answer.status == 405 || answer.text().contains("MS-1218");
            assert!(!unserved, "{method} {path}: {}", answer.status);
        }
    }
}

#[test]
fn the_document_is_the_same_every_time_and_names_the_contract() {
    let document = openapi_json();
    assert_eq!(document, openapi_json());
    insta::with_settings!({filters => vec![(r#""version": "\d+\.\d+\.\d+""#, r#""version": "[version]""#)]}, {
        insta::assert_snapshot!(document);
    });
}
