//! A project from one text: each file begins with a line `=== path`.

use std::{fs, path::Path, sync::Arc};

use millstream_connector::ConnectorFactory;
use millstream_engine::{Checked, Project, check};
use millstream_project::LoadOptions;
use tempfile::TempDir;

use super::{Script, ScriptedFactory, events::EventsFactory};

/// A checked project and the script of its sources.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub project: Arc<Project>,
    pub script: Script,
    /// The folder of the project's files, which is removed with the last clone.
    folder: Arc<TempDir>,
}

/// A folder in memory where the system has one: nothing there waits for a disk.
pub(super) fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

impl Definition {
    pub(crate) fn of(text: &str) -> Self {
        Self::with_script(text, Script::default())
    }

    /// Another definition of the same sources.
    pub(crate) fn with_script(text: &str, script: Script) -> Self {
        Self::written(text, script, Arc::new(folder()))
    }

    /// Another definition of the same sources, in the place of `before`.
    pub(crate) fn with_script_at(text: &str, script: Script, before: &Self) -> Self {
        for entry in fs::read_dir(before.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
        Self::written(text, script, before.folder.clone())
    }

    fn written(text: &str, script: Script, folder: Arc<TempDir>) -> Self {
        let checked = checked(text, &script, folder.path());
        let project = checked.project.unwrap_or_else(|| panic!("{:#?}", checked.diagnostics));
        Self { project: Arc::new(project), script, folder }
    }
}

/// The diagnostics of a check of the project `text`.
pub(crate) fn diagnostics(text: &str) -> Vec<String> {
    let folder = folder();
    let checked = checked(text, &Script::default(), folder.path());
    checked.diagnostics.iter().map(|found| format!("{} {}", found.code, found.message)).collect()
}

fn checked(text: &str, script: &Script, folder: &Path) -> Checked {
    let mut files: Vec<(&str, String)> = vec![("millstream.yaml", "name: world\n".to_owned())];
    for line in text.lines() {
        match line.strip_prefix("=== ") {
            Some(path) => files.push((path.trim(), String::new())),
            None => {
                let file = &mut files.last_mut().unwrap().1;
                file.push_str(line);
                file.push('\n');
            }
        }
    }
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let factories: Vec<Box<dyn ConnectorFactory>> = vec![Box::new(ScriptedFactory(script.clone())), Box::new(EventsFactory)];
    let options = LoadOptions { environment: None, variables: &|_| None };
    check(folder, &options, &factories)
}
