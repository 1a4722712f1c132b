//! A million JSON events of a thousand keys, counted and summed in tumbling windows of ten seconds: from the event log into a Delta table,
//! with state on disk and exactly once, beside stream processors from the package registry, which read files and write nowhere or to
//! memory. Bytewax gets a tenth of the events, as it takes a while for each.

use std::{fs, path::Path, process::Command};

use super::{Context, Measure, Row, project::Project, table::Target};
use crate::{Result, process, python::Python};

const EVENTS: u64 = 1_000_000;
const EVENTS_PER_SECOND_MIN: f64 = 1_000_000.0;
/// The most of our time, as a part of a peer's.
const RATIO_MAX: f64 = 0.2;

const SOURCE: &str = "connector: {type: http}
contract:
  columns:
    at: {type: timestamp, required: true}
    k:  {type: int64, required: true}
    v:  {type: double}
  time: at
  future: 3650d
";

const TABLE: &str = "/*---
materialize: stream
---*/
SELECT window_start, k, count(*) AS n, sum(v) AS total
FROM tumble(bronze.events, at, INTERVAL '10 seconds')
GROUP BY window_start, k
";

/// A peer: its name, its Python packages, its script, and by how much fewer events it gets.
struct Peer {
    name: &'static str,
    packages: &'static [&'static str],
    script: &'static str,
    part: u64,
}

const PEERS: [Peer; 3] = [
    Peer {
        name: "PyFlink",
        // What it needs of these comes as source alone.
        packages: &["--no-binary=apache-flink-libraries,crcmod,dill,docopt,hdfs", "apache-flink==2.3.0"],
        script: "stream_flink.py",
        part: 1,
    },
    Peer { name: "Pathway", packages: &["pathway==0.33.0"], script: "stream_pathway.py", part: 1 },
    Peer { name: "Bytewax", packages: &["bytewax==0.21.1"], script: "stream_bytewax.py", part: 10 },
];

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let events = context.rows(EVENTS);
    let data = context.data(&format!("stream-{events}"), "stream_data.py", &[&events.to_string()])?;
    let ours = ours(context, &data.join("texts/events.jsonl"))?;
    #[allow(clippy::cast_precision_loss, reason = "there are few events")]
    let rate = events as f64 / ours.seconds;
    let what = "JSON events to windows in Delta";
    let mut rows = vec![Row::figure(what, rate, Target::PerSecond(EVENTS_PER_SECOND_MIN))];
    for peer in &PEERS {
        let theirs = peer.measured(context, &data.join("numbers"), events)?;
        rows.push(Row::against(what, ours, peer.name, theirs, RATIO_MAX));
    }
    Ok(rows)
}

/// The step of the table, on a log that holds all events.
fn ours(context: &Context<'_>, events: &Path) -> Result<Measure> {
    let folder = context.folder.join("stream_windows");
    context.measure(
        || {
            let project = Project::new(folder.clone())?;
            project.file("sources/events.yaml", SOURCE)?;
            project.file("tables/gold/per_key.sql", TABLE)?;
            let mut ingest = context.millstream("ingest", &folder);
            ingest.arg("events").arg(events);
            process::output(&mut ingest)?;
            Ok(())
        },
        || {
            let mut command: Command = context.run_project(&folder);
            command.arg("gold.per_key");
            command
        },
    )
}

impl Peer {
    /// What it takes for as many events as ours.
    fn measured(&self, context: &Context<'_>, folder: &Path, events: u64) -> Result<Measure> {
        let python = Python::with(context.workspace, &self.name.to_lowercase(), self.packages)?;
        let script = context.workspace.root.join("crates/xtask/bench").join(self.script);
        let folder = fs::canonicalize(folder)?;
        let measured = context.measure_itself(
            || Ok(()),
            || {
                let mut command = python.command();
                command.arg(&script).arg(&folder).arg((events / self.part).to_string());
                command
            },
        )?;
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        let times = self.part as f64;
        Ok(Measure { seconds: measured.seconds * times, ..measured })
    }
}
