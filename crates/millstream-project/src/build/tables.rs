//! A source of many tables: `tables` lists them by name or by pattern, and each becomes a source of its own, with what the
//! file says for all of them under what it says for the one.

use std::collections::BTreeSet;

use millstream_types::SourceName;
use regex::Regex;

use super::Context;
use crate::{
    ConnectionSpec, ConnectorSpec, Diagnostic, Located, Node, NodeKind, codes, file::TableOfSourceFile,
};

/// What stands for the table in the options of the connector.
const TABLE: &str = "{table}";
/// The most tables of one file; more are a mistake in its pattern.
const TABLES_MAX: usize = 5_000;

/// Looks for the tables that a connector's options can mean; what keeps it from looking is a diagnostic.
pub type FindTables<'a> =
    &'a dyn Fn(&ConnectorSpec, &[ConnectionSpec]) -> Result<Vec<String>, Vec<Diagnostic>>;

/// One table of a source.
pub(super) struct SourceTable {
    /// The name `<file>_<table>`; `None` when no table can have it, which is reported.
    pub(super) name: Option<SourceName>,
    pub(super) key: Located<String>,
    /// What `{table}` stands for.
    from: String,
    /// What the file says of the table alone; nothing for a pattern without more.
    pub(super) own: TableOfSourceFile,
}

/// The tables that `written`, the entries of `tables`, mean.
pub(super) fn tables(
    context: &Context<'_>,
    stem: &str,
    written: Located<Vec<(Located<String>, Node)>>,
    find: &dyn Fn() -> Result<Vec<String>, Vec<Diagnostic>>,
) -> Vec<SourceTable> {
    if written.value.is_empty() && !context.faults.has_gap_in(written.at) {
        let hint = "name the tables, `orders: {contract: …}`, or give a pattern, `\"*\": {}`";
        context.error(codes::WRONG_TABLES, "the source has no tables", written.at, hint);
    }
    let (patterns, named): (Vec<_>, Vec<_>) =
        written.value.into_iter().partition(|(key, _)| key.value.contains(['*', '?']));
    let mut tables = Vec::new();
    let mut claimed = BTreeSet::new();
    for (key, node) in named {
        if matches!(node.kind, NodeKind::Bool(false)) {
            claimed.insert(key.value);
            continue;
        }
        let Some(own) = own(context, &key, &node) else { continue };
        let from = own.from.clone().unwrap_or_else(|| key.value.clone());
        claimed.insert(from.clone());
        tables.push(SourceTable { name: name(context, stem, &key.value, &key), key, from, own });
    }
    if !patterns.is_empty() {
        match find() {
            Ok(found) => matched(context, stem, patterns, &found, &claimed, &mut tables),
            Err(wrong) => wrong.into_iter().for_each(|diagnostic| context.faults.push(diagnostic)),
        }
    }
    tables
}

fn own(context: &Context<'_>, key: &Located<String>, node: &Node) -> Option<TableOfSourceFile> {
    match node.kind {
        NodeKind::Null => Some(TableOfSourceFile::default()),
        _ => context.faults.decode_at(node, key.at),
    }
}

/// Adds the found tables that a pattern takes. Each table goes to the first pattern that matches; a table that matches
/// a pattern with the value `false` is left out.
fn matched(
    context: &Context<'_>,
    stem: &str,
    patterns: Vec<(Located<String>, Node)>,
    found: &[String],
    claimed: &BTreeSet<String>,
    tables: &mut Vec<SourceTable>,
) {
    let (left_out, taken): (Vec<_>, Vec<_>) =
        patterns.into_iter().partition(|(_, node)| matches!(node.kind, NodeKind::Bool(false)));
    let left_out: Vec<Regex> = left_out.iter().filter_map(|(key, _)| matcher(&key.value)).collect();
    let is_free =
        |name: &&String| !claimed.contains(*name) && !left_out.iter().any(|pattern| pattern.is_match(name));
    let mut free: Vec<&String> = found.iter().filter(is_free).collect();
    for (key, node) in taken {
        let Some(own) = own(context, &key, &node) else { continue };
        if let Some(from) = &own.from {
            let hint = "name the table that is to stand for another: `orders: {from: \"Orders 2026\"}`";
            context.error(codes::WRONG_TABLES, format!("`{from}` cannot stand for a pattern"), key.at, hint);
        }
        let Some(pattern) = matcher(&key.value) else { continue };
        let (taken, others): (Vec<&String>, Vec<&String>) =
            free.into_iter().partition(|name| pattern.is_match(name));
        free = others;
        if taken.is_empty() && !context.faults.is_full() {
            let message = format!("`{key}` matches no table");
            context.error(codes::WRONG_TABLES, message, key.at, none_matched(found, &free));
        }
        if taken.len() > TABLES_MAX {
            let message = format!("`{key}` matches {} tables, more than {TABLES_MAX}", taken.len());
            context.error(codes::WRONG_TABLES, message, key.at, "write a narrower pattern");
            continue;
        }
        for from in taken {
            let name = name(context, stem, from, &key);
            tables.push(SourceTable { name, key: key.clone(), from: from.clone(), own: own.clone() });
        }
    }
}

fn none_matched(found: &[String], free: &[&String]) -> String {
    const NAMES_MAX: usize = 12;
    let shown = |names: &mut dyn Iterator<Item = &String>| {
        names.take(NAMES_MAX).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    match (found.len(), free.len()) {
        (0, _) => "nothing is there: look at the options of the connector".to_owned(),
        (_, 0) => format!("all that is there is named or matched before: {}", shown(&mut found.iter())),
        _ => format!("what is there and not named yet: {}", shown(&mut free.iter().copied())),
    }
}

/// `*` stands for any characters, `?` for one.
fn matcher(pattern: &str) -> Option<Regex> {
    let escaped = regex::escape(pattern).replace(r"\*", ".*").replace(r"\?", ".");
    Regex::new(&format!("^(?s:{escaped})$")).ok()
}

/// The name of the source that lands the table.
fn name(context: &Context<'_>, stem: &str, table: &str, key: &Located<String>) -> Option<SourceName> {
    let name = SourceName::new(&format!("{stem}_{table}"));
    let is_rejected = |name: &SourceName| millstream_types::TableName::bronze(name).is_rejected();
    let reason = match &name {
        Ok(name) if is_rejected(name) => "names that end in `__rejected` belong to rejected rows".to_owned(),
        Ok(_) => return name.ok(),
        Err(error) => error.to_string(),
    };
    let message = format!("the table `{table}` cannot be landed under its name: {reason}");
    let hint =
        format!("name it, as in `orders: {{from: \"{table}\"}}`, or leave it out: `\"{table}\": false`");
    context.error(codes::WRONG_TABLES, message, key.at, hint);
    None
}

/// The options with the table's name in place.
pub(super) fn connector(connector: &ConnectorSpec, table: &SourceTable) -> ConnectorSpec {
    ConnectorSpec { options: replaced(&connector.options, &table.from), ..connector.clone() }
}

fn replaced(node: &Node, name: &str) -> Node {
    let kind = match &node.kind {
        NodeKind::Text(text) => NodeKind::Text(text.replace(TABLE, name)),
        NodeKind::List(items) => NodeKind::List(items.iter().map(|item| replaced(item, name)).collect()),
        NodeKind::Map(entries) => {
            NodeKind::Map(entries.iter().map(|(key, value)| (key.clone(), replaced(value, name))).collect())
        }
        other => other.clone(),
    };
    Node { kind, at: node.at }
}

/// Whether the options say where the name of a table stands.
pub(super) fn has_place(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Text(text) => text.contains(TABLE),
        NodeKind::List(items) => items.iter().any(has_place),
        NodeKind::Map(entries) => entries.iter().any(|(_, value)| has_place(value)),
        _ => false,
    }
}

/// The contract of one table: its own keys go before those for all, column by column, and its checks come on top.
pub(super) fn contract(for_all: Option<&Node>, own: Option<&Node>) -> Option<Node> {
    let (Some(for_all), Some(own)) = (for_all, own) else { return own.or(for_all).cloned() };
    let (NodeKind::Map(below), NodeKind::Map(above)) = (&for_all.kind, &own.kind) else {
        return Some(own.clone());
    };
    let mut entries = below.clone();
    for (key, value) in above {
        match entries.iter_mut().find(|(given, _)| given.value == key.value) {
            Some(entry) => {
                let value = match key.value.as_str() {
                    "columns" => columns(&entry.1, value),
                    "checks" => checks(&entry.1, value),
                    _ => value.clone(),
                };
                *entry = (key.clone(), value);
            }
            None => entries.push((key.clone(), value.clone())),
        }
    }
    Some(Node { kind: NodeKind::Map(entries), at: own.at })
}

fn columns(for_all: &Node, own: &Node) -> Node {
    let (NodeKind::Map(below), NodeKind::Map(above)) = (&for_all.kind, &own.kind) else { return own.clone() };
    let mut columns = below.clone();
    for (name, column) in above {
        match columns.iter_mut().find(|(given, _)| given.value == name.value) {
            Some(entry) => *entry = (name.clone(), column.clone()),
            None => columns.push((name.clone(), column.clone())),
        }
    }
    Node { kind: NodeKind::Map(columns), at: own.at }
}

fn checks(for_all: &Node, own: &Node) -> Node {
    let (NodeKind::List(below), NodeKind::List(above)) = (&for_all.kind, &own.kind) else {
        return own.clone();
    };
    Node { kind: NodeKind::List(below.iter().chain(above).cloned().collect()), at: own.at }
}
