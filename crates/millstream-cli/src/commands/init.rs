//! `millstream init`: a new project from a template.

use std::path::{Path, PathBuf};

use millstream_demo::DemoOptions;
use serde::Serialize;

use crate::{
    CliError, Exit, human,
    output::{self, GOOD, styled},
    progress::summary::command,
    session::Session,
    templates,
};

/// Rows of the data that comes with a template: enough to look at, generated in a moment.
const DATA_ROWS: u64 = 20_000;
const DATA_SEED: u64 = 42;

/// Start a project from a template
///
/// `blank` is an empty project; `shop` is a complete example with a little generated data. Existing files are
/// never overwritten.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// What to start from: `blank` or `shop`
    #[arg(default_value = "blank")]
    pub(crate) template: String,
    /// The folder of the new project; created when it does not exist
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) path: PathBuf,
}

#[derive(Serialize)]
struct Document<'a> {
    path: String,
    template: &'a str,
    files: usize,
    rows: u64,
}

pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let template = templates::find(&arguments.template)?;
    let files = template.write(&arguments.path)?;
    let mut rows = 0;
    if template.has_data {
        let generated =
            millstream_demo::generate(&arguments.path, DemoOptions { rows: DATA_ROWS, seed: DATA_SEED })?;
        rows = generated.customers + generated.orders + generated.events;
    }
    let path = &arguments.path;
    if session.settings.json {
        let path = path.display().to_string();
        output::print_json(&Document { path, template: template.name, files: files.len(), rows })?;
        return Ok(Exit::Success);
    }
    let with_data =
        if rows > 0 { format!(" and {} of data", human::count(rows, "row")) } else { String::new() };
    output::print_line(&format!(
        "{} Created `{}` in {}: {}{with_data}",
        styled(GOOD, '✓'),
        template.name,
        path.display(),
        human::count(files.len() as u64, "file"),
    ))?;
    let next = if template.has_data { "millstream run" } else { "millstream check" };
    output::print_line(&format!("\nNext: {}", command(&inside(path, next))))?;
    Ok(Exit::Success)
}

/// A command line that works from here.
pub(crate) fn inside(path: &Path, line: &str) -> String {
    if path == Path::new(".") { line.to_owned() } else { format!("cd {} && {line}", path.display()) }
}
