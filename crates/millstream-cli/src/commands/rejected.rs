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
///
/// A rejected row is counted once, under the first check that it broke. The rows themselves are in the table
/// `<table>__rejected`, which `query` reads.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The table: `bronze.orders`, or `orders`
    pub(crate) table: String,
    /// Examples for each reason
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = examples)]
    pub(crate) examples: usize,
}

fn examples(text: &str) -> Result<usize, String> {
    usize::try_from(human::whole_number(text)?).map_err(|_| "the number is too large".to_owned())
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let project = project::open_sound(session)?;
    let table = project::table_named(&project, &arguments.table)?;
    let engine = project::engine(project, session).await?;
    let groups = engine.rejected(&table, arguments.examples).await?;
    if session.settings.json {
        output::print_json(&RejectedDocument::new(&table, &groups))?;
    } else {
        let spec = engine.project().table(&table);
        let again = match spec.is_some_and(|spec| spec.materialize.keeps_states()) {
            // A history that is computed anew forgets states; a changed check alone does not do that.
            true => format!("millstream run {table}"),
            false => format!("millstream reprocess {table}"),
        };
        output::print(&text(&table, &groups, arguments.examples, &again))?;
    }
    Ok(Exit::Success)
}

/// The groups for people. `again`: the command that takes in the rows that pass by now.
fn text(table: &TableName, groups: &[RejectedGroup], examples: usize, again: &str) -> String {
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
        let halted = match group.halted {
            0 => String::new(),
            halted if halted == group.rows => ", of a step that was halted".to_owned(),
            halted => format!(", {} of a step that was halted", human::thousands(halted)),
        };
        text.push_str(&format!("\n  {}  {rows}{halted}\n", styled(CAUTION, &group.check)));
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
    let all = command(&format!("millstream query \"select * from {}\"", table.rejected()));
    text.push_str(&format!("\nAll of them: {all}\n"));
    let halted: u64 = groups.iter().map(|group| group.halted).sum();
    if halted < total {
        let reprocess = command(again);
        let is_unique = |group: &RejectedGroup| group.check.starts_with("unique");
        let gone =
            if groups.iter().any(is_unique) { ", or once the rows that they repeat are gone" } else { "" };
        text.push_str(&format!("After a fix of the contract{gone}: {reprocess}\n"));
    }
    if halted > 0 {
        let run = command("millstream run");
        text.push_str(&format!(
            "After a fix of what halted the step: {run} tries it again, with all its rows\n"
        ));
    }
    text
}
