//! Feast's writes and jobs.

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{Decimal128Type, TimestampMicrosecondType},
};
use millstream_server::{MaterializeRequest, PushTarget};

use crate::{
    backend::NOVEMBER,
    client::{Running, options, start},
};

fn only_push(server: &Running) -> (PushTarget, RecordBatch) {
    let pushes = server.shop.pushes.lock().unwrap();
    assert_eq!(pushes.len(), 1);
    assert_eq!(pushes[0].name, "orders");
    (pushes[0].to, pushes[0].rows.clone())
}

#[tokio::test]
async fn a_push_is_answered_with_an_empty_200() {
    for (to, expected) in [
        ("", PushTarget::Online),
        (r#", "to": "online""#, PushTarget::Online),
        (r#", "to": "offline""#, PushTarget::Offline),
        (r#", "to": "online_and_offline""#, PushTarget::OnlineAndOffline),
    ] {
        let server = start(options()).await;
        let body = format!(
            r#"{{"push_source_name": "orders", "df": {{"customer_id": [1, 2], "amount": [1.25, 2], "category": [null, null],
               "ordered_at": ["2026-11-01T00:00:00", 1793491200]}}, "allow_registry_cache": true{to}}}"#
        );
        let answer = server.post("/push", &body).await;
        assert_eq!((answer.status, answer.text()), (200, ""));
        let (target, rows) = only_push(&server);
        assert_eq!(target, expected);
        assert_eq!(
            rows["ordered_at"].as_primitive::<TimestampMicrosecondType>().values(),
            &[NOVEMBER, NOVEMBER]
        );
        assert_eq!(rows["amount"].as_primitive::<Decimal128Type>().values(), &[125, 200]);
        assert_eq!(rows["category"].null_count(), 2);
    }
}

#[tokio::test]
async fn the_remote_stores_frame_is_taken_with_its_own_names() {
    let server = start(options()).await;
    let body = r#"{"feature_view_name": "orders", "df": {"customer_id": [1], "amount": [5], "category": ["a"],
        "event_timestamp": ["2026-11-01T00:00:00"], "created": [null]}, "allow_registry_cache": false}"#;
    let answer = server.post("/write-to-online-store", body).await;
    assert_eq!((answer.status, answer.text()), (200, "null"));
    let (_, rows) = only_push(&server);
    assert_eq!(rows["ordered_at"].as_primitive::<TimestampMicrosecondType>().values(), &[NOVEMBER]);
    assert_eq!(rows.num_columns(), 4);
}

/// A finished value would be lost, and a row without what features are computed from would count as a null.
#[tokio::test]
async fn a_frame_that_is_not_the_views_rows_is_refused() {
    let time = r#""customer_id": [1], "event_timestamp": ["2026-11-01T00:00:00"]"#;
    for (columns, code, named) in [
        (r#""spend_30d": [5.0], "amount": [1], "category": ["a"]"#, "MS-1202", "`df.spend_30d` is a feature"),
        (r#""amont": [1], "category": ["a"]"#, "MS-1209", "`df.amount` is missing"),
        (r#""amount": [1]"#, "MS-1209", "`df.category` is missing"),
    ] {
        let server = start(options()).await;
        for (path, name) in [("/push", "push_source_name"), ("/write-to-online-store", "feature_view_name")] {
            let answer =
                server.post(path, &format!(r#"{{"{name}": "orders", "df": {{{time}, {columns}}}}}"#)).await;
            assert_eq!(answer.status, 422, "{columns}");
            let told = answer.text();
            assert!(told.contains(code) && told.contains(named), "{told}");
            assert!(told.contains("takes rows of its table, with `customer_id`, `ordered_at`"), "{told}");
        }
        assert!(server.shop.pushes.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_range_is_materialized() {
    let server = start(options()).await;
    let body = r#"{"start_ts": "2026-10-01T00:00:00Z", "end_ts": "2026-11-01", "feature_views": ["orders"],
                   "full_feature_names": false, "version": null}"#;
    let answer = server.post("/materialize", body).await;
    assert_eq!((answer.status, answer.text()), (200, "null"));
    let expected =
        MaterializeRequest { views: vec!["orders".to_owned()], end: Some(NOVEMBER), incremental: false };
    assert_eq!(*server.shop.materialized.lock().unwrap(), vec![expected]);
}

#[tokio::test]
async fn without_event_timestamps_everything_is_materialized() {
    let server = start(options()).await;
    let body = r#"{"disable_event_timestamp": true, "feature_views": ["orders"]}"#;
    assert_eq!(server.post("/materialize", body).await.status, 200);
    let materialized = server.shop.materialized.lock().unwrap();
    assert_eq!(materialized[0].end, None);
}

#[tokio::test]
async fn a_second_job_for_a_view_at_work_is_refused_unless_forced() {
    let server = start(options()).await;
    let body = r#"{"end_ts": "2026-11-01", "feature_views": ["routes"]}"#;
    let accepted = server.post("/materialize-incremental?async=true", body).await;
    assert_eq!(accepted.status, 202);
    assert_eq!(accepted.text(), r#"{"status":"accepted","feature_views":["routes"]}"#);
    server.shop.wait_for(1).await;
    let refused = server.post("/materialize-incremental", body).await;
    assert_eq!(refused.status, 409);
    assert_eq!(refused.text(), r#"{"error":"routes is being materialised","feature_views":["routes"]}"#);
    let forced = server.post("/materialize-incremental?async=true&force=true", body).await;
    assert_eq!(forced.status, 202);
    server.shop.open_gate(2).await;
    while server.post("/materialize-incremental?async=true", body).await.status == 409 {
        tokio::task::yield_now().await;
    }
    server.shop.open_gate(1).await;
    let incremental = server.shop.materialized.lock().unwrap().iter().all(|request| request.incremental);
    assert!(incremental);
}
