//! From the inputs' changes to the change of the table: the keys to replace and their rows, without those
//! that come out as they were.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{AsArray, RecordBatch, UInt32Array},
        datatypes::{Int64Type, SchemaRef},
    },
    catalog::TableProvider,
    common::{JoinType, NullEquality, Result},
    datasource::provider_as_source,
    execution::SendableRecordBatchStream,
    logical_expr::{Distinct, Expr, Filter, Join, JoinConstraint, LogicalPlan, lit},
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{StreamExt, TryStreamExt, future::BoxFuture};
use millstream_query::QueryRuntime;
use millstream_types::TimestampMicros;

use super::{
    columns::{self, column, positional},
    cover::{first_row, qualified},
    error::{IncrementalError, Stop},
    evaluation::{Evaluation, Keys, Limits, Side, aliased, changed_rows, counted, run},
    inputs::{Inputs, Version, read_as, scan_of},
    key_set::{KeySet, take_rows},
    linear,
    maintenance::{Keep, Maintenance, Strategy},
    removal::Removal,
    spool::Spool,
    validate::check_keys,
};
use crate::schema::conform;

/// What a refresh works with.
pub struct Refresh<'a> {
    pub runtime: &'a dyn QueryRuntime,
    pub inputs: &'a Inputs,
    /// The table before the refresh.
    pub existing: Arc<dyn TableProvider>,
    /// Whether rows of the query were kept out of the table, so that a key may leave that the table does not have.
    pub some_kept_out: bool,
    pub limits: Limits,
    /// The time of the run: when a state without a time began, and when a key that is gone ended.
    pub now: TimestampMicros,
    /// Whether everything is computed, whatever changed: the definition has changed, or old versions are gone.
    pub everything: bool,
}

impl std::fmt::Debug for Refresh<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refresh")
            .field("inputs", self.inputs)
            .field("limits", &self.limits)
            .field("now", &self.now)
            .field("everything", &self.everything)
            .finish_non_exhaustive()
    }
}

/// How the table changes. All row columns are those of [`Maintenance::schema`].
pub enum Change {
    /// The table is up to date.
    Nothing,
    /// These rows come, none goes.
    Add { rows: SendableRecordBatchStream },
    /// Some rows leave ([`Removal::survivors`] of the files that may hold them) and others come.
    AddAndRemove { rows: Arc<Spool>, removal: Removal },
    /// Rows with these keys leave ([`survivors`] of the files that may hold them) and these come.
    Replace { keys: KeySet, rows: Arc<Spool>, gone: Gone },
    /// So much differs that these rows replace the whole table.
    Everything { rows: Arc<Spool> },
}

/// The keys that the query no longer gives and whose rows were kept out of the table. They add to those of
/// [`Change::Replace`].
#[derive(Debug)]
pub enum Gone {
    None,
    Keys(Box<KeySet>),
    /// Every row was computed: a key that was kept out before and is not in the change is gone.
    AllOthers,
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::Add { .. } => f.write_str("Add"),
            Self::AddAndRemove { rows, removal } => f
                .debug_struct("AddAndRemove")
                .field("rows", &rows.rows())
                .field("removed", &removal.rows())
                .finish(),
            Self::Replace { keys, rows, gone } => f
                .debug_struct("Replace")
                .field("keys", &keys.len())
                .field("rows", &rows.rows())
                .field("gone", gone)
                .finish(),
            Self::Everything { rows } => f.debug_struct("Everything").field("rows", &rows.rows()).finish(),
        }
    }
}

impl Maintenance {
    /// The whole table from the new versions, for a first build and a full refresh. A null in a merge key is an
    /// error in the stream; [`check_keys`] on the written rows finds keys that repeat.
    pub fn build<'a>(
        &'a self,
        runtime: &'a dyn QueryRuntime,
        inputs: &'a Inputs,
        now: TimestampMicros,
    ) -> BoxFuture<'a, Result<SendableRecordBatchStream, IncrementalError>> {
        Box::pin(async move {
            let failed = "starting the query";
            let plan = inputs.at(&self.plan, Version::New).map_err(IncrementalError::engine(failed))?;
            if let Keep::History { .. } = self.keep {
                return self
                    .first_history(runtime, plan, now)
                    .await
                    .map_err(IncrementalError::engine(failed));
            }
            let stream = run(runtime, plan).await.map_err(IncrementalError::engine(failed))?;
            let nulls: Vec<String> = match &self.keep {
                Keep::Merge { key } => {
                    key.iter().filter(|name| !self.nulls_kept_out.contains(*name)).cloned().collect()
                }
                _ => Vec::new(),
            };
            Ok(without_null_keys(relabelled(stream, self.schema()), nulls))
        })
    }

    /// The change that brings the table from the old to the new versions of the inputs, or from whatever it
    /// holds when `everything` is asked for. Equal input gives an equal change, and none the second time.
    pub fn refresh<'a>(
        &'a self,
        refresh: &'a Refresh<'a>,
    ) -> BoxFuture<'a, Result<Change, IncrementalError>> {
        Box::pin(async move {
            match self.keep {
                Keep::Whole => self.whole(refresh).await,
                Keep::Append if refresh.everything => self.whole(refresh).await,
                Keep::Append => self.append(refresh).await,
                Keep::Merge { .. } | Keep::Partition { .. } | Keep::History { .. } => {
                    self.keyed(refresh).await
                }
            }
            .map_err(|stop| match stop {
                Stop::Engine(source) => IncrementalError::engine("computing the change")(source),
                Stop::Unsupported(why) => IncrementalError::NeedsFullRebuild { why },
                Stop::TooManyKeys(limit) => IncrementalError::NeedsFullRebuild {
                    why: format!("more than {limit} rows leave the table"),
                },
            })
        })
    }

    async fn whole(&self, refresh: &Refresh<'_>) -> Result<Change, Stop> {
        let plan = refresh.inputs.at(&self.plan, Version::New)?;
        Ok(Change::Everything { rows: self.spool(refresh, plan).await? })
    }

    /// Added rows run through the query alone. Removed rows do too, and what the query makes of them leaves.
    async fn append(&self, refresh: &Refresh<'_>) -> Result<Change, Stop> {
        let all = (0..self.plan.schema().fields().len()).collect::<std::collections::BTreeSet<_>>();
        let cover = async |side| {
            let evaluation = Evaluation::new(refresh.runtime, refresh.inputs, &refresh.limits, side);
            evaluation.cover(&self.plan, all.clone()).await
        };
        if !refresh.inputs.any_removed() {
            return Ok(match cover(Side::Added).await? {
                Some(plan) => {
                    Change::Add { rows: relabelled(run(refresh.runtime, plan).await?, self.schema()) }
                }
                None => Change::Nothing,
            });
        }
        if let Some(why) = &self.unsteady {
            return Err(Stop::Unsupported(format!("its inputs lost rows, and {why}")));
        }
        if !self.schema().fields().iter().all(|field| columns::comparable(field.data_type())) {
            return Err(Stop::Unsupported(
                "its inputs lost rows, and it has a column that cannot be compared".into(),
            ));
        }
        let nothing = || columns::filter(self.plan.clone(), vec![lit(false)]);
        let added = cover(Side::Added).await?.map_or_else(nothing, Ok)?;
        let removed = cover(Side::Removed).await?.map_or_else(nothing, Ok)?;
        let counted = counted(added, removed)?;
        let spool =
            Spool::collect(refresh.runtime, run(refresh.runtime, counted).await?, refresh.limits.spool_bytes)
                .await?;
        self.signed(refresh, &spool).await
    }

    /// Splits rows with a count (their last column) into those that come and those that leave.
    async fn signed(&self, refresh: &Refresh<'_>, spool: &Arc<Spool>) -> Result<Change, Stop> {
        let width = self.schema().fields().len();
        let part = |leaving: bool| -> Result<LogicalPlan> {
            let read = scan_of("counted", provider_as_source(spool.provider()?))?;
            let schema = Arc::clone(read.schema());
            let count = column(&schema, width);
            let (chosen, count) = if leaving {
                (count.clone().lt(lit(0_i64)), lit(0_i64) - count)
            } else {
                (count.clone().gt(lit(0_i64)), count)
            };
            let chosen = LogicalPlan::Filter(Filter::try_new(chosen, Arc::new(read))?);
            let all = (0..width).map(|at| column(&schema, at)).chain([count]).collect();
            positional(chosen, "c", all)
        };
        let mut stream = run(refresh.runtime, part(true)?).await?;
        let counted_schema = stream.schema();
        let (mut batches, mut rows) = (Vec::new(), 0);
        while let Some(batch) = stream.try_next().await? {
            rows += batch.num_rows();
            if rows > refresh.limits.keys {
                return Err(Stop::TooManyKeys(refresh.limits.keys));
            }
            batches.push(batch);
        }
        let schema = self.schema();
        let repeat_schema = Arc::clone(&schema);
        let come =
            run(refresh.runtime, part(false)?).await?.map(move |batch| repeated(&batch?, &repeat_schema));
        let come: SendableRecordBatchStream =
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), come.boxed()));
        if rows == 0 {
            return Ok(Change::Add { rows: come });
        }
        let removal = Removal::new(schema, &batches, &counted_schema)?;
        let rows = Spool::collect(refresh.runtime, come, refresh.limits.spool_bytes).await?;
        Ok(Change::AddAndRemove { rows, removal })
    }

    /// Finds the reached keys, computes their rows, and keeps what differs from the table.
    async fn keyed(&self, refresh: &Refresh<'_>) -> Result<Change, Stop> {
        let evaluation = Evaluation::new(refresh.runtime, refresh.inputs, &refresh.limits, Side::Both);
        let key = self.key_over_plan()?;
        let followed = !refresh.everything && !self.computes_all(refresh.inputs);
        if followed && let Some(change) = self.additions(refresh).await? {
            return Ok(change);
        }
        let affected = if followed {
            match evaluation.affected_keys(&self.plan, &key).await {
                Ok(None) => return Ok(Change::Nothing),
                Ok(found) => found,
                Err(Stop::Unsupported(_) | Stop::TooManyKeys(_)) => None,
                Err(stop) => return Err(stop),
            }
        } else {
            None
        };
        let all = refresh.inputs.at(&self.plan, Version::New)?;
        let existing = read_as(Arc::clone(&refresh.existing), &self.schema())?;
        let over_table: Vec<Expr> = self.key.iter().map(|part| part.expr.clone()).collect();
        let (rows, existing) = match &affected {
            Some(keys) => (
                evaluation.restricted(&all, &key, keys).await?,
                evaluation.restricted(&existing, &over_table, keys).await?,
            ),
            None => (all, existing),
        };
        if let Keep::History { .. } = self.keep {
            return self.history_change(refresh, rows, existing).await;
        }
        let rows = self.spool(refresh, rows).await?;
        check_keys(refresh.runtime, self, rows.provider()?)
            .await
            .map_err(|error| Stop::Engine(error.into()))?;
        let gone = match affected {
            _ if !refresh.some_kept_out => Gone::None,
            Some(keys) => self.gone(refresh, keys, &rows).await?,
            None => Gone::AllOthers,
        };
        self.differing(refresh, rows, existing, gone).await
    }

    /// What more input rows make of a query that turns each of them into rows of its own, if all of these have
    /// keys of their own: nothing that is there can change. None where the reached keys must be looked at.
    async fn additions(&self, refresh: &Refresh<'_>) -> Result<Option<Change>, Stop> {
        if !matches!(self.keep, Keep::Merge { .. })
            || refresh.inputs.any_removed()
            || linear::obstacle(&self.plan).is_some()
        {
            return Ok(None);
        }
        let evaluation = Evaluation::new(refresh.runtime, refresh.inputs, &refresh.limits, Side::Added);
        let all = (0..self.plan.schema().fields().len()).collect();
        let Some(added) = evaluation.cover(&self.plan, all).await? else { return Ok(Some(Change::Nothing)) };
        let rows = self.spool(refresh, added).await?;
        if rows.rows() == 0 {
            return Ok(Some(Change::Nothing));
        }
        let over_table: Vec<Expr> = self.key.iter().map(|part| part.expr.clone()).collect();
        let read = read_as(rows.provider()?, &self.schema())?;
        let keys = match self.key_set(refresh, read, self.key_labels(), over_table.clone()).await {
            Ok(keys) => keys,
            Err(Stop::TooManyKeys(_)) => return Ok(None),
            Err(stop) => return Err(stop),
        };
        if keys.len() < rows.rows() || keys.ranges().iter().any(|range| range.has_null) {
            return Ok(None);
        }
        let existing = read_as(Arc::clone(&refresh.existing), &self.schema())?;
        let known = evaluation.restricted(&existing, &over_table, &evaluation.known(&keys)?).await?;
        let mut known = run(refresh.runtime, first_row(known)?).await?;
        while let Some(batch) = known.try_next().await? {
            if batch.num_rows() > 0 {
                return Ok(None);
            }
        }
        Ok(Some(Change::Add { rows: rows.stream()? }))
    }

    /// Keys of which a row in `rows` or in `existing` is not in the other, and their rows.
    async fn differing(
        &self,
        refresh: &Refresh<'_>,
        rows: Arc<Spool>,
        existing: LogicalPlan,
        gone: Gone,
    ) -> Result<Change, Stop> {
        let read = || read_as(rows.provider()?, &self.schema());
        let over_table: Vec<Expr> = self.key.iter().map(|part| part.expr.clone()).collect();
        let changed = self.output_names(changed_rows(read()?, existing)?)?;
        let keys = match self.key_set(refresh, changed, self.key_labels(), over_table).await {
            Ok(keys) => keys,
            Err(Stop::TooManyKeys(_)) => return Ok(Change::Everything { rows }),
            Err(stop) => return Err(stop),
        };
        if keys.is_empty() && matches!(gone, Gone::None) {
            return Ok(Change::Nothing);
        }
        let kept = self.spool(refresh, by_key(read()?, &keys, JoinType::RightSemi)?).await?;
        Ok(Change::Replace { keys, rows: kept, gone })
    }

    /// Those of the reached keys that `rows` does not have.
    async fn gone(&self, refresh: &Refresh<'_>, reached: Keys, rows: &Arc<Spool>) -> Result<Gone, Stop> {
        let width = reached.plan.schema().fields().len();
        let over_table: Vec<Expr> = self.key.iter().map(|part| part.expr.clone()).collect();
        let labels = (0..width).map(|at| qualified("__reached", &format!("k{at}")));
        let joined = LogicalPlan::Join(Join::try_new(
            Arc::new(aliased(reached.plan, "__reached")?),
            Arc::new(read_as(rows.provider()?, &self.schema())?),
            labels.clone().zip(over_table.clone()).collect(),
            None,
            JoinType::LeftAnti,
            JoinConstraint::On,
            NullEquality::NullEqualsNull,
            false,
        )?);
        let mut keys = self.key_set(refresh, joined, self.key_labels(), labels.collect()).await?;
        keys.exprs = over_table;
        Ok(if keys.is_empty() { Gone::None } else { Gone::Keys(Box::new(keys)) })
    }

    /// The different values of `exprs` in `plan`.
    pub(super) async fn key_set(
        &self,
        refresh: &Refresh<'_>,
        plan: LogicalPlan,
        labels: Vec<String>,
        exprs: Vec<Expr>,
    ) -> Result<KeySet, Stop> {
        let distinct = LogicalPlan::Distinct(Distinct::All(Arc::new(positional(plan, "k", exprs.clone())?)));
        let mut stream = run(refresh.runtime, distinct).await?;
        let schema = stream.schema();
        let (mut batches, mut found) = (Vec::new(), 0);
        while let Some(batch) = stream.try_next().await? {
            found += batch.num_rows();
            if found > refresh.limits.keys {
                return Err(Stop::TooManyKeys(refresh.limits.keys));
            }
            batches.push(batch);
        }
        Ok(KeySet::new(labels, exprs, &schema, &batches)?)
    }

    fn computes_all(&self, inputs: &Inputs) -> bool {
        match &self.strategy {
            Strategy::Keyed { whole_for, .. } => {
                inputs.changed().any(|changed| whole_for.iter().any(|(table, _)| table == changed))
            }
            _ => true,
        }
    }

    fn output_names(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let names = self.schema();
        let exprs = names
            .fields()
            .iter()
            .enumerate()
            .map(|(at, field)| column(plan.schema(), at).alias(field.name()))
            .collect();
        Ok(LogicalPlan::Projection(datafusion::logical_expr::Projection::try_new(exprs, Arc::new(plan))?))
    }

    pub(super) async fn spool(&self, refresh: &Refresh<'_>, plan: LogicalPlan) -> Result<Arc<Spool>> {
        let stream = relabelled(run(refresh.runtime, plan).await?, self.schema());
        Spool::collect(refresh.runtime, stream, refresh.limits.spool_bytes).await
    }
}

/// The rows of `files` (some or all files of the table) whose key is not in `keys`: what stays when the files
/// are rewritten. The keys are held in memory, the rows stream by.
pub fn survivors<'a>(
    runtime: &'a dyn QueryRuntime,
    maintenance: &'a Maintenance,
    files: Arc<dyn TableProvider>,
    keys: &'a KeySet,
) -> BoxFuture<'a, Result<SendableRecordBatchStream, IncrementalError>> {
    Box::pin(async move {
        let start = async {
            let existing = read_as(files, &maintenance.schema())?;
            run(runtime, by_key(existing, keys, JoinType::RightAnti)?).await
        };
        let stream = start.await.map_err(IncrementalError::engine("reading the rows that stay"))?;
        Ok(relabelled(stream, maintenance.schema()))
    })
}

/// All rows of `files`, in the columns and types that the table has now.
pub fn all_rows<'a>(
    runtime: &'a dyn QueryRuntime,
    maintenance: &'a Maintenance,
    files: Arc<dyn TableProvider>,
) -> BoxFuture<'a, Result<SendableRecordBatchStream, IncrementalError>> {
    Box::pin(async move {
        let start = async { run(runtime, read_as(files, &maintenance.schema())?).await };
        let stream = start.await.map_err(IncrementalError::engine("reading the rows that stay"))?;
        Ok(relabelled(stream, maintenance.schema()))
    })
}

/// `rows`, which has the table's columns, joined to the keys by a right semi or anti join.
pub(super) fn by_key(rows: LogicalPlan, keys: &KeySet, join_type: JoinType) -> Result<LogicalPlan> {
    let build = aliased(scan_of("__key_set", provider_as_source(keys.provider()?))?, "__keys")?;
    let on = keys
        .exprs
        .iter()
        .enumerate()
        .map(|(at, expr)| (qualified("__keys", &format!("k{at}")), expr.clone()))
        .collect();
    Ok(LogicalPlan::Join(Join::try_new(
        Arc::new(build),
        Arc::new(rows),
        on,
        None,
        join_type,
        JoinConstraint::On,
        NullEquality::NullEqualsNull,
        false,
    )?))
}

/// The same columns under the names of the table, in its types.
pub(super) fn relabelled(stream: SendableRecordBatchStream, schema: SchemaRef) -> SendableRecordBatchStream {
    let target = Arc::clone(&schema);
    let stream = stream.map(move |batch| Ok(conform(&batch?, &target)?));
    Box::pin(RecordBatchStreamAdapter::new(schema, stream))
}

fn without_null_keys(stream: SendableRecordBatchStream, key: Vec<String>) -> SendableRecordBatchStream {
    let schema = stream.schema();
    let stream = stream.map(move |batch| {
        let batch = batch?;
        for name in &key {
            let rows = batch.column_by_name(name).map_or(0, |values| values.logical_null_count());
            if rows > 0 {
                let rows = i64::try_from(rows).unwrap_or(i64::MAX);
                return Err(IncrementalError::NullKey { column: name.clone(), rows }.into());
            }
        }
        Ok(batch)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, stream))
}

/// Each row as often as its last column says, without that column.
fn repeated(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let width = schema.fields().len();
    let counts = batch.column(width).as_primitive::<Int64Type>();
    let rows: UInt32Array = (0_u32..)
        .zip(counts.values())
        .flat_map(|(row, count)| (0..*count).map(move |_| row))
        .collect::<Vec<_>>()
        .into();
    let taken = take_rows(batch, &rows)?;
    Ok(RecordBatch::try_new(Arc::clone(schema), taken.columns()[..width].to_vec())?)
}
