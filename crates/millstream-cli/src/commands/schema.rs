//! `millstream schema`: JSON Schemas of the project's files, for editors.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::{
    CliError, Exit, human,
    output::{self, GOOD, styled},
    session::Session,
};

/// Print the JSON Schemas of the project's files, for editors
///
/// Standard output gets one object: file name to schema (`source.schema.json` and so on). With `--output`, each
/// becomes a file of that name.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Write the schemas as files into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let schemas = schemas(session);
    let Some(folder) = &arguments.output else {
        output::print_json(&schemas)?;
        return Ok(Exit::Success);
    };
    let files = write(folder, &schemas)?;
    if session.settings.json {
        output::print_json(&files)?;
    } else {
        let said = human::count(files.len() as u64, "schema");
        output::print_line(&format!("{} {said} in {}", styled(GOOD, '✓'), folder.display()))?;
    }
    Ok(Exit::Success)
}

/// File name to schema, the connectors' options included.
pub(crate) fn schemas(session: &Session) -> Map<String, Value> {
    let connectors: Vec<_> =
        session.connectors.iter().map(|connector| (connector.kind(), connector.schema())).collect();
    let connections: Vec<_> = session
        .connectors
        .iter()
        .filter_map(|connector| Some((connector.kind(), connector.connection()?.schema())))
        .collect();
    let schemas = millstream_project::json_schemas(&connectors, &connections);
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// Writes one file per schema and returns the paths.
pub(crate) fn write(folder: &Path, schemas: &Map<String, Value>) -> Result<Vec<String>, CliError> {
    fs::create_dir_all(folder).map_err(CliError::file("create", folder))?;
    let mut written = Vec::new();
    for (name, schema) in schemas {
        let path = folder.join(name);
        let mut text =
            serde_json::to_string_pretty(schema).map_err(|error| CliError::Format(error.into()))?;
        text.push('\n');
        fs::write(&path, text).map_err(CliError::file("write", &path))?;
        written.push(path.display().to_string());
    }
    Ok(written)
}
