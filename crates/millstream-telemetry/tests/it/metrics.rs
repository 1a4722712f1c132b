//! The text of the figures keeps the rules of Prometheus, and has a bounded number of series.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use millstream_telemetry::{Metrics, StepSeen};

fn step<'a>(asset: &'a str, outcome: &'a str) -> StepSeen<'a> {
    StepSeen {
        asset,
        kind: "table",
        outcome,
        is_well: outcome == "built",
        finished: 1_700_000_000,
        took: Some(Duration::from_millis(20)),
        queued: Some(Duration::from_millis(3)),
        rows_written: 10,
        rows_rejected: 2,
        bytes_read: 1_000,
        bytes_written: 500,
        cpu: Duration::from_millis(7),
        retries: 1,
    }
}

fn seen() -> Metrics {
    let metrics = Metrics::new().unwrap();
    metrics.run_ended("succeeded", Duration::from_millis(30));
    metrics.step_ended(&step("silver.orders", "built"));
    metrics.step_ended(&step("silver.orders", "failed"));
    metrics.decided("start");
    metrics.scheduled(3, 1);
    metrics.messages_waiting("openlineage", 4);
    metrics.messages_dropped("openlineage", 2);
    let read = metrics.route("/v1/features/read");
    read.answered(200, Duration::from_micros(600));
    read.answered(503, Duration::from_millis(2));
    metrics
}

/// The samples by name with labels, and the type of each family.
fn parsed(text: &str) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let (mut samples, mut types, mut helped) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(help.ends_with('.') && helped.insert(name.to_owned()), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(helped.contains(name), "{line}");
            types.insert(name.to_owned(), kind.to_owned());
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{line}");
        }
    }
    (samples, types)
}

#[test]
fn what_was_seen_is_counted() {
    let (text, content_type) = seen().text().unwrap();
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    let (samples, _) = parsed(&text);
    let expected = [
        (r#"millstream_runs_total{outcome="succeeded"}"#, 1.0),
        (r#"millstream_steps_total{kind="table",outcome="built"}"#, 1.0),
        (r#"millstream_asset_steps_total{asset="silver.orders",outcome="failed"}"#, 1.0),
        (r#"millstream_asset_last_success_timestamp_seconds{asset="silver.orders"}"#, 1_700_000_000.0),
        (r#"millstream_rows_written_total{kind="table"}"#, 20.0),
        (r#"millstream_rows_rejected_total{kind="table"}"#, 4.0),
        (r#"millstream_step_retries_total{kind="table"}"#, 2.0),
        (r#"millstream_step_duration_seconds_bucket{kind="table",le="0.05"}"#, 2.0),
        (r#"millstream_schedule_decisions_total{decision="start"}"#, 1.0),
        ("millstream_schedule_queue_depth", 3.0),
        (r#"millstream_telemetry_waiting_messages{receiver="openlineage"}"#, 4.0),
        (r#"millstream_http_requests_total{route="/v1/features/read",status="2xx"}"#, 1.0),
        (r#"millstream_http_requests_total{route="/v1/features/read",status="5xx"}"#, 1.0),
        ("millstream_online_read_duration_seconds_count", 2.0),
        ("millstream_online_push_duration_seconds_count", 0.0),
    ];
    for (name, value) in expected {
        assert_eq!(samples.get(name), Some(&value), "{name} in\n{text}");
    }
    assert!(text.contains(concat!("millstream_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1")));
    assert!(samples["process_cpu_seconds_total"] > 0.0);
    if cfg!(target_os = "linux") {
        assert!(samples["process_resident_memory_bytes"] > 1_000_000.0 && samples["process_open_fds"] > 2.0);
    }
}

#[test]
fn names_keep_the_rules() {
    let (_, types) = parsed(&seen().text().unwrap().0);
    for (name, kind) in types {
        assert!(name.starts_with("millstream_") || name.starts_with("process_"), "{name}");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        assert!(kind != "histogram" || name.ends_with("_seconds"), "{name}");
        for unit in ["_ms", "_milliseconds", "_micros", "_kb", "_mb", "_minutes"] {
            assert!(!name.contains(unit), "{name}");
        }
    }
}

#[test]
fn assets_beyond_the_bound_share_a_series() {
    let metrics = seen();
    for number in 0..5_000 {
        metrics.step_ended(&step(&format!("silver.t{number}"), "built"));
    }
    let (samples, _) = parsed(&metrics.text().unwrap().0);
    let assets = samples.keys().filter(|name| name.starts_with("millstream_asset_steps_total{")).count();
    // One asset has two outcomes, and there is the series of all others.
    assert_eq!(assets, 1_000 + 1 + 1);
    let others = r#"millstream_asset_steps_total{asset="other",outcome="built"}"#;
    assert_eq!(samples[others], 4_001.0);
    assert!(!samples.contains_key(r#"millstream_asset_last_success_timestamp_seconds{asset="other"}"#));
}

#[test]
fn odd_names_of_assets_are_escaped() {
    let metrics = Metrics::new().unwrap();
    metrics.step_ended(&step("silver.\"a\\b\"\n", "built"));
    let text = metrics.text().unwrap().0;
    assert!(text.contains(r#"asset="silver.\"a\\b\"\n""#), "{text}");
}

/// What `cargo xtask test` gives to suites that need a program; a suite without it writes down why it was skipped.
#[allow(clippy::disallowed_methods, reason = "a test is its own edge: it asks the environment")]
fn given(variable: &str, suite: &str, missing: &str) -> Option<String> {
    if let Ok(value) = std::env::var(variable) {
        return Some(value);
    }
    if let Ok(skips) = std::env::var("MILLSTREAM_TEST_SKIPS") {
        let mut file = OpenOptions::new().create(true).append(true).open(skips).unwrap();
        writeln!(file, "millstream-telemetry: {suite} ({missing})").unwrap();
    }
    None
}

/// What the program says of the figures, which it reads from standard input.
fn said(program: &str, arguments: &[&str], text: &str) -> (bool, String) {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tool = command.spawn().unwrap();
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.success(), said)
}

#[test]
fn promtool_finds_no_fault() {
    let suite = "promtool judges the figures";
    let Some(promtool) = given("MILLSTREAM_TEST_PROMTOOL", suite, "no promtool") else { return };
    let text = seen().text().unwrap().0;
    let (is_good, told) = said(&promtool, &["check", "metrics"], &text);
    assert!(is_good && told.trim().is_empty(), "{told}");
    // The tool looks at what it is given.
    let wrong = format!("{text}# TYPE millstream_wrong_ms counter\nmillstream_wrong_ms 1\n");
    assert!(!said(&promtool, &["check", "metrics"], &wrong).1.trim().is_empty());
}

/// Prints each sample as a line of a list: its name, its labels in their order, its value.
const PARSE: &str = "
import json, sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation and family.type != 'unknown', family
    for sample in family.samples:
        print(json.dumps([sample.name, sorted(sample.labels.items()), float(sample.value)]))
";

#[test]
fn the_parser_of_prometheus_reads_every_sample() {
    let suite = "Prometheus's parser reads the figures";
    let Some(python) = given("MILLSTREAM_TEST_PROMETHEUS", suite, "no Python with prometheus-client") else {
        return;
    };
    let metrics = seen();
    metrics.step_ended(&step("silver.\"a\\b\"\n", "built"));
    let text = metrics.text().unwrap().0;
    let (is_good, told) = said(&python, &["-c", PARSE], &text);
    assert!(is_good, "{told}");
    assert_eq!(told.lines().count(), parsed(&text).0.len(), "{told}");
    for sample in [
        r#"["millstream_runs_total", [["outcome", "succeeded"]], 1.0]"#,
        r#"["millstream_asset_steps_total", [["asset", "silver.\"a\\b\"\n"], ["outcome", "built"]], 1.0]"#,
        r#"["millstream_step_duration_seconds_bucket", [["kind", "table"], ["le", "0.05"]], 3.0]"#,
    ] {
        assert!(told.lines().any(|line| line == sample), "{sample} in\n{told}");
    }
}
