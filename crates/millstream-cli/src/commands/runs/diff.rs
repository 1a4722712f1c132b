//! `millstream runs diff`: what another run did differently.

use std::fmt::Write;

use millstream_api::figures::{Pair, RunDiff, StepDiff};

use crate::{
    CliError, Exit, human,
    output::{self, FAINT, STRONG, styled},
    project, runs,
    session::Session,
    show::table::table,
    wire::Of,
};

/// Compare two runs: steps that came or went, what got slower or faster, rows, versions and definitions that changed
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The id of the earlier run, which may be cut short
    #[arg(value_name = "BEFORE")]
    before: String,
    /// The id of the later run, which may be cut short
    #[arg(value_name = "AFTER")]
    after: String,
}

pub(super) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let engine = project::engine(project::open_sound(session)?, session).await?;
    let before = runs::named(&engine, &arguments.before).await?;
    let after = runs::named(&engine, &arguments.after).await?;
    let (first, second) = (engine.steps(&before.run).await?, engine.steps(&after.run).await?);
    let diff = RunDiff::of(((&before, first.as_slice()), (&after, second.as_slice())));
    if session.settings.json {
        output::print_json(&diff)?;
    } else {
        output::print(&text(&diff))?;
    }
    Ok(Exit::Success)
}

fn text(diff: &RunDiff) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{} → {}", styled(STRONG, &diff.before), styled(STRONG, &diff.after));
    for (word, assets) in [("only before:", &diff.removed), ("only after:", &diff.added)] {
        if !assets.is_empty() {
            let _ = writeln!(text, "  {} {}", styled(FAINT, word), assets.join(", "));
        }
    }
    if diff.steps.is_empty() {
        let _ = writeln!(text, "No step is in both");
        return text;
    }
    let header = ["step", "outcome", "took", "", "written", "rejected", "version", "changed"];
    let right = header.map(|name| ["took", "", "written", "rejected", "version"].contains(&name));
    let rows: Vec<_> = diff.steps.iter().map(row).collect();
    let _ = write!(text, "\n{}", table(&header, &rows, &right));
    text
}

fn row(step: &StepDiff) -> Vec<String> {
    let rows = |pair: Pair<u64>| changed(pair, |rows| human::thousands(*rows));
    let version =
        |version: &Option<i64>| version.map_or_else(|| "-".to_owned(), |version| format!("v{version}"));
    let took = |ms: &u64| human::duration(std::time::Duration::from_millis(*ms));
    vec![
        step.asset.clone(),
        changed(step.outcome.clone(), String::clone),
        changed(step.elapsed_ms, took),
        pace(step.elapsed_ms),
        rows(step.rows_written),
        rows(step.rows_rejected),
        changed(step.version, version),
        what_changed(step),
    ]
}

/// `3 → 5`, or the one value of both.
fn changed<T>(pair: Pair<T>, show: impl Fn(&T) -> String) -> String {
    let (before, after) = (show(&pair.before), show(&pair.after));
    if before == after { styled(FAINT, before) } else { format!("{before} → {after}") }
}

/// How much slower or faster; nothing where the difference is below a fifth or 50 ms, which is noise.
fn pace(ms: Pair<u64>) -> String {
    let Pair { before, after } = ms;
    if before.abs_diff(after) < 50 || before.abs_diff(after) * 5 < before.max(after) {
        return String::new();
    }
    let (more, less, word) =
        if after > before { (after, before, "slower") } else { (before, after, "faster") };
    // One digit behind the point.
    let times = more.saturating_mul(10) / less.max(1);
    format!("{}.{}x {word}", times / 10, times % 10)
}

fn what_changed(step: &StepDiff) -> String {
    let mut words = Vec::new();
    if step.definition_changed == Some(true) {
        words.push("definition".to_owned());
    }
    let version =
        |version: Option<i64>| version.map_or_else(|| "-".to_owned(), |version| format!("v{version}"));
    let input = |(asset, pair): (&String, &Pair<Option<i64>>)| {
        format!("{asset} {} → {}", version(pair.before), version(pair.after))
    };
    words.extend(step.inputs_changed.iter().map(input));
    if words.is_empty() { styled(FAINT, "-") } else { words.join(", ") }
}
