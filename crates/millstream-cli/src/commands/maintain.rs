//! `millstream maintain`: compact, checkpoint, clean up; never on the path of a run.

use std::{sync::Arc, time::Duration};

use millstream_engine::{Event, MaintainRequest, MaintenanceReport, Observer};
use millstream_types::Span;

use crate::{
    CliError, Exit, human,
    output::{self, FAINT, GOOD, styled},
    progress::waiting_line,
    project,
    session::Session,
    wire::{MaintainDocument, MaintainedTable, Of},
};

/// Compact small files, write checkpoints, and delete what no version needs any more
///
/// Versions younger than the retention stay readable, and so does every version that something pins. Files that no version
/// lists stay for a day, whatever the retention, because a run may be about to commit them. Without a selection, old runs are
/// forgotten too, as `housekeeping` of `millstream.yaml` says. A running `millstream serve` does all of this by itself.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Tables: `silver.orders`, `orders+`, patterns like `gold.*`, as for `run`; without one, every table
    #[arg(value_name = "SELECTION")]
    pub(crate) selection: Vec<String>,
    /// How long old versions stay readable: `12h`, `7d`, `4w`; without it, what `housekeeping` of `millstream.yaml` says, or 7
    /// days
    #[arg(long, value_name = "SPAN")]
    pub(crate) retention: Option<Span>,
    /// Wait when another run on this project is under way, instead of refusing
    #[arg(long)]
    pub(crate) wait: bool,
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let engine = project::engine(project::open_sound(session)?, session).await?;
    let request = MaintainRequest {
        selection: arguments.selection.clone(),
        retention: arguments.retention.unwrap_or(engine.project().spec.housekeeping.files).as_std(),
        command: session.settings.line.clone(),
    };
    let wait = if arguments.wait { Duration::MAX } else { Duration::ZERO };
    let json = session.settings.json;
    let mut events = engine.begin(&request.command);
    if !json {
        events = events.observed_by(Arc::new(Lines));
    }
    let done = engine.maintain(&request, wait, events, session.cancel.clone()).await?;
    if json {
        let tables = done.tables.iter().map(MaintainedTable::of).collect();
        output::print_json(&MaintainDocument { tables, runs_forgotten: done.forgotten.runs })?;
    } else {
        let freed: u64 = done.tables.iter().map(|report| report.bytes_freed).sum();
        let said = human::count(done.tables.len() as u64, "table");
        output::print_line(&format!(
            "{} {said} maintained, {} freed{}",
            styled(GOOD, '✓'),
            human::bytes(freed),
            forgotten(done.forgotten.runs),
        ))?;
    }
    Ok(project::done(engine.project(), super::plan::is_by_name(&arguments.selection)))
}

fn forgotten(runs: u64) -> String {
    match runs {
        0 => String::new(),
        runs => format!(", {} forgotten", human::count(runs, "old run")),
    }
}

/// A line on standard error for each table that is done.
struct Lines;

impl Observer for Lines {
    fn event(&self, event: &Event) {
        match event {
            Event::Waiting { because } => output::tell(&waiting_line(because)),
            Event::TableMaintained(report) => output::tell(&line(report)),
            _ => {}
        }
    }
}

fn line(report: &MaintenanceReport) -> String {
    let mut said = Vec::new();
    if report.files_compacted > 0 {
        let into = human::thousands(report.files_written);
        said.push(format!("{} compacted into {into}", human::count(report.files_compacted, "file")));
    }
    if report.files_deleted > 0 {
        let freed = human::bytes(report.bytes_freed);
        said.push(format!("{} deleted ({freed})", human::count(report.files_deleted, "file")));
    }
    if let Some(version) = report.checkpoint {
        said.push(format!("checkpoint at v{version}"));
    }
    if said.is_empty() {
        said.push(styled(FAINT, "nothing to do"));
    }
    said.extend(report.notes.iter().map(|note| styled(FAINT, note)));
    format!("{} {}  {}", styled(GOOD, '✓'), report.table, said.join("  "))
}
