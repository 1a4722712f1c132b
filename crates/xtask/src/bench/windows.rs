//! Ten features over windows of 5 minutes to 90 days, beside the fastest SQL of DuckDB for exactly the same values, and
//! how the time grows with the events.

use super::{
    Context, Measure, Row,
    point_in_time::{data, join, same},
};
use crate::Result;

const LABELS: u64 = 100_000;
const EVENTS: u64 = 5_000_000;
const ENTITIES: u64 = 10_000;
/// The most of our time, as a part of the time of the fastest query.
const RATIO_MAX: f64 = 0.2;
/// Multiples of the events, for the same entities, so that each has a longer history.
const GROWTH: [u64; 2] = [2, 4];
/// The most time with more events, as a multiple of the time that n log n gives.
const GROWTH_MAX: f64 = 1.2;
const QUERIES: [(&str, &str); 2] = [("join", "DuckDB join"), ("frames", "DuckDB frames")];

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let (labels, events) = (context.rows(LABELS), context.rows(EVENTS));
    let first = measured(context, labels, events)?;
    let mut peers = Vec::new();
    let inputs = [
        data(context, "labels", labels, ENTITIES, "shuffled")?,
        data(context, "windows", events, ENTITIES, "time")?,
    ];
    let theirs = context.folder.join("windows-theirs.parquet");
    for (query, name) in QUERIES {
        let peer = context.measure_itself(
            || Ok(()),
            || {
                let mut command = context.script("windows_peer.py");
                command.arg(query).args(&inputs).arg(&theirs);
                command
            },
        )?;
        same(context, &context.folder.join("windows-ours.parquet"), &theirs)?;
        peers.push((name, peer));
    }
    peers.sort_by(|(_, one), (_, other)| one.seconds.total_cmp(&other.seconds));
    let what = |labels: u64, events: u64| format!("10 windows, {labels} labels x {events} events");
    let mut rows: Vec<Row> = peers
        .into_iter()
        .map(|(name, peer)| Row::against(what(labels, events), first, name, peer, RATIO_MAX))
        .collect();
    for times in GROWTH {
        let more = measured(context, labels * times, events * times)?;
        let scaled = first.seconds * grown(labels + events, (labels + events) * times);
        let scaled = Measure { seconds: scaled, ..first };
        let what = what(labels * times, events * times);
        rows.push(Row::against(what, more, &format!("n log n from {events}"), scaled, GROWTH_MAX));
    }
    Ok(rows)
}

fn measured(context: &Context<'_>, labels: u64, events: u64) -> Result<Measure> {
    let labels = data(context, "labels", labels, ENTITIES, "shuffled")?;
    let events = data(context, "windows", events, ENTITIES, "time")?;
    let values = context.folder.join("windows-ours.parquet");
    join(context, "windows", [&labels, &events], &values)
}

/// n log n of `more` as a multiple of that of `rows`.
fn grown(rows: u64, more: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "row counts are far below 2^53")]
    let (rows, more) = (rows as f64, more as f64);
    more * more.log2() / (rows * rows.log2())
}
