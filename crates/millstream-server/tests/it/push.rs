//! Rows pushed through Millstream's own API.

use millstream_server::PushTarget;

use crate::client::{columns, options, start};

const PATH: &str = "/v1/features/views/orders/push";

#[tokio::test]
async fn rows_are_counted_once_they_are_stored() {
    let server = start(options()).await;
    let body = r#"{"rows": {"customer_id": [1, 2], "ordered_at": [0, 1], "amount": ["1.50", 2], "category": [null, "x"]},
                   "to": "online_and_offline"}"#;
    let answer = server.post(PATH, body).await;
    assert_eq!((answer.status, answer.text()), (200, r#"{"rows":2}"#));
    let pushes = server.shop.pushes.lock().unwrap();
    assert_eq!(pushes[0].to, PushTarget::OnlineAndOffline);
    insta::assert_snapshot!(columns(&pushes[0].rows));
}

#[tokio::test]
async fn rows_that_do_not_fit_are_refused_and_nothing_is_stored() {
    let server = start(options()).await;
    let cases = [
        r#"{"rows": [{"customer_id": 1}]}"#,
        r#"{"rows": {"customer_id": [1], "ordered_at": [0]}}"#,
        r#"{"rows": {"customer_id": [1], "amount": [0]}}"#,
        r#"{"rows": {"customer_id": [1], "ordered_at": [0], "amount": [1], "colour": ["red"]}}"#,
        r#"{"rows": {"customer_id": [1], "ordered_at": [0], "amount": [null]}}"#,
        r#"{"rows": {"customer_id": [1, 2], "ordered_at": [0, "soon"], "amount": [1, 2]}}"#,
        r#"{"rows": {"customer_id": [1, 2], "ordered_at": [0], "amount": [1, 2]}}"#,
        r#"{"rows": {"customer_id": [1], "ordered_at": [0], "amount": [1]}, "to": "moon"}"#,
        r#"{"rows": {"customer_id": [1], "ordered_at": [0], "amount": [NaN]}}"#,
    ];
    let mut shown = String::new();
    for body in cases {
        let answer = server.post(PATH, body).await;
        shown.push_str(&format!("{} {}\n", answer.status, answer.text()));
    }
    assert!(server.shop.pushes.lock().unwrap().is_empty());
    insta::assert_snapshot!(shown);
}
