//! Events over HTTP, each durable when it is answered: single ones from 64 connections, and a thousand in a request as JSON lines.

use super::{
    Context, Row,
    load::flood,
    project::{Project, remove},
    serving::Server,
    table::Target,
};
use crate::Result;

const CONNECTIONS: u32 = 64;
/// Connections that send a thousand events each.
const LARGE_CONNECTIONS: u32 = 8;
const LINES: f64 = 1_000.0;

const SINGLE_PER_SECOND_MIN: f64 = 20_000.0;
const LINES_PER_SECOND_MIN: f64 = 1_000_000.0;

/// What is measured is the way into the log, so that the source lands nothing meanwhile.
const SOURCE: &str = r"connector: {type: http, commit_every: 1h, commit_rows: 1000000000}
contract:
  columns:
    order_id: {type: int64, required: true}
    customer_id: {type: int64}
    amount: {type: double}
    status: {type: string}
    ordered_at: {type: timestamp}
";

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let project = Project::new(context.folder.join("ingest"))?;
    project.file("sources/orders.yaml", SOURCE)?;
    let server = Server::millstream(context, &project.folder)?;
    let url = server.url("/v1/ingest/orders");
    let seconds = if context.quick { 2 } else { 5 };
    flood(context, &url, "ingest_one.lua", CONNECTIONS, 1)?;
    let before = server.cpu_seconds()?;
    let single = flood(context, &url, "ingest_one.lua", CONNECTIONS, seconds)?;
    let cpu = (server.cpu_seconds()? - before) / single.requests;
    let before = server.cpu_seconds()?;
    let lines = flood(context, &url, "ingest_thousand.lua", LARGE_CONNECTIONS, seconds)?;
    let cpu_lines = (server.cpu_seconds()? - before) / (lines.requests * LINES);
    drop(server);
    // Some seconds of events are gigabytes.
    remove(&project.folder)?;
    let what = format!("ingest of single events, {CONNECTIONS} connections");
    Ok(vec![
        Row::figure(
            format!("{what}, durable"),
            single.per_second(),
            Target::PerSecond(SINGLE_PER_SECOND_MIN),
        ),
        Row::figure(format!("{what}: p50"), single.p50 / 1e6, Target::Recorded),
        Row::figure(format!("{what}: p99"), single.p99 / 1e6, Target::Recorded),
        Row::figure(format!("{what}: server CPU per event"), cpu, Target::Recorded),
        Row::figure(
            "ingest of JSON lines by 1,000, durable",
            lines.per_second() * LINES,
            Target::PerSecond(LINES_PER_SECOND_MIN),
        ),
        Row::figure("ingest of JSON lines by 1,000: server CPU per event", cpu_lines, Target::Recorded),
    ])
}
