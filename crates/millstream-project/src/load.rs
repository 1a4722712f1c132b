//! From a folder to a [`ProjectSpec`] and everything that is wrong with it.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use millstream_types::{SourceName, TableName};

use crate::{
    ConnectionSpec, ConnectorSpec, DatasetSpec, Diagnostic, FileId, HiddenValues, Level, Located, Location,
    Node, ProjectSpec, SourceMap, SourceSpec, TableSpec, TestSpec,
    across::Across,
    build::{self, Context, Defaults, DefinedSources, Features, FindTables, Patterns, Project},
    codes, connections,
    decode::Faults,
    folder::{self, Content, ListedFile, PROJECT_FILE},
    header,
    references::References,
    schedules::{self, Scheduled},
    variables::Values,
    yaml,
};

/// The options of a command for loading a project.
#[derive(Clone, Copy)]
pub struct LoadOptions<'a> {
    /// The environment to use, which is `default` when absent.
    pub environment: Option<&'a str>,
    /// Looks up `${VAR}`.
    pub variables: &'a dyn Fn(&str) -> Option<String>,
}

impl std::fmt::Debug for LoadOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadOptions").field("environment", &self.environment).finish_non_exhaustive()
    }
}

/// A project as far as it could be read.
#[derive(Debug)]
pub struct Loaded {
    /// The spec of everything that could be understood. `None` without a usable `millstream.yaml` and environment. A
    /// spec beside errors is for further checks only, not for running.
    pub spec: Option<ProjectSpec>,
    /// The diagnostics by file and place; those without a place come last.
    pub diagnostics: Vec<Diagnostic>,
    pub files: SourceMap,
    /// The assets with errors may be missing from the spec or be incomplete, so that "unknown table" and "unknown
    /// column" mean nothing about them.
    pub broken: BTreeSet<TableName>,
    /// The values of the variables that the files name.
    pub hidden: HiddenValues,
}

impl Loaded {
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.level == Level::Error)
    }
}

/// Reads the project in `root`, offline and without side effects, without looking for tables: a source of many then names
/// each of its own.
#[must_use]
pub fn load_project(root: &Path, options: &LoadOptions<'_>) -> Loaded {
    load_project_with(root, options, &|connector, _| {
        let message = "tables are not looked for here";
        Err(vec![Diagnostic::error(codes::WRONG_TABLES, message, connector.options.at)])
    })
}

/// Reads the project in `root`, offline. `find` looks for the tables that the patterns of a source can mean.
#[must_use]
pub fn load_project_with(root: &Path, options: &LoadOptions<'_>, find: FindTables<'_>) -> Loaded {
    let root = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
    let mut loader = Loader::new(&root, options);
    let project = loader.project();
    let defaults = project.as_ref().map_or_else(Defaults::default, |project| project.defaults.clone());
    let folder = folder::list(&root, &mut loader.files, &mut loader.diagnostics);
    let connections: Vec<_> =
        folder.connections.iter().filter_map(|listed| loader.connection(listed, &defaults)).collect();
    let mut sources: Vec<_> = folder
        .sources
        .iter()
        .flat_map(|listed| loader.sources(listed, &defaults, &connections, find))
        .collect();
    let mut tables: Vec<_> =
        folder.tables.iter().filter_map(|listed| loader.table(listed, &defaults)).collect();
    let tests: Vec<_> = folder.tests.iter().flat_map(|listed| loader.tests(listed, &defaults)).collect();
    let mut features = Features::default();
    folder.features.iter().for_each(|listed| loader.features(listed, &defaults, &mut features));
    let datasets: Vec<_> =
        folder.datasets.iter().filter_map(|listed| loader.dataset(listed, &defaults)).collect();
    let Loader { files, mut diagnostics, mut broken, hidden, has_lost_source, .. } = loader;
    let listed = folder.connections.iter().map(|listed| listed.stem.clone()).collect();
    let mut found = Vec::new();
    connections::judge(&connections, &listed, &sources, !has_lost_source, &mut found);
    let mut across = Across { files: &files, diagnostics: &mut found, broken: &mut broken };
    across.source_names(&mut sources);
    across.names(&sources, &mut tables);
    across.relationships(&sources, &tables);
    across.needs(&sources, &tables);
    across.test_tables(&sources, &tables, &tests);
    References::new(across, &features).judge(&sources, &tables, &datasets);
    let scheduled = Scheduled {
        sources: &sources,
        tables: &tables,
        features: &features,
        datasets: &datasets,
        listed_datasets: folder.datasets.iter().map(|listed| listed.stem.clone()).collect(),
        broken: &broken,
        pools: project.as_ref().map(|project| &project.pool_names),
        webhooks: project.as_ref().map(|project| &project.webhooks),
    };
    schedules::judge(&scheduled, &mut found);
    // What is wrong between files repeats what stands in them, and a variable may stand there.
    found.iter_mut().for_each(|diagnostic| hidden.hide(diagnostic));
    diagnostics.append(&mut found);
    sort(&mut diagnostics);
    let spec = project.and_then(|project| {
        let files = files.clone();
        Some(ProjectSpec {
            root: root.clone(),
            name: project.name,
            environment: project.environment?,
            pools: project.pools,
            housekeeping: project.housekeeping,
            webhooks: project.webhooks,
            prices: project.prices,
            telemetry: project.telemetry,
            retry_budget: project.retry_budget,
            connections,
            sources,
            tables,
            tests,
            features: features.spec,
            datasets,
            files,
        })
    });
    Loaded { spec, diagnostics, files, broken, hidden }
}

/// Puts faults in the order of their places; those without a place come last.
fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by_key(|diagnostic| {
        (diagnostic.at.is_none(), diagnostic.at.map(|at| (at.file, at.start)), diagnostic.code)
    });
}

struct Loader<'a> {
    root: &'a Path,
    options: &'a LoadOptions<'a>,
    files: SourceMap,
    diagnostics: Vec<Diagnostic>,
    broken: BTreeSet<TableName>,
    patterns: Patterns,
    hidden: HiddenValues,
    /// Whether a file of `sources/` has no spec, or not all of its sources have one.
    has_lost_source: bool,
}

impl<'a> Loader<'a> {
    fn new(root: &'a Path, options: &'a LoadOptions<'a>) -> Self {
        Self {
            root,
            options,
            files: SourceMap::default(),
            diagnostics: Vec::new(),
            broken: BTreeSet::new(),
            patterns: Patterns::default(),
            hidden: HiddenValues::default(),
            has_lost_source: false,
        }
    }
}

impl Loader<'_> {
    fn project(&mut self) -> Option<Project> {
        let path = self.root.join(PROJECT_FILE);
        if !path.is_file() {
            let message = format!("no `{PROJECT_FILE}` in `{}`", self.root.display());
            let hint = if self.root.join("millstream.yml").is_file() {
                "rename `millstream.yml` to `millstream.yaml`"
            } else {
                "make a project with `millstream init`, or go into the folder of one"
            };
            self.diagnostics
                .push(Diagnostic::error_without_place(codes::NO_PROJECT, message).with_hint(hint));
            // What else is in the folder can still be checked.
            return None;
        }
        let (file, text) = self.read(PROJECT_FILE)?;
        let faults = Faults::default();
        let defaults = Defaults::default();
        let context = self.context(&faults, &defaults, file, &text);
        let node = self.yaml(&faults, &text, file);
        let project =
            node.and_then(|node| build::project(&context, node, self.options.environment, self.root));
        self.take(faults);
        project
    }

    fn connection(&mut self, listed: &ListedFile, defaults: &Defaults) -> Option<ConnectionSpec> {
        let (file, text) = self.read(&listed.path)?;
        // A connection is named after its file, by the rules of a source's name.
        if let Err(error) = SourceName::new(&listed.stem) {
            self.wrong_name(file, &error.to_string());
            return None;
        }
        let faults = Faults::default();
        let spec = self.yaml(&faults, &text, file).and_then(|node| {
            build::connection(&self.context(&faults, defaults, file, &text), &listed.stem, node)
        });
        self.take(faults);
        spec
    }

    /// The sources of one file: one, or one for each of its tables.
    fn sources(
        &mut self,
        listed: &ListedFile,
        defaults: &Defaults,
        connections: &[ConnectionSpec],
        find: FindTables<'_>,
    ) -> Vec<SourceSpec> {
        let lost = self.has_lost_source;
        // This holds until the file gives its sources.
        self.has_lost_source = true;
        let Some((file, text)) = self.read(&listed.path) else {
            self.broken.extend(SourceName::new(&listed.stem).ok().map(|name| TableName::bronze(&name)));
            return Vec::new();
        };
        let name = match SourceName::new(&listed.stem) {
            Ok(name) => name,
            Err(error) => {
                self.wrong_name(file, &error.to_string());
                return Vec::new();
            }
        };
        if TableName::bronze(&name).is_rejected() {
            self.wrong_name(file, "names that end in `__rejected` belong to rejected rows");
            return Vec::new();
        }
        // Whoever looks for tables sees the values of connections, which are files of their own.
        let find = |connector: &ConnectorSpec, connections: &[ConnectionSpec]| {
            find(connector, connections).map_err(|mut found| {
                found.iter_mut().for_each(|diagnostic| self.hidden.hide(diagnostic));
                found
            })
        };
        let faults = Faults::default();
        let DefinedSources { mut names, specs } = match self.yaml(&faults, &text, file) {
            Some(node) => {
                let context = self.context(&faults, defaults, file, &text);
                build::sources(&context, name.clone(), node, connections, &find)
            }
            None => DefinedSources::default(),
        };
        self.has_lost_source = lost || specs.is_empty() || specs.len() < names.len();
        if self.take(faults) {
            names.push(name);
            self.broken.extend(names.iter().map(TableName::bronze));
        }
        specs
    }

    fn table(&mut self, listed: &ListedFile, defaults: &Defaults) -> Option<TableSpec> {
        let Some((file, text)) = self.read(&listed.path) else {
            self.broken.extend(TableName::new(&listed.schema, &listed.stem).ok());
            return None;
        };
        let name = match TableName::new(&listed.schema, &listed.stem) {
            Ok(name) if name.is_rejected() => {
                Err("names that end in `__rejected` belong to rejected rows".into())
            }
            Ok(name) if name.schema() == "information_schema" => {
                Err("the schema `information_schema` is reserved".to_owned())
            }
            Ok(name) => Ok(name),
            Err(error) => Err(error.to_string()),
        };
        let name = match name {
            Ok(name) => name,
            Err(message) => {
                self.wrong_name(file, &message);
                return None;
            }
        };
        let faults = Faults::default();
        let spec = self.table_spec(&faults, name.clone(), defaults, file, &text);
        if self.take(faults) {
            self.broken.insert(name);
        }
        spec
    }

    fn table_spec(
        &mut self,
        faults: &Faults,
        name: TableName,
        defaults: &Defaults,
        file: FileId,
        text: &str,
    ) -> Option<TableSpec> {
        let split = match header::split(text, file) {
            Ok(split) => split,
            Err(diagnostic) => {
                faults.push(*diagnostic);
                return None;
            }
        };
        let sql_text = text.get(split.sql..).unwrap_or_default();
        let sql = Located::new(sql_text.to_owned(), Location { file, start: split.sql, end: text.len() });
        let is_blank = sql_text.trim().is_empty();
        if is_blank {
            let (message, start) = match split.header {
                Some(_) => ("no query follows the header", sql.at.end),
                None => ("the file is empty", 0),
            };
            let at = Location { file, start, end: start };
            faults.push(
                Diagnostic::error(codes::NO_SQL, message, at)
                    .with_hint("write a `SELECT`, or remove the file"),
            );
        }
        let mut header_at = Location { file, start: 0, end: 0 };
        let mut header = None;
        if let Some(range) = split.header {
            header_at = Location { file, start: range.start.saturating_sub(5), end: range.start };
            let mut diagnostics = Vec::new();
            header =
                yaml::parse(text.get(range.clone()).unwrap_or_default(), file, range.start, &mut diagnostics);
            let is_readable = diagnostics.is_empty();
            diagnostics.into_iter().for_each(|diagnostic| faults.push(diagnostic));
            if header.is_none() && !is_readable {
                return None;
            }
        }
        let spec = build::table(&self.context(faults, defaults, file, text), name, header, header_at, sql);
        // The header was checked; a table without a query has nothing more to say.
        spec.filter(|_| !is_blank)
    }

    fn tests(&mut self, listed: &ListedFile, defaults: &Defaults) -> Vec<TestSpec> {
        let Some((file, text)) = self.read(&listed.path) else { return Vec::new() };
        let faults = Faults::default();
        let tests = self
            .yaml(&faults, &text, file)
            .map(|node| build::tests(&self.context(&faults, defaults, file, &text), &listed.stem, node));
        self.take(faults);
        tests.unwrap_or_default()
    }

    fn features(&mut self, listed: &ListedFile, defaults: &Defaults, features: &mut Features) {
        let Some((file, text)) = self.read(&listed.path) else {
            features.has_gap = true;
            return;
        };
        let faults = Faults::default();
        match self.yaml(&faults, &text, file) {
            Some(node) => build::features(&self.context(&faults, defaults, file, &text), node, features),
            None => features.has_gap = true,
        }
        self.take(faults);
    }

    fn dataset(&mut self, listed: &ListedFile, defaults: &Defaults) -> Option<DatasetSpec> {
        let (file, text) = self.read(&listed.path)?;
        // A dataset is named after its file, by the rules of a source's name.
        if let Err(error) = SourceName::new(&listed.stem) {
            self.wrong_name(file, &error.to_string());
            return None;
        }
        let faults = Faults::default();
        let spec = self.yaml(&faults, &text, file).and_then(|node| {
            build::dataset(&self.context(&faults, defaults, file, &text), &listed.stem, node)
        });
        self.take(faults);
        spec
    }

    fn context<'c>(
        &'c self,
        faults: &'c Faults,
        defaults: &'c Defaults,
        file: FileId,
        text: &'c str,
    ) -> Context<'c> {
        let values = Values { variables: self.options.variables, root: self.root };
        Context { faults, values, defaults, patterns: &self.patterns, file, text }
    }

    /// Reads the text of a file and adds it to the source map.
    fn read(&mut self, path: &str) -> Option<(FileId, Arc<str>)> {
        let mut add = |text: &str| {
            let text: Arc<str> = text.into();
            (self.files.add(path.into(), text.clone()), text)
        };
        let start = |file| Location { file, start: 0, end: 0 };
        let diagnostic = match folder::read(&self.root.join(path)) {
            Content::Text(text) => return Some(add(&text)),
            Content::NotUtf8 { lossy, offset } => {
                let (file, text) = add(&lossy);
                let width = text.get(offset..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
                let at = Location { file, start: offset, end: offset + width };
                Diagnostic::error(codes::UNREADABLE, "the file is not UTF-8", at)
                    .with_hint("save it with the encoding UTF-8")
            }
            Content::TooLarge => {
                Diagnostic::error(codes::YAML_BOUNDS, "the file is larger than 1 MiB", start(add("").0))
                    .with_hint("project files are small: split it, and keep data out of it")
            }
            Content::Unreadable(error) => {
                let message = format!("the file cannot be read: {error}");
                Diagnostic::error(codes::UNREADABLE, message, start(add("").0))
            }
        };
        self.diagnostics.push(diagnostic);
        None
    }

    /// The file's YAML; an empty file is a fault.
    fn yaml(&self, faults: &Faults, text: &str, file: FileId) -> Option<Node> {
        let body = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut diagnostics = Vec::new();
        let node = yaml::parse(body, file, text.len() - body.len(), &mut diagnostics);
        let is_readable = diagnostics.is_empty();
        diagnostics.into_iter().for_each(|diagnostic| faults.push(diagnostic));
        let is_empty = match &node {
            None => is_readable,
            Some(node) => matches!(node.kind, crate::NodeKind::Null),
        };
        if is_empty {
            let at = Location { file, start: 0, end: 0 };
            let hint = "write the definition, or remove the file";
            faults.push(Diagnostic::error(codes::EMPTY_FILE, "the file is empty", at).with_hint(hint));
            return None;
        }
        node
    }

    /// Keeps the faults of one file, and returns whether one of them is an error.
    fn take(&mut self, faults: Faults) -> bool {
        let (diagnostics, hidden) = faults.into_parts();
        self.hidden.extend(hidden);
        let is_broken = diagnostics.iter().any(|diagnostic| diagnostic.level == Level::Error);
        self.diagnostics.extend(diagnostics);
        is_broken
    }

    fn wrong_name(&mut self, file: FileId, message: &str) {
        let at = Location { file, start: 0, end: 0 };
        self.diagnostics.push(
            Diagnostic::error(codes::WRONG_NAME, message, at).with_hint("rename the file or its folder"),
        );
    }
}
