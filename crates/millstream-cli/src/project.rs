//! From the folder on disk to a checked project and its engine.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use millstream_connector::ConnectorFactory;
use millstream_engine::{
    Checked, Engine, EngineOptions, PARTITIONS_MAX, Project, RetryPolicy, SystemClock, SystemRandom,
    memory_share,
};
use millstream_project::Level;
use millstream_types::{AssetId, ByteSize, TableName};

use crate::{CliError, Exit, diagnostics, human, output, session::Session, settings::variable, wire};

/// What stands before the name of a source in a selection.
const SOURCE: &str = "source:";

/// The folder of `--project`, or the nearest one upwards that holds a project.
pub(crate) fn find_root(session: &Session) -> Result<PathBuf, CliError> {
    if let Some(folder) = &session.settings.project {
        // The project's own loader says what is missing inside; a missing folder is said here.
        return std::path::absolute(folder)
            .ok()
            .filter(|folder| folder.is_dir())
            .ok_or_else(|| CliError::NoFolder { path: folder.clone() });
    }
    let start = session.settings.folder.clone().unwrap_or_default();
    millstream_project::find_root(&start).ok_or(CliError::NoProject { start })
}

/// Loads and checks the project, whatever is wrong with it.
pub(crate) fn check(session: &Session) -> Result<Checked, CliError> {
    let root = find_root(session)?;
    Ok(check_at(&root, session))
}

/// Loads and checks the project in a known folder.
pub(crate) fn check_at(root: &Path, session: &Session) -> Checked {
    Loader::new(root.to_owned(), session).check()
}

/// Reads a project's files, as often as it is asked.
#[derive(Clone, Debug)]
pub(crate) struct Loader {
    root: PathBuf,
    environment: Option<String>,
    connectors: Arc<[Box<dyn ConnectorFactory>]>,
    /// The memory that the command line gives, instead of what the project says.
    memory: Option<ByteSize>,
}

impl Loader {
    pub(crate) fn new(root: PathBuf, session: &Session) -> Self {
        let Session { settings, connectors, .. } = session;
        Self {
            root,
            environment: settings.environment.clone(),
            connectors: connectors.clone(),
            memory: settings.memory,
        }
    }

    /// A loader of the project that the command is for.
    pub(crate) fn of(session: &Session) -> Result<Self, CliError> {
        Ok(Self::new(find_root(session)?, session))
    }

    /// Loads and checks the project, whatever is wrong with it.
    pub(crate) fn check(&self) -> Checked {
        let environment = self.environment.as_deref();
        let options = millstream_project::LoadOptions { environment, variables: &variable };
        millstream_engine::check(&self.root, &options, &self.connectors)
    }

    /// The memory that is said for the project, by the command line or by itself.
    pub(crate) fn said_memory(&self, project: &Project) -> Option<ByteSize> {
        said_memory(self.memory, project)
    }

    /// Bytes that queries, tables and datasets of the project may hold in memory before they use the disk.
    pub(crate) fn memory_bytes(&self, project: &Project) -> usize {
        memory(self.memory, project)
    }
}

/// A project without errors. With errors, they are the error; warnings are counted on standard error.
pub(crate) fn open(session: &Session) -> Result<Arc<Project>, CliError> {
    ready(check(session)?)
}

/// Like [`open`], but with errors in some files, what does not depend on these is opened all the same. The errors are told
/// on standard error.
pub(crate) fn open_sound(session: &Session) -> Result<Arc<Project>, CliError> {
    let mut checked = check(session)?;
    let Some(sound) = checked.sound.take() else { return ready(checked) };
    let text = diagnostics::render(&checked.diagnostics, &checked.files, output::colour_on_stderr());
    output::tell(text.trim_end_matches('\n'));
    output::tell("what does not depend on these files goes on\n");
    Ok(Arc::new(sound))
}

/// The exit of a command that did well all that it could. A part of the project that has errors may be among what is
/// meant, unless `is_named`: that it was not done must not pass unnoticed.
pub(crate) fn done(project: &Project, is_named: bool) -> Exit {
    if project.is_whole || is_named { Exit::Success } else { Exit::Usage }
}

fn ready(mut checked: Checked) -> Result<Arc<Project>, CliError> {
    let Some(project) = checked.project.take() else {
        return Err(CliError::Project(Box::new(checked)));
    };
    let warnings = diagnostics::number_of(&checked.diagnostics, Level::Warning);
    if warnings > 0 {
        output::tell(&format!("{}; `millstream check` shows them", human::count(warnings, "warning")));
    }
    Ok(Arc::new(project))
}

/// Bytes that queries, tables and datasets may hold in memory before they use the disk.
pub(crate) fn memory_bytes(project: &Project, session: &Session) -> usize {
    memory(session.settings.memory, project)
}

/// The memory that the command line says, or else the project; none leaves it to the machine.
fn said_memory(by_command: Option<ByteSize>, project: &Project) -> Option<ByteSize> {
    by_command.or(project.spec.environment.memory)
}

fn memory(by_command: Option<ByteSize>, project: &Project) -> usize {
    let said = said_memory(by_command, project);
    let bytes = said.map_or_else(memory_share, |said| said.bytes());
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The engine over the project, with the machine's clock and all its cores.
pub(crate) async fn engine(project: Arc<Project>, session: &Session) -> Result<Engine, CliError> {
    let options = EngineOptions {
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        memory_bytes: memory_bytes(&project, session),
        parallelism: cores(),
        retry: RetryPolicy::default(),
        partitions_max: PARTITIONS_MAX,
    };
    Ok(Engine::open(project, options).await?)
}

/// The cores that this process may use.
pub(crate) fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// The checked project in a known folder and its engine.
pub(crate) async fn engine_at(root: &Path, session: &Session) -> Result<Engine, CliError> {
    engine(ready(check_at(root, session))?, session).await
}

/// Tells all problems: one JSON document on standard output, or text on standard error.
pub(crate) fn show_problems(checked: &Checked, json: bool) -> Result<(), CliError> {
    if json {
        return output::print_json(&wire::CheckDocument::new(&checked.diagnostics, &checked.files));
    }
    let text = diagnostics::render(&checked.diagnostics, &checked.files, output::colour_on_stderr());
    output::tell(text.trim_end_matches('\n'));
    Ok(())
}

/// The asset's table of this name: `silver.orders`, its rejected rows' table, or `orders` where one schema has it.
pub(crate) fn table_named(project: &Project, name: &str) -> Result<TableName, CliError> {
    let tables: Vec<TableName> = project.asset_tables().collect();
    // A selection may name a source; its table is meant.
    let of_source = name.strip_prefix(SOURCE).map(|source| format!("bronze.{source}"));
    let name = of_source.as_deref().unwrap_or(name);
    let text = name.strip_suffix(millstream_types::REJECTED_SUFFIX).unwrap_or(name);
    let candidates: Vec<&TableName> =
        tables.iter().filter(|table| table.to_string() == text || table.name() == text).collect();
    match candidates.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let full: Vec<String> = tables.iter().map(ToString::to_string).collect();
            // A name without a schema is compared with names without theirs.
            let known: Vec<&str> =
                if text.contains('.') || nearest(text, tables.iter().map(TableName::name)).is_none() {
                    full.iter().map(String::as_str).collect()
                } else {
                    tables.iter().map(TableName::name).collect()
                };
            Err(CliError::unknown("table", name, &known))
        }
        several => {
            let list = several.iter().map(|table| format!("`{table}`")).collect::<Vec<_>>().join(" or ");
            Err(CliError::call(format!("`{name}` can mean {list}"), "write the schema too".to_owned()))
        }
    }
}

/// The asset of this name: a table as [`table_named`] finds it, or one of another kind, with or without its kind.
pub(crate) fn asset_named(project: &Project, name: &str) -> Result<AssetId, CliError> {
    let asked = AssetId::new(name);
    if let Some(facts) = project.graph.get(&asked) {
        return Ok(facts.id.clone());
    }
    let assets = || project.graph.assets().iter().map(|facts| &facts.id);
    if asked.kind().is_some() && !name.starts_with(SOURCE) {
        let known: Vec<&str> = assets().map(AssetId::as_str).collect();
        return Err(CliError::unknown("asset", name, &known));
    }
    let others: Vec<&AssetId> = assets().filter(|id| id.kind().is_some() && id.name() == name).collect();
    match (table_named(project, name), others.as_slice()) {
        (Ok(table), _) => Ok(table.asset_id()),
        (Err(CliError::Unknown { .. }), [one]) => Ok((*one).clone()),
        (Err(CliError::Unknown { .. }), [_, ..]) => {
            let list = others.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" or ");
            Err(CliError::call(
                format!("`{name}` can mean {list}"),
                "write what stands before the name too".to_owned(),
            ))
        }
        (Err(error), _) => Err(error),
    }
}

pub(crate) use millstream_project::nearest;
