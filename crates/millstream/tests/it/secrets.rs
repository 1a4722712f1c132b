//! A secret is in nothing that a command says, in text or as JSON, and in nothing that it keeps of what went wrong. What
//! is wrong with a connection touches its own sources alone.

use std::fs;

use crate::harness::Folder;

const SECRET: &str = "hunter-of-open-doors/1";

/// A source whose files are at a place that is itself a secret, so that every layer repeats it: the connector's message, the
/// library's error, the recorded failure.
const FILES: &[(&str, &str)] = &[
    ("millstream.yaml", "name: quiet\n"),
    ("secret", "hunter-of-open-doors/1\n"),
    ("connections/exports.yaml", "type: files\npath: \"s3-${file:secret}\"\n"),
    (
        "sources/orders.yaml",
        "connector: {type: files, connection: exports, path: orders/a.csv}\ncontract: {columns: {id: {type: int64}}}\n",
    ),
    ("tables/silver/orders.sql", "SELECT id FROM bronze.orders\n"),
];

#[test]
fn no_command_says_a_secret() {
    let folder = Folder::with(FILES);
    for command in [
        &["check"][..],
        &["plan"],
        &["run"],
        &["--log", "debug", "run"],
        &["plan", "--json"],
        &["run", "--json"],
        &["status"],
        &["status", "--json"],
        &["lineage", "silver.orders"],
        &["lineage", "silver.orders", "--json"],
    ] {
        let output = folder.output(command);
        for said in [&output.stdout, &output.stderr] {
            let said = String::from_utf8_lossy(said);
            assert!(!said.contains(SECRET), "{command:?}: {said}");
        }
    }
    let said = folder.run(&["run"]);
    assert!(said.contains("s3-***"), "{said}");
    let kept: Vec<u8> = ["state.db", "state.db-wal"]
        .iter()
        .flat_map(|file| fs::read(folder.path().join(".millstream").join(file)).unwrap_or_default())
        .collect();
    assert!(!kept.is_empty());
    assert!(!String::from_utf8_lossy(&kept).contains(SECRET), "the state store keeps a secret");
}

#[test]
fn a_faulty_connection_does_not_say_its_secrets() {
    let folder = Folder::with(FILES);
    folder.write(
        "connections/exports.yaml",
        "type: files\npath: \"s9://${file:secret}\"\nstorage: [\"${file:secret}\"]\n",
    );
    for command in [&["check"][..], &["check", "--json"], &["run"], &["run", "--json"]] {
        let output = folder.output(command);
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        for said in [&output.stdout, &output.stderr] {
            let said = String::from_utf8_lossy(said);
            assert!(!said.contains(SECRET), "{command:?}: {said}");
        }
    }
}

#[test]
fn a_faulty_connection_takes_only_its_own_sources_along() {
    let folder = Folder::with(FILES);
    folder.write("connections/exports.yaml", "type: files\npth: x\n");
    folder.write(
        "sources/others.yaml",
        "connector: {type: files, path: a.csv}\ncontract: {columns: {id: {type: int64}}}\n",
    );
    folder.write("tables/silver/others.sql", "SELECT id FROM bronze.others\n");
    let said = folder.run(&["lineage", "silver.others"]);
    assert!(said.contains("what does not depend on these files goes on"), "{said}");
    assert!(said.contains("bronze.others"), "{said}");
    let said = folder.run(&["lineage", "silver.orders"]);
    assert!(!said.contains("bronze.orders"), "{said}");
}
