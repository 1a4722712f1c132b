//! Every dependency is named by code, and by the code that its table of the manifest is for.
//!
//! A dependency that no code names is compiled all the same; one that only tests name is compiled for the product, and
//! counts against the time of a first build.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use cargo_metadata::{DependencyKind, Package};
use proc_macro2::TokenStream;

use super::{
    layers::{FeaturesOnly, Layers},
    words::Named,
};
use crate::{Result, Workspace};

/// A dependency as a manifest calls it.
#[derive(Debug)]
struct Dependency {
    name: String,
    kind: DependencyKind,
}

/// What a crate asks for, and what its code names.
#[derive(Debug, Default)]
struct Crate {
    dependencies: Vec<Dependency>,
    named: Named,
    /// The names in `build.rs`.
    build: Named,
}

pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let layers = Layers::load(workspace)?;
    let (mut crates, mut manifests) = (BTreeMap::new(), Vec::new());
    for package in workspace.metadata.workspace_packages() {
        manifests.push(manifest(package.manifest_path.as_std_path())?);
        if !layers.manifests.contains(&package.name) {
            crates.insert(package.name.to_string(), read(package, &layers.manifests)?);
        }
    }
    let mut faults = faults(&crates, &layers.features_only);
    faults.extend(untaken(&manifest(&workspace.root.join("Cargo.toml"))?, &manifests));
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n").into()) }
}

fn manifest(path: &Path) -> Result<toml::Table> {
    let text = fs::read_to_string(path)?;
    Ok(toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?)
}

/// Reads a crate. The crates of `without` hold no code that could be named.
fn read(package: &Package, without: &[String]) -> Result<Crate> {
    let mut read = Crate::default();
    for dependency in package.dependencies.iter().filter(|dependency| !without.contains(&dependency.name)) {
        let name = dependency.rename.as_ref().unwrap_or(&dependency.name).clone();
        read.dependencies.push(Dependency { name, kind: dependency.kind });
    }
    let folder = package.manifest_path.as_std_path().parent().ok_or("a manifest stands in no folder")?;
    for (part, of_tests) in [("src", false), ("tests", true), ("examples", true), ("benches", true)] {
        let part = folder.join(part);
        let paths = if part.is_dir() { Workspace::rust_files_below(&part)? } else { Vec::new() };
        for path in paths {
            read.named.add(tokens(&path)?, of_tests);
        }
    }
    let script = folder.join("build.rs");
    if script.is_file() {
        read.build.add(tokens(&script)?, false);
    }
    Ok(read)
}

fn tokens(path: &Path) -> Result<TokenStream> {
    let text = fs::read_to_string(path)?;
    Ok(text.parse::<TokenStream>().map_err(|error| format!("{}: {error}", path.display()))?)
}

fn faults(crates: &BTreeMap<String, Crate>, features_only: &[FeaturesOnly]) -> Vec<String> {
    let mut faults = BTreeSet::new();
    let mut excused = BTreeSet::new();
    for (name, of_crate) in crates {
        for dependency in &of_crate.dependencies {
            let Some(fault) = fault(dependency, of_crate) else { continue };
            let mut entries = features_only.iter();
            if entries.any(|entry| entry.name == *name && entry.dependency == dependency.name) {
                excused.insert((name.as_str(), dependency.name.as_str()));
            } else {
                faults.insert(format!("`{name}` {fault}"));
            }
        }
    }
    let mut faults: Vec<String> = faults.into_iter().collect();
    for FeaturesOnly { name, dependency, reason } in features_only {
        if !excused.contains(&(name.as_str(), dependency.as_str())) {
            faults.push(format!(
                "`features_only` excuses `{dependency}` of `{name}` ({reason}), which needs no excuse"
            ));
        }
    }
    faults
}

/// What is wrong with a dependency of a crate.
fn fault(dependency: &Dependency, of_crate: &Crate) -> Option<String> {
    let Dependency { name, kind } = dependency;
    let word = name.replace('-', "_");
    let (product, tests) = (of_crate.named.product.contains(&word), of_crate.named.tests.contains(&word));
    let (table, is_named) = match kind {
        DependencyKind::Development => ("dev-dependencies", product || tests),
        DependencyKind::Build => ("build-dependencies", of_crate.build.product.contains(&word)),
        _ if tests && !product => {
            return Some(format!(
                "names `{name}` in tests, examples and benches only: it belongs to dev-dependencies"
            ));
        }
        _ => ("dependencies", product),
    };
    (!is_named).then(|| format!("has `{name}` among its {table}, and no code of it names it"))
}

/// Entries of `[workspace.dependencies]` that no manifest takes.
fn untaken(root: &toml::Table, manifests: &[toml::Table]) -> Vec<String> {
    let taken: BTreeSet<&str> = manifests.iter().flat_map(taken).collect();
    let entries = root.get("workspace").and_then(|workspace| workspace.get("dependencies")?.as_table());
    let names = entries.into_iter().flat_map(toml::Table::keys);
    names
        .filter(|name| !taken.contains(name.as_str()))
        .map(|name| format!("`workspace.dependencies` has `{name}`, which no crate takes"))
        .collect()
}

/// What a manifest takes from the workspace, for some platforms only or for all.
fn taken(manifest: &toml::Table) -> impl Iterator<Item = &str> {
    let platforms = manifest.get("target").and_then(toml::Value::as_table).into_iter();
    let platforms = platforms.flat_map(toml::Table::values).filter_map(toml::Value::as_table);
    std::iter::once(manifest)
        .chain(platforms)
        .flat_map(|table| {
            ["dependencies", "dev-dependencies", "build-dependencies"].map(|kind| table.get(kind)?.as_table())
        })
        .flatten()
        .flatten()
        .filter(|(_, entry)| entry.get("workspace").and_then(toml::Value::as_bool) == Some(true))
        .map(|(name, _)| name.as_str())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use cargo_metadata::DependencyKind::{self, Build, Development, Normal};

    use super::{Crate, Dependency, FeaturesOnly, faults, untaken};

    const SRC: &str = "use one::A; #[cfg(test)] mod tests { use in_tests::B; }";
    const TESTS: &str = "use in_tests::B;";
    const SCRIPT: &str = "fn main() { script::c() }";

    /// Crate `a`, whose sources are the constants above.
    fn check(dependencies: &[(&str, DependencyKind)], features_only: &[&str], expected: &[&str]) {
        let mut a = Crate::default();
        a.named.add(SRC.parse().unwrap(), false);
        a.named.add(TESTS.parse().unwrap(), true);
        a.build.add(SCRIPT.parse().unwrap(), false);
        let asked = dependencies.iter();
        a.dependencies =
            asked.map(|(name, kind)| Dependency { name: name.to_string(), kind: *kind }).collect();
        let entry = |name: &&str| FeaturesOnly {
            name: "a".into(),
            dependency: name.to_string(),
            reason: "it shines".into(),
        };
        let features_only: Vec<_> = features_only.iter().map(entry).collect();
        assert_eq!(faults(&BTreeMap::from([("a".into(), a)]), &features_only), expected);
    }

    #[test]
    fn a_dependency_is_named_where_it_is_compiled() {
        check(
            &[("one", Normal), ("in-tests", Development), ("one", Development), ("script", Build)],
            &[],
            &[],
        );
        check(
            &[("in-tests", Normal), ("script", Normal), ("script", Development), ("one", Build)],
            &[],
            &[
                "`a` has `one` among its build-dependencies, and no code of it names it",
                "`a` has `script` among its dependencies, and no code of it names it",
                "`a` has `script` among its dev-dependencies, and no code of it names it",
                "`a` names `in-tests` in tests, examples and benches only: it belongs to dev-dependencies",
            ],
        );
    }

    #[test]
    fn an_excuse_is_needed() {
        check(&[("one", Normal), ("shiny", Normal)], &["shiny"], &[]);
        check(
            &[("one", Normal)],
            &["one", "gone"],
            &[
                "`features_only` excuses `one` of `a` (it shines), which needs no excuse",
                "`features_only` excuses `gone` of `a` (it shines), which needs no excuse",
            ],
        );
    }

    #[test]
    fn the_workspace_offers_what_is_taken() {
        let root = "[workspace.dependencies]\none = \"1\"\ntwo = \"1\"\nthree = \"1\"\nfour = \"1\"";
        let member = "[dependencies]\none.workspace = true\ntwo = \"2\"\n\
                      [target.'cfg(unix)'.build-dependencies]\nthree = { workspace = true }";
        assert_eq!(
            untaken(&toml::from_str(root).unwrap(), &[toml::from_str(member).unwrap()]),
            [
                "`workspace.dependencies` has `four`, which no crate takes",
                "`workspace.dependencies` has `two`, which no crate takes",
            ]
        );
    }
}
