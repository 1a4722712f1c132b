//! What a step of a graph of no-op assets takes, beside the steps of Dagster and of Airflow that record it as durably: in SQLite, in
//! one process each.
//!
//! Ours is the example `step_overhead` of `millstream-engine`, as in [`super::step_overhead`]. Airflow's is `dag.test()`, which leaves
//! out what a deployment adds to each task: the scheduler's loop, the API server and a process.

use std::process::Command;

use super::{Context, Measure, Row};
use crate::{Result, python::Python};

/// A peer: its name, the Python packages that it needs, its script, and the steps of its chain.
struct Peer {
    name: &'static str,
    packages: [&'static str; 1],
    script: &'static str,
    /// 1,000 of Dagster take five minutes a round, and each takes longer the more there are.
    steps: u32,
}

const PEERS: [Peer; 2] = [
    Peer { name: "Dagster", packages: ["dagster==1.13.28"], script: "dispatch_dagster.py", steps: 100 },
    Peer { name: "Airflow", packages: ["apache-airflow==3.3.2"], script: "dispatch_airflow.py", steps: 50 },
];

/// Ours does more, since it would be over before it is measured well.
const STEPS: u32 = 10_000;
/// The most of our time for a step, as a part of a peer's.
const RATIO_MAX: f64 = 0.01;

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let example = context.example("step_overhead")?;
    let all = context.measure_itself(
        || Ok(()),
        || {
            let mut command = Command::new(&example);
            command.arg(STEPS.to_string());
            command
        },
    )?;
    let ours = each(all, STEPS);
    let mut rows = Vec::new();
    for peer in &PEERS {
        let theirs = peer.measured(context)?;
        let what = "a no-op step, on record";
        rows.push(Row::against(what, ours, peer.name, theirs, RATIO_MAX));
        rows.push(Row::memory(format!("{what}: memory"), ours, peer.name, theirs, 1.0));
    }
    Ok(rows)
}

impl Peer {
    fn measured(&self, context: &Context<'_>) -> Result<Measure> {
        let python = Python::with(context.workspace, &self.name.to_lowercase(), &self.packages)?;
        let script = context.workspace.root.join("crates/xtask/bench").join(self.script);
        let all = context.measure_itself(
            || Ok(()),
            || {
                let mut command = python.command();
                command.arg(&script).arg(self.steps.to_string());
                command
            },
        )?;
        Ok(each(all, self.steps))
    }
}

/// The time of one of `steps`. It grows with their number on either side, so that each is counted the same.
fn each(all: Measure, steps: u32) -> Measure {
    Measure { seconds: all.seconds / f64::from(steps), ..all }
}
