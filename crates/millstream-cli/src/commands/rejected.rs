//! `millstream rejected`: the rows that broke a contract, by reason, with examples.

use millstream_engine::RejectedGroup;
use millstream_types::TableName;

use crate::{
    CliError, Exit, human,
    output::{self, CAUTION, FAINT, GOOD, STRONG, styled},
    progress::summary::command,
    project,
    session::Session,
    wire::RejectedDocument,
};

/// Show a table's rejected rows, by reason, with examples
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The table: `bronze.orders`, or `orders`
    pub(crate) table: String,
    /// Examples for each reason
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) examples: usize,
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let project = project::open(session)?;
    let table = project::table_named(&project, &arguments.table)?;
    let engine = project::engine(project)?;
    let groups = engine.rejected(&table, arguments.examples).await?;
    if session.settings.json {
        output::print_json(&RejectedDocument::new(&table, &groups))?;
    } else {
        output::print(&text(&table, &groups, arguments.examples))?;
    }
    Ok(Exit::Success)
}

fn text(table: &TableName, groups: &[RejectedGroup], examples: usize) -> String {
    let total: u64 = groups.iter().map(|group| group.rows).sum();
    if total == 0 {
        return format!("{} No row of {table} is rejected\n", styled(GOOD, '✓'));
    }
    // A pipe gets whole rows; a terminal gets lines that fit.
    let width = output::terminal_width().map_or(usize::MAX, |width| width.saturating_sub(6).max(40));
    let title = format!("{table}: {} rejected", human::count(total, "row"));
    let mut text = format!("{}\n", styled(STRONG, title));
    for group in groups {
        let rows = human::count(group.rows, "row");
        text.push_str(&format!("\n  {}  {}\n", styled(CAUTION, &group.check), rows));
        for example in group.examples.iter().take(examples) {
            let place = match (&example.source, example.position) {
                (Some(source), Some(position)) => format!("{source}:{position}"),
                (Some(source), None) => source.clone(),
                (None, _) => String::new(),
            };
            let gap = if place.is_empty() { "" } else { "  " };
            text.push_str(&format!("    {place}{gap}{}\n", human::shorten(&example.reason, width)));
            text.push_str(&format!("      {}\n", styled(FAINT, human::shorten(&example.row, width))));
        }
    }
    text.push_str(&format!(
        "\nAll of them: {}\nAfter a fix of the contract: {}\n",
        command(&format!("millstream query \"select * from {}\"", table.rejected())),
        command(&format!("millstream reprocess {table}")),
    ));
    text
}
