//! Pushing rows over HTTP: durable when answered, seen by the next read.

use serde::Deserialize;

use super::{
    Context, Row,
    feature_project::{COLUMNS, landed, newest_views},
    load::flood,
    serving::Server,
    table::Target,
};
use crate::{Result, process};

const ENTITIES: u64 = 10_000;
const P99_MAX: f64 = 0.005;
const CONNECTIONS: u32 = 1_000;
/// The least pushes per second over all connections, as a multiple of those of one connection: that many share a sync
/// of the disk.
const SHARED_MIN: f64 = 5.0;

/// Seconds from the start of a push to the end of the read that saw it.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Seen {
    p50: f64,
    p99: f64,
    max: f64,
}

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let project = landed(context, "push", &["int64"; COLUMNS], (ENTITIES, ENTITIES), |project| {
        newest_views(project, 1)
    })?;
    process::output(&mut context.materialize(&project.folder, false))?;
    let server = Server::millstream(context, &project.folder)?;
    let (count, seconds) = if context.quick { ("200", 2) } else { ("2000", 10) };
    let text = process::output(context.script("push_check.py").arg(&server.address).arg(count))?;
    let seen: Seen = serde_json::from_str(&text)?;
    let url = server.url("/v1/features/views/fv_0/push");
    let one = flood(context, &url, "push.lua", 1, seconds)?;
    let many = flood(context, &url, "push.lua", CONNECTIONS, seconds)?;
    let what = "push of one row";
    Ok(vec![
        Row::figure(format!("{what}, durable: p50"), one.p50 / 1e6, Target::Recorded),
        Row::figure(format!("{what}, durable: p99"), one.p99 / 1e6, Target::Seconds(P99_MAX)),
        Row::figure(format!("{what}, durable: max"), one.max / 1e6, Target::Recorded),
        Row::figure(format!("{what} and the read that sees it: p50"), seen.p50, Target::Recorded),
        Row::figure(format!("{what} and the read that sees it: p99"), seen.p99, Target::Seconds(P99_MAX)),
        Row::figure(format!("{what} and the read that sees it: max"), seen.max, Target::Recorded),
        Row::figure(
            format!("pushes on {CONNECTIONS} connections"),
            many.per_second(),
            Target::PerSecondRatio(SHARED_MIN),
        )
        .beside("on one", one.per_second()),
        Row::figure(format!("pushes on {CONNECTIONS} connections: p99"), many.p99 / 1e6, Target::Recorded),
    ])
}
