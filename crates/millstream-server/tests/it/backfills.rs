//! Partitions, and backfills that fill them.

use crate::client::{options, start};

#[tokio::test]
async fn partitions_are_shown_and_backfills_are_jobs() {
    let server = start(options()).await;
    let of_orders = r#"{"asset": "silver.orders", "from": "2024-01-01", "to": "2024-01-03"}"#;
    let partitions = server.get("/v1/assets/silver.orders/partitions").await;
    assert_eq!((partitions.status, partitions.json()["built"].as_u64()), (200, Some(2)));
    assert_eq!(server.get("/v1/assets/silver.whole/partitions").await.status, 404);
    let plan = server.post("/v1/backfills/preview", of_orders).await;
    assert_eq!((plan.status, plan.json()["chunks"].as_u64()), (200, Some(2)));
    let started = server.post("/v1/backfills", of_orders).await;
    assert_eq!((started.status, started.json()["kind"].as_str()), (202, Some("backfill")));
    let refused = server.post("/v1/backfills", r#"{"asset": "silver.whole"}"#).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    let unknown = server.post("/v1/backfills", r#"{"asset": "silver.orders", "until": "now"}"#).await;
    assert!((400..500).contains(&unknown.status), "{}", unknown.text());
    let listed = server.get("/v1/backfills?limit=1").await;
    assert_eq!(listed.json()["backfills"].as_array().map(Vec::len), Some(1));
    let cancelled = server.post("/v1/backfills/silver-orders-1/cancel", "").await;
    assert_eq!(cancelled.json()["status"].as_str(), Some("cancelled"));
}
