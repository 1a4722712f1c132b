//! `millstream runs show`: a run in full, from when it was asked for to the receipts of its steps.

use std::fmt::Write;

use millstream_state::{Proof, Receipt, RunRecord, StepLogLine, StepOutcome, StepRecord};
use millstream_types::TimestampMicros;

use super::{list::status, log, timeline::bars, with_news};
use crate::{
    CliError, Exit, human,
    output::{self, BAD, CAUTION, FAINT, GOOD, STRONG, styled},
    project,
    runs::{self, RunInFull},
    session::Session,
    show::table::table,
    standing::between,
    wire::{Of, RunDetail, total},
};

/// Show a run: its timeline, its steps with reasons, figures, receipts and costs, and what went wrong
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The id of the run, which may be cut short; the last run when absent
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// Show every line that the steps noted and logged, not only the last ones of those that failed
    #[arg(long)]
    lines: bool,
}

pub(super) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let engine = project::engine(project::open_sound(session)?, session).await?;
    let run = runs::named_or_last(&engine, arguments.run.as_deref()).await?;
    let known = runs::in_full(&engine, run).await?;
    if session.settings.json {
        output::print_json(&RunDetail::of(&known))?;
    } else {
        output::print(&text(&known, arguments.lines, engine.now()))?;
    }
    Ok(Exit::Success)
}

fn text(known: &RunInFull, whole_log: bool, now: TimestampMicros) -> String {
    let RunInFull { run, steps, log: lines, .. } = known;
    let mut text = String::new();
    headline(&mut text, run, steps, now);
    let bars = bars(run, steps);
    if !bars.is_empty() {
        let _ = write!(text, "\n{bars}");
    }
    if !steps.is_empty() {
        let header = [
            "step", "outcome", "because", "queued", "took", "retries", "cpu", "memory", "read", "written",
            "cost",
        ];
        let rows: Vec<_> = steps.iter().map(row).collect();
        // Most runs have no retries, and many projects no prices.
        let shown = with_news(&header, rows, &["retries", "memory", "cost"]);
        let right: Vec<_> =
            shown.header.iter().map(|name| !["step", "outcome", "because"].contains(name)).collect();
        let _ = write!(text, "\n{}", table(&shown.header, &shown.rows, &right));
    }
    receipts(&mut text, steps);
    for step in steps {
        trouble(&mut text, run, step, if whole_log { &[] } else { lines });
    }
    if whole_log {
        text.push_str(&log::whole(run, lines));
    }
    text
}

// Writing to a string cannot fail.
fn headline(text: &mut String, run: &RunRecord, steps: &[StepRecord], now: TimestampMicros) {
    let took = run.finished.map(|finished| human::duration(between(run.started, finished)));
    let took = took.map(|took| format!(" in {took}")).unwrap_or_default();
    let ago = human::ago(between(run.started, now));
    let _ = writeln!(text, "{} `{}` {}{took}, {ago}", styled(STRONG, &run.run), run.command, status(run));
    let mut facts = Vec::new();
    facts.extend(run.principal.as_ref().map(|principal| format!("asked for by {principal}")));
    let queued = run.asked.map(|asked| between(asked, run.started)).filter(|queued| queued.as_millis() > 0);
    facts.extend(queued.map(|queued| format!("waited {} to start", human::duration(queued))));
    facts.push(human::count(steps.len() as u64, "step"));
    let cpu: Option<u64> =
        steps.iter().filter_map(|step| step.figures.as_ref()?.cpu_us).reduce(u64::saturating_add);
    facts.extend(cpu.map(|cpu| format!("{} of processor time", micros(cpu))));
    if let Some(cost) = total(steps) {
        facts.push(format!("cost {}", human::money(cost.total(), &cost.currency)));
        if let Some(month) = cost.stored_month.filter(|month| *month > 0) {
            facts.push(format!("stored {} a month", human::money(month, &cost.currency)));
        }
    }
    let _ = writeln!(text, "  {}", facts.join(", "));
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
    let figures = step.figures.clone().unwrap_or_default();
    let bytes = |bytes: Option<u64>| bytes.map_or_else(none, human::bytes);
    vec![
        step.asset.to_string(),
        outcome,
        step.reason_text.clone(),
        figures.queued_us().map_or_else(none, micros),
        if figures.started.is_some() { human::duration(step.elapsed) } else { none() },
        figures.retries.filter(|retries| *retries > 0).map_or_else(none, |retries| retries.to_string()),
        figures.cpu_us.map_or_else(none, micros),
        bytes(figures.memory_peak),
        bytes(figures.bytes_read),
        bytes(figures.bytes_written),
        figures.cost.as_ref().map_or_else(none, |cost| human::money(cost.total(), &cost.currency)),
    ]
}

fn receipts(text: &mut String, steps: &[StepRecord]) {
    let receipt = |step: &StepRecord| {
        let receipt = step.figures.as_ref()?.receipt?;
        Some(vec![step.asset.to_string(), equation(&receipt, kept(&step.outcome))])
    };
    let rows: Vec<_> = steps.iter().filter_map(receipt).collect();
    if rows.is_empty() {
        return;
    }
    let _ = write!(
        text,
        "\n{}\n{}",
        styled(STRONG, "Receipts"),
        table(&["step", "rows"], &rows, &[false, false])
    );
}

/// What became of the rows that a step made and did not reject.
fn kept(outcome: &StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Built | StepOutcome::Unchanged => "written",
        // A check held them back, and their files are gone.
        StepOutcome::Halted { .. }
        | StepOutcome::Failed { .. }
        | StepOutcome::Skipped { .. }
        | StepOutcome::Cancelled => "held back",
    }
}

/// `12 read = 10 written + 2 rejected + 0 left out`
fn equation(receipt: &Receipt, kept: &str) -> String {
    let Receipt { proof, rows_in, rows_made, rows_out, rows_rejected, rows_filtered } = receipt;
    let count = |rows: u64| human::thousands(rows);
    let (out, rejected) = (count(*rows_out), count(*rows_rejected));
    match (proof, rows_in, rows_filtered) {
        (Proof::EachRow, Some(read), Some(filtered)) => {
            format!(
                "{} read = {out} {kept} + {rejected} rejected + {} left out",
                count(*read),
                count(*filtered)
            )
        }
        (_, read, _) => {
            let read = read.map(|read| format!(", of {} read", count(read))).unwrap_or_default();
            format!("{} made{read} = {out} {kept} + {rejected} rejected", count(*rows_made))
        }
    }
}

/// What went wrong in a step, what to do, and what it logged at the last.
fn trouble(text: &mut String, run: &RunRecord, step: &StepRecord, lines: &[StepLogLine]) {
    let (word, message, code, hint) = match &step.outcome {
        StepOutcome::Failed { code, error, hint } => ("failed", error, Some(code), hint),
        StepOutcome::Halted { reason, hint } => ("was halted", reason, None, hint),
        _ => return,
    };
    let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
    let _ = writeln!(text, "\n{} {} {word}: {message}{code}", styled(BAD, '✗'), step.asset);
    if let Some(hint) = hint {
        let _ = writeln!(text, "  {} {hint}", styled(GOOD, "help:"));
    }
    if let Some(last) = log::last(run, &step.asset, lines, message) {
        let _ = write!(text, "  {}\n{last}", styled(FAINT, "log:"));
    }
}

/// A length of time; below 10 ms with its microseconds.
fn micros(micros: u64) -> String {
    match micros {
        0..10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => human::duration(std::time::Duration::from_micros(micros)),
    }
}
