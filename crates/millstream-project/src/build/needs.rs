//! `needs` of a table: which checks of what it reads keep it from being built.

use super::Context;
use crate::{Located, NeedSpec, Node, NodeKind, codes, file::TableFile};

const EXAMPLE: &str = "write `needs: {silver.orders: [not_null]}`, or `none` for no check";

/// Reads `needs`: a mapping from tables to checks, or a list of such mappings.
pub(super) fn needs(context: &Context<'_>, file: &TableFile) -> Vec<NeedSpec> {
    let Some(node) = &file.needs else { return Vec::new() };
    let mut needs: Vec<NeedSpec> = Vec::new();
    let maps: Vec<&Node> = match &node.kind {
        NodeKind::Map(_) => vec![node],
        NodeKind::List(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    let wrong = |node: &Node| {
        let message = format!("expected tables with their checks, found {}", node.describe());
        context.error(codes::WRONG_KIND, message, node.at, EXAMPLE);
    };
    if maps.is_empty() {
        wrong(node);
    }
    for map in maps {
        if !matches!(map.kind, NodeKind::Map(_)) {
            wrong(map);
            continue;
        }
        for (name, checks) in map.entries() {
            let Some(need) = need(context, name, checks) else { continue };
            if needs.iter().any(|known| known.table.value == need.table.value) {
                let message = format!("`{name}` is named twice");
                context.error(codes::WRONG_NEED, message, name.at, "remove one of the two");
            } else {
                needs.push(need);
            }
        }
    }
    needs
}

fn need(context: &Context<'_>, name: &Located<String>, checks: &Node) -> Option<NeedSpec> {
    let Ok(table) = name.value.parse() else {
        let message = format!("`{name}` is no table");
        context.error(
            codes::WRONG_NEED,
            message,
            name.at,
            "tables are named `schema.table`, as in `silver.orders`",
        );
        return None;
    };
    let text = |node: &Node| match &node.kind {
        NodeKind::Text(text) => Some(Located::new(text.clone(), node.at)),
        _ => None,
    };
    let listed = match &checks.kind {
        NodeKind::Text(word) if word == "none" => Some(Vec::new()),
        NodeKind::Text(_) => text(checks).map(|check| vec![check]),
        NodeKind::List(items) => items.iter().map(text).collect(),
        _ => None,
    };
    let Some(checks) = listed else {
        let message = format!("expected checks, found {}", checks.describe());
        context.error(codes::WRONG_KIND, message, checks.at, EXAMPLE);
        return None;
    };
    Some(NeedSpec { table: Located::new(table, name.at), checks })
}
