//! Features of events as they arrive: how many come from HTTP into ten windows, and how soon a read has one.

use serde::Deserialize;

use super::{
    Context, Row,
    project::{Project, remove},
    serving::Server,
    table::Target,
};
use crate::{Result, process};

const PER_SECOND_MIN: f64 = 400_000.0;
const P50_MAX: f64 = 0.010;
const P99_MAX: f64 = 0.050;

const SOURCE: &str = r"connector: {type: http, commit_every: 1h, commit_rows: 1000000000}
contract:
  columns:
    customer_id: {type: int64, required: true}
    at: {type: timestamp, required: true}
    amount: {type: float64}
";

const VIEW: &str = r#"entity: {name: customer, key: customer_id}
views:
  clicks:
    from: bronze.clicks
    time: at
    include_same_instant: true
    features:
      count_5m: {count: "*", window: 5m}
      count_1h: {count: "*", window: 1h}
      count_1d: {count: "*", window: 1d}
      count_30d: {count: "*", window: 30d}
      sum_10m: {sum: amount, window: 10m}
      sum_1h: {sum: amount, window: 1h}
      sum_7d: {sum: amount, window: 7d}
      mean_1d: {mean: amount, window: 1d}
      min_7d: {min: amount, window: 7d}
      max_7d: {max: amount, window: 7d}
services:
  ranking: [clicks.*]
"#;

/// What the script has measured.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Measured {
    per_second: f64,
    accepted_per_second: f64,
    p50: f64,
    p99: f64,
}

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let project = Project::new(context.folder.join("stream_features"))?;
    project.file("sources/clicks.yaml", SOURCE)?;
    project.file("features/customer.yaml", VIEW)?;
    let server = Server::millstream(context, &project.folder)?;
    let (events, probes) = if context.quick { ("200000", "100") } else { ("4000000", "1000") };
    let before = server.cpu_seconds()?;
    let mut script = context.script("stream_check.py");
    let text = process::output(script.arg(&server.address).arg(events).arg(probes))?;
    let cpu = server.cpu_seconds()? - before;
    let measured: Measured = serde_json::from_str(&text)?;
    drop(server);
    remove(&project.folder)?;
    let what = "ten windows over 100,000 keys, from JSON";
    Ok(vec![
        Row::figure(
            format!("{what}: events in features"),
            measured.per_second,
            Target::PerSecond(PER_SECOND_MIN),
        ),
        Row::figure(
            format!("{what}: events accepted"),
            measured.accepted_per_second,
            Target::RecordedRate,
        ),
        Row::figure(format!("{what}: server CPU of all"), cpu, Target::Recorded),
        Row::figure("an event accepted until a read has it: p50", measured.p50, Target::Seconds(P50_MAX)),
        Row::figure("an event accepted until a read has it: p99", measured.p99, Target::Seconds(P99_MAX)),
    ])
}
