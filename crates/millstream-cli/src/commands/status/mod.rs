//! `millstream status`: the last run, and where each asset stands; or all that is known of one table.

mod overview;
mod table;

pub(crate) use table::known;

use crate::{
    CliError, Exit, output, project,
    session::Session,
    wire::{Of, StatusDocument},
};

/// Show the last run, and each asset's version, rows, age and checks; or one table in full
///
/// With a table: its last step and why it ran, every check with what it found, the versions of a source's schema,
/// and the newest versions in the lake.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// A table to show in full: `bronze.orders`, or `orders`; without one, every asset in a line
    #[arg(value_name = "TABLE")]
    pub(crate) table: Option<String>,
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let project = project::open_sound(session)?;
    let named = arguments.table.as_deref().map(|name| project::table_named(&project, name)).transpose()?;
    let engine = project::engine(project, session).await?;
    let status = engine.status().await?;
    match named {
        Some(name) => table::show(&engine, &status, &name, session).await?,
        None if session.settings.json => output::print_json(&StatusDocument::of(&status))?,
        None => output::print(&overview::text(&status))?,
    }
    Ok(Exit::Success)
}
