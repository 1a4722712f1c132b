//! Builds one SQL table: from the changes of its inputs where it can, as a whole where it must.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use futures::future::BoxFuture;
use millstream_lake::{At, Operation, ScanCount, Snapshot};
use millstream_plan::{AssetStatus, Reason, Recorded};
use millstream_project::{CheckKind, Grain, IncrementalSpec, Materialize, StreamSpec, TableSpec};
use millstream_quality::{Contract, ContractOptions};
use millstream_query::QueryRuntime;
use millstream_sql::{
    RowByRow, VALID_FROM, VALID_TO,
    incremental::{Change, IncrementalError, Keep, Limits, Maintenance, Refresh, Strategy},
    row_by_row,
};
use millstream_state::{Proof, Receipt};
use millstream_types::{AssetId, AssetVersion, Severity, TimestampMicros};

use super::{
    delta::{self, Delta},
    inputs::{Counts, Inputs},
    widened,
};
use crate::{
    EngineError, StepOutcome,
    assets::version_of,
    audit::metrics,
    commit_info::{BUILD_TXN, CommitInfo, Committed},
    engine::{StepContext, World},
    publish::{self, Candidate, Rejected, publish},
    reconcile::{UNFINISHED, built_from},
    rejected::is_lost,
    rejudge::{self, Standing},
    resolver::provider,
    run::StepResult,
    stored::relations,
};

/// Builds the table of `spec`. With `must`, the work is done even if no input has a new version. The future is boxed,
/// because the compiler cannot see that so deep a future is `Send`.
pub(crate) fn build<'a>(
    context: &'a StepContext,
    spec: &'a TableSpec,
    must: bool,
) -> BoxFuture<'a, Result<StepResult, EngineError>> {
    Box::pin(build_table(context, spec, must))
}

async fn build_table(context: &StepContext, spec: &TableSpec, must: bool) -> Result<StepResult, EngineError> {
    millstream_usage::counts_bytes();
    let world = &context.world;
    let now = world.options.clock.now();
    let inputs = Inputs::pin(world, &context.asset).await?;
    let base = world.lake.snapshot(&spec.name, At::Latest).await?;
    let version = base.as_deref().map(version_of);
    let recorded = world.state.recorded_of(&context.asset).await?.filter(Recorded::was_built);
    let recorded = built_from(world, &spec.name, version, recorded).await?;
    if let Some(base) = &base {
        publish::finish_outdated(context, base).await?;
    }
    let facts = context.facts()?;
    let same_inputs = recorded.as_ref().is_some_and(|recorded| recorded.input_versions == inputs.versions());
    let is_finished = recorded.as_ref().is_none_or(|recorded| recorded.fingerprint != UNFINISHED);
    if let Some(base) = base.as_deref().filter(|_| !must && same_inputs && is_finished) {
        if context.reason != Reason::Stale {
            return Ok(StepResult::without_rows(StepOutcome::Unchanged, version));
        }
        let (checks, known) = (&spec.checks, recorded.as_ref());
        return Standing { context, snapshot: base, checks, known, now }.judge().await;
    }
    let attempt = BuildAttempt::open(context, spec, base.as_deref(), &inputs, now).await?;
    let same_definition = recorded.as_ref().is_some_and(|recorded| recorded.fingerprint == facts.fingerprint);
    // A widened source changes the columns' types without a new definition.
    let same_columns = base.as_ref().is_some_and(|base| base.schema() == attempt.schema);
    let since = recorded
        .as_ref()
        .filter(|_| same_definition && same_columns)
        .map(|recorded| &recorded.input_versions);
    let (change, rows_in) = attempt.change(since).await?;
    let covers = Covers::of(&change);
    match delta::stage(&attempt, change).await? {
        Some(mut delta) => {
            delta.receipt = attempt.receipt(delta.receipt, covers, rows_in);
            attempt.publish(delta, recorded.as_ref()).await
        }
        None => attempt.unchanged(recorded.as_ref()).await,
    }
}

/// Whether the stored table has the columns of a history, so that its rows are states of keys.
fn is_stored_history(base: &Snapshot) -> bool {
    [VALID_FROM, VALID_TO].iter().all(|name| base.schema().field_with_name(name).is_ok())
}

/// The change that a build makes to the table.
pub(super) enum Plan {
    /// All rows are replaced by these.
    Whole(SendableRecordBatchStream),
    Change(Change),
}

/// Which rows of the inputs the rows of a change are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Covers {
    All,
    /// The rows that were added are all that changed, if their number is known.
    Added,
    Some,
}

impl Covers {
    fn of(plan: &Plan) -> Self {
        match plan {
            Plan::Whole(_) | Plan::Change(Change::Everything { .. }) => Self::All,
            Plan::Change(Change::Add { .. }) => Self::Added,
            Plan::Change(_) => Self::Some,
        }
    }
}

/// An attempt at a build, with everything decided that does not depend on rows.
pub(super) struct BuildAttempt<'a> {
    pub context: &'a StepContext,
    pub spec: &'a TableSpec,
    pub base: Option<&'a Snapshot>,
    pub inputs: &'a Inputs,
    pub runtime: Arc<dyn QueryRuntime>,
    pub maintenance: Maintenance,
    /// How the query makes its rows of one table's, if it does.
    row_by_row: Option<RowByRow>,
    /// The rows that the files of the one input turned out to have, where the query leaves out some of them.
    scanned: Option<ScanCount>,
    /// The columns as the table stores them.
    pub schema: SchemaRef,
    pub contract: Arc<Contract>,
    /// Rejected rows of the table are lost if this is set, so that nobody knows what was kept out of it.
    lost: bool,
    /// The table's rejected rows, if there are any.
    pub rejected: Option<Arc<Snapshot>>,
    pub now: TimestampMicros,
    /// The number of this build, which is the version of the transaction [`BUILD_TXN`] in the commit.
    pub build: i64,
}

impl<'a> BuildAttempt<'a> {
    pub(super) async fn open(
        context: &'a StepContext,
        spec: &'a TableSpec,
        base: Option<&'a Snapshot>,
        inputs: &'a Inputs,
        now: TimestampMicros,
    ) -> Result<Self, EngineError> {
        let world = &context.world;
        let session = world.pinned_session(inputs.snapshots.clone());
        let failed = |source| EngineError::Sql { table: spec.name.clone(), source };
        let analysed = widened::analysed(world, spec).await?;
        let plan = session.bind(&analysed.plan).await.map_err(failed)?;
        let row_by_row = row_by_row(&plan);
        let maintenance = Maintenance::new(&plan, keep(&spec.materialize))
            .map_err(|source| EngineError::Incremental { table: spec.name.clone(), source })?
            .keeping_out_nulls(never_null(spec));
        let schema = analysed.stored_schema;
        let relations = relations(&context.world, &spec.checks).await?;
        let options = ContractOptions {
            checks: &spec.checks,
            type_severity: spec.on_violation,
            relations: &relations,
            extra: &[],
            now,
        };
        let contract =
            Contract::compile_table(&schema, world.project.personal.of_table(&spec.name), &options)
                .map_err(|source| EngineError::Quality { table: spec.name.clone(), source })?;
        let rejected = world.lake.snapshot(&spec.name.rejected(), At::Latest).await?;
        let rejected = rejected.filter(|rejected| !rejected.files().is_empty());
        let lost = match base {
            Some(base) => is_lost(world, base).await?,
            None => false,
        };
        if lost {
            context.note(format!("{} has lost rows: all rows are judged again", spec.name.rejected()));
        }
        let build = base.and_then(|base| base.txn(BUILD_TXN)).unwrap_or(0) + 1;
        Ok(Self {
            context,
            spec,
            base,
            inputs,
            runtime: session.runtime().clone(),
            maintenance,
            scanned: row_by_row.as_ref().filter(|one| one.filters).map(|_| ScanCount::default()),
            row_by_row,
            schema,
            contract: Arc::new(contract),
            lost,
            rejected,
            now,
            build,
        })
    }

    /// The same attempt over a newer version of the table.
    pub(super) fn over<'b>(
        &'b self,
        base: Option<&'b Snapshot>,
        rejected: Option<Arc<Snapshot>>,
    ) -> BuildAttempt<'b> {
        BuildAttempt {
            context: self.context,
            spec: self.spec,
            base,
            inputs: self.inputs,
            runtime: self.runtime.clone(),
            maintenance: self.maintenance.clone(),
            row_by_row: self.row_by_row.clone(),
            scanned: self.scanned.clone(),
            schema: self.schema.clone(),
            contract: self.contract.clone(),
            lost: self.lost,
            rejected,
            now: self.now,
            build: base.and_then(|base| base.txn(BUILD_TXN)).unwrap_or(0) + 1,
        }
    }

    /// Whether rejected rows of the table are lost, so that nobody knows what was kept out of it.
    pub(super) fn has_lost(&self) -> bool {
        self.lost
    }

    /// Decides how the table changes, and says how many rows of the inputs were added, if rows were only added. `since` are the
    /// input versions of the last build with the same definition.
    async fn change(
        &self,
        since: Option<&BTreeMap<AssetId, AssetVersion>>,
    ) -> Result<(Plan, Option<u64>), EngineError> {
        let is_history = self.spec.materialize.keeps_states();
        let is_anew = self.context.full_refresh || (self.lost && !is_history);
        let whole = async || Ok((self.whole().await?, None));
        let Some(base) = self.base.filter(|_| !is_anew) else { return whole().await };
        let was_history = is_stored_history(base);
        if was_history && !is_history {
            self.context.note(format!(
                "was a history, whose states go: version {} has them until maintenance takes it away",
                base.version()
            ));
        }
        // Rows of another kind of table have no time from which they were valid.
        if is_history && !was_history {
            return whole().await;
        }
        let world = &self.context.world;
        let changes = match since {
            Some(since) => self.inputs.changes_counted(world, since, self.counts()).await?,
            None => None,
        };
        // A new definition computes all rows again, but a history keeps the states that it has seen.
        let (inputs, rows_added, everything) = match changes {
            Some(changes) => (changes.inputs, changes.rows_added, false),
            None if is_history => (self.inputs.whole(world)?, None, true),
            None if since.is_some() && !matches!(keep(&self.spec.materialize), Keep::Append) => {
                (self.inputs.whole_counted(world, self.scanned.as_ref())?, None, true)
            }
            None => return whole().await,
        };
        let refresh = Refresh {
            runtime: self.runtime.as_ref(),
            inputs: &inputs,
            existing: provider(&self.context.world.lake, base)?,
            some_kept_out: self.rejected.is_some() || self.lost,
            limits: Limits::default(),
            now: self.now,
            everything,
        };
        match self.maintenance.refresh(&refresh).await {
            Ok(change) => Ok((Plan::Change(change), rows_added)),
            Err(IncrementalError::NeedsFullRebuild { why }) if !is_history => {
                self.context.note(format!("rebuilt as a whole: {why}"));
                whole().await
            }
            Err(source) => Err(self.failed(source)),
        }
    }

    /// The receipt of the rows that were `made`, with those that they were made of where these can be counted.
    fn receipt(&self, made: Receipt, covers: Covers, rows_added: Option<u64>) -> Receipt {
        let rows_in = match covers {
            Covers::All => self.inputs.rows(),
            Covers::Added => rows_added,
            Covers::Some => None,
        };
        let made = Receipt { rows_in, ..made };
        let is_each_row = self.row_by_row.as_ref().is_some_and(|one| {
            let reads = self.inputs.snapshots.keys().map(ToString::to_string);
            !self.spec.materialize.keeps_states() && reads.eq([one.table.clone()])
        });
        if !is_each_row || rows_in.is_none() {
            return made;
        }
        // What is left out is what the scan has counted and the query did not make a row of, so that a row which the input's
        // files do not have, though their log does, is in no place.
        let filtered = match &self.scanned {
            None => 0,
            Some(scanned) => match scanned.rows() {
                Some(scanned) => scanned.saturating_sub(made.rows_made),
                None => return made,
            },
        };
        Receipt { proof: Proof::EachRow, rows_filtered: Some(filtered), ..made }
    }

    /// What is counted of inputs that have changed: a table that is replaced as a whole reads all of their rows, others those that
    /// came.
    fn counts(&self) -> Counts<'_> {
        let scanned = self.scanned.as_ref();
        match keep(&self.spec.materialize) {
            Keep::Whole => Counts { whole: scanned, added: None },
            _ => Counts { added: scanned, whole: None },
        }
    }

    /// Computes all rows, from the new versions of the inputs.
    pub(super) async fn whole(&self) -> Result<Plan, EngineError> {
        let inputs = self.inputs.whole_counted(&self.context.world, self.scanned.as_ref())?;
        let rows = self.maintenance.build(self.runtime.as_ref(), &inputs, self.now).await;
        Ok(Plan::Whole(rows.map_err(|source| self.failed(source))?))
    }

    /// Whether the table's columns are not yet those of its definition.
    pub(super) fn reshapes(&self) -> bool {
        self.base.is_some_and(|base| base.schema() != self.schema)
    }

    /// Whether files must be written again because they hold columns that are removed, or that get another type.
    pub(super) fn rewrites(&self) -> bool {
        let Some(base) = self.base else { return false };
        base.schema().fields().iter().any(|old| {
            self.schema.field_with_name(old.name()).map_or(true, |new| new.data_type() != old.data_type())
        })
    }

    pub(super) fn failed(&self, source: IncrementalError) -> EngineError {
        EngineError::Incremental { table: self.spec.name.clone(), source }
    }

    async fn publish(&self, delta: Delta, known: Option<&Recorded>) -> Result<StepResult, EngineError> {
        let world = &self.context.world;
        let staying = if !delta.whole && rejudge::is_due(self.context, known)? {
            publish::staying(self.base, &delta.remove, delta.kept)
        } else {
            Vec::new()
        };
        let what = Committed::Build { build: self.build, inputs: self.inputs.versions(), partitions: None };
        let facts = self.context.facts()?;
        let mut info = CommitInfo::new(self.context.run.clone(), self.now, facts.fingerprint, what);
        info.rows_written = delta.rows_written;
        info.rows_rejected = delta.rows_rejected;
        let candidate = Candidate {
            context: self.context,
            table: &self.spec.name,
            base: self.base,
            schema: self.schema.clone(),
            add: delta.add,
            remove: delta.remove,
            staying,
            operation: self.operation(delta.whole),
            txn: (BUILD_TXN, self.build),
            info,
            checks: &self.spec.checks,
            halt_above: self.spec.halt_above,
            contract: &self.contract,
            tally: &delta.tally,
            rejected: Rejected {
                files: delta.rejected,
                rows: delta.rows_rejected,
                epoch_before: self.build - 1,
                replaced_parts: Vec::new(),
                replace: delta.all_rejected_again,
                superseded: delta.superseded,
            },
            now: self.now,
            rows_written: delta.rows_written,
            rows_deleted: delta.rows_deleted,
            receipt: delta.receipt,
        };
        let mut result = publish(candidate).await?;
        if matches!(result.outcome, StepOutcome::Built) {
            let rows = match result.version {
                Some(version) => world.lake.snapshot(&self.spec.name, At::Version(version.number())).await?,
                None => None,
            };
            let rows = rows.and_then(|snapshot| snapshot.rows());
            result.metrics = metrics(rows);
            result.recorded = Some(self.recorded(result.version, rows)?);
        }
        Ok(result)
    }

    /// The result of a build whose new inputs or new definition give the rows that are stored already. `known` is the record
    /// from before the build.
    async fn unchanged(&self, known: Option<&Recorded>) -> Result<StepResult, EngineError> {
        let Some(snapshot) = self.base else {
            return Ok(StepResult::without_rows(StepOutcome::Unchanged, None));
        };
        let (context, checks, now) = (self.context, &self.spec.checks, self.now);
        let mut result = Standing { context, snapshot, checks, known, now }.judge().await?;
        let recorded = self.recorded(result.version, snapshot.rows())?;
        let built_at = known.filter(|known| known.version == result.version).map(|known| known.built_at);
        result.recorded = Some(Recorded { built_at: built_at.unwrap_or(now), ..recorded });
        Ok(result)
    }

    fn operation(&self, whole: bool) -> Operation {
        match &self.spec.materialize {
            _ if whole => Operation::Overwrite,
            Materialize::Incremental(IncrementalSpec::Append) => Operation::Append,
            Materialize::Incremental(IncrementalSpec::Partition { .. }) => Operation::Recompute,
            Materialize::Incremental(IncrementalSpec::Merge { .. }) => Operation::Merge,
            Materialize::Stream(StreamSpec { key, .. }) if key.is_empty() => Operation::Append,
            Materialize::Stream(_) => Operation::Merge,
            Materialize::History { .. } => Operation::History,
            Materialize::View | Materialize::Table => Operation::Overwrite,
        }
    }

    fn recorded(&self, version: Option<AssetVersion>, rows: Option<u64>) -> Result<Recorded, EngineError> {
        Ok(Recorded {
            fingerprint: self.context.facts()?.fingerprint,
            input_versions: self.inputs.versions(),
            version,
            rows,
            built_at: self.now,
            status: AssetStatus::Built,
        })
    }
}

/// The columns whose nulls a check keeps out of the table.
fn never_null(spec: &TableSpec) -> BTreeSet<String> {
    let rejecting = spec.checks.iter().filter(|check| check.severity >= Severity::Quarantine);
    let columns = rejecting.filter_map(|check| match &check.kind {
        CheckKind::NotNull { column } => Some(column.value.clone()),
        _ => None,
    });
    columns.collect()
}

/// The strategy that keeps the table up to date. It is decided over the stored inputs, or offline while one is missing.
pub(crate) async fn upkeep(world: &World, spec: &TableSpec) -> Option<Strategy> {
    let analysed = world.project.analysis.tables.get(&spec.name)?;
    let bound = world.sql.bind(&analysed.plan).await;
    let plan = bound.as_ref().unwrap_or(&analysed.plan);
    Some(Maintenance::new(plan, keep(&spec.materialize)).ok()?.strategy().clone())
}

fn keep(materialize: &Materialize) -> Keep {
    let names =
        |key: &[millstream_project::Located<String>]| key.iter().map(|name| name.value.clone()).collect();
    match materialize {
        Materialize::View | Materialize::Table | Materialize::Stream(_) => Keep::Whole,
        Materialize::Incremental(IncrementalSpec::Append) => Keep::Append,
        Materialize::Incremental(IncrementalSpec::Merge { key }) => Keep::Merge { key: names(key) },
        Materialize::Incremental(IncrementalSpec::Partition { time, grain }) => {
            let grain = match grain {
                Grain::Hour => "hour",
                Grain::Day => "day",
                Grain::Month => "month",
                Grain::Year => "year",
            };
            Keep::Partition { time: time.value.clone(), grain }
        }
        Materialize::History { key, time } => {
            Keep::History { key: names(key), time: time.as_ref().map(|time| time.value.clone()) }
        }
    }
}
