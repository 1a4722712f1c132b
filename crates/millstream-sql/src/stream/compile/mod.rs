//! From the plan of a continuous table's SQL to its steps, with everything that stands in the way.

mod join;
mod relation;
mod shape;
mod window;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
};

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::{
    common::{Column, DFSchema, DFSchemaRef, DataFusionError},
    logical_expr::{Expr, LogicalPlan, cast},
};
use millstream_project::{CheckKind, Diagnostic, Located, SourceSpec, StreamSpec, TableSpec};
use millstream_stream::Window;
use millstream_types::{SourceName, Span, TableName};

use super::{
    LookupRows, LookupTable, StreamInput, StreamLookup, StreamParts, StreamPlan,
    bounds::{bound, unaliased},
    lookup::IndexDefinition,
    lower,
    node::{Node, Step},
    prune::pruned,
};
use crate::{
    SqlError,
    analyze::{Analysis, diagnostic},
    codes,
    explain::{Problem, explain},
    nearest::name_hint,
    place::SqlText,
    planner::physical,
    walk,
};

/// What is known of a project when its continuous tables are looked at.
pub(crate) struct Compiler<'a> {
    pub(crate) analysis: &'a Analysis,
    pub(crate) sources: HashMap<TableName, &'a SourceSpec>,
    pub(crate) tables: &'a HashMap<TableName, &'a TableSpec>,
    /// The sources whose events come through the event log.
    pub(crate) streaming: &'a BTreeSet<SourceName>,
}

/// A continuous table's plan, or what stands in its way.
pub(crate) struct Compiled {
    pub(crate) plan: Option<StreamPlan>,
    /// The views over streams that the SQL names, each with its column of the event time.
    pub(crate) views: BTreeMap<TableName, String>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// An input as it was found.
struct FoundInput {
    source: SourceName,
    disorder: Span,
    idle_after: Option<Span>,
}

/// What stands for a name in FROM.
enum Relation {
    Stream(Box<Node>),
    Lake(super::node::LakeTable),
}

impl Relation {
    fn stream(node: Node) -> Self {
        Self::Stream(Box::new(node))
    }
}

/// One table on its way.
struct Frame<'a> {
    compiler: &'a Compiler<'a>,
    table: &'a TableSpec,
    spec: &'a StreamSpec,
    text: SqlText<'a>,
    inputs: Vec<FoundInput>,
    /// The number of streams that the table's own SQL reads.
    streams: usize,
    /// The place of the view inside of whose SQL the walk is.
    view: Option<Range<usize>>,
    views: BTreeMap<TableName, String>,
    diagnostics: Vec<Diagnostic>,
}

impl Compiler<'_> {
    /// The plan of a continuous table.
    pub(crate) fn compile(&self, table: &TableSpec) -> Compiled {
        let Some(spec) = table.materialize.stream() else {
            return Compiled { plan: None, views: BTreeMap::new(), diagnostics: Vec::new() };
        };
        let mut frame = Frame::new(self, table, spec);
        frame.table_checks();
        let body = frame.body();
        let plan = match body {
            Some(node) if frame.diagnostics.is_empty() => frame.finished(node),
            _ => None,
        };
        let mut diagnostics = frame.diagnostics;
        diagnostics.sort_by_key(|diagnostic| diagnostic.at);
        diagnostics.dedup_by(|a, b| a.at == b.at && a.message == b.message);
        let plan = plan.filter(|_| diagnostics.is_empty());
        Compiled { plan, views: frame.views, diagnostics }
    }

    /// The plan of a table or view in which windows are marks.
    fn plan_of(&self, table: &TableName) -> Option<&LogicalPlan> {
        let analysed = self.analysis.tables.get(table)?;
        Some(analysed.marked.as_ref().unwrap_or(&analysed.plan))
    }

    fn source_name(&self, table: &TableName) -> Option<&SourceSpec> {
        let source = self.sources.get(table).copied()?;
        self.streaming.contains(&source.name).then_some(source)
    }
}

impl<'a> Frame<'a> {
    fn new(compiler: &'a Compiler<'a>, table: &'a TableSpec, spec: &'a StreamSpec) -> Self {
        Self {
            compiler,
            table,
            spec,
            text: SqlText::new(&table.sql.value),
            inputs: Vec::new(),
            streams: 0,
            view: None,
            views: BTreeMap::new(),
            diagnostics: Vec::new(),
        }
    }

    /// The steps of the table's SQL, with the types in which its rows are stored.
    fn body(&mut self) -> Option<Node> {
        let plan = self.compiler.plan_of(&self.table.name)?;
        let problems = shape::refused(plan, &self.text);
        problems.into_iter().for_each(|problem| self.say(problem));
        let node = match self.relation(plan, true)? {
            Relation::Stream(node) => *node,
            Relation::Lake(lake) => {
                let message =
                    format!("a continuous table reads events, and `{}` is a table of the lake", lake.name);
                let problem = Problem::new(codes::STREAM_INPUT, message, self.place_of(&lake.name));
                self.say(problem.with_hint(
                    "read a source that takes events in (`connector: {type: http}`) or another continuous table; a table that is computed from tables is `materialize: table` or `incremental`",
                ));
                return None;
            }
        };
        if node.time.is_none() && self.diagnostics.is_empty() {
            let hint = if node.grouped.is_some() {
                "add `window_start` to SELECT (and to GROUP BY), under any name".to_owned()
            } else {
                "add the source's time column to SELECT, as it is, under any name".to_owned()
            };
            let message = "the result has no event time, by which those who read it know how far it is";
            self.say(Problem::new(codes::STREAM_TIME, message, self.text.whole()).with_hint(hint));
            return None;
        }
        let schema = &self.compiler.analysis.tables.get(&self.table.name)?.schema;
        let node = self.conformed(node, schema, None)?;
        self.check_lateness(&node);
        Some(node)
    }

    /// The node with the types and names of a stored table.
    fn conformed(&mut self, node: Node, schema: &SchemaRef, named: Option<&DFSchemaRef>) -> Option<Node> {
        let same_types = node.schema.fields().iter().map(|field| field.data_type());
        let same_types = same_types.eq(schema.fields().iter().map(|field| field.data_type()));
        let named = match named {
            Some(named) => Arc::clone(named),
            None => self.planned(DFSchema::try_from(schema.as_ref().clone()))?.into(),
        };
        let (table, assigned, grouped, time) =
            (node.table.clone(), node.assigned.clone(), node.grouped.clone(), node.time);
        let step = if same_types {
            Step::Renamed(Box::new(node))
        } else {
            let exprs = node.schema.iter().zip(schema.fields()).map(|((qualifier, found), field)| {
                let column = Expr::Column(Column::from((qualifier, found)));
                if found.data_type() == field.data_type() {
                    column
                } else {
                    cast(column, field.data_type().clone())
                }
            });
            Step::Project { exprs: exprs.collect(), input: Box::new(node) }
        };
        Some(Node { table, schema: named, time, assigned, grouped, step })
    }

    /// An allowed lateness is one of a window, and those who take corrections in have to know which row is meant.
    fn check_lateness(&mut self, node: &Node) {
        if self.spec.lateness.ms() == 0 {
            return;
        }
        let name =
            |at: &Option<usize>| at.and_then(|at| node.schema.fields().get(at)).map(|field| field.name());
        let Some(grouped) = node.grouped.as_ref().filter(|grouped| grouped.corrects) else {
            let message =
                "`lateness` says how long a window takes late rows in, and the result is not one of a window";
            let at = self.table.at;
            let hint = "remove `lateness`: rows behind the watermark go to `<table>__late`; or group by a window of `tumble`, `hop` or `session`";
            self.diagnostics.push(Diagnostic::error(codes::STREAM_LATENESS, message, at).with_hint(hint));
            return;
        };
        let names: Option<Vec<&String>> = grouped.key.iter().map(name).collect();
        let Some(names) = names else {
            let message = "with `lateness`, the result needs all columns by which the window is grouped, since they tell which row a late one corrects";
            let hint = "add the columns of GROUP BY to SELECT, `window_start` among them";
            self.say(Problem::new(codes::STREAM_LATENESS, message, self.text.whole()).with_hint(hint));
            return;
        };
        let declared: BTreeSet<&String> = self.spec.key.iter().map(|column| &column.value).collect();
        let own: BTreeSet<&String> = names.iter().copied().collect();
        if let Some(first) = self.spec.key.first().filter(|_| declared != own) {
            let own = own.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            let message = format!(
                "with `lateness`, rows take the place of others by the columns of their window and group: {own}"
            );
            let hint = "remove `key`, or name these columns";
            self.diagnostics
                .push(Diagnostic::error(codes::STREAM_LATENESS, message, first.at).with_hint(hint));
        }
    }

    /// Checks that need the whole table cannot be judged while rows keep coming.
    fn table_checks(&mut self) {
        for check in &self.table.checks {
            let is_of_rows = matches!(
                check.kind,
                CheckKind::NotNull { .. }
                    | CheckKind::Range { .. }
                    | CheckKind::Length { .. }
                    | CheckKind::OneOf { .. }
                    | CheckKind::Pattern { .. }
                    | CheckKind::Expression { .. }
            );
            if !is_of_rows {
                let message = "this check looks at a whole table, and a continuous table is never finished";
                let hint = "check it in a table that reads this one and runs by a schedule; checks of single rows (`not_null`, `range`, `one_of`, `pattern`, `length`, `expression`) are possible here";
                self.diagnostics
                    .push(Diagnostic::error(codes::STREAM_CHECK, message, check.at).with_hint(hint));
            }
        }
    }

    /// The plan of a table whose SQL has no problem.
    fn finished(&mut self, node: Node) -> Option<StreamPlan> {
        let root = self.planned(pruned(node))?;
        self.loose_bounds(&root);
        let name = |at: usize| root.schema.fields().get(at).map(|field| field.name().clone());
        let time = root.time.and_then(name)?;
        let grouped = root.grouped.as_ref();
        let corrects = grouped.is_some_and(|grouped| grouped.corrects);
        let mut key: Vec<String> = self.spec.key.iter().map(|column| column.value.clone()).collect();
        if key.is_empty() && corrects {
            key =
                grouped.into_iter().flat_map(|grouped| &grouped.key).filter_map(|at| name((*at)?)).collect();
        }
        let mut found = Vec::new();
        lower::inputs(&root, &mut found);
        let inputs: Vec<StreamInput> = found.into_iter().filter_map(|node| self.input(node)).collect();
        let mut found = Vec::new();
        lower::lookups(&root, &mut found);
        let lookups = found.into_iter().map(lookup_of).collect();
        let lookups = self.planned(lookups)?;
        let schema = Arc::clone(&self.compiler.analysis.tables.get(&self.table.name)?.schema);
        let plan =
            StreamPlan { table: self.table.name.clone(), inputs, lookups, schema, key, time, corrects, root };
        self.try_out(&plan);
        Some(plan)
    }

    fn input(&self, node: &Node) -> Option<StreamInput> {
        let Step::Input(number) = node.step else { return None };
        let found = self.inputs.get(number)?;
        let fields = node.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        Some(StreamInput {
            source: found.source.clone(),
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            time: node.time_name()?.to_owned(),
            disorder: found.disorder,
            idle_after: found.idle_after,
        })
    }

    /// Builds the pipeline once, so that what only its stages know is said before anything runs.
    fn try_out(&mut self, plan: &StreamPlan) {
        let parts = StreamParts { partitions: &|_| 1, lookups: Arc::new(NoRows), checks: &|_| None };
        if let Err(error) = plan.pipeline(&parts) {
            let message = match &error {
                SqlError::Stream(inner) => inner.to_string(),
                other => other.to_string(),
            };
            let mut problem = Problem::new(error.code(), message, self.text.whole());
            problem.hint = error.hint();
            self.say(problem);
        }
    }

    /// Bounds of windows that are read before the window is grouped.
    fn loose_bounds(&mut self, node: &Node) {
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            let exprs: &[Expr] = match &node.step {
                Step::Project { exprs, .. } => exprs,
                Step::Filter { predicate, .. } => std::slice::from_ref(predicate),
                _ => &[],
            };
            let mut is_loose = false;
            for expr in exprs {
                let looked = walk::any_part(
                    expr,
                    &mut |part| matches!(bound(part), Ok(Some(found)) if !matches!(found.window, Window::Tumbling { .. })),
                );
                is_loose |= looked.unwrap_or(false);
            }
            if is_loose {
                let message = "the bounds of this window are known when its rows are grouped";
                let problem = Problem::new(codes::STREAM_WINDOW, message, self.place("window_start"));
                self.say(
                    problem.with_hint("add `GROUP BY window_start`, and use the bounds in SELECT or HAVING"),
                );
            }
            match &node.step {
                Step::Input(_) => {}
                Step::Join { left, right, .. } => open.extend([left.as_ref(), right.as_ref()]),
                Step::Renamed(input)
                | Step::Result(input)
                | Step::Filter { input, .. }
                | Step::Project { input, .. }
                | Step::Deduplicate { input, .. }
                | Step::Window { input, .. }
                | Step::Lookup { input, .. } => open.push(input),
            }
        }
    }

    /// The value, or none after the engine's words about it were said.
    fn planned<T>(&mut self, result: Result<T, DataFusionError>) -> Option<T> {
        result
            .map_err(|error| explain(&error, &self.text).into_iter().for_each(|problem| self.say(problem)))
            .ok()
    }

    fn say(&mut self, problem: Problem) {
        let range = self.view.clone().unwrap_or_else(|| problem.range.clone());
        self.diagnostics.push(diagnostic(Problem { range, ..problem }, self.table.sql.at));
    }

    /// The first place of a word in the SQL.
    fn place(&self, word: &str) -> Range<usize> {
        crate::explain::find_word(self.text.text, word).unwrap_or_else(|| self.text.whole())
    }

    fn place_of(&self, table: &TableName) -> Range<usize> {
        self.text
            .text
            .to_ascii_lowercase()
            .find(&table.to_string())
            .map_or_else(|| self.text.whole(), |start| start..start + table.to_string().len())
    }

    fn place_of_expr(&self, expr: &Expr) -> Range<usize> {
        crate::analyze::comparisons::span(expr, &self.text).unwrap_or_else(|| self.text.whole())
    }

    /// The problem of a column that the header names and the rows do not have.
    fn absent(&mut self, column: &Located<String>, schema: &DFSchema) {
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let hint = name_hint(&column.value, names, "its columns");
        let message = format!("the rows that are read have no column `{column}`");
        let problem = Diagnostic::error(codes::STREAM_DEDUPLICATE, message, column.at);
        self.diagnostics.push(Diagnostic { hint, ..problem });
    }
}

/// Where the column at `at` of the input is among expressions, unchanged.
fn carried(exprs: &[Expr], input: &Node, at: Option<usize>) -> Option<usize> {
    let at = at?;
    exprs.iter().position(|expr| match unaliased(expr) {
        Expr::Column(column) => input.schema.index_of_column(column).is_ok_and(|found| found == at),
        _ => false,
    })
}

/// How the rows of a lookup are found.
fn lookup_of(node: &Node) -> Result<StreamLookup, DataFusionError> {
    let Step::Lookup { table, on, columns, .. } = &node.step else {
        return Err(DataFusionError::Plan("this is no lookup".into()));
    };
    let mut used: BTreeSet<usize> = columns.iter().copied().collect();
    for (_, theirs) in on {
        for column in theirs.column_refs() {
            used.insert(table.schema.index_of_column(column)?);
        }
    }
    let used: Vec<usize> = used.into_iter().collect();
    let fields = used.iter().map(|at| {
        let (qualifier, field) = table.schema.qualified_field(*at);
        (qualifier.cloned(), Arc::clone(field))
    });
    let read = DFSchema::new_with_metadata(fields.collect(), HashMap::new())?;
    let key =
        on.iter().map(|(_, theirs)| physical(theirs.clone(), &read, None)).collect::<Result<Vec<_>, _>>()?;
    let types = key.iter().map(|expr| expr.data_type(read.as_arrow())).collect::<Result<Vec<_>, _>>()?;
    let key_text =
        on.iter().map(|(_, theirs)| theirs.human_display().to_string()).collect::<Vec<_>>().join(", ");
    let columns = columns.iter().filter_map(|at| used.iter().position(|used| used == at)).collect();
    let fields = read.fields().iter().map(|field| Field::new(field.name(), field.data_type().clone(), true));
    Ok(StreamLookup {
        table: table.name.clone(),
        schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
        index: IndexDefinition { key, types, key_text, columns },
    })
}

#[derive(Debug)]
struct NoRows;

impl LookupRows for NoRows {
    fn rows(&self, _: usize) -> Option<Arc<LookupTable>> {
        None
    }
}
