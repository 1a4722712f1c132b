//! `millstream status`: the last run, and where each asset stands; or all that is known of one asset.

mod overview;
mod partitions;
mod pipelines;
mod run;
mod table;
mod watch;

pub(crate) use table::known;

use millstream_engine::{Stale, StaleCause};

use crate::{
    CliError, Exit, output, project,
    session::Session,
    wire::{Of, StatusDocument},
};

/// Show the last run, and each asset's version, rows, age and checks; or one asset in full
///
/// With an asset: its last step and why it ran, every check with what it found, the versions of a source's schema,
/// and the newest versions in the lake.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// An asset to show in full: `bronze.orders`, or `orders`, `view:orders`, `dataset:churn`; without one, every asset in a
    /// line
    #[arg(value_name = "ASSET")]
    pub(crate) asset: Option<String>,
    /// A run to show: its steps, and the set of versions that readers took once it was over
    #[arg(long, value_name = "RUN", conflicts_with = "asset")]
    pub(crate) run: Option<String>,
    /// Keep showing every asset, as they change, until `q` and Enter, or Ctrl-C; with `--json`, a line for each change
    #[arg(long, conflicts_with_all = ["asset", "run"])]
    pub(crate) watch: bool,
    /// Show where the partitions of the asset stand, and which of its checks do not hold in which
    #[arg(long, requires = "asset")]
    pub(crate) partitions: bool,
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let project = project::open_sound(session)?;
    let named = arguments.asset.as_deref().map(|name| project::asset_named(&project, name)).transpose()?;
    let engine = project::engine(project, session).await?;
    if let Some(run) = &arguments.run {
        run::show(&engine, run, session).await?;
        return Ok(Exit::Success);
    }
    if arguments.watch {
        watch::watch(&engine, session).await?;
        return Ok(Exit::Success);
    }
    if let Some(name) = named.as_ref().filter(|_| arguments.partitions) {
        partitions::show(&engine, name, session).await?;
        return Ok(Exit::Success);
    }
    let status = engine.status().await?;
    match named {
        Some(name) => table::show(&engine, &status, &name, session).await?,
        None if session.settings.json => output::print_json(&StatusDocument::of(&status))?,
        None => {
            output::print(&overview::text(&status))?;
            if !engine.project().is_whole {
                let stale = engine.stale().await?;
                let is_left = |(_, stale): &(_, &Stale)| matches!(stale.cause, StaleCause::NotDefined);
                let left = stale.iter().filter(is_left).map(|(asset, _)| asset);
                output::print(&overview::not_loaded(left))?;
            }
        }
    }
    Ok(Exit::Success)
}
