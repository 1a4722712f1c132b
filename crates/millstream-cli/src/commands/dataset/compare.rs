//! `millstream dataset diff`: two versions side by side.

use crate::{CliError, Exit, output, project, session::Session};

/// Compare two versions: rows, columns, distributions, and what made the difference
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// `churn@1`, or the path of a Parquet file with its manifest
    before: String,
    /// The newer one; `churn` is the newest version
    after: String,
}

pub(super) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let engine = project::engine(project::open_sound(session)?, session).await?;
    let diff = engine.compare_datasets(&arguments.before, &arguments.after).await?;
    if session.settings.json {
        output::print_json(&diff)?;
    } else {
        output::print(&diff.to_string())?;
    }
    Ok(Exit::Success)
}
