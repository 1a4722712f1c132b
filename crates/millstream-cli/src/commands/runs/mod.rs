//! `millstream runs`: the runs that were; one of them in full; how two of them differ.

mod diff;
mod list;
mod show;
mod timeline;

pub(crate) use timeline::critical_path;

use crate::{CliError, Exit, session::Session};

/// List the runs, show one, or compare two
///
/// Without a subcommand the newest runs are listed. An id may be cut short as long as it names one run.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: list::Arguments,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    Show(show::Arguments),
    Diff(diff::Arguments),
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    match &arguments.command {
        None => list::run(&arguments.list, session).await,
        Some(Command::Show(arguments)) => show::run(arguments, session).await,
        Some(Command::Diff(arguments)) => diff::run(arguments, session).await,
    }
}
