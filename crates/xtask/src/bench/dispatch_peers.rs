//! What a step of a graph of no-op assets takes, beside the step of a Dagster that records it as durably: in SQLite, in one process.
//!
//! Ours is the example `step_overhead` of `millstream-engine`, as in [`super::step_overhead`]. Airflow has no such mode: its scheduler, its
//! API server and its executor are processes of their own that take minutes to install and most of a minute to start, and its
//! chain of 20 tasks was measured apart at 1.5 s a task (version 3.3.2), so that it has no row here.

use std::process::Command;

use super::{Context, Measure, Row};
use crate::{Result, python::Python};

const DAGSTER: [&str; 1] = ["dagster==1.13.28"];

/// The assets of Dagster's chain: 1,000 take five minutes a round.
const ASSETS: u32 = 100;
/// Ours does more, since it would be over before it is measured well. Time grows with the steps, so that each counts the same.
const STEPS: u32 = 1_000;
/// The most of our time for a step, as a part of Dagster's.
const RATIO_MAX: f64 = 0.01;

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let example = context.example("step_overhead")?;
    let ours = context.measure_itself(
        || Ok(()),
        || {
            let mut command = Command::new(&example);
            command.arg(STEPS.to_string());
            command
        },
    )?;
    let python = Python::with(context.workspace, "dagster", &DAGSTER)?;
    let script = context.workspace.root.join("crates/xtask/bench/dispatch_peer.py");
    let theirs = context.measure_itself(
        || Ok(()),
        || {
            let mut command = python.command();
            command.arg(&script).arg(ASSETS.to_string());
            command
        },
    )?;
    let what = "a no-op step, on record";
    let (ours, theirs) = (each(ours, STEPS), each(theirs, ASSETS));
    Ok(vec![
        Row::against(what, ours, "Dagster", theirs, RATIO_MAX),
        Row::memory(format!("{what}: memory"), ours, "Dagster", theirs, 1.0),
    ])
}

fn each(all: Measure, steps: u32) -> Measure {
    Measure { seconds: all.seconds / f64::from(steps), ..all }
}
