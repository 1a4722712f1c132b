//! Where the partitions of a table stand.

use std::fmt::Write;

use millstream_api::backfills::PartitionsDocument;
use millstream_engine::{Engine, PartitionOverview};
use millstream_types::{AssetId, TableName};

use crate::{
    CliError, human,
    output::{self, BAD, CAUTION, FAINT, GOOD, STRONG, styled},
    session::Session,
    wire::Of,
};

/// Broken checks that are listed.
const CHECKS_SHOWN: usize = 20;

/// Prints the partitions of an asset.
pub(super) async fn show(engine: &Engine, asset: &AssetId, session: &Session) -> Result<(), CliError> {
    let table: Option<TableName> = asset.as_str().parse().ok();
    let overview = match &table {
        Some(table) => engine.partitions(table).await?,
        None => None,
    };
    let Some(overview) = overview else {
        return Err(CliError::Call {
            message: format!("`{asset}` has no partitions"),
            hint: Some("a table has some when its header says `partition: {by: day, column: …}`".to_owned()),
        });
    };
    if session.settings.json {
        return output::print_json(&PartitionsDocument::of(&overview));
    }
    output::print(&text(&overview))
}

fn text(overview: &PartitionOverview) -> String {
    let mut text = format!(
        "{}  by {} of {}: {} built, {} stale, {} failed, {} missing\n",
        styled(STRONG, &overview.table),
        overview.by,
        overview.column,
        human::thousands(overview.built),
        human::thousands(overview.stale),
        human::thousands(overview.failed),
        human::thousands(overview.missing),
    );
    for range in &overview.ranges {
        let style = match range.status {
            "built" => GOOD,
            "failed" => BAD,
            _ => CAUTION,
        };
        let named = if range.first == range.last {
            range.first.clone()
        } else {
            format!("{} to {}", range.first, range.last)
        };
        let count =
            if range.count > 1 { format!("  {}", human::thousands(range.count)) } else { String::new() };
        let set = if range.parameters.is_empty() { String::new() } else { format!("  {}", range.parameters) };
        let error = range.error.as_ref().map(|error| format!("  {error}")).unwrap_or_default();
        let _ = writeln!(
            text,
            "  {named}  {}{}{}{error}",
            styled(style, range.status),
            styled(FAINT, count),
            styled(FAINT, set)
        );
    }
    if !overview.broken.is_empty() {
        let _ = writeln!(text, "  checks that do not hold, the worst first");
    }
    for broken in overview.broken.iter().take(CHECKS_SHOWN) {
        let found = broken.observed.clone().unwrap_or_else(|| human::count(broken.failed, "row"));
        let _ = writeln!(text, "    {}  {}  {}  {found}", broken.partition, broken.check, broken.severity);
    }
    text
}
