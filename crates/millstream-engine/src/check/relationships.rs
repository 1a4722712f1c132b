//! Finds relationship checks whose other table can never be there when they are judged.

use std::collections::BTreeSet;

use millstream_plan::Graph;
use millstream_project::{CheckKind, CheckSpec, Diagnostic, Materialize, ProjectSpec, TableSpec};
use millstream_types::{AssetId, TableName};

/// Reports relationship checks that can never be judged. The other table has to be stored, and built before the checked one:
/// a view has no rows of its own, and a table that comes later is not there when the checked one is built for the first
/// time.
pub(super) fn check(spec: &ProjectSpec, graph: &Graph) -> Vec<Diagnostic> {
    let circular: BTreeSet<(&AssetId, &AssetId)> = graph.circular_checks().collect();
    let of_sources = spec.sources.iter().map(|source| (source.table(), &source.contract.checks));
    let of_tables = spec.tables.iter().map(|table| (table.name.clone(), &table.checks));
    let mut found = Vec::new();
    for (table, checks) in of_sources.chain(of_tables) {
        for check in checks {
            let CheckKind::Relationship { to_table, .. } = &check.kind else { continue };
            let is_circular = circular.contains(&(&table.asset_id(), &to_table.value.asset_id()));
            found.extend(problem(&table, &to_table.value, check, spec, is_circular));
        }
    }
    found
}

fn problem(
    table: &TableName,
    target: &TableName,
    check: &CheckSpec,
    spec: &ProjectSpec,
    is_circular: bool,
) -> Option<Diagnostic> {
    let is_view = |spec: &TableSpec| &spec.name == target && matches!(spec.materialize, Materialize::View);
    let (message, hint) = if table == target {
        (
            format!("`{table}` is checked against itself, and has no rows when it is built first"),
            "check it in a table that reads this one".to_owned(),
        )
    } else if spec.tables.iter().any(is_view) {
        (
            format!("`{target}` is a view, which has no rows of its own to look into"),
            format!("name a table that `{target}` reads, or give it `materialize: table`"),
        )
    } else if is_circular {
        (
            format!("`{target}` is built after `{table}`, so this check can never be judged"),
            format!("check it in `{target}`, or in a table that reads both"),
        )
    } else {
        return None;
    };
    Some(Diagnostic::error("MS-0713", message, check.at).with_hint(hint))
}
