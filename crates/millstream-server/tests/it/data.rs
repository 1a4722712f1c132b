//! Queries and datasets for a notebook.

use arrow::{array::AsArray, datatypes::Int64Type, ipc::reader::StreamReader};

use crate::client::{options, start};

const ARROW: &str = "Accept: application/vnd.apache.arrow.stream";

#[tokio::test]
async fn a_query_is_answered_as_json_rows() {
    let server = start(options()).await;
    let answer = server.post("/v1/query", r#"{"sql": "select id, name from t"}"#).await;
    let expected = concat!(
        r#"{"columns":[{"name":"id","type":"int64"},{"name":"name","type":"string"}],"#,
        r#""rows":[{"id":9223372036854775807,"name":null},{"id":null,"name":"b"},"#,
        r#"{"id":9223372036854775807,"name":null},{"id":null,"name":"b"}],"truncated":false}"#
    );
    assert_eq!(answer.text(), expected);
}

#[tokio::test]
async fn a_query_is_answered_as_an_arrow_stream() {
    let server = start(options()).await;
    let answer = server.send("POST", "/v1/query", &[ARROW], br#"{"sql": "select 1", "limit": 1}"#).await;
    assert_eq!(answer.header("content-type"), Some("application/vnd.apache.arrow.stream"));
    assert_eq!(answer.header("x-millstream-truncated"), Some("true"));
    let batches: Vec<_> =
        StreamReader::try_new(answer.body.as_slice(), None).unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.len(), 2);
    assert_eq!(batches[0]["id"].as_primitive::<Int64Type>().values(), &[i64::MAX]);
}

#[tokio::test]
async fn a_dataset_is_sent_as_its_file() {
    let server = start(options()).await;
    for path in ["/v1/datasets/churn", "/v1/datasets/churn?version=b3f1"] {
        let answer = server.get(path).await;
        assert_eq!(answer.text(), "PAR1 and so on PAR1");
        assert_eq!(answer.header("content-type"), Some("application/vnd.apache.parquet"));
        assert_eq!(answer.header("x-millstream-version"), Some("b3f1"));
    }
    insta::assert_snapshot!(server.get("/v1/datasets").await.text());
}
