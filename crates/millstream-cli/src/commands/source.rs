//! `millstream source`: what a person decides about a source.

use crate::{CliError, Exit, output, project, session::Session};

/// Let the events of a source land again after its breaker opened
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    Resume(ResumeArguments),
}

/// Close the breaker of a streaming source: what came up to now lands, whatever share of it is rejected
///
/// The breaker opens when a larger share of events is rejected than `halt_above` allows. Events are kept in the log meanwhile. It
/// also closes when the contract of the source is another one.
#[derive(clap::Args, Debug)]
pub(crate) struct ResumeArguments {
    /// The source, such as `clicks`
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let Command::Resume(ResumeArguments { source }) = &arguments.command;
    let project = project::open_sound(session)?;
    let table = project::table_named(&project, source)?;
    let engine = project::engine(project, session).await?;
    let was_open = engine.resume_source(&table).await?;
    if session.settings.json {
        output::print_json(&serde_json::json!({"source": table.name(), "was_open": was_open}))?;
    } else {
        let told = if was_open { "lands again" } else { "was not held by its breaker" };
        output::tell(&format!("{table} {told}"));
    }
    Ok(Exit::Success)
}
