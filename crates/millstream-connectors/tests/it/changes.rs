//! What a later run sees: new, grown, replaced, touched and unfinished files.

use std::{fs, io::Write, time::Duration};

use futures::StreamExt;
use millstream_connector::{ConnectorError, KnownPart, PartChange, PartVersion, ReadRequest};
use serde_json::json;

use crate::{
    compressed::gzip,
    folder::{Folder, discover, land, options},
};

/// Lands `before`, writes `after`, and says what the next run finds: the change and the rows it would read.
async fn next_run(name: &str, before: &[u8], after: &[u8], on_change: &str) -> (String, Vec<String>) {
    let folder = Folder::new();
    let mut options = options(name);
    options["on_change"] = on_change.into();
    folder.write(name, before);
    let connector = folder.connector(&options);
    let part = &discover(&*connector, &[]).await.parts[0];
    let (_, known) = land(&*connector, part, None).await;
    folder.tick().await;
    folder.write(name, after);
    let connector = folder.connector(&options);
    let found = discover(&*connector, std::slice::from_ref(&known)).await;
    if let Some(refreshed) = found.refreshed.first() {
        assert_eq!(refreshed.position, known.position);
        let again = discover(&*connector, &found.refreshed).await;
        assert!(again.parts.is_empty() && again.refreshed.is_empty(), "{again:?}");
        return ("Touched".into(), Vec::new());
    }
    let part = &found.parts[0];
    let after = (part.change == PartChange::Grown).then_some(known.position);
    let (rows, known) = land(&*connector, part, after).await;
    let again = discover(&*folder.connector(&options), &[known]).await;
    assert!(again.parts.is_empty() && again.refreshed.is_empty(), "{again:?}");
    (format!("{:?}", part.change), rows)
}

async fn check(name: &str, before: &str, after: &str, change: &str, rows: &[&str]) {
    let found = next_run(name, before.as_bytes(), after.as_bytes(), "replace").await;
    assert_eq!(
        (found.0.as_str(), found.1),
        (change, rows.iter().map(|row| (*row).to_owned()).collect()),
        "{after:?}"
    );
}

#[tokio::test]
async fn appended_text_is_read_from_where_it_starts() {
    check("a.csv", "a,b\n1,x\n", "a,b\n1,x\n2,y\n", "Grown", &["3: a: 2, b: y"]).await;
    check("a.csv", "a,b\n1,x", "a,b\n1,x\n2,y", "Grown", &["3: a: 2, b: y"]).await;
    check("a.csv", "a,b\r\n1,x\r\n", "a,b\r\n1,x\r\n2,y\r\n", "Grown", &["3: a: 2, b: y"]).await;
    check("a.csv", "a,b\r\n1,x", "a,b\r\n1,x\r\n2,y", "Grown", &["3: a: 2, b: y"]).await;
    check("a.csv", "a,b\n", "a,b\n1,x\n", "Grown", &["2: a: 1, b: x"]).await;
    check("a.csv", "a,b", "a,b\n1,x\n", "Grown", &["2: a: 1, b: x"]).await;
    check("a.csv", "a,b\n1,\"x\ny\"\n\n", "a,b\n1,\"x\ny\"\n\n2,z\n", "Grown", &["5: a: 2, b: z"]).await;
    check("a.csv", "\u{feff}a,b\n1,x\n", "\u{feff}a,b\n1,x\n2,y\n", "Grown", &["3: a: 2, b: y"]).await;
    check("a.jsonl", "{\"a\":1}\n", "{\"a\":1}\n{\"a\":2}\n", "Grown", &["2: a: 2"]).await;
    check("a.jsonl", "{\"a\":1}", "{\"a\":1}\n{\"a\":2}", "Grown", &["2: a: 2"]).await;
}

#[tokio::test]
async fn text_that_changes_what_was_read_replaces_it() {
    let all = ["2: a: 1, b: xy", "3: a: 2, b: z"];
    check("a.csv", "a,b\n1,x", "a,b\n1,xy\n2,z\n", "Replaced", &all).await;
    check("a.csv", "a,b\n1,x\n2,z\n", "a,b\n1,xy\n2,z\n", "Replaced", &all).await;
    check("a.csv", "a,b\n3,q\n", "a,b\n1,xy\n2,z\n", "Replaced", &all).await;
    check("a.csv", "a,b\n1,xy\n2,z\n3,q\n", "a,b\n1,xy\n2,z\n", "Replaced", &all).await;
    check("a.csv", "", "a,b\n1,xy\n2,z\n", "Replaced", &all).await;
    // The quote that was not closed is closed by the text that follows.
    check("a.csv", "a,b\n1,\"x\n", "a,b\n1,\"x\ny\"\n", "Replaced", &["2: a: 1, b: x\ny"]).await;
    check("a.csv", "a,b\n1,xy\n", "a,c\n1,xy\n2,z\n", "Replaced", &["2: a: 1, c: xy", "3: a: 2, c: z"]).await;
}

#[tokio::test]
async fn compressed_files_do_not_grow() {
    let (before, after) = (gzip(b"a\n1\n"), [gzip(b"a\n1\n"), gzip(b"2\n")].concat());
    let found = next_run("a.csv.gz", &before, &after, "replace").await;
    assert_eq!(found, ("Replaced".into(), vec!["2: a: 1".into(), "3: a: 2".into()]));
}

#[tokio::test]
async fn a_touched_file_is_not_read_again() {
    check("a.csv", "a,b\n1,x\n", "a,b\n1,x\n", "Touched", &[]).await;
    check("a.jsonl", "{}\n", "{}\n", "Touched", &[]).await;
    assert_eq!(next_run("a.csv.gz", &gzip(b"a\n1\n"), &gzip(b"a\n1\n"), "replace").await.0, "Touched");
    let parquet = crate::typed::parquet_bytes(&crate::typed::people(1, 5), 10);
    assert_eq!(next_run("a.parquet", &parquet, &parquet, "replace").await.0, "Touched");
    let avro = crate::typed::avro_bytes(&[crate::typed::people(1, 5)]);
    assert_eq!(next_run("a.avro", &avro, &avro, "replace").await.0, "Touched");
}

#[tokio::test]
async fn on_change_append_adds_the_new_content() {
    let found = next_run("a.csv", b"a\n1\n", b"a\n5\n", "append").await;
    assert_eq!(found, ("New".into(), vec!["2: a: 5".into()]));
    let found = next_run("a.csv", b"a\n1\n", b"a\n1\n2\n", "append").await;
    assert_eq!(found, ("Grown".into(), vec!["3: a: 2".into()]));
}

#[tokio::test]
async fn growth_goes_on_over_several_runs() {
    let folder = Folder::new();
    let options = options("a.csv");
    folder.write("a.csv", "id\n");
    let mut known: Vec<KnownPart> = Vec::new();
    let mut rows = Vec::new();
    for id in 0..5 {
        let connector = folder.connector(&options);
        let found = discover(&*connector, &known).await;
        let after = known.first().map(|part| part.position);
        let (new, part) = land(&*connector, &found.parts[0], after).await;
        rows.extend(new);
        known = vec![part];
        folder.tick().await;
        let mut file = fs::OpenOptions::new().append(true).open(folder.path("a.csv")).unwrap();
        writeln!(file, "{id}").unwrap();
    }
    assert_eq!(rows, ["2: id: 0", "3: id: 1", "4: id: 2", "5: id: 3"]);
}

#[tokio::test]
async fn a_growing_part_can_be_read_whole() {
    let folder = Folder::new();
    folder.write("a.csv", "id\n1\n");
    let connector = folder.connector(&options("a.csv"));
    let (_, known) = land(&*connector, &discover(&*connector, &[]).await.parts[0], None).await;
    folder.tick().await;
    folder.write("a.csv", "id\n1\n2\n");
    let found = discover(&*connector, &[known]).await;
    assert_eq!(found.parts[0].change, PartChange::Grown);
    assert_eq!(found.parts[0].bytes, Some(2));
    assert_eq!(land(&*connector, &found.parts[0], None).await.0, ["2: id: 1", "3: id: 2"]);
}

#[tokio::test]
async fn a_version_that_nobody_understands_counts_as_other_content() {
    let folder = Folder::new();
    folder.write("a.csv", "id\n1\n");
    let connector = folder.connector(&options("a.csv"));
    for version in ["", "{}", "{\"v\":99,\"size\":5}", "null"] {
        let known = KnownPart { id: "a.csv".into(), version: PartVersion(version.into()), position: 2 };
        let found = discover(&*connector, &[known]).await;
        assert_eq!(found.parts[0].change, PartChange::Replaced, "{version}");
    }
}

#[tokio::test]
async fn a_version_written_by_the_first_release_is_understood() {
    let sample = include_str!("../samples/file_version_1.json").trim();
    let hash = blake3::hash(b"id\n1\n").to_hex().to_string();
    let known =
        KnownPart { id: "a.csv".into(), version: PartVersion(sample.replace("HASH", &hash)), position: 2 };
    let folder = Folder::new();
    folder.write("a.csv", "id\n1\n2\n");
    let found = discover(&*folder.connector(&options("a.csv")), &[known]).await;
    assert_eq!(found.parts[0].change, PartChange::Grown);
}

#[tokio::test]
async fn a_file_that_is_still_written_waits() {
    let folder = Folder::new();
    folder.write("a.csv", "id\n1\n");
    let connector = folder.connector(&json!({"path": "*.csv", "settle": "4s"}));
    let path = folder.path("a.csv");
    let writer = tokio::task::spawn_blocking(move || {
        for _ in 0..30 {
            std::thread::sleep(Duration::from_millis(10));
            writeln!(fs::OpenOptions::new().append(true).open(&path).unwrap(), "2").unwrap();
        }
    });
    let found = discover(&*connector, &[]).await;
    assert!(found.parts.is_empty(), "{found:?}");
    assert_eq!(found.waiting[0].reason, "it is still being written");
    writer.await.unwrap();
    assert_eq!(discover(&*connector, &[]).await.parts.len(), 1);
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_not_landed() {
    for name in ["a.csv", "a.jsonl"] {
        let folder = Folder::new();
        folder.write(name, "{}\n".repeat(100_000));
        let mut options = options(name);
        options["block_bytes"] = 1000.into();
        let connector = folder.connector(&options);
        let part = &discover(&*connector, &[]).await.parts[0];
        let mut blocks = connector.read(part, &ReadRequest::default()).await.unwrap();
        blocks.next().await.unwrap().unwrap();
        folder.tick().await;
        folder.write(name, "{}\n".repeat(50_000));
        let mut last = None;
        while let Some(block) = blocks.next().await {
            last = Some(block.map(|_| ()));
        }
        assert!(matches!(last, Some(Err(ConnectorError::Changed { .. }))), "{last:?}");
    }
}

#[tokio::test]
async fn a_reading_that_nobody_wants_ends() {
    let folder = Folder::new();
    folder.write("a.csv", "id\n1\n".repeat(100_000));
    let mut options = options("a.csv");
    options["block_bytes"] = 100.into();
    let connector = folder.connector(&options);
    let part = &discover(&*connector, &[]).await.parts[0];
    let mut blocks = connector.read(part, &ReadRequest::default()).await.unwrap();
    blocks.next().await.unwrap().unwrap();
    drop(blocks);
    // Only a reading that has seen the end knows the hash.
    assert_eq!(connector.finish(part).await.unwrap().version, part.version);
}
