//! What the header of a continuous table says.

use millstream_project::StreamSpec;

use crate::scratch::{PROJECT, load, render};

fn file(header: &str) -> String {
    format!("/*---\nmaterialize: stream\n{header}\n---*/\nSELECT 1 AS a\n")
}

fn spec(header: &str) -> StreamSpec {
    let loaded = load(&[PROJECT, ("tables/silver/a.sql", &file(header))]);
    assert_eq!(render(&loaded), "");
    loaded.spec.unwrap().tables.remove(0).materialize.stream().unwrap().clone()
}

fn told(header: &str) -> String {
    render(&load(&[PROJECT, ("tables/silver/a.sql", &file(header))]))
}

#[test]
fn what_a_header_leaves_out_has_the_values_of_the_house() {
    let spec = spec("");
    assert!(spec.key.is_empty() && spec.deduplicate.is_none());
    assert_eq!(
        [spec.disorder, spec.lateness, spec.idle_after.unwrap(), spec.commit_every]
            .map(|span| span.to_string()),
        ["5s", "0ms", "30s", "10s"]
    );
    assert_eq!(spec.commit_rows.get(), 1_000_000);
}

#[test]
fn a_header_says_how_late_rows_may_be_and_what_is_a_duplicate() {
    let spec = spec(
        "key: [a, b]\nstream: {disorder: 1ms, lateness: 10m, idle_after: 2m, deduplicate: {by: [id, kind], within: 1h}, commit_every: 500ms, commit_rows: 10}",
    );
    assert_eq!(spec.key.iter().map(|key| key.value.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(
        [spec.disorder, spec.lateness, spec.idle_after.unwrap(), spec.commit_every].map(|span| span.ms()),
        [1, 600_000, 120_000, 500]
    );
    let deduplicate = spec.deduplicate.unwrap();
    assert_eq!(deduplicate.by.iter().map(|by| by.value.as_str()).collect::<Vec<_>>(), ["id", "kind"]);
    assert_eq!(deduplicate.within.ms(), 3_600_000);
    assert_eq!(spec.commit_rows.get(), 10);
}

#[test]
fn what_has_no_meaning_is_refused() {
    for header in [
        "time: a",
        "partition: day",
        "partition: {by: day, column: a}",
        "schedule: every 5m",
        "key: [a, a]",
        "stream: {commit_rows: 0}",
        "stream: {commit_every: 0s}",
        "stream: {deduplicate: {by: [], within: 1h}}",
        "stream: {deduplicate: {by: a, within: 0s}}",
        "stream: {deduplicate: {by: a}}",
        "stream: {disorder: soon}",
        "stream: {watermark: 5s}",
    ] {
        assert_ne!(told(header), "", "{header}");
    }
    let table =
        load(&[PROJECT, ("tables/silver/a.sql", "/*---\nstream: {disorder: 1s}\n---*/\nSELECT 1 AS a\n")]);
    assert!(render(&table).contains("`stream` has no meaning"), "{}", render(&table));
}
