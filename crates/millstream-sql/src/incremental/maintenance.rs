//! How a table is kept, as far as this folder needs to know it, and the decision what a change of the
//! inputs costs. Pure: nothing is read.

use std::{collections::BTreeSet, fmt, sync::Arc};

use datafusion::{
    arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    common::Column,
    functions::datetime::expr_fn::date_trunc,
    logical_expr::{Expr, LogicalPlan, lit},
};
use futures::FutureExt;

use super::{
    columns,
    error::{IncrementalError, Stop},
    evaluation::{Evaluation, Limits},
    inputs::{Inputs, tables_of},
    linear, normalize,
};
use crate::catalog::{VALID_FROM, VALID_TO};

/// Which rows of the output belong together and are replaced together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The whole table is replaced each time.
    Whole,
    /// Rows are only added.
    Append,
    /// There is one row for each value of these columns.
    Merge { key: Vec<String> },
    /// All rows of an `hour`, `day`, `month` or `year` (UTC) of the column `time` are replaced together.
    Partition { time: String, grain: &'static str },
    /// Every state of a key is kept. `time` is the column that says when a state began; without such a column a state
    /// begins when a run first sees it.
    History { key: Vec<String>, time: Option<String> },
}

/// What a change of the inputs leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// The changed rows run through the query and the results are added.
    AppendOnly,
    /// The keys that the changes reach are found, and only they are computed anew. A change of a table in
    /// `whole_for` (with the reason) still computes everything.
    Keyed { key: Vec<String>, whole_for: Vec<(String, String)> },
    /// Everything is computed anew, and only keys whose rows differ are replaced.
    FullDiff { key: Vec<String>, why: String },
    /// Everything is computed anew and swapped.
    Full { why: String },
}

impl fmt::Display for Strategy {
    /// Writes one sentence for `millstream plan`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AppendOnly => {
                write!(f, "only the rows that the inputs gained run through the query and are added")
            }
            Self::Keyed { key, whole_for } => {
                write!(
                    f,
                    "only values of {} that the inputs' changes reach are computed anew",
                    key.join(", ")
                )?;
                for (table, why) in whole_for {
                    write!(f, "; a change of {table} computes everything, because {why}")?;
                }
                Ok(())
            }
            Self::FullDiff { key, why } => write!(
                f,
                "everything is computed anew and only values of {} that differ are replaced, because {why}",
                key.join(", ")
            ),
            Self::Full { why } => write!(f, "everything is computed anew, because {why}"),
        }
    }
}

/// A query with the way its table is kept: everything that is decided before data is read.
#[derive(Clone, Debug)]
pub struct Maintenance {
    pub(super) plan: LogicalPlan,
    pub(super) keep: Keep,
    pub(super) key: Vec<KeyPart>,
    pub(super) strategy: Strategy,
    /// The reason why the same rows need not give the same output twice.
    pub(super) unsteady: Option<String>,
    /// The columns of a merge key, or of a history's key and time, whose nulls the caller keeps out of the table.
    pub(super) nulls_kept_out: BTreeSet<String>,
    schema: SchemaRef,
}

/// One expression over the output that tells which rows belong together.
#[derive(Clone, Debug)]
pub(super) struct KeyPart {
    /// The name of this part of the key in messages.
    pub(super) label: String,
    pub(super) column: String,
    /// The expression over the output's columns, without qualifiers.
    pub(super) expr: Expr,
}

impl Maintenance {
    /// Decides how `plan` (analysed, not optimised) is kept. Errors are mistakes of the project: a key that
    /// is no column, a query that cannot be kept by adding rows.
    pub fn new(plan: &LogicalPlan, keep: Keep) -> Result<Self, IncrementalError> {
        let key = key_parts(plan, &keep)?;
        if keep == Keep::Append
            && let Some(what) = linear::obstacle(plan)
        {
            return Err(IncrementalError::NotAppendable { what });
        }
        let prepared = normalize::normalize(plan).map_err(IncrementalError::engine("preparing the query"))?;
        let output: Vec<_> = prepared.plan.schema().fields().iter().cloned().collect();
        let schema = Arc::new(Schema::new(with_validity(output, &keep)));
        let mut maintenance = Self {
            plan: prepared.plan,
            keep,
            key,
            strategy: Strategy::AppendOnly,
            unsteady: prepared.unsupported,
            nulls_kept_out: BTreeSet::new(),
            schema,
        };
        maintenance.strategy = maintenance.decide()?;
        Ok(maintenance)
    }

    /// Says that the caller keeps rows out of the table that are null in one of these columns. Such rows then come out as
    /// rows instead of an error; those of a history have no period.
    #[must_use]
    pub fn keeping_out_nulls(mut self, columns: BTreeSet<String>) -> Self {
        self.nulls_kept_out = columns;
        self
    }

    #[must_use]
    pub fn strategy(&self) -> &Strategy {
        &self.strategy
    }

    /// The columns of the table: the query's, and for a history [`VALID_FROM`] and [`VALID_TO`].
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The query as it is run: the same rows as the one that was given, with ties of row numbers broken the
    /// same way on every run.
    #[must_use]
    pub fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    pub(super) fn key_labels(&self) -> Vec<String> {
        self.key.iter().map(|part| part.label.clone()).collect()
    }

    /// The key's expressions over the plan's own (qualified) output columns.
    pub(super) fn key_over_plan(&self) -> datafusion::common::Result<Vec<Expr>> {
        let schema = self.plan.schema();
        self.key
            .iter()
            .map(|part| {
                columns::substitute(part.expr.clone(), |column| {
                    Ok(schema
                        .index_of_column_by_name(None, &column.name)
                        .map(|at| columns::column(schema, at)))
                })
            })
            .collect()
    }

    fn decide(&self) -> Result<Strategy, IncrementalError> {
        match self.keep {
            Keep::Whole => return Ok(Strategy::Full { why: "it is materialized as a table".into() }),
            Keep::Append => return Ok(Strategy::AppendOnly),
            Keep::Merge { .. } | Keep::Partition { .. } | Keep::History { .. } => {}
        }
        let key = self.key_labels();
        if let Some(why) = self.unsteady.clone() {
            return Ok(Strategy::FullDiff { key, why });
        }
        let engine = || IncrementalError::engine("preparing the query");
        let tables = tables_of(&self.plan).map_err(engine())?;
        let mut whole_for = Vec::new();
        for table in &tables {
            let supposed = Inputs::supposing(&self.plan, table).map_err(engine())?;
            match self.suppose(&supposed) {
                Ok(()) => {}
                Err(Stop::Unsupported(why)) => whole_for.push((table.clone(), why)),
                Err(Stop::TooManyKeys(_)) => {}
                Err(Stop::Engine(source)) => return Err(engine()(source)),
            }
        }
        match whole_for.first() {
            Some((_, why)) if whole_for.len() == tables.len() => {
                Ok(Strategy::FullDiff { key, why: why.clone() })
            }
            _ => Ok(Strategy::Keyed { key, whole_for }),
        }
    }

    /// Walks the plan as a refresh does, without data. The walk never waits, so one poll finishes it.
    fn suppose(&self, inputs: &Inputs) -> Result<(), Stop> {
        let limits = Limits::default();
        let evaluation = Evaluation::dry(inputs, &limits);
        let key = self.key_over_plan()?;
        let walked = async {
            if let Some(keys) = evaluation.affected_keys(&self.plan, &key).await? {
                evaluation.restricted(&self.plan, &key, &keys).await?;
            }
            Ok(())
        };
        walked.now_or_never().unwrap_or(Ok(()))
    }
}

fn with_validity(mut fields: Vec<Arc<Field>>, keep: &Keep) -> Vec<Arc<Field>> {
    for field in &mut fields {
        *field = Arc::new(field.as_ref().clone().with_nullable(true).with_metadata(Default::default()));
    }
    if matches!(keep, Keep::History { .. }) {
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        fields.push(Arc::new(Field::new(VALID_FROM, instant.clone(), true)));
        fields.push(Arc::new(Field::new(VALID_TO, instant, true)));
    }
    fields
}

fn key_parts(plan: &LogicalPlan, keep: &Keep) -> Result<Vec<KeyPart>, IncrementalError> {
    let plain = |name: &String| {
        data_type(plan, name, "a key")?;
        Ok(KeyPart { label: name.clone(), column: name.clone(), expr: output(name) })
    };
    match keep {
        Keep::Whole | Keep::Append => Ok(Vec::new()),
        Keep::Merge { key } => key.iter().map(plain).collect(),
        Keep::Partition { time, grain } => {
            is_time(&data_type(plan, time, "the time")?, time, "the time of partitions")?;
            let expr = date_trunc(lit(*grain), output(time));
            Ok(vec![KeyPart { label: format!("{grain} of {time}"), column: time.clone(), expr }])
        }
        Keep::History { key, time } => {
            for reserved in [VALID_FROM, VALID_TO] {
                if plan.schema().index_of_column_by_name(None, reserved).is_some() {
                    return Err(IncrementalError::ReservedColumn { column: reserved.into() });
                }
            }
            if let Some(time) = time {
                is_time(&data_type(plan, time, "the time")?, time, "the time of states")?;
            }
            key.iter().map(plain).collect()
        }
    }
}

/// The output column called `name`.
pub(super) fn output(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

fn data_type(plan: &LogicalPlan, column: &str, role: &'static str) -> Result<DataType, IncrementalError> {
    let schema = plan.schema();
    if let Some(at) = schema.index_of_column_by_name(None, column) {
        return Ok(schema.field(at).data_type().clone());
    }
    let nearest = schema
        .fields()
        .iter()
        .map(|field| (strsim::damerau_levenshtein(field.name(), column), field.name()))
        .filter(|(distance, _)| *distance <= 1 + column.len() / 3)
        .min()
        .map(|(_, name)| name.clone());
    Err(IncrementalError::UnknownColumn { column: column.into(), role, nearest })
}

fn is_time(found: &DataType, column: &str, role: &'static str) -> Result<(), IncrementalError> {
    match found {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Ok(()),
        _ => Err(IncrementalError::NotATime { column: column.into(), found: found.to_string(), role }),
    }
}
