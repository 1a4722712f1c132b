//! Assets and their lineage.

use crate::client::{options, start};

#[tokio::test]
async fn assets_are_described() {
    let server = start(options()).await;
    let mut shown = String::new();
    for path in [
        "/v1/assets",
        "/v1/assets/silver.orders",
        "/v1/assets/silver.nowhere",
        "/v1/assets/silver.orders/lineage",
        "/v1/assets/silver.orders/lineage?column=amount",
        "/v1/assets/silver.orders/lineage?column=colour",
        "/v1/assets/silver.nowhere/lineage",
    ] {
        let answer = server.get(path).await;
        shown.push_str(&format!("{path}\n{} {}\n\n", answer.status, answer.text()));
    }
    insta::assert_snapshot!(shown);
}
