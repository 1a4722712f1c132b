//! `cargo xtask generate`: the reference pages, made from the binary so that they cannot lie about it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Result, Workspace, process};

/// The folder that holds generated files only.
const REFERENCE: &str = "docs/reference";

/// The content of each page by its relative path.
type Pages = BTreeMap<PathBuf, Vec<u8>>;

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    match arguments {
        [] => write(workspace),
        [flag] if flag == "--check" => check(workspace),
        _ => Err("generate knows only --check".into()),
    }
}

/// Errors when a page is stale, missing or no longer generated.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let (wanted, found) = (made(workspace)?, read(&workspace.root.join(REFERENCE))?);
    let mut stale: Vec<&PathBuf> =
        wanted.iter().filter(|(path, page)| found.get(*path) != Some(page)).map(|(path, _)| path).collect();
    stale.extend(found.keys().filter(|path| !wanted.contains_key(*path)));
    if stale.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = stale.iter().map(|path| format!("  {REFERENCE}/{}", path.display())).collect();
    Err(format!("stale, run `cargo xtask generate`:\n{}", names.join("\n")).into())
}

fn write(workspace: &Workspace) -> Result<()> {
    let (wanted, folder) = (made(workspace)?, workspace.root.join(REFERENCE));
    for gone in read(&folder)?.keys().filter(|path| !wanted.contains_key(*path)) {
        fs::remove_file(folder.join(gone))?;
    }
    for (path, page) in &wanted {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, page)?;
    }
    println!("{} pages in {REFERENCE}", wanted.len());
    Ok(())
}

/// What the binary of this checkout says.
fn made(workspace: &Workspace) -> Result<Pages> {
    process::run(process::cargo(&workspace.root).args([
        "build",
        "--release",
        "--quiet",
        "--package",
        "millstream",
        // These are the features with which the tests build it, so that it is built once.
        "--features",
        "full",
    ]))?;
    let folder = tempfile::tempdir()?;
    process::output(Command::new(workspace.built("millstream")).arg("reference").arg(folder.path()))?;
    let pages = read(folder.path())?;
    if pages.is_empty() { Err("`millstream reference` wrote no page".into()) } else { Ok(pages) }
}

/// Every file below `folder`; none when there is no such folder.
fn read(folder: &Path) -> Result<Pages> {
    let (mut pages, mut open) = (Pages::new(), vec![folder.to_owned()]);
    while let Some(current) = open.pop().filter(|current| current.exists()) {
        for entry in fs::read_dir(&current)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                pages.insert(path.strip_prefix(folder)?.to_owned(), fs::read(&path)?);
            }
        }
    }
    Ok(pages)
}
