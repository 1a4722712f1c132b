//! Which files a path means, locally and through an object store.

use std::{fs, time::Duration};

use millstream_connector::ConnectorError;
use serde_json::json;

use crate::folder::{Folder, discover, land, options};

fn filled() -> Folder {
    let folder = Folder::new();
    for name in [
        "data/b.csv",
        "data/a.csv",
        "data/.hidden.csv",
        "data/c.jsonl",
        "data/sub/d.csv",
        "data/sub/deep/e.csv",
        "data/x[1].csv",
        "data/100%.csv",
        "data/with space.csv",
        "data/é.csv",
    ] {
        let content = if name.ends_with("jsonl") { "{\"id\":1}\n" } else { "id\n1\n" };
        folder.write(name, content);
    }
    folder
}

async fn check(pattern: &str, expected: &[&str]) {
    let folder = filled();
    let connector = folder.connector(&options(pattern));
    let found = discover(&*connector, &[]).await;
    let ids: Vec<&str> = found.parts.iter().map(|part| part.id.as_str()).collect();
    assert_eq!(ids, expected, "{pattern}");
    for part in &found.parts {
        assert_eq!(land(&*connector, part, None).await.0.len(), 1, "{pattern}: {}", part.id);
    }

    // The same through the interface of an object store.
    let root = format!("file://{}", folder.dir.path().display());
    let connector = folder.connector(&options(&format!("{root}/{}", pattern.trim_start_matches("./"))));
    let found = discover(&*connector, &[]).await;
    let ids: Vec<&str> = found.parts.iter().map(|part| part.id.as_str()).collect();
    let expected: Vec<String> = expected.iter().map(|id| format!("{root}/{id}")).collect();
    assert_eq!(ids, expected, "{pattern} by URL");
    for part in &found.parts {
        assert_eq!(land(&*connector, part, None).await.0.len(), 1, "{}", part.id);
    }
}

#[tokio::test]
async fn patterns() {
    check("data/a.csv", &["data/a.csv"]).await;
    check("./data/a.csv", &["data/a.csv"]).await;
    check("data/[ab].csv", &["data/a.csv", "data/b.csv"]).await;
    check("data/?.csv", &["data/a.csv", "data/b.csv"]).await;
    check("data/é*.csv", &["data/é.csv"]).await;
    check("data/{a,c}.{csv,jsonl}", &["data/a.csv", "data/c.jsonl"]).await;
    check("data/**/[de].csv", &["data/sub/d.csv", "data/sub/deep/e.csv"]).await;
    check("data/*/d.csv", &["data/sub/d.csv"]).await;
    check("**/e.csv", &["data/sub/deep/e.csv"]).await;
    check("*/a.csv", &["data/a.csv"]).await;
    check("data/.h*.csv", &["data/.hidden.csv"]).await;
    check("data/w*.csv", &["data/with space.csv"]).await;
}

#[tokio::test]
async fn odd_names_are_read_by_their_own_name() {
    let folder = filled();
    for pattern in ["data/x\\[1\\].csv", "data/100%.csv", "data/1*.csv"] {
        let connector = folder.connector(&options(pattern));
        let found = discover(&*connector, &[]).await;
        assert_eq!(found.parts.len(), 1, "{pattern}");
        assert_eq!(land(&*connector, &found.parts[0], None).await.0, ["2: id: 1"]);
    }
}

#[tokio::test]
async fn absolute_paths_keep_their_form() {
    let folder = filled();
    let pattern = folder.path("data/a*.csv").display().to_string();
    let found = discover(&*folder.connector(&options(&pattern)), &[]).await;
    assert_eq!(found.parts[0].id, folder.path("data/a.csv").display().to_string());
}

#[tokio::test]
async fn nothing_matches() {
    let folder = filled();
    let found = discover(&*folder.connector(&options("data/*.avro")), &[]).await;
    assert!(found.parts.is_empty());
    assert_eq!(
        (found.waiting[0].id.as_str(), found.waiting[0].reason.as_str()),
        ("data/*.avro", "no file matches")
    );
}

#[tokio::test]
async fn files_that_cannot_be_read_are_named() {
    let folder = Folder::new();
    folder.write("data/notes.txt", "x");
    folder.write("data/old.parquet.gz", "x");
    let found = discover(&*folder.connector(&options("data/*")), &[]).await;
    let reasons: Vec<&str> = found.waiting.iter().map(|part| part.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "its name does not tell the format; add `format:` to the connector",
            "files of this format are compressed inside; decompress the file",
        ]
    );
    let typed = folder.connector(&json!({"path": "data/notes*", "format": "csv", "settle": 0}));
    assert_eq!(discover(&*typed, &[]).await.parts.len(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_followed_once() {
    let folder = filled();
    std::os::unix::fs::symlink(folder.path("data"), folder.path("data/loop")).unwrap();
    std::os::unix::fs::symlink(folder.path("data/a.csv"), folder.path("data/link.csv")).unwrap();
    std::os::unix::fs::symlink(folder.path("data/gone.csv"), folder.path("data/dangling.csv")).unwrap();
    let found = discover(&*folder.connector(&options("data/**/{link,dangling,d}.csv")), &[]).await;
    let ids: Vec<&str> = found.parts.iter().map(|part| part.id.as_str()).collect();
    assert_eq!(ids, ["data/link.csv", "data/sub/d.csv"]);
}

#[tokio::test]
async fn missing_places_and_folders_are_refused_with_a_hint() {
    let folder = filled();
    for (path, hint) in [
        ("nowhere/*.csv", "relative paths start at the project's folder"),
        ("data/missing.csv", "relative paths start at the project's folder"),
        ("data/sub.csv", "relative paths start at the project's folder"),
        ("file:///nowhere/at/all/x.csv", "look for a spelling mistake"),
    ] {
        let error = folder.connector(&options(path)).discover(&[]).await.unwrap_err();
        assert!(matches!(error, ConnectorError::Refused { .. }), "{path}: {error:?}");
        assert!(error.hint().unwrap().contains(hint), "{path}: {error:?}");
        assert_eq!(error.code(), "MS-0302");
    }
    fs::create_dir(folder.path("data/folder.csv")).unwrap();
    let error = folder.connector(&options("data/folder.csv")).discover(&[]).await.unwrap_err();
    assert_eq!(error.hint(), Some("write a pattern for the files in it: `data/folder.csv/*.csv`"));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_worth_another_try() {
    let folder = Folder::new();
    // A port that nobody listens on.
    let connector = folder.connector(&options("http://127.0.0.1:9/data.csv"));
    let error =
        tokio::time::timeout(Duration::from_secs(300), connector.discover(&[])).await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectorError::Unavailable { .. }), "{error:?}");
}
