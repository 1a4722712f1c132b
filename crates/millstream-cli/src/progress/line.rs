//! One finished step as one line.

use millstream_engine::{PlannedAsset, StepOutcome, StepReport};
use millstream_types::Severity;

use crate::{
    human,
    output::{BAD, CAUTION, FAINT, GOOD, styled},
};

/// Longest asset name that the others are aligned to.
const NAME_WIDTH_MAX: usize = 40;

/// Width of the column of asset names.
pub(crate) fn name_width(steps: &[PlannedAsset]) -> usize {
    steps.iter().map(|step| step.asset.as_str().len()).max().unwrap_or(0).min(NAME_WIDTH_MAX)
}

/// `✓ bronze.orders  1,000,000 rows  12,345 rejected  v1  0.8 s`
pub(crate) fn step_line(step: &StepReport, name_width: usize) -> String {
    let (symbol, said) = match &step.outcome {
        StepOutcome::Built => (styled(GOOD, '✓'), built(step)),
        StepOutcome::Unchanged => (styled(FAINT, '='), vec![styled(FAINT, "no change")]),
        StepOutcome::Halted { reason, .. } => (styled(BAD, '✗'), vec![styled(BAD, "halted"), reason.clone()]),
        StepOutcome::Failed { code, error, .. } => {
            (styled(BAD, '✗'), vec![styled(BAD, format_args!("failed {code}")), error.clone()])
        }
        StepOutcome::Skipped { because } => {
            (styled(CAUTION, '↷'), vec![styled(CAUTION, format_args!("skipped because of {because}"))])
        }
        StepOutcome::Cancelled => (styled(CAUTION, '–'), vec![styled(CAUTION, "cancelled")]),
    };
    let asset = step.asset.as_str();
    format!("{symbol} {asset:<name_width$}  {}", said.join("  "))
}

fn built(step: &StepReport) -> Vec<String> {
    let mut said = Vec::new();
    // Not every kind of asset has rows; of a table it is worth a word that none came.
    if step.rows_written > 0 || step.asset.kind().is_none() {
        said.push(human::count(step.rows_written, "row"));
    }
    if step.rows_deleted > 0 {
        said.push(format!("{} deleted", human::thousands(step.rows_deleted)));
    }
    if step.rows_rejected > 0 {
        said.push(styled(CAUTION, format_args!("{} rejected", human::thousands(step.rows_rejected))));
    }
    let warned = step.checks.iter().filter(|check| check.severity == Severity::Warn && !check.passed).count();
    if warned > 0 {
        said.push(styled(CAUTION, human::count(warned as u64, "warning")));
    }
    if let Some(version) = step.version {
        said.push(format!("v{version}"));
    }
    said.push(styled(FAINT, human::duration(step.elapsed)));
    said
}

/// `bronze.orders  try 2 failed, next in 1.5 s: …`
pub(crate) fn retry_line(asset: &str, attempt: u32, wait: std::time::Duration, error: &str) -> String {
    format!(
        "{} {asset}  try {attempt} failed, next in {}: {error}",
        styled(CAUTION, '↻'),
        human::duration(wait)
    )
}

/// `process 7 on `farm` works on `gold.a` (`run`): waiting`
pub(crate) fn waiting_line(because: &str) -> String {
    format!("{} {because}: waiting", styled(FAINT, '·'))
}

/// `bronze.orders  a column was added: voucher`
pub(crate) fn note_line(asset: &str, note: &str) -> String {
    format!("{} {asset}  {note}", styled(FAINT, '·'))
}

/// `the circuit of the connection `shop` is open: …`
pub(crate) fn alarm_line(message: &str, is_over: bool) -> String {
    let symbol = if is_over { styled(GOOD, '✓') } else { styled(BAD, '!') };
    format!("{symbol} {message}")
}
