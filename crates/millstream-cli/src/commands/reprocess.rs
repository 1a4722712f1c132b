//! `millstream reprocess`: rejected rows are judged again by the contract as it is now.

use std::time::Duration;

use crate::{
    CliError, Exit, output,
    progress::{self, summary::summary},
    project,
    serve::and_tell,
    session::Session,
};

/// Take a table's rejected rows in again, after a fix of its contract
///
/// Rows that pass now enter the table and leave the rejected ones, exactly once; rows that still fail stay where
/// they are.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The table: `bronze.orders`, `orders`, or `source:orders`
    pub(crate) table: String,
    /// Wait when another run on this project is under way, instead of refusing
    #[arg(long)]
    pub(crate) wait: bool,
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let project = project::open_sound(session)?;
    let table = project::table_named(&project, &arguments.table)?;
    let engine = project::engine(project, session).await?;
    let wait = if arguments.wait { Duration::MAX } else { Duration::ZERO };
    let events = progress::begin(&engine, session);
    let work = engine.reprocess(&table, &session.settings.line, wait, events, session.cancel.clone());
    let report = and_tell(&engine, work).await?;
    if !session.settings.json {
        output::print(&format!("\n{}", summary(&report)))?;
    }
    Ok(if report.succeeded() { Exit::Success } else { Exit::Failure })
}
