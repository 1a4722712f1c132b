//! The audit of a candidate version, which decides whether it may become visible. Row checks were counted while the rows were
//! staged; the checks of the whole table look at the table as it would be.

use std::{collections::HashSet, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use millstream_lake::{DataFile, LakeTable, Snapshot, StagedFile};
use millstream_project::CheckSpec;
use millstream_quality::{
    CheckCount, Contract, MALFORMED, TableCheckOutcome, Tally, Verdict, VersionBefore, evaluate_table_checks,
};
use millstream_types::{CheckId, Percent, Severity, TableName, TimestampMicros};

use crate::{
    CheckReport, EngineError, StepOutcome,
    engine::{StepContext, World},
};

/// The name of the figure with which row-count checks compare.
const ROWS_METRIC: &str = "rows";

/// The candidate version that is audited: the files of `base` without `remove`, and those of `add`.
pub(crate) struct Audit<'a> {
    pub context: &'a StepContext,
    pub table: &'a TableName,
    pub base: Option<&'a Snapshot>,
    pub schema: SchemaRef,
    pub add: &'a [StagedFile],
    pub remove: &'a [DataFile],
    pub checks: &'a [CheckSpec],
    /// The share of rejected rows from which the breaker opens; `None` where nothing opens it.
    pub halt_above: Option<Percent>,
    pub contract: &'a Contract,
    pub tally: &'a Tally,
    pub now: TimestampMicros,
}

/// What the audit found.
pub(crate) struct Audited {
    pub checks: Vec<CheckReport>,
    /// Why the version may not become visible; `None` when it may.
    pub stop: Option<Stop>,
}

/// Why a step halts, and what to do about it.
pub(crate) struct Stop {
    reason: String,
    hint: String,
}

impl From<Stop> for StepOutcome {
    fn from(stop: Stop) -> Self {
        Self::Halted { reason: stop.reason, hint: Some(stop.hint) }
    }
}

impl Audit<'_> {
    pub(crate) async fn judge(&self) -> Result<Audited, EngineError> {
        let counts = self.tally.counts(self.contract);
        let mut checks = row_check_reports(self.tally, &counts);
        let verdict = Verdict::of(self.tally, &counts, self.halt_above);
        if verdict != Verdict::Commit {
            let reason = stopped(&verdict, &counts, self.tally.malformed);
            let hint = format!("{}; mend the data, or relax the contract of `{}`", self.stays(), self.table);
            return Ok(Audited { checks, stop: Some(Stop { reason, hint }) });
        }
        let before = VersionBefore { rows: self.base.and_then(Snapshot::rows) };
        let world = &self.context.world;
        let outcomes =
            table_checks(world, self.table, provider(self)?, self.checks, before, self.now).await?;
        let failed = outcomes.iter().find(|outcome| !outcome.passed && outcome.severity == Severity::Halt);
        let stop = failed.map(|outcome| Stop {
            reason: format!("check {} failed: {}", outcome.check, outcome.message),
            hint: format!("{}; mend the input, or change the check", self.stays()),
        });
        checks.extend(outcomes.into_iter().map(report));
        Ok(Audited { checks, stop })
    }

    /// What readers of the table see after a halt.
    fn stays(&self) -> &'static str {
        match self.base {
            Some(_) => "nothing was committed, the last good version stays",
            None => "nothing was committed, the table has no version yet",
        }
    }
}

/// The table as it would be with the candidate version.
fn provider(audit: &Audit<'_>) -> Result<Arc<dyn TableProvider>, EngineError> {
    let present = audit.base.map(Snapshot::files).unwrap_or_default();
    let removed: HashSet<_> = audit.remove.iter().map(DataFile::path).collect();
    let kept = present.iter().filter(|file| !removed.contains(file.path())).cloned();
    let files = kept.chain(audit.add.iter().map(DataFile::from)).collect();
    Ok(LakeTable::new(&audit.context.world.lake, audit.schema.clone(), files)?)
}

/// What the checks of the whole table find in `rows`.
pub(crate) async fn table_checks(
    world: &World,
    table: &TableName,
    rows: Arc<dyn TableProvider>,
    checks: &[CheckSpec],
    before: VersionBefore,
    now: TimestampMicros,
) -> Result<Vec<TableCheckOutcome>, EngineError> {
    let checks: Vec<_> = checks.iter().filter(|check| !check.kind.is_row_check()).cloned().collect();
    if checks.is_empty() {
        return Ok(Vec::new());
    }
    evaluate_table_checks(world.sql.runtime().as_ref(), rows, &checks, before, now)
        .await
        .map_err(|source| EngineError::Quality { table: table.clone(), source })
}

pub(crate) fn report(outcome: TableCheckOutcome) -> CheckReport {
    CheckReport {
        check: outcome.check,
        severity: outcome.severity,
        failed: u64::from(!outcome.passed),
        rejected: 0,
        passed: outcome.passed,
        observed: Some(outcome.observed),
        message: (!outcome.passed).then_some(outcome.message),
    }
}

/// Every row check with its figure, and the rows that could not be decoded, if there were any.
pub(crate) fn row_check_reports(tally: &Tally, counts: &[CheckCount]) -> Vec<CheckReport> {
    let report = |check: &CheckId, severity, failed, rejected| CheckReport {
        check: check.clone(),
        severity,
        failed,
        rejected,
        passed: failed == 0,
        observed: None,
        message: None,
    };
    let malformed = (tally.malformed > 0).then(|| {
        report(&CheckId::from(MALFORMED.to_owned()), Severity::Quarantine, tally.malformed, tally.malformed)
    });
    let counted =
        counts.iter().map(|count| report(&count.check, count.severity, count.failed, count.rejected));
    malformed.into_iter().chain(counted).collect()
}

/// Why the rows themselves may not be published.
pub(crate) fn stopped(verdict: &Verdict, counts: &[CheckCount], malformed: u64) -> String {
    match verdict {
        Verdict::Commit => String::new(),
        Verdict::Halted { check, failed } => match failed {
            1 => format!("check {check} failed for 1 row"),
            failed => format!("check {check} failed for {failed} rows"),
        },
        Verdict::BreakerOpen { rejected, rows, halt_above } => {
            let mut worst: Vec<_> = counts.iter().map(|count| (count.check.as_str(), count.failed)).collect();
            worst.push((MALFORMED, malformed));
            worst.retain(|(_, failed)| *failed > 0);
            worst.sort_by_key(|(_, failed)| std::cmp::Reverse(*failed));
            let named: Vec<_> =
                worst.iter().take(3).map(|(check, failed)| format!("{check} {failed}")).collect();
            let most = named.join(", ");
            format!("{rejected} of {rows} rows were rejected, more than {halt_above} allows ({most})")
        }
    }
}

/// The figures of a version with which checks of later versions compare.
pub(crate) fn metrics(rows: Option<u64>) -> Vec<(String, f64)> {
    #[expect(clippy::cast_precision_loss, reason = "a figure for comparison")]
    let value = |rows: u64| rows as f64;
    rows.map(|rows| (ROWS_METRIC.to_owned(), value(rows))).into_iter().collect()
}
