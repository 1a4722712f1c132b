//! Pipelines, and the rows of tables as they become visible.

use crate::client::{Answer, Running, options, start};

/// What a client gets that follows the table. HTTP/1.0 knows no chunks, so the events come as they are.
async fn followed(server: &Running, headers: &str) -> Answer {
    server.raw(format!("GET /v1/stream/silver.totals HTTP/1.0\r\n{headers}\r\n").as_bytes()).await
}

#[tokio::test]
async fn pipelines_are_told_and_a_table_is_followed_from_where_a_client_was() {
    let server = start(options()).await;
    let told = server.get("/v1/pipelines").await;
    assert_eq!(told.status, 200);
    assert_eq!(told.json()["pipelines"][0]["asset"], "silver.totals");
    assert_eq!(told.json()["pipelines"][0]["lag_rows"], 3);
    let all = followed(&server, "").await;
    assert_eq!(all.header("content-type"), Some("text/event-stream"));
    let text = all.text().to_owned();
    for part in [
        "id: 7-0\nevent: row\ndata: {\"total\":0}\n",
        "id: 7-1\nevent: row\ndata: {\"total\":10}\n",
        "event: error\ndata: {\"error\":{\"code\":\"MS-1227\"",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let rest = followed(&server, "Last-Event-ID: 7-0\r\n").await;
    assert!(!rest.text().contains("id: 7-0"), "{}", rest.text());
    assert!(rest.text().contains("id: 7-1"), "{}", rest.text());
    for (place, status) in [("soon", 422), ("7", 422), ("-1-0", 422), ("7-1", 200)] {
        let answer = followed(&server, &format!("Last-Event-ID: {place}\r\n")).await;
        assert_eq!(answer.status, status, "{place}: {}", answer.text());
    }
    assert_eq!(server.get("/v1/stream/silver.nothing").await.json()["error"]["code"], "MS-1232");
}
