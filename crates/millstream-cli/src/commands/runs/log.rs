//! The lines that the steps of a run noted and logged, as people read them. Pure.

use std::fmt::Write;

use millstream_state::{LogLevel, RunRecord, StepLogLine};
use millstream_types::AssetId;

use crate::{
    human,
    output::{BAD, CAUTION, FAINT, STRONG, styled},
    standing::between,
};

/// The lines of a step that are shown where not all are asked for.
const LINES_SHOWN: usize = 10;

/// All lines of all steps, below the names of their assets.
pub(super) fn whole(run: &RunRecord, lines: &[StepLogLine]) -> String {
    if lines.is_empty() {
        return format!("\n{}\n", styled(FAINT, "No step of it noted anything."));
    }
    let mut text = format!("\n{}\n", styled(STRONG, "Log"));
    let mut before: Option<&AssetId> = None;
    for line in lines {
        if before != Some(&line.asset) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", line.asset);
        }
        let _ = writeln!(text, "{}", shown(run, line));
        before = Some(&line.asset);
    }
    text
}

/// The last lines of one step, and where the others are; `None` where there are none beside one that repeats the `error` of the step.
pub(super) fn last(run: &RunRecord, asset: &AssetId, lines: &[StepLogLine], error: &str) -> Option<String> {
    let own: Vec<_> = lines.iter().filter(|line| line.asset == *asset).collect();
    let left_out = own.len().saturating_sub(LINES_SHOWN);
    if let [] | [_] = own.as_slice()
        && own.iter().all(|it| it.line.message.contains(error))
    {
        return None;
    }
    let mut text = String::new();
    if left_out > 0 {
        let more = format!("{left_out} more: `millstream runs show {} --lines`", run.run);
        let _ = writeln!(text, "  {}", styled(FAINT, more));
    }
    for line in own.into_iter().skip(left_out) {
        let _ = writeln!(text, "{}", shown(run, line));
    }
    Some(text)
}

/// `  +1.2 s  warn   a file was left out`
fn shown(run: &RunRecord, StepLogLine { line, .. }: &StepLogLine) -> String {
    let since = human::duration(between(run.started, line.at));
    let level = format!("{:<5}", line.level);
    let level = match line.level {
        LogLevel::Error => styled(BAD, level),
        LogLevel::Warn => styled(CAUTION, level),
        LogLevel::Info | LogLevel::Debug | LogLevel::Trace => styled(FAINT, level),
    };
    // A message of several lines stays below its own beginning.
    let message = line.message.replace('\n', "\n                   ");
    format!("  {} {level} {message}", styled(FAINT, format!("{:>10}", format!("+{since}"))))
}
