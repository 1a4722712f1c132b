//! One run: how it ended, what its steps did, and the set of versions that it published.

use std::{collections::BTreeMap, fmt::Write};

use millstream_engine::Engine;
use millstream_state::{RunOutcome, RunRecord, StepOutcome, StepRecord};
use millstream_types::{AssetId, AssetVersion, TimestampMicros};

use crate::{
    CliError, human,
    output::{self, BAD, CAUTION, FAINT, GOOD, STRONG, styled},
    runs,
    session::Session,
    show::table::table,
    standing::between,
    wire::{Of, RunDetail},
};

/// Prints all that is known of the run.
pub(super) async fn show(engine: &Engine, id: &str, session: &Session) -> Result<(), CliError> {
    let run = runs::named(engine, id).await?;
    let known = runs::in_full(engine, run).await?;
    if session.settings.json {
        return output::print_json(&RunDetail::of(&known));
    }
    output::print(&text(&known.run, &known.steps, known.set.as_ref(), engine.now()))
}

fn text(
    run: &RunRecord,
    steps: &[StepRecord],
    set: Option<&BTreeMap<AssetId, AssetVersion>>,
    now: TimestampMicros,
) -> String {
    let mut text = String::new();
    let outcome = match run.outcome {
        None => "under way".to_owned(),
        Some(RunOutcome::Succeeded) => styled(GOOD, "succeeded"),
        Some(outcome) => styled(BAD, outcome.as_str()),
    };
    let took = run.finished.map(|finished| human::duration(between(run.started, finished)));
    let took = took.map(|took| format!(" in {took}")).unwrap_or_default();
    let ago = human::ago(between(run.started, now));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{} `{}` {outcome}{took}, {ago}", styled(STRONG, &run.run), run.command);
    let rows: Vec<_> = steps.iter().map(row).collect();
    if !rows.is_empty() {
        let header = ["asset", "outcome", "because", "version", "written", "rejected"];
        let _ = write!(text, "\n{}", table(&header, &rows, &[false, false, false, true, true, true]));
    }
    let Some(set) = set else {
        let why = "It published no set of versions: readers go on with the set before.";
        let _ = writeln!(text, "\n{}", styled(FAINT, why));
        return text;
    };
    let told = |version: &AssetVersion| match version.is_lost() {
        true => styled(BAD, "gone"),
        false => format!("v{version}"),
    };
    let rows: Vec<_> = set.iter().map(|(id, version)| vec![id.to_string(), told(version)]).collect();
    let _ = write!(
        text,
        "\n{}\n{}",
        styled(STRONG, "Set of versions"),
        table(&["asset", "version"], &rows, &[false, true])
    );
    text
}

fn row(step: &StepRecord) -> Vec<String> {
    let none = || styled(FAINT, "-");
    let outcome = match &step.outcome {
        StepOutcome::Built => styled(GOOD, "built"),
        StepOutcome::Unchanged => "no change".to_owned(),
        StepOutcome::Skipped { because } => format!("skipped because of {because}"),
        StepOutcome::Cancelled => styled(CAUTION, "cancelled"),
        StepOutcome::Halted { .. } | StepOutcome::Failed { .. } => styled(BAD, step.outcome.as_str()),
    };
    let rows = |rows: u64| if rows == 0 { none() } else { human::thousands(rows) };
    vec![
        step.asset.to_string(),
        outcome,
        step.reason_text.clone(),
        step.version.map_or_else(none, |version| format!("v{version}")),
        rows(step.rows_written),
        rows(step.rows_rejected),
    ]
}
