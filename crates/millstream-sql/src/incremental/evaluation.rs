//! The state of one walk over a plan: the inputs, the session that runs the parts, and what has been
//! computed already. A dry walk has no session; it finds out what can be followed, without data.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use datafusion::{
    arrow::array::RecordBatch,
    common::{Result, TableReference},
    datasource::provider_as_source,
    execution::SendableRecordBatchStream,
    functions_aggregate::expr_fn::sum,
    logical_expr::{Aggregate, Distinct, Expr, Filter, LogicalPlan, TableScan, TableSource, Union, lit},
};
use futures::TryStreamExt;
use millstream_query::{Execution, QueryRuntime};

use super::{
    columns::{self, column, positional},
    error::Stop,
    inputs::{Inputs, scan_of, scan_over},
    key_set::{KeySet, Span},
    spool::Spool,
};

/// What a refresh may hold in memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The number of keys that are followed one by one. With more keys, everything is computed.
    pub keys: usize,
    /// The bytes of rows that are needed twice and kept in memory. More rows go to a temporary file.
    pub spool_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { keys: 1_000_000, spool_bytes: 64 << 20 }
    }
}

/// Keys as the right side of a semi-join: columns `k0`, `k1`, … and, once computed, where they lie.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) plan: LogicalPlan,
    pub(super) spans: Option<Vec<Span>>,
}

/// Which rows stand for the change of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Rows that came or went; rows that did both are left out where that is cheap.
    Both,
    Added,
    Removed,
}

pub(super) struct Evaluation<'a> {
    runtime: Option<&'a dyn QueryRuntime>,
    pub(super) inputs: &'a Inputs,
    limits: &'a Limits,
    pub(super) side: Side,
    netted: Mutex<BTreeMap<String, Option<Arc<dyn TableSource>>>>,
    serial: AtomicUsize,
}

impl<'a> Evaluation<'a> {
    pub(super) fn dry(inputs: &'a Inputs, limits: &'a Limits) -> Self {
        Self {
            runtime: None,
            inputs,
            limits,
            side: Side::Both,
            netted: Mutex::default(),
            serial: AtomicUsize::new(0),
        }
    }

    pub(super) fn new(
        runtime: &'a dyn QueryRuntime,
        inputs: &'a Inputs,
        limits: &'a Limits,
        side: Side,
    ) -> Self {
        Self { runtime: Some(runtime), side, ..Self::dry(inputs, limits) }
    }

    /// A name that no other part of this walk's plans has.
    pub(super) fn unique(&self, prefix: &str) -> String {
        format!("__{prefix}{}", self.serial.fetch_add(1, Ordering::Relaxed))
    }

    /// The changed rows of a scanned table, with the scan's columns; none when it did not change.
    pub(super) async fn scan_change(&self, scan: &TableScan) -> Result<Option<LogicalPlan>, Stop> {
        let Some(source) = self.inputs.of(scan) else { return Ok(None) };
        let read = |side: &Option<Arc<dyn TableSource>>| {
            side.as_ref().map(|source| scan_over(scan, Arc::clone(source))).transpose()
        };
        match self.side {
            Side::Added => Ok(read(&source.added)?),
            Side::Removed => Ok(read(&source.removed)?),
            Side::Both => match (read(&source.added)?, read(&source.removed)?) {
                (Some(added), Some(removed)) => self.net_scan_change(scan, added, removed).await,
                (one, other) => Ok(one.or(other)),
            },
        }
    }

    /// Rows of rewritten files that did not change in any column that the query reads stand in `added` and in
    /// `removed` and cancel, so that a merge upstream that rewrites a file for one key reaches one key here.
    async fn net_scan_change(
        &self,
        scan: &TableScan,
        added: LogicalPlan,
        removed: LogicalPlan,
    ) -> Result<Option<LogicalPlan>, Stop> {
        let schema = &scan.projected_schema;
        let name = format!("{} {:?}", scan.table_name, schema.field_names());
        let known = self.netted.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        let source = match known {
            Some(source) => source,
            None => {
                let source = match self.runtime {
                    Some(runtime) => {
                        let spool = self.spool(runtime, changed_rows(added, removed)?).await?;
                        (spool.rows() > 0).then(|| spool.provider()).transpose()?.map(provider_as_source)
                    }
                    None => Some(Arc::clone(&scan.source)),
                };
                self.netted.lock().unwrap_or_else(PoisonError::into_inner).insert(name, source.clone());
                source
            }
        };
        let Some(source) = source else { return Ok(None) };
        if self.runtime.is_none() {
            return Ok(Some(scan_over(scan, source)?));
        }
        let read = scan_of(&self.unique("net"), source)?;
        let exprs = (0..schema.fields().len()).map(|at| (at, column(read.schema(), at))).collect();
        Ok(Some(columns::project_as(read, schema, exprs)?))
    }

    /// `plan` computed once, to be read several times; none when it has no rows.
    pub(super) async fn computed(&self, plan: LogicalPlan) -> Result<Option<LogicalPlan>, Stop> {
        let Some(runtime) = self.runtime else { return Ok(Some(plan)) };
        let schema = Arc::clone(plan.schema());
        let all = (0..schema.fields().len()).map(|at| column(&schema, at)).collect();
        let spool = self.spool(runtime, positional(plan, "c", all)?).await?;
        if spool.rows() == 0 {
            return Ok(None);
        }
        let read = scan_of(&self.unique("kept"), provider_as_source(spool.provider()?))?;
        let exprs = (0..schema.fields().len()).map(|at| (at, column(read.schema(), at))).collect();
        Ok(Some(columns::project_as(read, &schema, exprs)?))
    }

    /// The different values of `exprs` in `plan`, computed; none when there are none.
    pub(super) async fn keys(&self, plan: LogicalPlan, exprs: Vec<Expr>) -> Result<Option<Keys>, Stop> {
        let distinct = LogicalPlan::Distinct(Distinct::All(Arc::new(positional(plan, "k", exprs)?)));
        let Some(runtime) = self.runtime else { return Ok(Some(Keys { plan: distinct, spans: None })) };
        let schema = Arc::new(distinct.schema().as_arrow().clone());
        let mut stream = run(runtime, distinct).await?;
        let (mut batches, mut rows) = (Vec::new(), 0);
        while let Some(batch) = stream.try_next().await? {
            rows += batch.num_rows();
            if rows > self.limits.keys {
                return Err(Stop::TooManyKeys(self.limits.keys));
            }
            batches.push(batch);
        }
        if rows == 0 {
            return Ok(None);
        }
        let schema = batches.first().map_or(schema, RecordBatch::schema);
        let set = KeySet::new(Vec::new(), Vec::new(), &schema, &batches)?;
        Ok(Some(self.known(&set)?))
    }

    pub(super) fn known(&self, set: &KeySet) -> Result<Keys> {
        Ok(Keys {
            plan: scan_of(&self.unique("keys"), provider_as_source(set.provider()?))?,
            spans: Some(set.spans().to_vec()),
        })
    }

    async fn spool(&self, runtime: &dyn QueryRuntime, plan: LogicalPlan) -> Result<Arc<Spool>> {
        Spool::collect(runtime, run(runtime, plan).await?, self.limits.spool_bytes).await
    }
}

/// Starts `plan`.
pub(super) async fn run(runtime: &dyn QueryRuntime, plan: LogicalPlan) -> Result<SendableRecordBatchStream> {
    runtime.stream(plan, Execution::default()).await
}

/// The rows, called `c0`, `c1`, …, that `one` and `other` do not hold equally often. Both have the same columns.
pub(super) fn changed_rows(one: LogicalPlan, other: LogicalPlan) -> Result<LogicalPlan> {
    let width = one.schema().fields().len();
    if !one.schema().fields().iter().all(|field| columns::comparable(field.data_type())) {
        let mut plain = Vec::new();
        for plan in [one, other] {
            let all = (0..width).map(|at| column(plan.schema(), at)).collect();
            plain.push(Arc::new(positional(plan, "c", all)?));
        }
        return Ok(LogicalPlan::Union(Union::try_new_with_loose_types(plain)?));
    }
    let counted = counted(one, other)?;
    let count = column(counted.schema(), width);
    let differ = LogicalPlan::Filter(Filter::try_new(count.not_eq(lit(0_i64)), Arc::new(counted))?);
    let all = (0..width).map(|at| column(differ.schema(), at)).collect();
    positional(differ, "c", all)
}

/// The rows of both plans, each once, with how much more often it stands in `one` as the last column.
pub(super) fn counted(one: LogicalPlan, other: LogicalPlan) -> Result<LogicalPlan> {
    let width = one.schema().fields().len();
    let mut signed = Vec::new();
    for (plan, sign) in [(one, 1_i64), (other, -1_i64)] {
        let all = (0..width).map(|at| column(plan.schema(), at)).chain([lit(sign)]).collect();
        signed.push(Arc::new(positional(plan, "c", all)?));
    }
    let union = LogicalPlan::Union(Union::try_new_with_loose_types(signed)?);
    let group = (0..width).map(|at| column(union.schema(), at)).collect();
    let total = sum(column(union.schema(), width)).alias("count");
    let grouped = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(union), group, vec![total])?);
    let all = (0..=width).map(|at| column(grouped.schema(), at)).collect();
    positional(grouped, "c", all)
}

/// `plan` under the name `alias`.
pub(super) fn aliased(plan: LogicalPlan, alias: &str) -> Result<LogicalPlan> {
    Ok(LogicalPlan::SubqueryAlias(datafusion::logical_expr::SubqueryAlias::try_new(
        Arc::new(plan),
        TableReference::bare(alias),
    )?))
}
