//! `millstream check`: a folder becomes a checked project, offline and without touching data.

mod connectors;
mod follow_ups;
mod intakes;
mod relationships;
mod schedules;
mod sound;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use millstream_connector::{ConnectionConfig, ConnectorConfig, ConnectorFactory};
use millstream_plan::Graph;
use millstream_project::{
    CheckSpec, Diagnostic, IncrementalSpec, Level, LoadOptions, Located, Location, Materialize, ProjectSpec,
    SourceMap, SourceSpec, TableSpec, load_project_with, nearest,
};
use millstream_sql::{
    Analysis, analyze_streams, check_test,
    features::{FeaturesAnalysis, analyze_features},
    incremental::{Keep, Maintenance},
};
use millstream_types::{SourceName, TableName};

use connectors::{find_tables, validate_connections, validate_connectors, validate_label_files};

use crate::{
    EngineError,
    assets::{Defined, dataset::encodings, facts},
    personal::Personal,
};

/// A project in which no error was found, or the part of one that no error touches.
#[derive(Debug)]
pub struct Project {
    pub spec: ProjectSpec,
    pub analysis: Analysis,
    pub features: FeaturesAnalysis,
    /// The checked options of each connection.
    pub connections: BTreeMap<String, Arc<dyn ConnectionConfig>>,
    /// The checked options of each source's connector.
    pub connectors: BTreeMap<SourceName, Box<dyn ConnectorConfig>>,
    /// The connector of each dataset's file of labels.
    pub label_files: BTreeMap<String, Box<dyn ConnectorConfig>>,
    pub graph: Graph,
    /// The personal columns, whose values are masked wherever rows are shown.
    pub(crate) personal: Personal,
    /// Whether nothing is left out: what is not in the project is not in its files either.
    pub is_whole: bool,
}

impl Project {
    #[must_use]
    pub fn source(&self, table: &TableName) -> Option<&SourceSpec> {
        let sources = &self.spec.sources;
        let at = sources.binary_search_by(|source| source.name.as_str().cmp(table.name())).ok()?;
        sources.get(at).filter(|source| source.table() == *table)
    }

    #[must_use]
    pub fn table(&self, table: &TableName) -> Option<&TableSpec> {
        let at = self.spec.tables.binary_search_by(|spec| spec.name.cmp(table)).ok()?;
        self.spec.tables.get(at)
    }

    /// The checks of a source's contract or of a table.
    pub(crate) fn checks(&self, table: &TableName) -> &[CheckSpec] {
        let of_source = self.source(table).map(|source| source.contract.checks.as_slice());
        of_source.or_else(|| self.table(table).map(|spec| spec.checks.as_slice())).unwrap_or_default()
    }

    /// Whether the name is that of a SQL view, which has no rows of its own.
    #[must_use]
    pub fn is_view(&self, table: &TableName) -> bool {
        self.table(table).is_some_and(|spec| spec.materialize.is_view())
    }

    /// The error for a name that is no asset, with the nearest one.
    pub(crate) fn unknown_table(&self, table: &TableName) -> EngineError {
        let name = table.to_string();
        let known: Vec<_> = self.asset_tables().map(|known| known.to_string()).collect();
        let nearest = nearest(&name, known.iter().map(String::as_str)).map(str::to_owned);
        EngineError::UnknownAsset { name, nearest }
    }

    /// Every asset's table, sources first.
    pub fn asset_tables(&self) -> impl Iterator<Item = TableName> {
        let sources = self.spec.sources.iter().map(SourceSpec::table);
        sources.chain(self.spec.tables.iter().map(|table| table.name.clone()))
    }
}

/// Everything that a check found.
#[derive(Debug)]
pub struct Checked {
    /// `None` when there is an error among the diagnostics.
    pub project: Option<Project>,
    /// The part of the project that no error touches, without tests, when there is an error. It can be read, built and
    /// served as if the rest were not there.
    pub sound: Option<Project>,
    /// What the check found, in the order of files and places.
    pub diagnostics: Vec<Diagnostic>,
    pub files: SourceMap,
}

/// Checks the project in `root`.
pub fn check(root: &Path, options: &LoadOptions<'_>, factories: &[Box<dyn ConnectorFactory>]) -> Checked {
    let loaded = load_project_with(root, options, &|connector, connections| {
        find_tables(root, connector, connections, factories)
    });
    let mut diagnostics = loaded.diagnostics;
    let files = loaded.files;
    let Some(mut spec) = loaded.spec else {
        return Checked { project: None, sound: None, diagnostics, files };
    };
    let (connections, mut found) = validate_connections(&spec.connections, factories);
    let (connectors, mut wrong) = validate_connectors(&spec.sources, &connections, factories);
    // Wrong options of a source with patterns were reported when its tables were looked for, and are not reported
    // again.
    wrong.retain(|wrong| !diagnostics.iter().any(|said| (said.code, said.at) == (wrong.code, wrong.at)));
    found.append(&mut wrong);
    let label_files = validate_label_files(&spec.datasets, factories, &mut found);
    schedules::check_files(&spec.sources, factories, &mut found);
    intakes::complete(&mut spec, &connectors, &mut found);
    // A connector sees the values of variables and may repeat them; those who judge SQL see none.
    found.iter_mut().for_each(|diagnostic| loaded.hidden.hide(diagnostic));
    diagnostics.append(&mut found);
    let mut analysis = analyze_streams(&spec.sources, &spec.tables, &streaming(&connectors));
    let mut found = std::mem::take(&mut analysis.diagnostics);
    let doubtful = follow_ups::remove(&mut found, &loaded.broken, &spec.tables, &analysis, &files);
    diagnostics.append(&mut found);
    let wrong = |test| check_test(test, &analysis, &spec.tables, &loaded.broken);
    diagnostics.extend(spec.tests.iter().flat_map(wrong));
    check_upkeep(&spec.tables, &analysis, &mut diagnostics);
    let mut features = analyze_features(&spec, &analysis, &doubtful);
    diagnostics.append(&mut features.diagnostics);
    diagnostics.extend(encodings::check(&spec.datasets, &features));
    diagnostics.sort_by_key(|diagnostic| diagnostic.at);
    if diagnostics.iter().any(|diagnostic| diagnostic.level == Level::Error) {
        let sound = sound::part(spec, analysis, &diagnostics, &loaded.broken, factories);
        return Checked { project: None, sound, diagnostics, files };
    }
    let defined = Defined { spec: &spec, analysis: &analysis, features: &features, connectors: &connectors };
    match Graph::build(facts(&defined)) {
        Ok(graph) => {
            diagnostics.extend(relationships::check(&spec, &graph));
            diagnostics.extend(schedules::check(&spec, &graph));
            if diagnostics.iter().any(|diagnostic| diagnostic.level == Level::Error) {
                diagnostics.sort_by_key(|diagnostic| diagnostic.at);
                let sound = sound::part(spec, analysis, &diagnostics, &loaded.broken, factories);
                return Checked { project: None, sound, diagnostics, files };
            }
            let personal = Personal::of(&spec.sources, &analysis);
            let project = Project {
                spec,
                analysis,
                features,
                connections,
                connectors,
                label_files,
                graph,
                personal,
                is_whole: true,
            };
            Checked { project: Some(project), sound: None, diagnostics, files }
        }
        Err(error) => {
            let at = spec.tables.first().map(|table| table.at);
            let (message, code, hint) = (error.to_string(), error.code(), error.hint());
            diagnostics.push(Diagnostic { code, level: Level::Error, message, at, label: None, hint });
            Checked { project: None, sound: None, diagnostics, files }
        }
    }
}

/// The sources whose events come through the event log.
fn streaming(connectors: &BTreeMap<SourceName, Box<dyn ConnectorConfig>>) -> BTreeSet<SourceName> {
    let streaming = connectors.iter().filter(|(_, config)| config.intake().is_some());
    streaming.map(|(source, _)| source.clone()).collect()
}

/// Tables that say `incremental` without a key, but whose query cannot be kept by adding rows.
fn check_upkeep(tables: &[TableSpec], analysis: &Analysis, diagnostics: &mut Vec<Diagnostic>) {
    let appended =
        |table: &&TableSpec| matches!(table.materialize, Materialize::Incremental(IncrementalSpec::Append));
    for table in tables.iter().filter(appended) {
        let Some(analysed) = analysis.tables.get(&table.name) else { continue };
        let Err(error) = Maintenance::new(&analysed.plan, Keep::Append) else { continue };
        let diagnostic = Diagnostic::error(error.code(), error.to_string(), first_line(&table.sql));
        diagnostics.push(Diagnostic { hint: error.hint(), ..diagnostic });
    }
}

/// The place of the first line with something in it.
fn first_line(text: &Located<String>) -> Location {
    let blank = text.value.len() - text.value.trim_start().len();
    let line = text.value.trim_start().lines().next().unwrap_or_default().trim_end();
    let start = text.at.start + blank;
    Location { file: text.at.file, start, end: start + line.len() }
}
