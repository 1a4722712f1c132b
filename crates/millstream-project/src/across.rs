//! Rules between files: names, relationships and tests that lead to other assets.

use std::collections::{BTreeMap, BTreeSet};

use millstream_types::TableName;

use crate::{
    CheckKind, CheckSpec, Diagnostic, FileId, Located, Location, SourceMap, SourceSpec, TableSpec, TestSpec,
    codes, spec::is_named, words,
};

/// The files, and the diagnostics and broken tables that the rules add to.
pub(crate) struct Across<'a> {
    pub(crate) files: &'a SourceMap,
    pub(crate) diagnostics: &'a mut Vec<Diagnostic>,
    pub(crate) broken: &'a mut BTreeSet<TableName>,
}

impl Across<'_> {
    /// Every source has a name of its own; a table of a source of many may give it the name of another file.
    pub(crate) fn source_names(&mut self, sources: &mut Vec<SourceSpec>) {
        let mut first: BTreeMap<TableName, Location> = BTreeMap::new();
        sources.retain(|source| {
            let table = source.table();
            let Some(other) = first.get(&table) else {
                first.insert(table, source.at);
                return true;
            };
            let path =
                self.files.get(other.file).map(|file| file.path.display().to_string()).unwrap_or_default();
            let message = format!("`{table}` is landed twice: `{path}` lands there");
            let hint = "rename one of the two files, or the table under `tables`";
            self.diagnostics
                .push(Diagnostic::error(codes::DUPLICATE_NAME, message, source.at).with_hint(hint));
            self.broken.insert(table);
            false
        });
        // The rest of a project expects the sources in the order of their names.
        sources.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// A table cannot have the name of a source's landed form.
    pub(crate) fn names(&mut self, sources: &[SourceSpec], tables: &mut Vec<TableSpec>) {
        let landed: BTreeMap<TableName, FileId> =
            sources.iter().map(|source| (source.table(), source.at.file)).collect();
        tables.retain(|table| {
            let Some(source) = landed.get(&table.name) else { return true };
            let path =
                self.files.get(*source).map(|file| file.path.display().to_string()).unwrap_or_default();
            let message = format!("`{}` is defined twice: `{path}` lands there", table.name);
            self.diagnostics.push(
                Diagnostic::error(codes::DUPLICATE_NAME, message, table.at)
                    .with_hint("rename one of the two files, or move the table to another schema"),
            );
            self.broken.insert(table.name.clone());
            false
        });
    }

    /// Tables that relationships name must exist, and columns where the contract tells them.
    pub(crate) fn relationships(&mut self, sources: &[SourceSpec], tables: &[TableSpec]) {
        let contracts: BTreeMap<TableName, &SourceSpec> =
            sources.iter().map(|source| (source.table(), source)).collect();
        let known = self.known(sources, tables);
        let of_sources = sources.iter().map(|source| (source.table(), &source.contract.checks));
        let of_tables = tables.iter().map(|table| (table.name.clone(), &table.checks));
        let mut broken = Vec::new();
        for (owner, checks) in of_sources.chain(of_tables) {
            for CheckSpec { kind, .. } in checks {
                let CheckKind::Relationship { to_table, to_column, .. } = kind else { continue };
                let diagnostic = if let Some(source) = contracts.get(&to_table.value) {
                    let columns = &source.contract.columns;
                    if columns.contains_key(to_column) || self.broken.contains(&to_table.value) {
                        continue;
                    }
                    let message = format!("`{to_table}` has no column `{to_column}`");
                    let mut diagnostic = Diagnostic::error(codes::UNKNOWN_COLUMN, message, to_table.at);
                    diagnostic.hint = words::hint(to_column, columns.keys().map(String::as_str));
                    diagnostic
                } else if known.contains(&to_table.value.to_string()) {
                    continue;
                } else {
                    unknown_table(to_table, &known)
                };
                self.diagnostics.push(diagnostic);
                broken.push(owner.clone());
            }
        }
        self.broken.extend(broken);
    }

    /// Needs name checks that tables have.
    pub(crate) fn needs(&mut self, sources: &[SourceSpec], tables: &[TableSpec]) {
        let known = self.known(sources, tables);
        let of_sources = sources.iter().map(|source| (source.table(), &source.contract.checks));
        let of_tables = tables.iter().map(|table| (table.name.clone(), &table.checks));
        let checks: BTreeMap<TableName, &Vec<CheckSpec>> = of_sources.chain(of_tables).collect();
        for need in tables.iter().flat_map(|table| &table.needs) {
            let Some(checks) = checks.get(&need.table.value) else {
                if !known.contains(&need.table.value.to_string()) {
                    self.diagnostics.push(unknown_table(&need.table, &known));
                }
                continue;
            };
            for name in &need.checks {
                if checks.iter().any(|check| is_named(name, check)) {
                    continue;
                }
                let message = format!("`{}` has no check `{name}`", need.table);
                let ids = checks.iter().map(|check| check.id.as_str());
                let hint = words::hint(name, ids)
                    .unwrap_or_else(|| "write `none`: the table has no checks".to_owned());
                self.diagnostics.push(Diagnostic::error(codes::WRONG_NEED, message, name.at).with_hint(hint));
            }
        }
    }

    /// Tests run the SQL of tables, on rows of any asset, and have names of their own.
    pub(crate) fn test_tables(&mut self, sources: &[SourceSpec], tables: &[TableSpec], tests: &[TestSpec]) {
        let known = self.known(sources, tables);
        let landed: BTreeSet<TableName> = sources.iter().map(SourceSpec::table).collect();
        let mut names: BTreeMap<&str, Location> = BTreeMap::new();
        for test in tests {
            if landed.contains(&test.table.value) {
                let message =
                    format!("`{}` has no SQL to test: it is the landed form of a source", test.table);
                self.diagnostics.push(
                    Diagnostic::error(codes::WRONG_TEST, message, test.table.at)
                        .with_hint("test a table of `tables/`"),
                );
            } else if !known.contains(&test.table.value.to_string()) {
                self.diagnostics.push(unknown_table(&test.table, &known));
            }
            for (name, rows) in &test.given {
                if !known.contains(&name.to_string()) {
                    self.diagnostics.push(unknown_table(&Located::new(name.clone(), rows.at), &known));
                }
            }
            if names.insert(&test.name, test.at).is_some() {
                let message = format!("a second test with the name `{}`", test.name);
                self.diagnostics.push(
                    Diagnostic::error(codes::DUPLICATE_NAME, message, test.at)
                        .with_hint("give it another name"),
                );
            }
        }
    }

    /// Names of all assets, those with faults included.
    pub(crate) fn known(&self, sources: &[SourceSpec], tables: &[TableSpec]) -> BTreeSet<String> {
        let sources = sources.iter().map(|source| source.table().to_string());
        let tables = tables.iter().map(|table| table.name.to_string());
        sources.chain(tables).chain(self.broken.iter().map(ToString::to_string)).collect()
    }
}

pub(crate) fn unknown_table(name: &Located<TableName>, known: &BTreeSet<String>) -> Diagnostic {
    let message = format!("there is no table `{name}`");
    let mut diagnostic = Diagnostic::error(codes::UNKNOWN_TABLE, message, name.at);
    let text = name.to_string();
    diagnostic.hint = words::nearest(&text, known.iter().map(String::as_str))
        .map(|meant| format!("did you mean `{meant}`?"))
        .or_else(|| {
            Some("tables are `tables/<schema>/<name>.sql`, landed sources are `bronze.<source>`".into())
        });
    diagnostic
}
