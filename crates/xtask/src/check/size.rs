//! Files and functions stay small. What was too large once is listed and may only shrink.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use serde::Deserialize;
use syn::{spanned::Spanned, visit::Visit};

use crate::{Result, Workspace};

/// The most lines of code of a file, without blank lines and comments.
const FILE_LINES_MAX: usize = 600;
const FILE_LINES_AIM: usize = 300;
const FUNCTION_LINES_MAX: usize = 70;

/// Lines of code by path, or by `path::function`.
type Sizes = BTreeMap<String, usize>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ratchet {
    #[serde(default)]
    files: Sizes,
    #[serde(default)]
    functions: Sizes,
}

pub(crate) fn check(workspace: &Workspace, tighten: bool) -> Result<()> {
    let (files, functions) = measure(workspace)?;
    let path = ratchet_path(workspace);
    let listed: Ratchet =
        toml::from_str(&fs::read_to_string(&path)?).map_err(|error| format!("ratchet.toml: {error}"))?;
    let above_aim = files.values().filter(|lines| **lines > FILE_LINES_AIM).count();
    let median = median(files.values().copied().collect());
    println!(
        "{} files, median {median} lines of code, {above_aim} above the aim of {FILE_LINES_AIM}",
        files.len()
    );
    let mut grown = compare("file", FILE_LINES_MAX, &files, &listed.files);
    grown.extend(compare("function", FUNCTION_LINES_MAX, &functions, &listed.functions));
    let loose = loose(&files, &listed.files, FILE_LINES_MAX)
        + loose(&functions, &listed.functions, FUNCTION_LINES_MAX);
    if !grown.is_empty() {
        return Err(grown.join("\n").into());
    }
    if loose == 0 {
        return Ok(());
    }
    if !tighten {
        return Err(format!(
            "{loose} entries of ratchet.toml can shrink: run `cargo xtask check size --tighten`"
        )
        .into());
    }
    fs::write(
        &path,
        text(
            &tightened(&files, &listed.files, FILE_LINES_MAX),
            &tightened(&functions, &listed.functions, FUNCTION_LINES_MAX),
        ),
    )?;
    Ok(())
}

fn ratchet_path(workspace: &Workspace) -> PathBuf {
    workspace.root.join("crates/xtask/ratchet.toml")
}

/// What is too large and not listed, or larger than listed.
fn compare(what: &str, max: usize, found: &Sizes, listed: &Sizes) -> Vec<String> {
    let allowed = |name: &str| listed.get(name).copied().unwrap_or(0).max(max);
    found
        .iter()
        .filter(|(name, lines)| **lines > allowed(name))
        .map(|(name, lines)| {
            format!("{name}: a {what} of {lines} lines of code, at most {} are allowed", allowed(name))
        })
        .collect()
}

/// How many entries are larger than they need to be.
fn loose(found: &Sizes, listed: &Sizes, max: usize) -> usize {
    listed.len()
        - tightened(found, listed, max)
            .iter()
            .filter(|(name, lines)| listed.get(*name) == Some(lines))
            .count()
}

fn tightened(found: &Sizes, listed: &Sizes, max: usize) -> Sizes {
    let entry = |(name, allowed): (&String, &usize)| {
        let lines = found.get(name).copied().filter(|lines| *lines > max)?;
        Some((name.clone(), lines.min(*allowed)))
    };
    listed.iter().filter_map(entry).collect()
}

fn text(files: &Sizes, functions: &Sizes) -> String {
    let mut text = String::from(
        "# Files and functions above the limits, with their lines of code. Entries may shrink and vanish, never grow or be added.\n",
    );
    for (title, sizes) in [("files", files), ("functions", functions)] {
        let _ = write!(text, "\n[{title}]\n");
        for (name, lines) in sizes {
            let _ = writeln!(text, "\"{name}\" = {lines}");
        }
    }
    text
}

fn measure(workspace: &Workspace) -> Result<(Sizes, Sizes)> {
    let (mut files, mut functions) = (Sizes::new(), Sizes::new());
    for path in workspace.rust_files()? {
        let name = workspace.relative(&path);
        let source = fs::read_to_string(&path)?;
        let is_code: Vec<bool> = source.lines().map(is_code).collect();
        let syntax = syn::parse_file(&source).map_err(|error| format!("{name}: {error}"))?;
        let mut visitor = Functions { file: &name, is_code: &is_code, sizes: &mut functions };
        visitor.visit_file(&syntax);
        files.insert(name, is_code.iter().filter(|is_code| **is_code).count());
    }
    Ok((files, functions))
}

fn is_code(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with("//")
}

fn median(mut values: Vec<usize>) -> usize {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

struct Functions<'a> {
    file: &'a str,
    is_code: &'a [bool],
    sizes: &'a mut Sizes,
}

impl Functions<'_> {
    /// Adds a function's lines, from `fn` to the closing brace. Of two functions with one name the larger counts.
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let (first, last) = (signature.span().start().line, block.span().end().line);
        let lines = &self.is_code[first.saturating_sub(1)..last.min(self.is_code.len())];
        let count = lines.iter().filter(|is_code| **is_code).count();
        let size = self.sizes.entry(format!("{}::{}", self.file, signature.ident)).or_default();
        *size = (*size).max(count);
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add(&function.sig, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.sig, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.add(&function.sig, block);
        }
        syn::visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::{Sizes, compare, loose, tightened};

    fn sizes(entries: &[(&str, usize)]) -> Sizes {
        entries.iter().map(|(name, lines)| ((*name).to_owned(), *lines)).collect()
    }

    #[test]
    fn the_list_may_shrink_and_never_grow() {
        let listed = sizes(&[("grown", 80), ("same", 80), ("shrunk", 80), ("small now", 80), ("gone", 80)]);
        let found = sizes(&[
            ("grown", 81),
            ("same", 80),
            ("shrunk", 75),
            ("small now", 70),
            ("new", 71),
            ("fine", 70),
        ]);
        assert_eq!(
            compare("function", 70, &found, &listed),
            [
                "grown: a function of 81 lines of code, at most 80 are allowed",
                "new: a function of 71 lines of code, at most 70 are allowed",
            ]
        );
        assert_eq!(loose(&found, &listed, 70), 3);
        assert_eq!(tightened(&found, &listed, 70), sizes(&[("grown", 80), ("same", 80), ("shrunk", 75)]));
    }
}
