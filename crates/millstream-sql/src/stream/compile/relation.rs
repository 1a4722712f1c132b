//! Tables, views and continuous tables that SQL names, and what is done row by row.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, TableScan};
use millstream_project::{Materialize, SourceSpec, TableSpec};
use millstream_types::TableName;

use super::{FoundInput, Frame, Relation, carried};
use crate::{
    catalog::ProjectTable,
    codes,
    explain::Problem,
    stream::{
        batch::bounds_of,
        node::{Assigned, Grouped, LakeTable, Node, Step},
    },
};

impl Frame<'_> {
    /// The steps of a part of the plan. `top` says that the rows are those of the result, perhaps changed one by one.
    pub(super) fn relation(&mut self, plan: &LogicalPlan, top: bool) -> Option<Relation> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(plan, scan, top),
            LogicalPlan::SubqueryAlias(alias) => Some(match self.relation(&alias.input, top)? {
                Relation::Stream(node) => Relation::stream(renamed(*node, plan)),
                Relation::Lake(lake) => {
                    Relation::Lake(LakeTable { schema: Arc::clone(plan.schema()), ..lake })
                }
            }),
            LogicalPlan::Projection(projection) => {
                let input = self.stream(&projection.input, top)?;
                self.projection(plan, projection, input).map(Relation::stream)
            }
            LogicalPlan::Filter(filter) => {
                let input = self.stream(&filter.input, top)?;
                let node = Node {
                    schema: Arc::clone(plan.schema()),
                    table: input.table.clone(),
                    time: input.time,
                    assigned: input.assigned.clone(),
                    grouped: input.grouped.clone(),
                    step: Step::Filter { predicate: filter.predicate.clone(), input: Box::new(input) },
                };
                Some(Relation::stream(node))
            }
            LogicalPlan::Aggregate(aggregate) => {
                let input = self.stream(&aggregate.input, false)?;
                self.window(aggregate, input, top).map(Relation::stream)
            }
            LogicalPlan::Join(join) => self.join(join).map(Relation::stream),
            // What else there is has been refused, and what is below it may have problems of its own.
            other => {
                for input in other.inputs() {
                    self.relation(input, false);
                }
                None
            }
        }
    }

    /// The steps of a part of the plan that has to be a stream.
    fn stream(&mut self, plan: &LogicalPlan, top: bool) -> Option<Node> {
        match self.relation(plan, top)? {
            Relation::Stream(node) => Some(*node),
            Relation::Lake(lake) => {
                let message = format!(
                    "`{}` is a table of the lake, in which a continuous table only looks rows up",
                    lake.name
                );
                let problem = Problem::new(codes::STREAM_INPUT, message, self.place_of(&lake.name));
                self.say(problem.with_hint(format!(
                    "join it to a stream by its key: `JOIN {} t ON t.id = e.id`; filter or compute before in a table of its own",
                    lake.name
                )));
                None
            }
        }
    }

    fn scan(&mut self, plan: &LogicalPlan, scan: &TableScan, top: bool) -> Option<Relation> {
        let name = &scan.source.downcast_ref::<ProjectTable>()?.name;
        if let Some(source) = self.compiler.source_name(name) {
            return self.source(plan, source).map(Relation::stream);
        }
        let lake =
            || Some(Relation::Lake(LakeTable { name: name.clone(), schema: Arc::clone(plan.schema()) }));
        let Some(spec) = self.compiler.tables.get(name).copied() else { return lake() };
        match &spec.materialize {
            Materialize::View => self.view(plan, name, top),
            Materialize::Stream(_) => self.continuous(plan, spec),
            _ => lake(),
        }
    }

    fn source(&mut self, plan: &LogicalPlan, source: &SourceSpec) -> Option<Node> {
        let name = source.table();
        let Some(time) = &source.contract.time else {
            let message = format!("the events of `{name}` have no event time");
            let problem = Problem::new(codes::STREAM_TIME, message, self.place_of(&name));
            self.say(problem.with_hint(format!(
                "write `time: <column>` in the contract of the source `{}`",
                source.name
            )));
            return None;
        };
        let schema = plan.schema();
        let at = schema.fields().iter().position(|field| *field.name() == time.value);
        let is_time = |at: &usize| {
            schema.fields().get(*at).is_some_and(|field| {
                matches!(field.data_type(), DataType::Timestamp(TimeUnit::Microsecond, _))
            })
        };
        let Some(at) = at.filter(is_time) else {
            let message = format!("the event time `{time}` of `{name}` is no timestamp");
            let problem = Problem::new(codes::STREAM_TIME, message, self.place_of(&name));
            self.say(problem.with_hint("declare it as `timestamp` in the source's contract"));
            return None;
        };
        let number = self.inputs.len();
        self.inputs.push(FoundInput {
            source: source.name.clone(),
            disorder: self.spec.disorder,
            idle_after: self.spec.idle_after,
        });
        let node = Node {
            table: self.table.name.clone(),
            schema: Arc::clone(schema),
            time: Some(at),
            assigned: None,
            grouped: None,
            step: Step::Input(number),
        };
        self.deduplicated(node)
    }

    /// The rows without those that the header calls duplicates.
    fn deduplicated(&mut self, node: Node) -> Option<Node> {
        if self.view.is_none() {
            self.streams += 1;
        }
        // What the SQL reads is a view as a whole, not what is in it.
        let deduplicate = self.spec.deduplicate.as_ref().filter(|_| self.view.is_none());
        let Some(deduplicate) = deduplicate else { return Some(node) };
        if self.streams > 1 {
            let message = "`deduplicate` does not say which of two streams it means";
            let hint = "deduplicate in a continuous table of its own, and join that one";
            let at = deduplicate.by.first().map_or(self.table.at, |column| column.at);
            self.diagnostics.push(
                millstream_project::Diagnostic::error(codes::STREAM_DEDUPLICATE, message, at).with_hint(hint),
            );
            return Some(node);
        }
        if !self.settled(&node) {
            return None;
        }
        let mut by = Vec::new();
        for column in &deduplicate.by {
            match node.schema.fields().iter().position(|field| *field.name() == column.value) {
                Some(at) => by.push(at),
                None => self.absent(column, &node.schema),
            }
        }
        Some(Node {
            table: self.table.name.clone(),
            schema: Arc::clone(&node.schema),
            time: node.time,
            assigned: None,
            grouped: None,
            step: Step::Deduplicate { input: Box::new(node), by, within: deduplicate.within },
        })
    }

    /// Whether the rows are told once; a stage that counts or pairs them cannot take corrections back.
    pub(super) fn settled(&mut self, node: &Node) -> bool {
        let corrects = node.grouped.as_ref().is_some_and(|grouped| grouped.corrects);
        if corrects {
            let table = &node.table;
            let message = format!(
                "the rows of `{table}` are corrected by late ones, so that nothing can be counted or joined of them"
            );
            let problem = Problem::new(codes::STREAM_LATENESS, message, self.place_of(table));
            self.say(problem.with_hint(format!(
                "remove `lateness` of `{table}`, or write a table that is not continuous"
            )));
        }
        !corrects
    }

    fn view(&mut self, plan: &LogicalPlan, name: &TableName, top: bool) -> Option<Relation> {
        let compiler = self.compiler;
        let inner = compiler.plan_of(name)?;
        let before = self.view.clone();
        let place = before.clone().unwrap_or_else(|| self.place_of(name));
        self.view = Some(place);
        let problems = super::shape::refused(inner, &self.text);
        let reads_stream = self.reads_stream(inner);
        if !reads_stream {
            self.view = before;
            let schema = Arc::clone(plan.schema());
            return Some(Relation::Lake(LakeTable { name: name.clone(), schema }));
        }
        problems.into_iter().for_each(|problem| self.say(problem));
        let relation = self.relation(inner, top);
        let schema = &compiler.analysis.tables.get(name)?.schema;
        let relation = match relation {
            Some(Relation::Stream(node)) => {
                self.conformed(*node, schema, Some(plan.schema())).map(Relation::stream)
            }
            _ => None,
        };
        self.view = before;
        let Relation::Stream(node) = relation? else { return None };
        if self.view.is_some() {
            return Some(Relation::Stream(node));
        }
        self.views.extend(node.time_name().map(|time| (name.clone(), time.to_owned())));
        self.deduplicated(*node).map(Relation::stream)
    }

    /// Whether a plan, or a view in it, reads events.
    fn reads_stream(&self, plan: &LogicalPlan) -> bool {
        let mut open = vec![plan];
        while let Some(node) = open.pop() {
            if let LogicalPlan::TableScan(scan) = node
                && let Some(table) = scan.source.downcast_ref::<ProjectTable>()
            {
                let spec = self.compiler.tables.get(&table.name);
                if self.compiler.source_name(&table.name).is_some()
                    || spec.is_some_and(|spec| spec.materialize.stream().is_some())
                {
                    return true;
                }
                if spec.is_some_and(|spec| spec.materialize.is_view()) {
                    open.extend(self.compiler.plan_of(&table.name));
                }
            }
            open.extend(node.inputs());
        }
        false
    }

    /// Another continuous table: its stages come first. One whose rows replace each other is a table with one row for each key, in which
    /// rows are looked up.
    fn continuous(&mut self, plan: &LogicalPlan, spec: &TableSpec) -> Option<Relation> {
        let stream = spec.materialize.stream()?;
        let mut inner = Frame::new(self.compiler, spec, stream);
        inner.inputs = std::mem::take(&mut self.inputs);
        let node = inner.body();
        let is_sound = inner.diagnostics.is_empty();
        self.inputs = std::mem::take(&mut inner.inputs);
        // What is wrong with the other table is said there.
        let node = node.filter(|_| is_sound)?;
        if replaces(spec, &node) {
            let schema = Arc::clone(plan.schema());
            return Some(Relation::Lake(LakeTable { name: spec.name.clone(), schema }));
        }
        let table = node.table.clone();
        let checked = if spec.checks.is_empty() {
            node
        } else {
            Node {
                schema: Arc::clone(&node.schema),
                time: node.time,
                assigned: None,
                grouped: node.grouped.clone(),
                table,
                step: Step::Result(Box::new(node)),
            }
        };
        let node = renamed(checked, plan);
        self.deduplicated(node).map(Relation::stream)
    }

    fn projection(&mut self, plan: &LogicalPlan, projection: &Projection, input: Node) -> Option<Node> {
        let exprs = &projection.expr;
        let at = |before: Option<usize>| carried(exprs, &input, before);
        let assigned = match self.planned(bounds_of(projection))? {
            Some(bounds) => {
                let Expr::Column(column) = &bounds.time else {
                    self.not_the_time(&bounds.time, &input);
                    return None;
                };
                if input.schema.index_of_column(column).ok() != input.time {
                    self.not_the_time(&bounds.time, &input);
                    return None;
                }
                Some(Assigned { window: bounds.window, start: Some(bounds.start), end: Some(bounds.end) })
            }
            None => input.assigned.as_ref().map(|found| Assigned {
                window: found.window,
                start: at(found.start),
                end: at(found.end),
            }),
        };
        let grouped = input.grouped.as_ref().map(|found| Grouped {
            key: found.key.iter().map(|column| at(*column)).collect(),
            end: at(found.end),
            corrects: found.corrects,
        });
        Some(Node {
            table: input.table.clone(),
            schema: Arc::clone(plan.schema()),
            time: at(input.time),
            assigned,
            grouped,
            step: Step::Project { exprs: exprs.clone(), input: Box::new(input) },
        })
    }

    fn not_the_time(&mut self, expr: &Expr, input: &Node) {
        let message = "windows of a stream go by its event time";
        let hint = match input.time_name() {
            Some(time) => format!("write `{time}`"),
            None => "keep the event time in the SELECT that is read".to_owned(),
        };
        let place = self.place_of_expr(expr);
        self.say(Problem::new(codes::STREAM_TIME, message, place).with_hint(hint));
    }
}

/// The node with the names of a plan that has the same columns.
fn renamed(node: Node, plan: &LogicalPlan) -> Node {
    Node {
        table: node.table.clone(),
        schema: Arc::clone(plan.schema()),
        time: node.time,
        assigned: node.assigned.clone(),
        grouped: node.grouped.clone(),
        step: Step::Renamed(Box::new(node)),
    }
}

/// Whether rows of the table replace earlier ones, so that what it holds is not what was told. The rows of a window and group come once.
fn replaces(spec: &TableSpec, node: &Node) -> bool {
    let key = spec.materialize.stream().map(|stream| stream.key.as_slice()).unwrap_or_default();
    let names_row = node.grouped.as_ref().is_some_and(|grouped| {
        grouped.key.iter().all(|column| {
            let field = column.and_then(|at| node.schema.fields().get(at));
            field.is_some_and(|field| key.iter().any(|named| named.value == *field.name()))
        })
    });
    !key.is_empty() && !names_row
}
