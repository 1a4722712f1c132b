//! The part of a project that its errors do not touch: while one file is being edited, what does not read it goes on.

use std::{collections::BTreeSet, path::Path};

use millstream_connector::ConnectorFactory;
use millstream_plan::Graph;
use millstream_project::{
    DatasetFeatures, Diagnostic, FeatureRef, FileId, Level, Located, ProjectSpec, SourceSpec,
};
use millstream_sql::{
    Analysis, analyze_streams,
    features::{FeaturesAnalysis, analyze_features},
};
use millstream_types::TableName;

use super::{
    Defined, Personal, Project, facts, follow_ups, streaming, validate_connections, validate_connectors,
    validate_label_files,
};

const PROJECT_FILE: &str = "millstream.yaml";

/// `spec` without the files that have errors, and without all that reads what they define. Its tests are left out. `None`
/// when an error has no file, when it lies in the project's own file, or when nothing is left.
pub(super) fn part(
    mut spec: ProjectSpec,
    mut analysis: Analysis,
    diagnostics: &[Diagnostic],
    broken: &BTreeSet<TableName>,
    factories: &[Box<dyn ConnectorFactory>],
) -> Option<Project> {
    spec.tests.clear();
    let mut left_out = broken.clone();
    let mut files = files_with_errors(diagnostics)?;
    let own = files
        .iter()
        .any(|file| spec.files.get(*file).is_some_and(|file| file.path == Path::new(PROJECT_FILE)));
    if own {
        return None;
    }
    let (connections, mut problems) = validate_connections(&spec.connections, factories);
    let (configs, _) = validate_connectors(&spec.sources, &connections, factories);
    let streaming = streaming(&configs);
    let features = loop {
        let before = size(&spec);
        leave_out_tables(&mut spec, &files, &analysis, &mut left_out);
        analysis = analyze_streams(&spec.sources, &spec.tables, &streaming);
        leave_out_features(&mut spec, &files);
        let features = analyze_features(&spec, &analysis, &left_out);
        // Views, services and datasets that need something that is missing have no definition in the analysis. There is no
        // diagnostic for that where the columns may be incomplete.
        leave_out_undefined(&mut spec, &features);
        let mut found = files_with_errors(&analysis.diagnostics)?;
        found.extend(files_with_errors(&features.diagnostics)?);
        if found.is_empty() && size(&spec) == before {
            break features;
        }
        // Errors that leave nothing more out would be found again for ever.
        if size(&spec) == before && found.is_subset(&files) {
            return None;
        }
        files = found;
    };
    if spec.tables.is_empty() && spec.sources.is_empty() {
        return None;
    }
    let (connectors, mut wrong) = validate_connectors(&spec.sources, &connections, factories);
    problems.append(&mut wrong);
    let label_files = validate_label_files(&spec.datasets, factories, &mut problems);
    let defined = Defined { spec: &spec, analysis: &analysis, features: &features, connectors: &connectors };
    let graph = Graph::build(facts(&defined)).ok()?;
    let personal = Personal::of(&spec.sources, &analysis);
    problems.is_empty().then_some(Project {
        spec,
        analysis,
        features,
        connections,
        connectors,
        label_files,
        graph,
        personal,
        is_whole: false,
    })
}

/// Leaves out the sources and tables that `files` define, and the tables that read them.
fn leave_out_tables(
    spec: &mut ProjectSpec,
    files: &BTreeSet<FileId>,
    analysis: &Analysis,
    left_out: &mut BTreeSet<TableName>,
) {
    let tables = spec.tables.iter().filter(|table| files.contains(&table.sql.at.file));
    left_out.extend(tables.map(|table| table.name.clone()));
    spec.connections.retain(|connection| !files.contains(&connection.at.file));
    let is_lost = |source: &SourceSpec| {
        files.contains(&source.at.file)
            || (source.connector.connection.is_some() && spec.connection_of(source).is_none())
    };
    let sources = spec.sources.iter().filter(|source| is_lost(source));
    left_out.extend(sources.map(SourceSpec::table));
    let (gone, _) = follow_ups::readers(left_out, &spec.tables, analysis);
    left_out.extend(gone);
    spec.tables.retain(|table| !left_out.contains(&table.name));
    spec.sources.retain(|source| !left_out.contains(&source.table()));
}

/// Leaves out the features and datasets that `files` define.
fn leave_out_features(spec: &mut ProjectSpec, files: &BTreeSet<FileId>) {
    let features = &mut spec.features;
    features.entities.retain(|one| !files.contains(&one.at.file));
    features.views.retain(|one| !files.contains(&one.at.file));
    features.on_demand.retain(|one| !files.contains(&one.at.file));
    features.request.retain(|one| !files.contains(&one.at.file));
    features.services.retain(|one| !files.contains(&one.at.file));
    spec.datasets.retain(|one| !files.contains(&one.at.file));
}

/// Leaves out views, services and datasets without a definition, and services and datasets that name `view.*` of a view that
/// is left out: their list of features would otherwise shrink unnoticed.
fn leave_out_undefined(spec: &mut ProjectSpec, known: &FeaturesAnalysis) {
    let features = &mut spec.features;
    features.views.retain(|one| known.views.contains_key(&one.name));
    features.on_demand.retain(|one| known.on_demand.contains_key(&one.name));
    let is_complete = |list: &[Located<FeatureRef>]| {
        list.iter().all(|one| match &one.value {
            FeatureRef::View { view } => known.views.contains_key(view),
            FeatureRef::Feature { .. } | FeatureRef::OnDemand { .. } => true,
        })
    };
    features.services.retain(|one| known.services.contains_key(&one.name) && is_complete(&one.features));
    let services: BTreeSet<&str> = features.services.iter().map(|one| one.name.as_str()).collect();
    spec.datasets.retain(|one| {
        let has_features = match &one.features {
            DatasetFeatures::Service(name) => services.contains(name.value.as_str()),
            DatasetFeatures::List(list) => is_complete(list),
        };
        has_features && known.datasets.contains_key(&one.name)
    });
}

/// The number of definitions in the project; leaving things out only lowers it.
fn size(spec: &ProjectSpec) -> usize {
    let features = &spec.features;
    let of_features =
        features.entities.len() + features.views.len() + features.on_demand.len() + features.request.len();
    let assets = spec.datasets.len() + spec.tables.len() + spec.sources.len() + spec.connections.len();
    of_features + features.services.len() + assets
}

/// The files in which errors lie; `None` when one of them lies in no file.
fn files_with_errors(diagnostics: &[Diagnostic]) -> Option<BTreeSet<FileId>> {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error);
    errors.map(|error| error.at.map(|at| at.file)).collect()
}
