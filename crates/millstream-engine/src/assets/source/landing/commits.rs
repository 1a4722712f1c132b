//! A landing in several commits. Each takes in as much as the connector's bound allows, and records the positions that it
//! reached, so that a process may end anywhere and the next one continues from the last commit.

use millstream_connector::{Bound, Part, PartChange};
use millstream_project::SourceSpec;

use super::{Described, epoch::Standing, evolve::FoundPart, land_described, standing};
use crate::{CheckReport, EngineError, StepOutcome, engine::StepContext, run::StepResult};

/// What one commit takes in.
pub(super) struct Portion {
    pub described: Described,
    pub bound: Bound,
    /// Whether this run has landed another portion before.
    pub follows: bool,
    /// Whether nothing waits behind the portion, apart from what the portion's own bound leaves over.
    pub is_last: bool,
}

impl Portion {
    /// A portion of everything, without a bound.
    pub(super) fn whole(described: Described) -> Self {
        Self { described, bound: Bound::NONE, follows: false, is_last: true }
    }

    /// The next portion, taken from what waits. Parts that replace rows come first and without a bound, so that the
    /// rows that they replace leave in one commit.
    fn next(waiting: &mut Described, bound: Bound, follows: bool) -> Self {
        let is_replaced = |part: &Part| part.change == PartChange::Replaced;
        let (replaced, others): (Vec<_>, Vec<_>) = waiting.parts.drain(..).partition(is_replaced);
        let (now, later, bound) =
            if replaced.is_empty() { (others, replaced, bound) } else { (replaced, others, Bound::NONE) };
        let is_now = |found: &&FoundPart| now.iter().any(|part| part.id == found.id);
        let found = waiting.found.iter().filter(is_now).cloned().collect();
        waiting.parts = later;
        let left_out = std::mem::take(&mut waiting.left_out);
        let is_last = waiting.parts.is_empty();
        Self { described: Described { parts: now, found, left_out }, bound, follows, is_last }
    }
}

/// Lands all that waits in portions of `bound`.
pub(super) async fn land_in_portions(
    context: &StepContext,
    source: &SourceSpec,
    first: &Standing,
    mut waiting: Described,
    bound: Bound,
) -> Result<StepResult, EngineError> {
    let portion = Portion::next(&mut waiting, bound, false);
    let (mut result, mut rest) = land_described(context, source, first, portion).await?;
    loop {
        // The rest of a portion stands before what waits behind it.
        waiting.parts.splice(..0, rest);
        if waiting.parts.is_empty() || !matches!(result.outcome, StepOutcome::Built | StepOutcome::Unchanged)
        {
            return Ok(result);
        }
        let landed = async {
            context.check_cancelled()?;
            let standing = standing(&context.world, source).await?;
            let portion = Portion::next(&mut waiting, bound, true);
            land_described(context, source, &standing, portion).await
        };
        match landed.await {
            Ok((next, left)) => (result, rest) = (joined(result, next), left),
            Err(error) => {
                context.note(format!(
                    "{} rows were landed before this run of the step ended",
                    result.rows_written
                ));
                return Err(error);
            }
        }
    }
}

/// The results of two commits of one step as one result. Pure.
fn joined(before: StepResult, next: StepResult) -> StepResult {
    let outcome = match (&before.outcome, next.outcome) {
        (StepOutcome::Built, StepOutcome::Unchanged) => StepOutcome::Built,
        (_, outcome) => outcome,
    };
    StepResult {
        outcome,
        rows_written: before.rows_written + next.rows_written,
        rows_deleted: before.rows_deleted + next.rows_deleted,
        rows_rejected: before.rows_rejected + next.rows_rejected,
        version: next.version.or(before.version),
        checks: joined_checks(before.checks, next.checks),
        recorded: next.recorded,
        receipt: match (before.receipt, next.receipt) {
            (Some(before), Some(next)) => Some(before.joined(next)),
            (before, next) => before.or(next),
        },
        metrics: if next.metrics.is_empty() { before.metrics } else { next.metrics },
    }
}

/// Figures of rows add up; what a check found of the whole table is what it found last.
fn joined_checks(mut before: Vec<CheckReport>, next: Vec<CheckReport>) -> Vec<CheckReport> {
    for report in next {
        match before.iter_mut().find(|known| known.check == report.check) {
            Some(known) => {
                *known = CheckReport {
                    failed: known.failed + report.failed,
                    rejected: known.rejected + report.rejected,
                    passed: known.passed && report.passed,
                    message: report.message.or(known.message.take()),
                    ..report
                };
            }
            None => before.push(report),
        }
    }
    before
}
