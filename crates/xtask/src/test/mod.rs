//! `cargo xtask test`: every test on the release profile, with the services that some suites need.

mod postgres;
mod redis;
mod s3;
mod summary;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, ExitStatus, Stdio},
};

use crate::{
    Result, Workspace, debian, process,
    python::{self, Python},
};
use summary::Summary;

/// Tests that talk to an object store find it here; without it they say so in [`SKIPS`] and pass.
const S3_ENDPOINT: &str = "MILLSTREAM_TEST_S3_ENDPOINT";
/// Tests that talk to a Redis server find its address here.
const REDIS: &str = "MILLSTREAM_TEST_REDIS";
/// Tests that talk to a PostgreSQL server find its address here.
const POSTGRES: &str = "MILLSTREAM_TEST_POSTGRES";
/// A Python that has the packages below, for the suites in which other programs read our tables and ask our server.
const PYTHON: &str = "MILLSTREAM_TEST_PYTHON";
/// Prometheus's tool that judges figures.
const PROMTOOL: &str = "MILLSTREAM_TEST_PROMTOOL";
/// A Python that has Prometheus's own parser of figures.
const PROMETHEUS: &str = "MILLSTREAM_TEST_PROMETHEUS";
/// A file to which a test that cannot run appends one line: its name and why.
const SKIPS: &str = "MILLSTREAM_TEST_SKIPS";

/// A Python that has Feast, for the suite in which its SDK asks our server.
const FEAST: &str = "MILLSTREAM_TEST_FEAST";

/// Prometheus's client for Python, with a parser of what servers answer.
const PROMETHEUS_CLIENT: [&str; 1] = ["prometheus-client==0.26.0"];

const READERS: [&str; 9] = [
    "duckdb==2.0.0",
    "deltalake==1.6.6",
    "pyarrow==26.0.1",
    "httpx==0.28.1",
    "pandas==3.1.1",
    "polars==2.1.0",
    "pytest==9.2.0",
    "jsonschema==4.26.0",
    "opentelemetry-exporter-otlp-proto-http==1.45.2",
];

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let skips = workspace.scratch("test")?.join("skips.txt");
    fs::write(&skips, "")?;
    let mut command = process::cargo(&workspace.root);
    command.args(["test", "--release", "--no-fail-fast"]).env(SKIPS, &skips);
    if !arguments.iter().any(|argument| argument == "-p" || argument.starts_with("--package")) {
        command.args(["--workspace", "--features", "millstream/full"]);
    }
    command.args(arguments);
    let mut missing = Vec::new();
    // The server lives until the tests are through.
    let server = match s3::Server::start(workspace) {
        Ok(server) => Some(server),
        Err(error) => {
            missing.push(format!("suites on an S3 server are skipped: {error}"));
            None
        }
    };
    match &server {
        Some(server) => command.env(S3_ENDPOINT, server.endpoint()),
        None => command.env_remove(S3_ENDPOINT),
    };
    let redis = match redis::Server::start(workspace) {
        Ok(server) => Some(server),
        Err(error) => {
            missing.push(format!("suites on a Redis server are skipped: {error}"));
            None
        }
    };
    match &redis {
        Some(server) => command.env(REDIS, server.url()),
        None => command.env_remove(REDIS),
    };
    let postgres = match postgres::Server::start(workspace) {
        Ok(server) => Some(server),
        Err(error) => {
            missing.push(format!("suites on a PostgreSQL server are skipped: {error}"));
            None
        }
    };
    match &postgres {
        Some(server) => command.env(POSTGRES, server.url()),
        None => command.env_remove(POSTGRES),
    };
    match Python::with(workspace, "readers", &READERS) {
        Ok(python) => command.env(PYTHON, python.interpreter()),
        Err(error) => {
            missing.push(format!("suites with Python's packages are skipped: {error}"));
            command.env_remove(PYTHON)
        }
    };
    match Python::with(workspace, "feast", &python::FEAST) {
        Ok(python) => command.env(FEAST, python.interpreter()),
        Err(error) => {
            missing.push(format!("the suite with Feast's SDK is skipped: {error}"));
            command.env_remove(FEAST)
        }
    };
    judge_figures(workspace, &mut command, &mut missing);
    missing.iter().for_each(|line| eprintln!("warning: {line}"));
    let (status, mut summary) = run_tests(&mut command)?;
    drop((server, redis, postgres));
    report(&skips, &missing, &mut summary)?;
    println!("{summary}");
    if status.success() && summary.failed == 0 {
        Ok(())
    } else {
        Err(format!("`cargo test` ended with {status}").into())
    }
}

/// Gives the suites of figures what Prometheus judges and reads them with, or says why these are skipped.
fn judge_figures(workspace: &Workspace, command: &mut Command, missing: &mut Vec<String>) {
    match debian::provide("promtool", "prometheus") {
        Ok(()) => command.env(PROMTOOL, "promtool"),
        Err(error) => {
            missing.push(format!("the suite with promtool is skipped: {error}"));
            command.env_remove(PROMTOOL)
        }
    };
    match Python::with(workspace, "prometheus", &PROMETHEUS_CLIENT) {
        Ok(python) => command.env(PROMETHEUS, python.interpreter()),
        Err(error) => {
            missing.push(format!("the suite with Prometheus's parser is skipped: {error}"));
            command.env_remove(PROMETHEUS)
        }
    };
}

/// Passes the output on as it comes and adds up what each test binary says.
fn run_tests(command: &mut Command) -> Result<(ExitStatus, Summary)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut summary = Summary::default();
    let mut terminal = std::io::stdout().lock();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line?;
            terminal.write_all(&line)?;
            terminal.write_all(b"\n")?;
            summary.add(&String::from_utf8_lossy(&line));
        }
    }
    Ok((child.wait()?, summary))
}

/// Says again, at the end, what was not tested, and counts it as skipped rather than passed.
fn report(skips: &Path, missing: &[String], summary: &mut Summary) -> Result<()> {
    println!();
    missing.iter().for_each(|line| println!("{line}"));
    for line in fs::read_to_string(skips)?.lines() {
        println!("skipped: {line}");
        summary.skip_passed();
    }
    Ok(())
}
