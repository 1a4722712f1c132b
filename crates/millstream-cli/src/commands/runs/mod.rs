//! `millstream runs`: the runs that were; one of them in full; how two of them differ.

mod diff;
mod list;
mod log;
mod show;
mod timeline;

pub(crate) use timeline::critical_path;

use crate::{
    CliError, Exit,
    output::{FAINT, styled},
    session::Session,
};

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

/// A table without columns that tell nothing.
struct Shown<'a> {
    header: Vec<&'a str>,
    rows: Vec<Vec<String>>,
}

/// The table without those of the columns `may_go` that have nothing but dashes. Pure.
fn with_news<'a>(header: &[&'a str], mut rows: Vec<Vec<String>>, may_go: &[&str]) -> Shown<'a> {
    let nothing = styled(FAINT, "-");
    let is_empty = |column: usize| rows.iter().all(|row| row.get(column) == Some(&nothing));
    let stays: Vec<bool> = header
        .iter()
        .enumerate()
        .map(|(column, name)| !(may_go.contains(name) && is_empty(column)))
        .collect();
    for row in &mut rows {
        let mut stays = stays.iter().copied().chain(std::iter::repeat(true));
        row.retain(|_| stays.next().unwrap_or(true));
    }
    let header = header.iter().zip(&stays).filter(|(_, stays)| **stays).map(|(name, _)| *name).collect();
    Shown { header, rows }
}
