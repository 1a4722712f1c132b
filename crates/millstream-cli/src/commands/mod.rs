//! One file per command: its arguments, and `run`, which carries it out.

pub(crate) mod backfill;
pub(crate) mod check;
pub(crate) mod dataset;
pub(crate) mod demo;
pub(crate) mod features;
pub(crate) mod health;
pub(crate) mod ingest;
pub(crate) mod init;
pub(crate) mod lineage;
pub(crate) mod maintain;
pub(crate) mod plan;
pub(crate) mod query;
pub(crate) mod reference;
pub(crate) mod rejected;
pub(crate) mod repairs;
pub(crate) mod reprocess;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod schedule;
pub(crate) mod schema;
pub(crate) mod serve;
pub(crate) mod sla;
pub(crate) mod source;
pub(crate) mod status;
pub(crate) mod test;

use crate::{CliError, Exit, arguments::Command, session::Session};

/// Hands over to the command.
pub(crate) async fn run(command: &Command, session: &Session) -> Result<Exit, CliError> {
    match command {
        Command::Init(arguments) => init::run(arguments, session),
        Command::Demo(arguments) => demo::run(arguments, session).await,
        Command::Check(arguments) => check::run(arguments, session),
        Command::Test(arguments) => test::run(arguments, session).await,
        Command::Plan(arguments) => plan::run(arguments, session).await,
        Command::Run(arguments) => run::run(arguments, session).await,
        Command::Runs(arguments) => runs::run(arguments, session).await,
        Command::Status(arguments) => status::run(arguments, session).await,
        Command::Ingest(arguments) => ingest::run(arguments, session).await,
        Command::Query(arguments) => query::run(arguments, session).await,
        Command::Lineage(arguments) => lineage::run(arguments, session),
        Command::Rejected(arguments) => rejected::run(arguments, session).await,
        Command::Reprocess(arguments) => reprocess::run(arguments, session).await,
        Command::Backfill(arguments) => backfill::run(arguments, session).await,
        Command::Schedule(arguments) => schedule::run(arguments, session).await,
        Command::Sla(arguments) => sla::run(arguments, session).await,
        Command::Source(arguments) => source::run(arguments, session).await,
        Command::Repairs(arguments) => repairs::run(arguments, session).await,
        Command::Maintain(arguments) => maintain::run(arguments, session).await,
        Command::Dataset(arguments) => dataset::run(arguments, session).await,
        Command::Features(arguments) => features::run(arguments, session).await,
        Command::Serve(arguments) => serve::run(arguments, session).await,
        Command::Health(arguments) => health::run(arguments, session).await,
        Command::Schema(arguments) => schema::run(arguments, session),
        Command::Reference(arguments) => reference::run(arguments, session),
    }
}
