//! The part of a project that its errors do not touch: while one file is being edited, what does not read it goes on.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use millstream_connector::ConnectorFactory;
use millstream_plan::Graph;
use millstream_project::{Diagnostic, FileId, Level, ProjectSpec};
use millstream_sql::{Analysis, analyze, features::analyze_features};
use millstream_types::TableName;

use super::{Personal, Project, facts, follow_ups, validate_connectors};

const PROJECT_FILE: &str = "millstream.yaml";

/// The sources and tables of `spec` without those whose files have errors, and without all that reads these. Features,
/// datasets and tests are left out. `None` when an error has no file, when it lies in the project's own file, or when nothing
/// is left.
pub(super) fn part(
    mut spec: ProjectSpec,
    mut analysis: Analysis,
    diagnostics: &[Diagnostic],
    broken: &BTreeSet<TableName>,
    factories: &[Box<dyn ConnectorFactory>],
) -> Option<Project> {
    spec.features = Default::default();
    spec.datasets.clear();
    spec.tests.clear();
    let mut left_out = broken.clone();
    let mut files = files_with_errors(diagnostics)?;
    let own = files
        .iter()
        .any(|file| spec.files.get(*file).is_some_and(|file| file.path == Path::new(PROJECT_FILE)));
    if own {
        return None;
    }
    loop {
        left_out.extend(
            spec.tables
                .iter()
                .filter(|table| files.contains(&table.sql.at.file))
                .map(|table| table.name.clone()),
        );
        left_out.extend(
            spec.sources.iter().filter(|source| files.contains(&source.at.file)).map(|source| source.table()),
        );
        let (gone, _) = follow_ups::readers(&left_out, &spec.tables, &analysis);
        left_out.extend(gone);
        spec.tables.retain(|table| !left_out.contains(&table.name));
        spec.sources.retain(|source| !left_out.contains(&source.table()));
        analysis = analyze(&spec.sources, &spec.tables);
        let found = files_with_errors(&analysis.diagnostics)?;
        if found.is_empty() {
            break;
        }
        // Errors that leave nothing more out would be found again for ever.
        if !spec.tables.iter().any(|table| found.contains(&table.sql.at.file))
            && !spec.sources.iter().any(|source| found.contains(&source.at.file))
        {
            return None;
        }
        files = found;
    }
    if spec.tables.is_empty() && spec.sources.is_empty() {
        return None;
    }
    let (connectors, problems) = validate_connectors(&spec.sources, factories);
    let features = analyze_features(&spec, &analysis, &left_out);
    let graph = Graph::build(facts(&spec, &analysis)).ok()?;
    let personal = Personal::of(&spec.sources, &analysis);
    let label_files = BTreeMap::new();
    problems.is_empty().then_some(Project {
        spec,
        analysis,
        features,
        connectors,
        label_files,
        graph,
        personal,
    })
}

/// The files in which errors lie; `None` when one of them lies in no file.
fn files_with_errors(diagnostics: &[Diagnostic]) -> Option<BTreeSet<FileId>> {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error);
    errors.map(|error| error.at.map(|at| at.file)).collect()
}
