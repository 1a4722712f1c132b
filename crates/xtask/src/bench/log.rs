//! The embedded event log: single events from 64 producers, each synced before its answer, and batches of 1,000. The rate of single
//! events stands beside what as many syncs one after the other would give.
//!
//! Ours is the example `log_bench` of `millstream-log`, which prints its figures.

use std::{fs, process::Command};

use serde::Deserialize;

use super::{Context, Row, table::Target};
use crate::{Result, process};

const SINGLE_PER_SECOND_MIN: f64 = 20_000.0;
const BATCHED_PER_SECOND_MIN: f64 = 1_000_000.0;

#[derive(Clone, Copy, Debug, Deserialize)]
struct Figures {
    sync_seconds: f64,
    single: f64,
    single_p50: f64,
    single_p99: f64,
    messages: f64,
    rows: f64,
    read_messages: f64,
    read_rows: f64,
    open_seconds: f64,
}

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let example = context.example("log_bench")?;
    let folder = context.folder.join("log");
    fs::create_dir_all(&folder)?;
    let mut rounds = Vec::with_capacity(context.rounds);
    for _ in 0..context.rounds {
        let mut command = Command::new(&example);
        command
            .arg(folder.join("data"))
            .arg(context.rows(200_000).to_string())
            .arg(context.rows(3_000_000).to_string());
        let text = process::output(&mut command)?;
        let line = text.lines().rfind(|line| line.starts_with('{')).ok_or("no figures were printed")?;
        rounds.push(serde_json::from_str::<Figures>(line)?);
    }
    let median = |of: fn(&Figures) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Ok(vec![
        Row::figure(
            "log, single synced events",
            median(|round| round.single),
            Target::PerSecond(SINGLE_PER_SECOND_MIN),
        )
        .beside("one sync each", median(|round| 1.0 / round.sync_seconds)),
        Row::figure("log, single synced event, p50", median(|round| round.single_p50), Target::Recorded),
        Row::figure("log, single synced event, p99", median(|round| round.single_p99), Target::Recorded),
        Row::figure(
            "log, messages by 1,000",
            median(|round| round.messages),
            Target::PerSecond(BATCHED_PER_SECOND_MIN),
        ),
        Row::figure(
            "log, rows by 1,000",
            median(|round| round.rows),
            Target::PerSecond(BATCHED_PER_SECOND_MIN),
        ),
        Row::figure("log, messages read", median(|round| round.read_messages), Target::RecordedRate),
        Row::figure("log, rows read", median(|round| round.read_rows), Target::RecordedRate),
        Row::figure("log, opened again", median(|round| round.open_seconds), Target::Recorded),
    ])
}
