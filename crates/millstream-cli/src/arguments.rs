//! The command line as typed. Each command's own arguments stand in the command's file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use millstream_types::{ByteSize, ByteSizeError};

use crate::{commands, log};

/// The data pipeline for AI in one binary.
///
/// A project is a folder of YAML and SQL. Millstream lands its sources, proves that the data is good, builds
/// its tables and keeps every version in Delta Lake.
#[derive(Debug, Parser)]
#[command(
    name = "millstream",
    bin_name = "millstream",
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 all is well, 1 the data or a step failed, 2 the project or the call is wrong."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArguments {
    /// The project's folder; without it, the nearest folder upwards that holds a `millstream.yaml`
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,
    /// The environment of `millstream.yaml` to use
    #[arg(long, global = true, value_name = "NAME", env = "MILLSTREAM_ENVIRONMENT", hide_env_values = true)]
    pub(crate) environment: Option<String>,
    /// Print one JSON document instead of text (JSON lines for the progress of a run)
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print without colours (the variable NO_COLOR does the same)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// What queries and tables may hold in memory, all together, before they use the disk: `512MiB`, `8GiB`; without
    /// it, what `memory:` of the environment says, or a quarter of what the machine or its container has
    #[arg(long, global = true, value_name = "SIZE", env = "MILLSTREAM_MEMORY", hide_env_values = true, value_parser = parse_memory)]
    pub(crate) memory: Option<ByteSize>,
    /// Say more about what happens inside; twice for still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// What goes to the log on standard error: `off`, `error`, `warn`, `info`, `debug`, `trace`, or a filter such as
    /// `warn,millstream=debug` (the variable MILLSTREAM_LOG does the same)
    #[arg(long, global = true, value_name = "LEVEL", value_parser = log::filter)]
    pub(crate) log: Option<String>,
    /// How log lines look: as text, or as one JSON object a line, with the ids of run and step as fields
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        env = "MILLSTREAM_LOG_FORMAT",
        hide_env_values = true,
        default_value = "text"
    )]
    pub(crate) log_format: log::Format,
}

/// Less than 16 MiB lets no sort end.
fn parse_memory(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse().map_err(|error: ByteSizeError| error.to_string())?;
    if size.bytes() < 16 << 20 { Err("write at least 16MiB".to_owned()) } else { Ok(size) }
}

/// The commands, in the order of a project's life.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(commands::init::Arguments),
    Demo(commands::demo::Arguments),
    Check(commands::check::Arguments),
    Test(commands::test::Arguments),
    Plan(commands::plan::Arguments),
    Run(commands::run::Arguments),
    Status(commands::status::Arguments),
    Runs(commands::runs::Arguments),
    Ingest(commands::ingest::Arguments),
    Query(commands::query::Arguments),
    Lineage(commands::lineage::Arguments),
    Rejected(commands::rejected::Arguments),
    Reprocess(commands::reprocess::Arguments),
    Backfill(commands::backfill::Arguments),
    Schedule(commands::schedule::Arguments),
    Sla(commands::sla::Arguments),
    Source(commands::source::Arguments),
    Repairs(commands::repairs::Arguments),
    Maintain(commands::maintain::Arguments),
    Dataset(commands::dataset::Arguments),
    Features(commands::features::Arguments),
    Serve(commands::serve::Arguments),
    Health(commands::health::Arguments),
    Schema(commands::schema::Arguments),
    #[command(hide = true)]
    Reference(commands::reference::Arguments),
}
