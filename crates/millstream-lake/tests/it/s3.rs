//! The lake on an S3 server. Start one, create the bucket `lake`, and say where it is:
//! `AWS_ENDPOINT=http://127.0.0.1:5000 cargo test -p millstream-lake -- --ignored s3`.

use std::collections::BTreeMap;

use millstream_lake::{At, Lake, LakeError, MaintainOptions};
use millstream_types::TimestampMicros;

use crate::support::{append, append_txn, create, ids, latest, runtime, table};

fn open(prefix: &str) -> Lake {
    let options =
        [("aws_allow_http", "true"), ("aws_access_key_id", "test"), ("aws_secret_access_key", "test")];
    let options: BTreeMap<_, _> =
        options.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    Lake::open(&format!("s3://lake/{prefix}"), &options).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an S3 server at AWS_ENDPOINT"]
async fn a_bucket_is_a_lake() {
    let prefix = uuid::Uuid::now_v7().to_string();
    let lake = open(&prefix);
    assert_eq!(lake.probe(&table(), None).await.unwrap(), None);
    create(&lake, &[0]).await;
    let old = latest(&lake).await;
    for id in 1..12 {
        append(&lake, &[id]).await;
    }
    let other = open(&prefix);
    append_txn(&other, &old, &[12], 1).await.unwrap();
    let again = append_txn(&lake, &old, &[12], 1).await.unwrap_err();
    assert!(matches!(again, LakeError::AlreadyCommitted { version: 12, .. }), "{again}");
    let all: Vec<i64> = (0..=12).collect();
    assert_eq!(ids(&lake, At::Latest).await, all);
    assert_eq!(lake.probe(&table(), Some(3)).await.unwrap(), Some(12));
    let now = TimestampMicros::from_system(std::time::SystemTime::now());
    let done = lake.maintain(&runtime(&lake), &table(), &MaintainOptions::at(now)).await.unwrap().unwrap();
    assert_eq!((done.compacted, done.checkpoint), (Some(13), Some(13)));
    let fresh = open(&prefix);
    assert_eq!(ids(&fresh, At::Latest).await, all);
    assert_eq!(ids(&fresh, At::Version(4)).await, all[..5]);
    assert_eq!(fresh.tables().await.unwrap(), [table()]);
}
