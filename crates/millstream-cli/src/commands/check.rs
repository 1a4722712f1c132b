//! `millstream check`: is the project right? Offline, without touching data.

use std::collections::BTreeMap;

use millstream_project::{FileId, Level, ProjectSpec};

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

/// The files of sources with more than one table, and how many each has.
fn of_many(spec: &ProjectSpec) -> Vec<(String, usize)> {
    let mut tables: BTreeMap<FileId, usize> = BTreeMap::new();
    spec.sources.iter().for_each(|source| *tables.entry(source.at.file).or_default() += 1);
    let path = |file: FileId| Some(spec.files.get(file)?.path.display().to_string());
    let of_many = tables.into_iter().filter(|(_, tables)| *tables > 1);
    of_many.filter_map(|(file, tables)| Some((path(file)?, tables))).collect()
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
        for (file, tables) in of_many(spec) {
            output::print_line(&format!("  {file}: {}", human::count(tables as u64, "table")))?;
        }
    }
    let wrong = errors > 0 || checked.project.is_none() || (arguments.strict && warnings > 0);
    Ok(if wrong { Exit::Usage } else { Exit::Success })
}
