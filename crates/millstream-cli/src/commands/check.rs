//! `millstream check`: is the project right? Offline, without touching data.

use millstream_project::Level;

use crate::{
    CliError, Exit, diagnostics, human,
    output::{self, GOOD, styled},
    project,
    session::Session,
};

/// Check the project: all files, all SQL, all contracts, offline
///
/// Reports every problem at once with its place in the file and the way out. Touches no data and needs no
/// network.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Exit with 2 on warnings too
    #[arg(long)]
    pub(crate) strict: bool,
}

pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let checked = project::check(session)?;
    let errors = diagnostics::number_of(&checked.diagnostics, Level::Error);
    let warnings = diagnostics::number_of(&checked.diagnostics, Level::Warning);
    if session.settings.json || !checked.diagnostics.is_empty() {
        project::show_problems(&checked, session.settings.json)?;
    }
    if let Some(project) = &checked.project
        && !session.settings.json
    {
        let spec = &project.spec;
        let always =
            [(spec.sources.len(), "source"), (spec.tables.len(), "table"), (spec.tests.len(), "test")];
        let features = [
            (spec.features.views.len(), "feature view"),
            (spec.features.services.len(), "service"),
            (spec.datasets.len(), "dataset"),
        ];
        let there = features.into_iter().filter(|(number, _)| *number > 0);
        let said: Vec<String> =
            always.into_iter().chain(there).map(|(number, noun)| human::count(number as u64, noun)).collect();
        let said = said.join(", ");
        output::print_line(&format!("{} {}: {said}", styled(GOOD, '✓'), spec.name))?;
    }
    let wrong = errors > 0 || checked.project.is_none() || (arguments.strict && warnings > 0);
    Ok(if wrong { Exit::Usage } else { Exit::Success })
}
