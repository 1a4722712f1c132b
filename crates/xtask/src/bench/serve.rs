//! Reading features over HTTP from `millstream serve` with the embedded store: 10,000 entities, 5 views of 10 integers
//! each, as in Feast's own benchmark.
//!
//! Times are h2load's at a constant rate; every round asks for other entities. wrk, whose entities are random, floods both
//! us and, with `--feast`, Feast's server on Redis through the same path with the same script.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    Context, Row, feast,
    feature_project::{COLUMNS, landed, newest_views},
    load::{Flood, Rate, Times, at_rate, flood},
    serving::{Server, ask_until},
    table::Target,
};
use crate::{Result, process};

pub(super) const ENTITIES: u64 = 10_000;
pub(super) const VIEWS: usize = 5;
const READ: &str = "/v1/features/read";
/// The name of the HTTP stack with nothing behind it.
const BARE: &str = "bare server";

/// The entities in a request, the requests per second, and the most seconds that the 99th percentile may take.
const LOADS: [(u64, u32, f64); 2] = [(1, 2_000, 0.001), (100, 200, 0.004)];
const CPU_SECONDS_MAX: f64 = 0.000_1;
const START_SECONDS_MAX: f64 = 0.2;
const RESIDENT_BYTES_MAX: f64 = 60.0 * (1 << 20) as f64;

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let types = vec!["int64"; VIEWS * COLUMNS];
    let project =
        landed(context, "serve", &types, (ENTITIES, ENTITIES), |project| newest_views(project, VIEWS))?;
    process::output(&mut context.materialize(&project.folder, false))?;
    let server = Server::millstream(context, &project.folder)?;
    let mut rows = vec![
        Row::figure("start of serve", server.start_seconds, Target::Seconds(START_SECONDS_MAX)),
        Row::figure(
            "memory of serve before a request",
            server.resident_bytes()?,
            Target::Bytes(RESIDENT_BYTES_MAX),
        ),
    ];
    let data = project.folder.join("data/rows.parquet");
    process::output(context.script("read_check.py").arg(server.url(READ)).arg(data))?;
    for load in LOADS {
        rows.extend(read(context, &server, load)?);
    }
    rows.push(beside_queries(context, &server)?);
    rows.extend(beside_feast(context, &server)?);
    Ok(rows)
}

/// A statement that does not end in the time of a measurement.
const HOSTILE: &str = "select count(*) from generate_series(1, 900000) a, generate_series(1, 900000) b where a.value + b.value = 7";
const HOSTILE_QUERIES: usize = 10;
const HOSTILE_RATIO_MAX: f64 = 1.5;

/// The slowest reads while statements that would not end are being computed, beside the slowest reads without them.
fn beside_queries(context: &Context<'_>, server: &Server) -> Result<Row> {
    let (entities, per_second, _) = LOADS[0];
    let mut alone = load(context, server, entities, per_second)?;
    let body = serde_json::json!({"sql": HOSTILE}).to_string();
    let (stop, address) = (AtomicBool::new(false), server.address.as_str());
    let mut beside = std::thread::scope(|scope| {
        for _ in 0..HOSTILE_QUERIES {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // A server that does not answer shows in the reads; here there is nothing to tell.
                    let _ = ask_until(address, "/v1/query", &body, &stop);
                }
            });
        }
        let measured = load(context, server, entities, per_second);
        stop.store(true, Ordering::Relaxed);
        measured
    })?;
    let what = format!("read {entities}x{} beside {HOSTILE_QUERIES} endless queries: p99", VIEWS * COLUMNS);
    let ours = beside.times.percentile(0.99);
    let row = Row::figure(what, ours, Target::Ratio(HOSTILE_RATIO_MAX));
    Ok(row.beside("without them", alone.times.percentile(0.99)))
}

/// The response times of a load, and what it cost the server.
struct Load {
    times: Times,
    /// The server's processor seconds per request.
    cpu: f64,
}

/// Reads at a constant rate, beside the same requests to a bare server that answers as many bytes.
fn read(
    context: &Context<'_>,
    server: &Server,
    (entities, per_second, max): (u64, u32, f64),
) -> Result<Vec<Row>> {
    let mut ours = load(context, server, entities, per_second)?;
    let bytes =
        process::output(context.script("answer_bytes.py").arg(server.url(READ)).arg(body(entities, 0)))?;
    let example = context.example("bare")?;
    let bare = Server::other(|port| {
        let mut command = Command::new(&example);
        command.arg(format!("127.0.0.1:{port}")).arg(bytes.trim());
        command
    })?;
    let mut theirs = load(context, &bare, entities, per_second)?;
    let what = format!("read {entities}x{} at {per_second}/s", VIEWS * COLUMNS);
    let mut figure = |name: &str, share: f64, target: Target| {
        Row::figure(format!("{what}: {name}"), ours.times.percentile(share), target)
            .beside(BARE, theirs.times.percentile(share))
    };
    let mut rows = vec![
        figure("p50", 0.5, Target::Recorded),
        figure("p99", 0.99, Target::Seconds(max)),
        figure("p99.9", 0.999, Target::Recorded),
        figure("max", 1.0, Target::Recorded),
    ];
    let target = if entities == 1 { Target::Seconds(CPU_SECONDS_MAX) } else { Target::Recorded };
    let cpu = Row::figure(format!("{what}: server CPU per request"), ours.cpu, target);
    rows.push(cpu.beside(BARE, theirs.cpu));
    Ok(rows)
}

fn load(context: &Context<'_>, server: &Server, entities: u64, per_second: u32) -> Result<Load> {
    let seconds = if context.quick { 3 } else { 10 };
    let (url, mut times) = (server.url(READ), Times::default());
    let (mut cpu, mut requests) = (0.0, 0.0);
    for round in (0..).take(context.rounds + 1) {
        let body = body(entities, round);
        let rate = Rate { url: &url, body: &body, connections: 2, per_second, seconds };
        let before = server.cpu_seconds()?;
        let measured = at_rate(context, &rate)?;
        if round > 0 {
            cpu += server.cpu_seconds()? - before;
            requests += f64::from(per_second) * f64::from(seconds);
            times.extend(measured);
        }
    }
    Ok(Load { times, cpu: cpu / requests })
}

/// A request for so many different entities, others in each round.
fn body(entities: u64, round: u64) -> String {
    let keys: Vec<_> =
        (0..entities).map(|at| ((round * 7_919 + at * 6_151 + 13) % ENTITIES).to_string()).collect();
    format!(r#"{{"service": "fs_0", "entities": {{"entity": [{}]}}}}"#, keys.join(", "))
}

/// The same requests to both servers on Feast's path; ours alone without `--feast`.
fn beside_feast(context: &Context<'_>, server: &Server) -> Result<Vec<Row>> {
    let theirs = if context.feast { Some(feast::Peer::start(context)?) } else { None };
    let mut rows = Vec::new();
    for (script, entities) in [("read_one.lua", 1), ("read_hundred.lua", 100)] {
        let what = format!("{entities}x{} on Feast's path, 8 connections", VIEWS * COLUMNS);
        let (ours, cpu) = flooded(context, server, script)?;
        let mut rate = Row::figure(format!("{what}: requests"), ours.per_second(), Target::RecordedRate);
        let mut each = Row::figure(format!("{what}: server CPU per request"), cpu, Target::Recorded);
        if let Some(peer) = &theirs {
            let (flood, cpu) = flooded(context, peer.server(), script)?;
            rate = rate.beside("Feast on Redis", flood.per_second());
            each = each.beside("Feast on Redis", cpu);
        }
        rows.extend([rate, each]);
    }
    if theirs.is_none() {
        eprintln!("     Skipping Feast's server on Redis: `--feast` installs and measures it");
    }
    Ok(rows)
}

/// What wrk saw, and the server's processor seconds per request.
fn flooded(context: &Context<'_>, server: &Server, script: &str) -> Result<(Flood, f64)> {
    let url = server.url("/get-online-features");
    let seconds = if context.quick { 3 } else { 10 };
    flood(context, &url, script, 8, 2)?;
    let before = server.cpu_seconds()?;
    let flood = flood(context, &url, script, 8, seconds)?;
    Ok((flood, (server.cpu_seconds()? - before) / flood.requests))
}
