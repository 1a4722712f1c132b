//! `millstream run`: land what is new, check it, build what it touches.

use std::{num::NonZeroUsize, time::Duration};

use super::plan::{self, SelectionArguments};
use crate::{
    CliError, Exit, output,
    progress::{self, summary::summary},
    project,
    serve::and_tell,
    session::Session,
};

/// Land what is new, check it, and build what it touches
///
/// Nothing that is up to date runs. Rows that break a contract go to `<table>__rejected`; a table that breaks a
/// check of severity `halt` keeps its last good version, and what depends on it is skipped. A run that is told to end keeps what
/// was finished, and tells of every step that never began that it is cancelled.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// Only show what would run
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How many steps run at once; without it, what the environment says, or one per core
    #[arg(long, value_name = "N", value_parser = parse_concurrency)]
    pub(crate) concurrency: Option<NonZeroUsize>,
    /// Wait when another run on this project is under way, instead of refusing
    #[arg(long)]
    pub(crate) wait: bool,
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let project = arguments.selection.open(session)?;
    let done = project::done(&project, arguments.selection.names_what_it_means());
    let engine = project::engine(project, session).await?;
    let mut request = arguments.selection.request(session);
    request.concurrency = arguments.concurrency;
    if arguments.dry_run {
        plan::show(&engine, &request, session).await?;
        return Ok(Exit::Success);
    }
    let events = progress::begin(&engine, session);
    let wait = if arguments.wait { Duration::MAX } else { Duration::ZERO };
    let work = engine.run(&request, wait, events, session.cancel.clone());
    let report = and_tell(&engine, work).await?;
    if !session.settings.json {
        let gap = if report.steps.is_empty() { "" } else { "\n" };
        output::print(&format!("{gap}{}", summary(&report)))?;
    }
    Ok(if report.succeeded() { done } else { Exit::Failure })
}

fn parse_concurrency(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "write a whole number from 1")
}
