//! A history table's change: recorded periods and the query's states, sorted by key, walked key by key in one
//! pass; only periods that differ leave or come.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{
            Array, ArrayRef, AsArray, BooleanArray, RecordBatch, TimestampMicrosecondArray, UInt32Array,
        },
        compute::{concat_batches, filter_record_batch},
        datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType},
        row::{RowConverter, Rows, SortField},
    },
    common::Result,
    datasource::provider_as_source,
    execution::SendableRecordBatchStream,
    logical_expr::{Expr, LogicalPlan, Union, cast, lit},
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{StreamExt, TryStreamExt, stream};
use millstream_query::{Execution, Order, QueryRuntime};
use millstream_types::TimestampMicros;

use super::{
    columns::{self, column, positional},
    error::{IncrementalError, KeyValues, Stop},
    evaluation::counted,
    inputs::{read_as, scan_of},
    key_set::take_rows,
    maintenance::{Keep, Maintenance, output},
    periods::{Period, State, merge, overlap},
    refresh::{Change, Gone, Refresh, relabelled},
    retyped,
    spool::Spool,
    validate::describe,
};
use crate::catalog::VALID_FROM;

/// What the walk knows of the columns: first the query's, then `valid_from`, `valid_to` and `is_state`.
#[derive(Debug)]
struct Layout {
    key: Vec<usize>,
    names: Vec<String>,
    /// The columns that make two states differ: all but the key and the time.
    state: Vec<usize>,
    /// The columns of `state` that the table has already.
    recorded: Vec<usize>,
    time: Option<usize>,
    /// The columns of key and time whose nulls the caller keeps out of the table.
    nulls_kept_out: Vec<usize>,
    width: usize,
    /// The columns of the change: the table's columns, then whether the row comes (true) or leaves.
    schema: SchemaRef,
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

impl Maintenance {
    pub(super) async fn first_history(
        &self,
        runtime: &dyn QueryRuntime,
        plan: LogicalPlan,
        now: TimestampMicros,
    ) -> Result<SendableRecordBatchStream> {
        let layout = self.layout(&self.schema())?;
        let width = layout.width + 2;
        let rows = walk(sorted(runtime, states(&plan, &layout)?, &layout).await?, layout, now)?;
        let rows = rows.map(move |batch| Ok(batch?.project(&(0..width).collect::<Vec<_>>())?));
        let schema = self.schema();
        let rows = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), rows));
        Ok(relabelled(rows, schema))
    }

    /// `states` are the query's rows of some keys, `recorded` all of the table's rows of these keys.
    pub(super) async fn history_change(
        &self,
        refresh: &Refresh<'_>,
        plan: LogicalPlan,
        recorded: LogicalPlan,
    ) -> Result<Change, Stop> {
        retyped::check(refresh.runtime, &refresh.existing, &self.schema()).await?;
        let layout = self.layout(&refresh.existing.schema())?;
        let width = layout.width;
        let recorded = {
            let all = (0..width + 2).map(|at| column(recorded.schema(), at)).chain([lit(false)]).collect();
            positional(recorded, "h", all)?
        };
        let both =
            Union::try_new_with_loose_types(vec![Arc::new(recorded), Arc::new(states(&plan, &layout)?)])?;
        let both = sorted(refresh.runtime, LogicalPlan::Union(both), &layout).await?;
        let changed = walk(both, layout, refresh.now)?;
        let changed = Spool::collect(refresh.runtime, changed, refresh.limits.spool_bytes).await?;
        if changed.rows() == 0 {
            return Ok(Change::Nothing);
        }
        let rows = changed.stream()?.map(move |batch| {
            let batch = batch?;
            let comes = filter_record_batch(&batch, batch.column(width + 2).as_boolean())?;
            Ok(comes.project(&(0..width + 2).collect::<Vec<_>>())?)
        });
        let rows = relabelled(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)), self.schema());
        let rows = Spool::collect(refresh.runtime, rows, refresh.limits.spool_bytes).await?;
        // A period is known by its key and its begin, so closing one leaves the older ones of the key alone.
        let mut labels = self.key_labels();
        labels.push(VALID_FROM.into());
        let exprs: Vec<Expr> =
            self.key.iter().map(|part| part.expr.clone()).chain([output(VALID_FROM)]).collect();
        let read = scan_of("changed", provider_as_source(changed.provider()?))?;
        match self.key_set(refresh, read, labels, exprs).await {
            Ok(keys) => Ok(Change::Replace { keys, rows, gone: Gone::None }),
            Err(Stop::TooManyKeys(_)) => {
                let rows = self.spool(refresh, self.whole_history(refresh, &changed, &rows)?).await?;
                Ok(Change::Everything { rows })
            }
            Err(stop) => Err(stop),
        }
    }

    /// The table's periods without those in `changed` that leave, and those that come.
    fn whole_history(
        &self,
        refresh: &Refresh<'_>,
        changed: &Arc<Spool>,
        comes: &Arc<Spool>,
    ) -> Result<LogicalPlan> {
        let schema = self.schema();
        let width = schema.fields().len();
        let leaves = scan_of("changed", provider_as_source(changed.provider()?))?;
        let flag = column(leaves.schema(), width);
        let leaves = columns::filter(leaves, vec![flag.is_false()])?;
        let leaves = columns::keep(leaves.clone(), leaves.schema(), &(0..width).collect())?;
        let recorded = read_as(Arc::clone(&refresh.existing), &schema)?;
        let comes = read_as(comes.provider()?, &schema)?;
        let all =
            LogicalPlan::Union(Union::try_new_with_loose_types(vec![Arc::new(recorded), Arc::new(comes)])?);
        let counted = counted(all, leaves)?;
        let stays = column(counted.schema(), width).gt(lit(0_i64));
        let stays = columns::filter(counted, vec![stays])?;
        columns::keep(stays.clone(), stays.schema(), &(0..width).collect())
    }

    /// `stored` are the columns that the table has.
    fn layout(&self, stored: &Schema) -> Result<Layout> {
        let Keep::History { key, time } = &self.keep else {
            return datafusion::common::internal_err!("only a history table has periods");
        };
        let schema = self.schema();
        let width = schema.fields().len() - 2;
        let key_at = key.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<_>, _>>()?;
        let time = time.as_ref().map(|name| schema.index_of(name)).transpose()?;
        let kept_out = |at: &usize| self.nulls_kept_out.contains(schema.field(*at).name());
        let nulls_kept_out = key_at.iter().copied().chain(time).filter(kept_out).collect();
        let state: Vec<usize> = (0..width).filter(|at| !key_at.contains(at) && Some(*at) != time).collect();
        let is_stored = |at: &&usize| stored.field_with_name(schema.field(**at).name()).is_ok();
        let recorded = state.iter().filter(is_stored).copied().collect();
        let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new("comes", DataType::Boolean, false)));
        Ok(Layout {
            key: key_at,
            names: key.clone(),
            state,
            recorded,
            time,
            nulls_kept_out,
            width,
            schema: Arc::new(Schema::new(fields)),
        })
    }
}

/// The query's rows with the columns of [`Layout`].
fn states(plan: &LogicalPlan, layout: &Layout) -> Result<LogicalPlan> {
    let schema = plan.schema();
    let begin = match layout.time {
        Some(at) => cast(column(schema, at), instant()),
        None => cast(lit(datafusion::common::ScalarValue::Null), instant()),
    };
    let end = cast(lit(datafusion::common::ScalarValue::Null), instant());
    let all = (0..layout.width).map(|at| column(schema, at)).chain([begin, end, lit(true)]).collect();
    positional(plan.clone(), "h", all)
}

/// By key; the recorded periods of a key first, both by time, so that equal input gives equal output.
async fn sorted(
    runtime: &dyn QueryRuntime,
    plan: LogicalPlan,
    layout: &Layout,
) -> Result<SendableRecordBatchStream> {
    let tail = [layout.width + 2, layout.width];
    let by = layout.key.iter().copied().chain(tail).chain(layout.state.iter().copied()).collect();
    runtime.stream(plan, Execution { order: Order::By(by), ..Execution::default() }).await
}

fn walk(
    input: SendableRecordBatchStream,
    layout: Layout,
    now: TimestampMicros,
) -> Result<SendableRecordBatchStream> {
    let schema = Arc::clone(&layout.schema);
    let converter = |columns: &[usize]| {
        RowConverter::new(
            columns.iter().map(|&at| SortField::new(schema.field(at).data_type().clone())).collect(),
        )
    };
    let keys = converter(&layout.key)?;
    let states = converter(&layout.state)?;
    let recorded = converter(&layout.recorded)?;
    let walker = Walker { layout, keys, states, recorded, now: now.0, held: None };
    let stream = stream::try_unfold(Some((input, walker)), |open| async move {
        let Some((mut input, mut walker)) = open else { return Ok(None) };
        match input.try_next().await? {
            Some(batch) => {
                let out = walker.take(batch)?;
                Ok(Some((out, Some((input, walker)))))
            }
            None => Ok(Some((walker.finish()?, None))),
        }
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream.boxed())))
}

/// Holds back the rows of the last key it has seen, because more of them may follow.
struct Walker {
    layout: Layout,
    keys: RowConverter,
    states: RowConverter,
    recorded: RowConverter,
    now: i64,
    held: Option<RecordBatch>,
}

impl Walker {
    fn take(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let batch = match self.held.take() {
            Some(held) => concat_batches(&batch.schema(), [&held, &batch])?,
            None => batch,
        };
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(RecordBatch::new_empty(Arc::clone(&self.layout.schema)));
        }
        let keys = self.keys_of(&batch)?;
        let last = keys.row(rows - 1);
        let complete = (0..rows).rev().find(|&row| keys.row(row) != last).map_or(0, |row| row + 1);
        self.held = Some(batch.slice(complete, rows - complete));
        self.process(&batch.slice(0, complete))
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        match self.held.take() {
            Some(rest) => self.process(&rest),
            None => Ok(RecordBatch::new_empty(Arc::clone(&self.layout.schema))),
        }
    }

    fn keys_of(&self, batch: &RecordBatch) -> Result<Rows> {
        rows_of(&self.keys, &self.layout.key, batch)
    }

    /// `batch` holds whole keys.
    fn process(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut out = Output::default();
        let keys = self.keys_of(batch)?;
        self.refuse_nulls(batch)?;
        // Without a state column all states of a key are equal.
        let rows = |converter: &RowConverter, columns: &[usize]| {
            (!columns.is_empty()).then(|| rows_of(converter, columns, batch)).transpose()
        };
        let states = rows(&self.states, &self.layout.state)?;
        let recorded_states = rows(&self.recorded, &self.layout.recorded)?;
        let equal_in = |rows: &Option<Rows>, one: usize, other: usize| {
            rows.as_ref().is_none_or(|rows| rows.row(one) == rows.row(other))
        };
        let equal = |one: usize, other: usize| equal_in(&states, one, other);
        let agrees = |one: usize, other: usize| equal_in(&recorded_states, one, other);
        let width = self.layout.width;
        let begins = batch.column(width).as_primitive::<TimestampMicrosecondType>();
        let ends = batch.column(width + 1).as_primitive::<TimestampMicrosecondType>();
        let is_state = batch.column(width + 2).as_boolean();
        let nulls: Vec<_> =
            self.layout.nulls_kept_out.iter().map(|&at| batch.column(at).logical_nulls()).collect();
        let is_kept_out = |row: usize| nulls.iter().flatten().any(|nulls| nulls.is_null(row));
        let mut start = 0;
        while start < batch.num_rows() {
            let mut end = start + 1;
            while end < batch.num_rows() && keys.row(end) == keys.row(start) {
                end += 1;
            }
            let (mut recorded, mut given) = (Vec::new(), Vec::new());
            for row in start..end {
                if is_state.value(row) && is_kept_out(row) {
                    out.push_kept_out(row);
                } else if is_state.value(row) {
                    let at = self.layout.time.map(|_| begins.value(row));
                    given.push(State { row, at });
                } else {
                    let to = (!ends.is_null(row)).then(|| ends.value(row));
                    recorded.push(Period { row, from: begins.value(row), to });
                }
            }
            if overlap(&recorded) {
                let key = self.key_of(batch, start)?;
                return Err(IncrementalError::OverlappingStates { key }.into());
            }
            let periods = merge(&recorded, &given, self.now, equal, agrees)
                .map_err(|conflict| self.conflict(batch, conflict.row, given.len()))?;
            out.difference(&recorded, &periods, equal);
            start = end;
        }
        out.into_batch(batch, &self.layout)
    }

    /// Refuses states without a key or without a time, except those that the caller keeps out. A recorded period may lack a
    /// key column that the definition gained later; no state can continue it.
    fn refuse_nulls(&self, batch: &RecordBatch) -> Result<()> {
        let Layout { key, names, time, width, nulls_kept_out, .. } = &self.layout;
        let is_state = batch.column(width + 2).as_boolean();
        for (&at, name) in key.iter().zip(names).filter(|(at, _)| !nulls_kept_out.contains(at)) {
            refuse_null(batch.column(at), is_state, name)?;
        }
        if let Some(time) = time.as_ref().filter(|time| !nulls_kept_out.contains(time)) {
            refuse_null(batch.column(*width), is_state, self.layout.schema.field(*time).name())?;
        }
        Ok(())
    }

    fn key_of(&self, batch: &RecordBatch, row: usize) -> Result<KeyValues> {
        let names: Vec<&str> = self.layout.names.iter().map(String::as_str).collect();
        describe(&names, &batch.project(&self.layout.key)?, row)
    }

    fn conflict(&self, batch: &RecordBatch, row: usize, rows: usize) -> datafusion::error::DataFusionError {
        let key = match self.key_of(batch, row) {
            Ok(key) => key,
            Err(error) => return error,
        };
        let error = match self.layout.time {
            Some(time) => {
                let name = self.layout.schema.field(time).name();
                let time = batch.project(&[time]).map_err(Into::into);
                match time.and_then(|time| describe(&[name], &time, row)) {
                    Ok(time) => IncrementalError::ConflictingStates { key, time },
                    Err(error) => return error,
                }
            }
            None => IncrementalError::DuplicateKey { key, rows: i64::try_from(rows).unwrap_or(i64::MAX) },
        };
        error.into()
    }
}

fn rows_of(converter: &RowConverter, columns: &[usize], batch: &RecordBatch) -> Result<Rows> {
    let columns: Vec<ArrayRef> = columns.iter().map(|&at| Arc::clone(batch.column(at))).collect();
    Ok(converter.convert_columns(&columns)?)
}

fn refuse_null(values: &ArrayRef, is_state: &BooleanArray, name: &str) -> Result<()> {
    let Some(nulls) = values.logical_nulls() else { return Ok(()) };
    match (0..values.len()).filter(|&row| is_state.value(row) && nulls.is_null(row)).count() {
        0 => Ok(()),
        rows => {
            let rows = i64::try_from(rows).unwrap_or(i64::MAX);
            Err(IncrementalError::NullKey { column: name.to_owned(), rows }.into())
        }
    }
}

/// Periods that leave and come, by the row that holds their columns.
#[derive(Default)]
struct Output {
    rows: Vec<u32>,
    from: Vec<Option<i64>>,
    to: Vec<Option<i64>>,
    comes: Vec<bool>,
}

impl Output {
    fn difference(&mut self, recorded: &[Period], periods: &[Period], equal: impl Fn(usize, usize) -> bool) {
        // Both are ordered by begin, and a key has one period per begin.
        let stands_in = |period: &Period, others: &[Period]| {
            others
                .binary_search_by_key(&period.from, |other| other.from)
                .is_ok_and(|at| others[at].to == period.to && equal(others[at].row, period.row))
        };
        for old in recorded.iter().filter(|old| !stands_in(old, periods)) {
            self.push(old, false);
        }
        for new in periods.iter().filter(|new| !stands_in(new, recorded)) {
            self.push(new, true);
        }
    }

    fn push(&mut self, period: &Period, comes: bool) {
        self.rows.push(u32::try_from(period.row).unwrap_or(u32::MAX));
        self.from.push(Some(period.from));
        self.to.push(period.to);
        self.comes.push(comes);
    }

    /// A state that is to be kept out comes as it is, without a period: it has no part in the history.
    fn push_kept_out(&mut self, row: usize) {
        self.rows.push(u32::try_from(row).unwrap_or(u32::MAX));
        self.from.push(None);
        self.to.push(None);
        self.comes.push(true);
    }

    fn into_batch(self, batch: &RecordBatch, layout: &Layout) -> Result<RecordBatch> {
        let query = batch.project(&(0..layout.width).collect::<Vec<_>>())?;
        let mut columns = take_rows(&query, &UInt32Array::from(self.rows))?.columns().to_vec();
        columns.push(Arc::new(TimestampMicrosecondArray::from(self.from).with_timezone("UTC")));
        columns.push(Arc::new(TimestampMicrosecondArray::from(self.to).with_timezone("UTC")));
        columns.push(Arc::new(BooleanArray::from(self.comes)));
        Ok(RecordBatch::try_new(Arc::clone(&layout.schema), columns)?)
    }
}
