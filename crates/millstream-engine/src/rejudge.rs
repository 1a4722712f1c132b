//! Checks of rows that stay: checks of a whole table, whose result may change with time, and checks of stored rows by a
//! definition that they were not judged by.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use futures::TryStreamExt;
use millstream_lake::Snapshot;
use millstream_plan::Recorded;
use millstream_project::CheckSpec;
use millstream_quality::{Contract, ContractOptions, Tally, UniqueIndex, VersionBefore};
use millstream_types::{Severity, TableName, TimestampMicros};

use crate::{
    CheckReport, EngineError, StepOutcome,
    assets::version_of,
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
    /// The record of the asset from before the step.
    pub known: Option<&'a Recorded>,
    pub now: TimestampMicros,
}

impl Standing<'_> {
    /// The step's end: unchanged, or halted by a check that does not hold. Checks of the whole table are judged each time. Rows
    /// are judged when the command asks for it, or when they were judged by another definition; rows that fail stay in the
    /// table.
    pub(crate) async fn judge(&self) -> Result<StepResult, EngineError> {
        let mut checks = if is_due(self.context, self.known)? { self.rows().await? } else { Vec::new() };
        tell(self.context, &checks);
        let rows = provider(&self.context.world.lake, self.snapshot)?;
        let (world, table) = (&self.context.world, self.snapshot.table());
        let before = VersionBefore::default();
        let outcomes = audit::table_checks(world, table, rows, self.checks, before, self.now).await?;
        checks.extend(outcomes.into_iter().map(audit::report));
        let outcome = halted(table, &checks).unwrap_or(StepOutcome::Unchanged);
        Ok(StepResult { checks, ..StepResult::without_rows(outcome, Some(version_of(self.snapshot))) })
    }

    /// What the row checks find in the stored rows.
    async fn rows(&self) -> Result<Vec<CheckReport>, EngineError> {
        let stored = Stored {
            context: self.context,
            table: self.snapshot.table(),
            schema: self.snapshot.schema(),
            rows: provider(&self.context.world.lake, self.snapshot)?,
            checks: self.checks,
            now: self.now,
        };
        stored.judge().await
    }
}

/// Whether stored rows are to be judged: the command asks for it, or they were judged by another definition. `known` is the
/// record of the asset from before the step.
pub(crate) fn is_due(context: &StepContext, known: Option<&Recorded>) -> Result<bool, EngineError> {
    let facts = context.facts()?;
    Ok(context.forced || known.is_some_and(|known| known.fingerprint != facts.fingerprint))
}

/// Rows that were in the table before the step and stay in it.
pub(crate) struct Stored<'a> {
    pub context: &'a StepContext,
    pub table: &'a TableName,
    /// The columns that the table has from now on: stored rows have nulls in columns that are new.
    pub schema: SchemaRef,
    pub rows: Arc<dyn TableProvider>,
    pub checks: &'a [CheckSpec],
    pub now: TimestampMicros,
}

impl Stored<'_> {
    /// What the row checks find in the rows.
    pub(crate) async fn judge(self) -> Result<Vec<CheckReport>, EngineError> {
        if !self.checks.iter().any(|check| check.kind.is_row_check()) {
            return Ok(Vec::new());
        }
        let (world, table) = (&self.context.world, self.table);
        let quality = |source| EngineError::Quality { table: table.clone(), source };
        let relations = relations(world, self.checks).await?;
        let options = ContractOptions {
            checks: self.checks,
            type_severity: Severity::Warn,
            relations: &relations,
            extra: &[],
            now: self.now,
        };
        let personal = world.project.personal.of_table(table);
        let contract = Contract::compile_table(&self.schema, personal, &options).map_err(quality)?;
        let mut unique = UniqueIndex::new(&contract, 0);
        let names: Vec<_> = self.schema.fields().iter().map(|field| field.name().clone()).collect();
        let mut rows = stored::scan(world, table, self.rows, &names, None).await?;
        let mut tally = Tally::default();
        while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(table, source))? {
            self.context.check_cancelled()?;
            let mut evaluated = contract.evaluate(&batch).map_err(quality)?;
            unique.check(&mut evaluated);
            tally.merge(&Tally::of(&evaluated));
        }
        let is_history = world.project.table(table).is_some_and(|spec| spec.materialize.keeps_states());
        let forgets =
            if is_history { ", which forgets the states that its inputs no longer have" } else { "" };
        let mut reports = row_check_reports(&tally, &tally.counts(&contract));
        for report in reports.iter_mut().filter(|report| !report.passed) {
            let (rows, stay) = if report.failed == 1 { ("row", "it stays") } else { ("rows", "they stay") };
            report.message = Some(format!(
                "{} {rows} that came before it; {stay} until `millstream run {table} --full-refresh`{forgets}",
                report.failed
            ));
        }
        Ok(reports)
    }
}

/// Notes for people which checks the stored rows do not pass.
pub(crate) fn tell(context: &StepContext, checks: &[CheckReport]) {
    for failed in checks.iter().filter(|check| !check.passed) {
        context.note(said(failed));
    }
}

/// The reports of new rows, together with those of the rows that stay.
pub(crate) fn joined(mut new: Vec<CheckReport>, stored: Vec<CheckReport>) -> Vec<CheckReport> {
    for report in stored {
        match new.iter_mut().find(|known| known.check == report.check) {
            Some(known) => {
                known.failed += report.failed;
                known.passed &= report.passed;
                known.message = known.message.take().or(report.message);
            }
            None => new.push(report),
        }
    }
    new
}

/// Why stored rows halt their step; `None` when they do not.
pub(crate) fn halted(table: &TableName, checks: &[CheckReport]) -> Option<StepOutcome> {
    let broken = checks.iter().find(|check| !check.passed && check.severity == Severity::Halt)?;
    let hint = Some(format!("`{table}` stays as it is; mend the data, or change the check"));
    Some(StepOutcome::Halted { reason: said(broken), hint })
}

fn said(check: &CheckReport) -> String {
    match &check.message {
        Some(message) => format!("check {} failed: {message}", check.check),
        None => format!("check {} failed", check.check),
    }
}
