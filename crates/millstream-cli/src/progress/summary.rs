//! What a run did, in a few lines: landed, rejected and why, built, skipped, and what to do next.

use std::{collections::BTreeSet, fmt::Write};

use millstream_engine::{CheckReport, RunReport, StepOutcome, StepReport};
use millstream_plan::Reason;
use millstream_types::Severity;

use crate::{
    human,
    output::{BAD, CAUTION, COMMAND, FAINT, GOOD, STRONG, styled},
};

/// Checks named per table with rejected rows.
const CHECKS_SHOWN: usize = 4;

/// The lines that end a run; styles inside.
pub(crate) fn summary(report: &RunReport) -> String {
    let mut text = String::new();
    headline(&mut text, report);
    figures(&mut text, report);
    rejected(&mut text, report);
    problems(&mut text, report);
    text
}

fn headline(text: &mut String, report: &RunReport) {
    let time = human::duration(report.elapsed);
    let said = if report.cancelled {
        styled(CAUTION, format_args!("Cancelled after {time}; what was finished is kept"))
    } else if report.steps.is_empty() && !report.caught_up.is_empty() {
        styled(GOOD, "Nothing is left to build")
    } else if report.steps.is_empty() {
        styled(
            GOOD,
            format_args!("Everything is up to date ({})", human::count(report.up_to_date as u64, "asset")),
        )
    } else if report.succeeded() {
        styled(GOOD, format_args!("Done in {time}"))
    } else {
        styled(BAD, format_args!("Failed after {time}"))
    };
    line(text, &said);
}

fn figures(text: &mut String, report: &RunReport) {
    for (asset, version) in &report.caught_up {
        let figure = format!("{asset} v{version}, which an earlier run had built and not published");
        figure_line(text, "published", &figure);
    }
    if report.steps.is_empty() {
        return;
    }
    let (sources, tables): (Vec<_>, Vec<_>) = of_kind(report, None).partition(|step| is_source(step));
    let built_sources = count_built(&sources);
    if built_sources > 0 {
        let rows: u64 = sources.iter().map(|step| step.rows_written).sum();
        let figure = format!("{} from {}", human::count(rows, "row"), human::count(built_sources, "source"));
        figure_line(text, "landed", &figure);
    }
    let built_tables = count_built(&tables);
    if built_tables > 0 {
        let rows: u64 = tables.iter().map(|step| step.rows_written).sum();
        let figure = format!("{}, {}", human::count(built_tables, "table"), human::count(rows, "row"));
        figure_line(text, "built", &figure);
    }
    let kinds: BTreeSet<&str> = report.steps.iter().filter_map(|step| step.asset.kind()).collect();
    for kind in kinds {
        let steps: Vec<_> = of_kind(report, Some(kind)).collect();
        let (built, rows) = (count_built(&steps), steps.iter().map(|step| step.rows_written).sum::<u64>());
        let rows = if rows > 0 { format!(", {}", human::count(rows, "row")) } else { String::new() };
        if built > 0 {
            figure_line(text, &format!("{kind}s"), &format!("{built}{rows}"));
        }
    }
    let refused: u64 = report.steps.iter().map(|step| step.rows_rejected).sum();
    if refused > 0 {
        figure_line(text, "rejected", &human::count(refused, "row"));
    }
    let unchanged = report.steps.iter().filter(|step| matches!(step.outcome, StepOutcome::Unchanged)).count()
        + report.up_to_date;
    if unchanged > 0 {
        figure_line(text, "unchanged", &human::count(unchanged as u64, "asset"));
    }
}

/// Whether a source landed for the first time, and nothing: mostly its path is misspelt.
fn is_first_and_empty(step: &StepReport) -> bool {
    is_source(step)
        && matches!(step.outcome, StepOutcome::Built)
        && step.version.is_some_and(|version| version.number() == 0)
        && step.rows_written == 0
        && step.rows_rejected == 0
}

/// Landed tables are those of the schema that only sources write to.
pub(crate) fn is_source(step: &StepReport) -> bool {
    step.asset.as_str().starts_with("bronze.")
}

fn of_kind<'a>(report: &'a RunReport, kind: Option<&'a str>) -> impl Iterator<Item = &'a StepReport> {
    report.steps.iter().filter(move |step| step.asset.kind() == kind)
}

fn count_built(steps: &[&StepReport]) -> u64 {
    steps.iter().map(|step| u64::from(matches!(step.outcome, StepOutcome::Built))).sum()
}

fn rejected(text: &mut String, report: &RunReport) {
    let with_rejected: Vec<_> = report.steps.iter().filter(|step| step.rows_rejected > 0).collect();
    if with_rejected.is_empty() {
        return;
    }
    line(text, "");
    line(text, &styled(STRONG, "Rejected rows and why"));
    let width = with_rejected.iter().map(|step| step.asset.as_str().len()).max().unwrap_or(0);
    for step in with_rejected {
        // Each row once, as `millstream rejected` shows it.
        let mut checks: Vec<_> = step.checks.iter().filter(|check| check.rejected > 0).collect();
        checks.sort_by_key(|check| std::cmp::Reverse(check.rejected));
        let mut named: Vec<String> = checks
            .iter()
            .take(CHECKS_SHOWN)
            .map(|check| format!("{} {}", check.check, styled(CAUTION, human::thousands(check.rejected))))
            .collect();
        if checks.len() > CHECKS_SHOWN {
            named.push(styled(FAINT, format_args!("{} more", checks.len() - CHECKS_SHOWN)));
        }
        let rows = human::thousands(step.rows_rejected);
        line(text, &format!("  {:<width$}  {rows:>9}  {}", step.asset.as_str(), named.join(", ")));
    }
    line(text, &styled(FAINT, "  `millstream rejected <table>` shows them with examples"));
}

fn problems(text: &mut String, report: &RunReport) {
    let warned: Vec<_> = report
        .steps
        .iter()
        .flat_map(|step| step.checks.iter().map(move |check| (step, check)))
        .filter(|(_, check)| check.severity == Severity::Warn && !check.passed)
        .collect();
    let empty: Vec<_> = report.steps.iter().filter(|step| is_first_and_empty(step)).collect();
    let vanished: Vec<_> =
        report.steps.iter().filter(|step| matches!(step.reason, Reason::Vanished { .. })).collect();
    if !warned.is_empty() || !empty.is_empty() || !vanished.is_empty() {
        line(text, "");
        line(text, &styled(STRONG, "Warnings"));
        for step in vanished {
            line(
                text,
                &format!("  {} {}  {}; it begins anew", styled(CAUTION, '!'), step.asset, step.reason),
            );
        }
        for step in empty {
            let name = step.asset.as_str().trim_start_matches("bronze.");
            let asks = format!("no row landed: does `path` in `sources/{name}.yaml` match its files?");
            line(text, &format!("  {} {}  {asks}", styled(CAUTION, '!'), step.asset));
        }
        for (step, check) in warned {
            line(
                text,
                &format!("  {} {}  {}: {}", styled(CAUTION, '!'), step.asset, check.check, finding(check)),
            );
        }
    }
    let broken: Vec<_> = report
        .steps
        .iter()
        .filter(|step| matches!(step.outcome, StepOutcome::Halted { .. } | StepOutcome::Failed { .. }))
        .collect();
    let skipped =
        report.steps.iter().filter(|step| matches!(step.outcome, StepOutcome::Skipped { .. })).count();
    if broken.is_empty() {
        return;
    }
    line(text, "");
    line(text, &styled(STRONG, "Problems"));
    for step in &broken {
        problem(text, step);
    }
    if skipped > 0 {
        let skipped = human::count(skipped as u64, "asset");
        line(text, &format!("  {skipped} downstream skipped; the last good versions stay in place"));
    }
    line(text, "");
    line(text, &format!("After the fix, {} continues where this run stopped.", command("`millstream run`")));
}

fn problem(text: &mut String, step: &StepReport) {
    let (said, hint) = match &step.outcome {
        StepOutcome::Halted { reason, hint } => (format!("halted: {reason}"), hint),
        StepOutcome::Failed { code, error, hint } => (format!("failed: {error} ({code})"), hint),
        _ => return,
    };
    line(text, &format!("  {} {}  {said}", styled(BAD, '✗'), step.asset));
    let is_untold = |check: &CheckReport| !said.contains(check.check.as_str());
    let halting = step.checks.iter().filter(|check| check.severity == Severity::Halt && !check.passed);
    for check in halting.filter(|check| is_untold(check)) {
        line(text, &format!("      {}: {}", check.check, finding(check)));
    }
    if let Some(hint) = hint {
        line(text, &format!("    {} {hint}", styled(GOOD, "help:")));
    }
}

/// What a failed check says: what it found and expected, or at least how much.
fn finding(check: &CheckReport) -> String {
    let told = check.message.clone().or_else(|| check.observed.clone());
    told.unwrap_or_else(|| human::count(check.failed, "row"))
}

fn figure_line(text: &mut String, name: &str, figure: &str) {
    line(text, &format!("  {name:<10} {figure}"));
}

/// A command that the reader can type.
pub(crate) fn command(text: &str) -> String {
    styled(COMMAND, text)
}

fn line(text: &mut String, content: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{content}");
}
