//! Files and lake on an S3 server, the one at `MILLSTREAM_TEST_S3_ENDPOINT`.
#![allow(clippy::disallowed_methods, reason = "a test is its own edge: it asks the clock")]

use std::{
    process::Stdio,
    thread::sleep,
    time::{Duration, SystemTime},
};

use object_store::{
    ClientOptions, ObjectStore, ObjectStoreExt, aws::AmazonS3Builder, http::HttpBuilder, path::Path,
};

use crate::{
    harness::{Folder, given},
    landing::numbers,
};

pub(crate) const BUCKET: &str = "projects";

#[tokio::test(flavor = "multi_thread")]
async fn a_project_whose_files_and_lake_are_on_s3() {
    let Some(endpoint) = given("MILLSTREAM_TEST_S3_ENDPOINT", "a project on S3", "no S3 server") else {
        return;
    };
    let prefix = fresh_prefix("project");
    let store = AmazonS3Builder::new()
        .with_bucket_name(BUCKET)
        .with_endpoint(&endpoint)
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_access_key_id("test")
        .with_secret_access_key("test")
        .build()
        .unwrap();
    make_bucket(&endpoint).await;
    let folder = project(&endpoint, &prefix);
    put(&store, &prefix, "a.csv", 0..1_000).await;
    folder.stdout(&["run"]);
    assert!(folder.stdout(&["run"]).contains("up to date"));

    put(&store, &prefix, "a.csv", 0..1_200).await;
    for round in 0..4_u32 {
        put(&store, &prefix, &format!("b{round}.csv"), 2_000 + round * 100..2_100 + round * 100).await;
        let mut run = folder.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(Duration::from_millis(60 + 90 * u64::from(round)));
        run.kill().unwrap();
        run.wait().unwrap();
    }
    folder.stdout(&["run"]);
    let counts =
        "SELECT count(*) AS a, count(DISTINCT id) AS b, count(DISTINCT _sequence) AS c FROM bronze.s";
    assert_eq!(numbers(&folder, counts), [[Some(1_600); 3]]);
    assert_eq!(numbers(&folder, "SELECT count(*) AS n FROM silver.s"), [[Some(1_600)]]);
    assert_eq!(numbers(&folder, "SELECT count(*) AS n FROM silver.s VERSION AS OF 0"), [[Some(1_000)]]);

    folder.stdout(&["maintain"]);
    std::fs::remove_dir_all(folder.path().join(".millstream")).unwrap();
    folder.stdout(&["run"]);
    assert_eq!(numbers(&folder, counts), [[Some(1_600); 3]]);
}

/// The options of a place on the server, each on a line of its own.
pub(crate) fn storage(endpoint: &str, indent: usize) -> String {
    let options = [
        ("aws_endpoint", endpoint),
        ("aws_allow_http", "true"),
        ("aws_access_key_id", "test"),
        ("aws_secret_access_key", "test"),
        ("aws_region", "us-east-1"),
    ];
    options.map(|(key, value)| format!("{:indent$}{key}: \"{value}\"\n", "")).concat()
}

/// A folder of the bucket that no other test and no earlier run has used.
pub(crate) fn fresh_prefix(name: &str) -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    format!("{name}-{}-{}", std::process::id(), since.as_micros())
}

fn project(endpoint: &str, prefix: &str) -> Folder {
    let lake = format!("    lake: s3://{BUCKET}/{prefix}/lake\n    storage:\n{}", storage(endpoint, 6));
    let connector = format!(
        "  type: files\n  path: s3://{BUCKET}/{prefix}/data/*.csv\n  storage:\n{}",
        storage(endpoint, 4)
    );
    let contract = "contract:\n  columns:\n    id: {type: int64, unique: true}\n";
    Folder::with(&[
        ("millstream.yaml", &format!("name: remote\nenvironments:\n  default:\n{lake}")),
        ("sources/s.yaml", &format!("connector:\n{connector}{contract}")),
        (
            "tables/silver/s.sql",
            "/*---\nmaterialize: incremental\nkey: id\n---*/\nSELECT id, id % 7 AS rest FROM bronze.s\n",
        ),
    ])
}

async fn put(store: &dyn ObjectStore, prefix: &str, name: &str, ids: std::ops::Range<u32>) {
    let text = ids.fold("id\n".to_owned(), |text, id| text + &format!("{id}\n"));
    let path = Path::from(format!("{prefix}/data/{name}"));
    store.put(&path, text.into_bytes().into()).await.unwrap();
}

/// A plain PUT; the test servers look at no signature.
pub(crate) async fn make_bucket(endpoint: &str) {
    let server = HttpBuilder::new()
        .with_url(endpoint)
        .with_client_options(ClientOptions::new().with_allow_http(true))
        .build()
        .unwrap();
    server.put(&Path::from(BUCKET), Vec::new().into()).await.unwrap();
}
