//! From steps to the stages of a pipeline. Filters, projections and lookups that follow each other are one stage.

use std::{collections::HashMap, error::Error, sync::Arc};

use arrow::{
    array::{Array, AsArray, RecordBatch, RecordBatchOptions},
    compute::{filter_record_batch, is_not_null, prep_null_mask_filter},
    datatypes::{Field, Schema, SchemaRef},
};
use datafusion::{common::DFSchema, logical_expr::Expr, physical_expr::PhysicalExpr};
use millstream_stream::{
    Aggregate, DeduplicateDefinition, Expression, Function, JoinDefinition, JoinKind, MapDefinition,
    PipelineBuilder, SourceDefinition, StageId, StreamError, Ties, WINDOW_END, WINDOW_START,
    WindowDefinition,
};

use super::{
    LookupRows, RowFilter, StreamParts, StreamPipeline, StreamPlan,
    lookup::{evaluated, not_read},
    node::{AggregateName, Aggregated, Node, Step},
};
use crate::{SqlError, planner::physical};

/// The pipeline of a plan.
pub(super) fn pipeline(plan: &StreamPlan, parts: &StreamParts<'_>) -> Result<StreamPipeline, SqlError> {
    let mut lowering = Lowering {
        plan,
        parts,
        builder: PipelineBuilder::new(),
        sources: Vec::new(),
        names: HashMap::new(),
        lookups: 0,
    };
    let flow = lowering.flow(&plan.root)?;
    let named = flow.schema.fields().iter().map(|field| field.name());
    let is_named = named.eq(plan.schema.fields().iter().map(|field| field.name()));
    let flow = if is_named { flow } else { flow.renamed(Arc::clone(&plan.schema)) };
    lowering.stage(flow, plan.root.table.to_string().as_str())?;
    let pipeline = lowering.builder.build().map_err(failed)?;
    Ok(StreamPipeline { pipeline, sources: lowering.sources })
}

/// The numbers of the inputs in the order in which [`pipeline`] adds them.
pub(super) fn inputs<'n>(node: &'n Node, found: &mut Vec<&'n Node>) {
    match &node.step {
        Step::Input(_) => found.push(node),
        Step::Join { left, right, .. } => {
            inputs(left, found);
            inputs(right, found);
        }
        Step::Renamed(input)
        | Step::Result(input)
        | Step::Filter { input, .. }
        | Step::Project { input, .. }
        | Step::Deduplicate { input, .. }
        | Step::Window { input, .. }
        | Step::Lookup { input, .. } => inputs(input, found),
    }
}

/// The lookups in the order in which [`pipeline`] numbers them.
pub(super) fn lookups<'n>(node: &'n Node, found: &mut Vec<&'n Node>) {
    match &node.step {
        Step::Input(_) => {}
        Step::Join { left, right, .. } => {
            lookups(left, found);
            lookups(right, found);
        }
        Step::Lookup { input, .. } => {
            lookups(input, found);
            found.push(node);
        }
        Step::Renamed(input)
        | Step::Result(input)
        | Step::Filter { input, .. }
        | Step::Project { input, .. }
        | Step::Deduplicate { input, .. }
        | Step::Window { input, .. } => lookups(input, found),
    }
}

struct Lowering<'a> {
    plan: &'a StreamPlan,
    parts: &'a StreamParts<'a>,
    builder: PipelineBuilder,
    sources: Vec<StageId>,
    /// How often each name of a stage was given.
    names: HashMap<String, usize>,
    lookups: usize,
}

/// A stage, and what is still to be done with its rows before the next one.
struct Flow {
    stage: StageId,
    /// The columns after all of `work`, each with a name of its own.
    schema: SchemaRef,
    time: Option<usize>,
    work: Vec<Work>,
    /// What `work` computes, as text.
    text: Vec<String>,
    /// The columns by which corrections of the stage name rows, and their names after `work`.
    corrections: Option<Vec<(String, String)>>,
}

/// What is done with a batch of rows.
enum Work {
    Filter(Arc<dyn PhysicalExpr>),
    Project(Vec<Arc<dyn PhysicalExpr>>, SchemaRef),
    Lookup(LookupWork),
    Check(RowFilter),
    Rename(SchemaRef),
}

struct LookupWork {
    rows: Arc<dyn LookupRows>,
    number: usize,
    table: millstream_types::TableName,
    key: Vec<Arc<dyn PhysicalExpr>>,
    kind: JoinKind,
    schema: SchemaRef,
}

impl Flow {
    fn renamed(mut self, schema: SchemaRef) -> Self {
        for (_, now) in self.corrections.iter_mut().flatten() {
            let place = self.schema.index_of(now).ok().and_then(|at| schema.fields().get(at));
            if let Some(field) = place {
                now.clone_from(field.name());
            }
        }
        self.work.push(Work::Rename(Arc::clone(&schema)));
        self.schema = schema;
        self
    }
}

impl Lowering<'_> {
    fn flow(&mut self, node: &Node) -> Result<Flow, SqlError> {
        let mut flow = match &node.step {
            Step::Input(_) => self.source(node)?,
            Step::Renamed(input) => self.flow(input)?,
            Step::Result(input) => {
                let mut flow = self.flow(input)?;
                if let Some(filter) = (self.parts.checks)(&input.table) {
                    let schema = nullable(&node.schema);
                    if flow.schema.fields() != schema.fields() {
                        flow = flow.renamed(schema);
                    }
                    flow.work.push(Work::Check(filter));
                    flow.text.push(format!("checks of {}", input.table));
                }
                flow
            }
            Step::Filter { input, predicate } => {
                let mut flow = self.flow(input)?;
                flow.text.push(format!("filter {predicate}"));
                flow.work.push(Work::Filter(ready(predicate, &input.schema)?));
                flow
            }
            Step::Project { input, exprs } => self.project(node, input, exprs)?,
            Step::Deduplicate { input, by, within } => {
                let (stage, schema, _) = self.input(input)?;
                let name = self.name(&format!("{} deduplicate", node.table));
                let keys = column_names(&schema, by);
                let definition = DeduplicateDefinition { name, keys, within: *within };
                let stage = self.builder.deduplicate(stage, &definition).map_err(failed)?;
                flow_of(stage, schema, node.time)
            }
            Step::Window { input, window, keys, aggregates, lateness } => {
                let (stage, schema, _) = self.input(input)?;
                let definition = WindowDefinition {
                    name: self.name(&format!("{} window", node.table)),
                    window: *window,
                    keys: column_names(&schema, keys),
                    aggregates: aggregates
                        .iter()
                        .filter_map(|aggregate| aggregate_of(aggregate, &schema))
                        .collect(),
                    lateness: *lateness,
                };
                let stage = self.builder.window(stage, &definition).map_err(failed)?;
                let mut flow = flow_of(stage, nullable(&node.schema), node.time);
                if lateness.ms() > 0 {
                    let bounds = [WINDOW_START, WINDOW_END].map(String::from);
                    let named = definition.keys.into_iter().chain(bounds);
                    flow.corrections = Some(named.map(|name| (name.clone(), name)).collect());
                }
                flow
            }
            Step::Join { .. } => self.join(node)?,
            Step::Lookup { .. } => self.lookup(node)?,
        };
        flow.time = node.time;
        Ok(flow)
    }

    fn source(&mut self, node: &Node) -> Result<Flow, SqlError> {
        let Some(input) = self.plan.inputs.get(self.sources.len()) else {
            return Err(lost("an input of the pipeline"));
        };
        let definition = SourceDefinition {
            partitions: (self.parts.partitions)(input),
            disorder: input.disorder,
            idle_after: input.idle_after,
            ..SourceDefinition::new(
                self.name(&format!("bronze.{}", input.source)),
                Arc::clone(&input.schema),
                &input.time,
            )
        };
        let stage = self.builder.source(&definition).map_err(failed)?;
        self.sources.push(stage);
        Ok(flow_of(stage, Arc::clone(&input.schema), node.time))
    }

    fn project(&mut self, node: &Node, input: &Node, exprs: &[Expr]) -> Result<Flow, SqlError> {
        let mut flow = self.flow(input)?;
        let ready = exprs.iter().map(|expr| ready(expr, &input.schema)).collect::<Result<Vec<_>, _>>()?;
        let schema = nullable(&node.schema);
        let shown: Vec<String> = exprs.iter().map(ToString::to_string).collect();
        flow.text.push(format!("select {}", shown.join(", ")));
        if let Some(corrections) = &mut flow.corrections {
            corrections.retain_mut(|(_, now)| {
                let is_it = |expr: &Expr| match super::bounds::unaliased(expr) {
                    Expr::Column(column) => input.schema.index_of_column(column).is_ok_and(|at| {
                        flow.schema.fields().get(at).is_some_and(|field| field.name() == now)
                    }),
                    _ => false,
                };
                let place = exprs.iter().position(is_it).and_then(|at| schema.fields().get(at));
                place.map(|field| now.clone_from(field.name())).is_some()
            });
        }
        flow.work.push(Work::Project(ready, Arc::clone(&schema)));
        flow.schema = schema;
        Ok(flow)
    }

    fn join(&mut self, node: &Node) -> Result<Flow, SqlError> {
        let Step::Join { left, right, kind, on, from, until } = &node.step else {
            return Err(lost("a join"));
        };
        let (left_stage, left_schema, _) = self.input(left)?;
        let (right_stage, right_schema, _) = self.input(right)?;
        let name = self.name(&format!("{} join", node.table));
        let taken = |prefix: &str| {
            let mut names = right_schema.fields().iter().map(|field| format!("{prefix}{}", field.name()));
            names.any(|name| left_schema.column_with_name(&name).is_some())
        };
        let mut right_prefix = String::new();
        while taken(&right_prefix) {
            right_prefix.push_str("right.");
        }
        let pairs = on.iter().filter_map(|(ours, theirs)| {
            let name =
                |schema: &SchemaRef, at: usize| schema.fields().get(at).map(|field| field.name().clone());
            Some((name(&left_schema, *ours)?, name(&right_schema, *theirs)?))
        });
        let definition = JoinDefinition {
            name,
            kind: *kind,
            on: pairs.collect(),
            from: *from,
            until: *until,
            right_prefix: right_prefix.clone(),
        };
        let stage = self.builder.join(left_stage, right_stage, &definition).map_err(failed)?;
        let mut fields: Vec<Field> =
            left_schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.extend(
            right_schema
                .fields()
                .iter()
                .map(|field| field.as_ref().clone().with_name(format!("{right_prefix}{}", field.name()))),
        );
        Ok(flow_of(stage, Arc::new(Schema::new(fields)), node.time))
    }

    fn lookup(&mut self, node: &Node) -> Result<Flow, SqlError> {
        let Step::Lookup { input, table, on, columns, kind } = &node.step else {
            return Err(lost("a lookup"));
        };
        let mut flow = self.flow(input)?;
        let key = on.iter().map(|(ours, _)| ready(ours, &input.schema)).collect::<Result<Vec<_>, _>>()?;
        let mut fields: Vec<Field> =
            flow.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        let found = columns.iter().filter_map(|at| table.schema.fields().get(*at));
        for field in found {
            let name = free_name(field.name(), &fields);
            fields.push(Field::new(name, field.data_type().clone(), true));
        }
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let shown: Vec<String> = on.iter().map(|(ours, theirs)| format!("{ours} = {theirs}")).collect();
        flow.text.push(format!("lookup {} {kind:?} {} {columns:?}", table.name, shown.join(", ")));
        flow.work.push(Work::Lookup(LookupWork {
            rows: Arc::clone(&self.parts.lookups),
            number: self.lookups,
            table: table.name.clone(),
            key,
            kind: *kind,
            schema: Arc::clone(&schema),
        }));
        self.lookups += 1;
        flow.schema = schema;
        Ok(flow)
    }

    /// A step whose work is done by a stage, for a stage that reads it.
    fn input(&mut self, node: &Node) -> Result<(StageId, SchemaRef, Option<usize>), SqlError> {
        let flow = self.flow(node)?;
        let (schema, time) = (Arc::clone(&flow.schema), flow.time);
        let stage = self.stage(flow, &format!("{} select", node.table))?;
        Ok((stage, schema, time))
    }

    /// The stage that does what is left to do.
    fn stage(&mut self, flow: Flow, name: &str) -> Result<StageId, SqlError> {
        if flow.work.is_empty() {
            return Ok(flow.stage);
        }
        let time = flow.time.and_then(|at| flow.schema.fields().get(at)).map(|field| field.name().clone());
        let definition = MapDefinition {
            name: self.name(name),
            schema: flow.schema,
            time: time.ok_or_else(|| lost("the event time"))?,
            text: flow.text.join("\n"),
        };
        let expression = expression(flow.work);
        let stage = match flow.corrections {
            Some(keys) => self.builder.map_corrected(flow.stage, &definition, expression, &keys),
            None => self.builder.map(flow.stage, &definition, expression),
        };
        stage.map_err(failed)
    }

    /// A name that no other stage has.
    fn name(&mut self, name: &str) -> String {
        let given = self.names.entry(name.to_owned()).or_insert(0);
        *given += 1;
        if *given == 1 { name.to_owned() } else { format!("{name} {given}") }
    }
}

fn flow_of(stage: StageId, schema: SchemaRef, time: Option<usize>) -> Flow {
    Flow { stage, schema, time, work: Vec::new(), text: Vec::new(), corrections: None }
}

/// The work on one batch after the other.
fn expression(mut work: Vec<Work>) -> Expression {
    Box::new(move |rows| {
        let mut rows = rows.clone();
        for work in &mut work {
            rows = done(work, rows)?;
        }
        Ok(rows)
    })
}

fn done(work: &mut Work, rows: RecordBatch) -> Result<RecordBatch, Box<dyn Error + Send + Sync>> {
    match work {
        Work::Filter(predicate) => {
            let judged = predicate.evaluate(&rows)?.into_array(rows.num_rows())?;
            let kept = judged.as_boolean();
            let kept = if kept.null_count() > 0 { prep_null_mask_filter(kept) } else { kept.clone() };
            if kept.true_count() == rows.num_rows() {
                return Ok(rows);
            }
            Ok(filter_record_batch(&rows, &kept)?)
        }
        Work::Project(exprs, schema) => Ok(with_columns(schema, evaluated(exprs, &rows)?, rows.num_rows())?),
        Work::Rename(schema) => Ok(with_columns(schema, rows.columns().to_vec(), rows.num_rows())?),
        Work::Check(filter) => filter(rows),
        Work::Lookup(lookup) => {
            let table = lookup.rows.rows(lookup.number).ok_or_else(|| not_read(&lookup.table))?;
            let mut found = table.find(&evaluated(&lookup.key, &rows)?)?;
            let mut rows = rows;
            if lookup.kind == JoinKind::Inner && found.null_count() > 0 {
                let kept = is_not_null(&found)?;
                rows = filter_record_batch(&rows, &kept)?;
                found = found.iter().flatten().map(Some).collect();
            }
            let mut columns = rows.columns().to_vec();
            columns.extend(table.columns(&found)?);
            Ok(with_columns(&lookup.schema, columns, rows.num_rows())?)
        }
    }
}

fn with_columns(
    schema: &SchemaRef,
    columns: Vec<arrow::array::ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

fn aggregate_of(aggregate: &Aggregated, schema: &Schema) -> Option<Aggregate> {
    let name = aggregate.name.clone();
    let Some(at) = aggregate.column else { return Some(Aggregate::new(name, Function::Count)) };
    let over = schema.fields().get(at)?.name().clone();
    Some(match aggregate.function {
        AggregateName::Count => Aggregate::new(name, Function::CountOf(over)),
        AggregateName::Sum => Aggregate::new(name, Function::Sum(over)),
        AggregateName::Average => Aggregate::new(name, Function::Average(over)),
        AggregateName::Min => Aggregate::new(name, Function::Min(over)),
        AggregateName::Max => Aggregate::new(name, Function::Max(over)),
        AggregateName::First => Aggregate::first(name, over, Ties::default()),
        AggregateName::Last => Aggregate::last(name, over, Ties::default()),
    })
}

fn ready(expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>, SqlError> {
    let expr = super::bounds::unaliased(expr).clone();
    physical(expr, schema, None).map_err(SqlError::from_datafusion)
}

fn column_names(schema: &Schema, columns: &[usize]) -> Vec<String> {
    columns.iter().filter_map(|at| schema.fields().get(*at)).map(|field| field.name().clone()).collect()
}

/// The schema with a name of its own for each column, and with nulls everywhere.
fn nullable(schema: &DFSchema) -> SchemaRef {
    let mut fields: Vec<Field> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let name = free_name(field.name(), &fields);
        fields.push(Field::new(name, field.data_type().clone(), true));
    }
    Arc::new(Schema::new(fields))
}

fn free_name(name: &str, taken: &[Field]) -> String {
    let is_taken = |name: &str| taken.iter().any(|field| field.name() == name);
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !is_taken(name)).unwrap_or_default()
}

fn failed(error: StreamError) -> SqlError {
    SqlError::Stream(Box::new(error))
}

fn lost(what: &str) -> SqlError {
    SqlError::Execution { message: format!("{what} is missing in the plan, please report it") }
}
