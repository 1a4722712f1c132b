//! Which files make up a project, in a fixed order, and which ones stand in the way.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use crate::{Diagnostic, Location, SourceMap, codes};

/// The file that makes a folder a project.
pub(crate) const PROJECT_FILE: &str = "millstream.yaml";
/// The most bytes of a project file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Folders of the design that this version does not read, with what may be meant.
const LATER_FOLDERS: [(&str, Option<&str>); 2] =
    [("models", Some("SQL goes to `tables/<schema>/`, as in `tables/silver/orders.sql`")), ("indexes", None)];
/// Folders that are read, and what their files end in.
pub(crate) const FOLDERS: [(&str, &str); 6] = [
    ("connections", "yaml"),
    ("sources", "yaml"),
    ("tables", "sql"),
    ("tests", "yaml"),
    ("features", "yaml"),
    ("datasets", "yaml"),
];

/// The nearest folder from `start` upwards that holds a `millstream.yaml`.
#[must_use]
pub fn find_root(start: &Path) -> Option<PathBuf> {
    let start = std::path::absolute(start).ok()?;
    start.ancestors().find(|folder| folder.join(PROJECT_FILE).is_file()).map(Path::to_path_buf)
}

/// A file of the project's folders that is to be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ListedFile {
    /// The path of the file relative to the root, with `/`.
    pub(crate) path: String,
    /// The name of the folder under `tables/`; empty elsewhere.
    pub(crate) schema: String,
    /// The file's name without its extension.
    pub(crate) stem: String,
}

/// The files of the project.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    pub(crate) connections: Vec<ListedFile>,
    pub(crate) sources: Vec<ListedFile>,
    pub(crate) tables: Vec<ListedFile>,
    pub(crate) tests: Vec<ListedFile>,
    pub(crate) features: Vec<ListedFile>,
    pub(crate) datasets: Vec<ListedFile>,
}

/// Lists the project's files by name; reports what stands in its folders without being read.
pub(crate) fn list(root: &Path, files: &mut SourceMap, diagnostics: &mut Vec<Diagnostic>) -> Folder {
    let mut lister = Lister { root, files, diagnostics };
    let connections = lister.files("connections", "", "yaml");
    let sources = lister.files("sources", "", "yaml");
    let mut tables = Vec::new();
    for entry in lister.entries("tables") {
        if entry.is_folder {
            let path = format!("tables/{}", entry.name);
            tables.extend(lister.files(&path, &entry.name, "sql"));
        } else {
            let hint = "put it into the folder of its schema, as in `tables/silver/orders.sql`";
            lister.stray(&format!("tables/{}", entry.name), hint);
        }
    }
    let tests = lister.files("tests", "", "yaml");
    let features = lister.files("features", "", "yaml");
    let datasets = lister.files("datasets", "", "yaml");
    for (name, extension) in FOLDERS {
        lister.singular(name, extension);
    }
    for (name, meant) in LATER_FOLDERS {
        if root.join(name).is_dir() {
            let message =
                format!("the folder `{name}/` is not read: {name} are not available in this version");
            let at = lister.place(&format!("{name}/"));
            let warning = Diagnostic::warning(codes::UNAVAILABLE_FEATURE, message, at);
            lister.diagnostics.push(Diagnostic { hint: meant.map(str::to_owned), ..warning });
        }
    }
    Folder { connections, sources, tables, tests, features, datasets }
}

struct Lister<'a> {
    root: &'a Path,
    files: &'a mut SourceMap,
    diagnostics: &'a mut Vec<Diagnostic>,
}

struct Entry {
    name: String,
    is_folder: bool,
}

impl Lister<'_> {
    /// The entries of a folder by name, hidden ones left out; none when the folder does not exist.
    fn entries(&mut self, folder: &str) -> Vec<Entry> {
        let listing = match fs::read_dir(self.root.join(folder)) {
            Ok(listing) => listing,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                self.unreadable(folder, &error);
                return Vec::new();
            }
        };
        let mut entries = Vec::new();
        for entry in listing {
            match entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?, entry.path()))) {
                Ok((name, kind, path)) => {
                    let name = name.to_string_lossy().into_owned();
                    // A link counts as what it leads to.
                    let is_folder = kind.is_dir() || (kind.is_symlink() && path.is_dir());
                    if !name.starts_with('.') {
                        entries.push(Entry { name, is_folder });
                    }
                }
                Err(error) => self.unreadable(folder, &error),
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries
    }

    fn files(&mut self, folder: &str, schema: &str, extension: &str) -> Vec<ListedFile> {
        let mut found = Vec::new();
        for Entry { name, is_folder } in self.entries(folder) {
            let path = format!("{folder}/{name}");
            if is_folder {
                let hint = format!("move its files up into `{folder}/`");
                self.stray(&format!("{path}/"), &hint);
                continue;
            }
            match name.rsplit_once('.') {
                Some((stem, written)) if written == extension => {
                    found.push(ListedFile { path, schema: schema.into(), stem: stem.into() });
                }
                // Notes beside the files disturb nobody.
                Some((_, "md" | "txt")) => {}
                Some((stem, written)) if is_near(written, extension) => {
                    self.stray(&path, &format!("rename it to `{stem}.{extension}`"));
                }
                _ => self.stray(&path, &format!("files here end in `.{extension}`; move this one elsewhere")),
            }
        }
        found
    }

    /// Reports a folder that has the name without its `s`, if it holds files with this extension; a folder without them
    /// is something else.
    fn singular(&mut self, name: &str, extension: &str) {
        let singular = name.trim_end_matches('s');
        if !self.root.join(singular).is_dir() {
            return;
        }
        let ends_so = |entry: &Entry| {
            entry
                .name
                .rsplit_once('.')
                .is_some_and(|(_, written)| written == extension || is_near(written, extension))
        };
        let mut entries = self.entries(singular);
        if extension == "sql" {
            let folders: Vec<String> =
                entries.iter().filter(|it| it.is_folder).map(|it| it.name.clone()).collect();
            entries.extend(folders.iter().flat_map(|folder| self.entries(&format!("{singular}/{folder}"))));
        }
        if entries.iter().any(ends_so) {
            self.stray(&format!("{singular}/"), &format!("the folder is called `{name}/`"));
        }
    }

    fn stray(&mut self, path: &str, hint: &str) {
        let message = format!("`{path}` is not read");
        let at = self.place(path);
        self.diagnostics.push(Diagnostic::warning(codes::STRAY_FILE, message, at).with_hint(hint));
    }

    /// The start of a file or folder whose text does not matter.
    fn place(&mut self, path: &str) -> Location {
        Location { file: self.files.add(path.into(), "".into()), start: 0, end: 0 }
    }

    fn unreadable(&mut self, path: &str, error: &std::io::Error) {
        let message = format!("`{path}` cannot be read: {error}");
        let at = self.place(path);
        self.diagnostics.push(Diagnostic::error(codes::UNREADABLE, message, at));
    }
}

fn is_near(written: &str, extension: &str) -> bool {
    let written = written.to_lowercase();
    written == extension || (extension == "yaml" && matches!(written.as_str(), "yml" | "json"))
}

/// The outcome of reading a file.
pub(crate) enum Content {
    Text(String),
    /// The file is not UTF-8 from this byte on; the text has replacement characters from there.
    NotUtf8 {
        lossy: String,
        offset: usize,
    },
    TooLarge,
    Unreadable(std::io::Error),
}

/// Reads a file of bounded size.
pub(crate) fn read(path: &Path) -> Content {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Content::Unreadable(error),
        Ok(length) if length as u64 > FILE_BYTES_MAX => Content::TooLarge,
        Ok(_) => match String::from_utf8(bytes) {
            Ok(text) => Content::Text(text),
            Err(error) => {
                let offset = error.utf8_error().valid_up_to();
                Content::NotUtf8 { lossy: String::from_utf8_lossy(error.as_bytes()).into_owned(), offset }
            }
        },
    }
}
