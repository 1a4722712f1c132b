//! Checks of a table that stays as it is: by the clock, and its stored rows by a definition that they were not judged by.

use futures::TryStreamExt;
use millstream_lake::Snapshot;
use millstream_plan::Recorded;
use millstream_project::CheckSpec;
use millstream_quality::{Contract, ContractOptions, Tally, UniqueIndex, VersionBefore};
use millstream_types::{Severity, TimestampMicros};

use crate::{
    CheckReport, EngineError, StepOutcome,
    audit::{self, row_check_reports},
    engine::StepContext,
    resolver::provider,
    run::StepResult,
    stored::{self, relations},
};

/// A step that leaves its table alone.
pub(crate) struct Standing<'a> {
    pub context: &'a StepContext,
    pub snapshot: &'a Snapshot,
    pub checks: &'a [CheckSpec],
    /// What was recorded of the asset before the step.
    pub known: Option<&'a Recorded>,
    pub now: TimestampMicros,
}

impl Standing<'_> {
    /// The step's end: unchanged, or halted by a check that does not hold. Checks of the whole table are judged each time.
    /// The rows are when the command asks for it, or when the definition is another one than they were judged by; those
    /// that fail stay where they are.
    pub(crate) async fn judge(&self) -> Result<StepResult, EngineError> {
        let facts = self.context.facts()?;
        let is_other = self.known.is_some_and(|known| known.fingerprint != facts.fingerprint);
        let mut checks = if self.context.forced || is_other { self.rows().await? } else { Vec::new() };
        for failed in checks.iter().filter(|check| !check.passed) {
            self.context.note(said(failed));
        }
        let rows = provider(&self.context.world.lake, self.snapshot)?;
        let (world, table) = (&self.context.world, self.snapshot.table());
        let before = VersionBefore::default();
        let outcomes = audit::table_checks(world, table, rows, self.checks, before, self.now).await?;
        checks.extend(outcomes.into_iter().map(audit::report));
        let broken = checks.iter().find(|check| !check.passed && check.severity == Severity::Halt);
        let outcome = broken.map_or(StepOutcome::Unchanged, |check| StepOutcome::Halted {
            reason: said(check),
            hint: Some(format!("`{table}` stays as it is; mend the data, or change the check")),
        });
        Ok(StepResult { checks, ..StepResult::without_rows(outcome, Some(self.snapshot.version())) })
    }

    /// What the row checks find in the stored rows.
    async fn rows(&self) -> Result<Vec<CheckReport>, EngineError> {
        if !self.checks.iter().any(|check| check.kind.is_row_check()) {
            return Ok(Vec::new());
        }
        let (world, table) = (&self.context.world, self.snapshot.table());
        let quality = |source| EngineError::Quality { table: table.clone(), source };
        let relations = relations(self.context, self.checks).await?;
        let options = ContractOptions {
            checks: self.checks,
            type_severity: Severity::Warn,
            relations: &relations,
            extra: &[],
            now: self.now,
        };
        let schema = self.snapshot.schema();
        let personal = world.project.personal.of_table(table);
        let contract = Contract::compile_table(&schema, personal, &options).map_err(quality)?;
        let mut unique = UniqueIndex::new(&contract, 0);
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let stored = provider(&world.lake, self.snapshot)?;
        let mut rows = stored::scan(world, table, stored, &names, None).await?;
        let mut tally = Tally::default();
        while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(table, source))? {
            self.context.check_cancelled()?;
            let mut evaluated = contract.evaluate(&batch).map_err(quality)?;
            unique.check(&mut evaluated);
            tally.merge(&Tally::of(&evaluated));
        }
        let mut reports = row_check_reports(&tally, &tally.counts(&contract));
        for report in reports.iter_mut().filter(|report| !report.passed) {
            let (rows, stay) = if report.failed == 1 { ("row", "it stays") } else { ("rows", "they stay") };
            report.message = Some(format!(
                "{} {rows} that came before it; {stay} until `millstream run {table} --full-refresh`",
                report.failed
            ));
        }
        Ok(reports)
    }
}

fn said(check: &CheckReport) -> String {
    match &check.message {
        Some(message) => format!("check {} failed: {message}", check.check),
        None => format!("check {} failed", check.check),
    }
}
