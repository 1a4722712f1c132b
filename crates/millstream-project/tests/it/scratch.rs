//! Projects made of a few files in a temporary folder.

use std::{fmt::Write, fs, path::Path};

use millstream_project::{Diagnostic, Level, LoadOptions, Loaded, SourceMap, load_project};

/// A `millstream.yaml` with nothing wrong.
pub(crate) const PROJECT: (&str, &str) = ("millstream.yaml", "name: shop\n");

/// Writes the files into a fresh folder.
pub(crate) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        write(folder.path(), path, text.as_bytes());
    }
    folder
}

pub(crate) fn write(root: &Path, path: &str, content: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Loads the files as a project; the variables `PASSWORD`, `FIVE` and `EMPTY` are set.
pub(crate) fn load(files: &[(&str, &str)]) -> Loaded {
    load_in(files, None)
}

pub(crate) fn load_in(files: &[(&str, &str)], environment: Option<&str>) -> Loaded {
    load_project(folder(files).path(), &LoadOptions { environment, variables: &variables })
}

pub(crate) fn variables(name: &str) -> Option<String> {
    match name {
        "PASSWORD" => Some("p: [x".into()),
        "FIVE" => Some("5".into()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

/// `path:line:col-line:col code message (hint)`, one line for each.
pub(crate) fn render(loaded: &Loaded) -> String {
    let mut text = String::new();
    for diagnostic in &loaded.diagnostics {
        writeln!(text, "{}", line(diagnostic, &loaded.files)).unwrap();
    }
    text
}

fn line(diagnostic: &Diagnostic, files: &SourceMap) -> String {
    let mut line = match diagnostic.at {
        None => String::new(),
        Some(at) => {
            let file = files.get(at.file).unwrap();
            let (row, column) = file.line_column(at.start);
            let written = &file.text[at.start..at.end];
            let short: String = written.lines().next().unwrap_or_default().chars().take(30).collect();
            format!("{}:{row}:{column} `{short}` ", file.path.display())
        }
    };
    let level = if diagnostic.level == Level::Error { "error" } else { "warning" };
    write!(line, "{level} {}: {}", diagnostic.code, diagnostic.message).unwrap();
    if let Some(label) = &diagnostic.label {
        write!(line, " [{label}]").unwrap();
    }
    if let Some(hint) = &diagnostic.hint {
        write!(line, " ({hint})").unwrap();
    }
    line
}

/// The diagnostics of a source file in a project with nothing else wrong.
pub(crate) fn source(text: &str) -> String {
    render(&load(&[PROJECT, ("sources/orders.yaml", text)]))
}

/// A source with the given contract, indented by two spaces.
pub(crate) fn contract(text: &str) -> String {
    source(&format!("connector: {{type: files, path: a.csv}}\ncontract:\n{text}"))
}

/// The diagnostics of a SQL file.
pub(crate) fn table(text: &str) -> String {
    render(&load(&[PROJECT, ("tables/silver/orders.sql", text)]))
}
