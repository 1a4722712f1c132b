//! GROUP BY over the windows of a stream.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field};
use datafusion::{
    common::{Column, DFSchema},
    logical_expr::{
        Aggregate, Expr, ExprSchemable, cast,
        expr::{AggregateFunction, NullTreatment},
        when,
    },
};
use millstream_stream::{WINDOW_END, WINDOW_START};
use millstream_types::Span;

use super::Frame;
use crate::{
    catalog::timestamp,
    codes,
    explain::Problem,
    stream::{
        bounds::unaliased,
        node::{AggregateName, Aggregated, Assigned, Grouped, Node, Step},
    },
};

/// What stands for an expression of the GROUP BY in the rows of a window.
enum GroupColumn {
    Start,
    End,
    Key(usize),
}

/// The columns that a window takes: its time, its keys and what it aggregates, each expression once.
struct Taken<'n> {
    input: &'n Node,
    exprs: Vec<Expr>,
    fields: Vec<Field>,
}

impl Taken<'_> {
    /// The place of an expression, under the given name where that is free.
    fn add(&mut self, expr: Expr, name: &str) -> datafusion::common::Result<usize> {
        let data_type = expr.get_type(&self.input.schema)?;
        let reserved = [WINDOW_START, WINDOW_END];
        let is_taken =
            |name: &str| reserved.contains(&name) || self.fields.iter().any(|field| field.name() == name);
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let free = std::iter::once(name.to_owned()).chain(numbered).find(|name| !is_taken(name));
        self.fields.push(Field::new(free.unwrap_or_default(), data_type, true));
        self.exprs.push(expr);
        Ok(self.exprs.len() - 1)
    }

    /// The place of a value that is aggregated.
    fn argument(&mut self, expr: Expr) -> datafusion::common::Result<usize> {
        if let Some(at) = self.exprs.iter().position(|known| *known == expr) {
            return Ok(at);
        }
        let name = match &expr {
            Expr::Column(column) => column.name.clone(),
            other => other.human_display().to_string(),
        };
        self.add(expr, &name)
    }

    fn name(&self, at: usize) -> &str {
        self.fields.get(at).map_or("", |field| field.name().as_str())
    }
}

impl Frame<'_> {
    pub(super) fn window(&mut self, aggregate: &Aggregate, input: Node, top: bool) -> Option<Node> {
        let is_settled = self.settled(&input);
        let Some(assigned) = input.assigned.clone() else {
            self.without_window(aggregate);
            return None;
        };
        let Some(time) = input.time else {
            let message = "the rows that are grouped have no event time";
            let problem = Problem::new(codes::STREAM_TIME, message, self.place("group"));
            self.say(problem.with_hint("keep the time column in the SELECT that is read"));
            return None;
        };
        let mut taken = Taken { input: &input, exprs: Vec::new(), fields: Vec::new() };
        let (qualifier, field) = input.schema.qualified_field(time);
        let time_column = Expr::Column(Column::from((qualifier, field)));
        let time_name = field.name().clone();
        let time = taken.add(time_column, &time_name);
        let time = self.planned(time)?;
        let (groups, keys) = self.group_columns(aggregate, &assigned, &mut taken)?;
        let mut aggregates: Vec<Aggregated> = Vec::new();
        let mut is_sound = is_settled;
        let fields = aggregate.schema.fields().iter().skip(aggregate.group_expr.len());
        for (expr, field) in aggregate.aggr_expr.iter().zip(fields) {
            match self.aggregated(expr, &mut taken, time) {
                Some((function, column)) => {
                    let known = taken.fields.iter().map(|field| field.name());
                    let known = known.chain(aggregates.iter().map(|known| &known.name));
                    let mut name = field.name().clone();
                    while known.clone().any(|known| *known == name)
                        || [WINDOW_START, WINDOW_END].contains(&name.as_str())
                    {
                        name.push('\'');
                    }
                    aggregates.push(Aggregated { name, function, column });
                }
                None => is_sound = false,
            }
        }
        if !is_sound {
            return None;
        }
        let lateness = if top { self.spec.lateness } else { Span::from_ms(0) };
        let Taken { exprs, fields, .. } = taken;
        self.grouped(
            aggregate,
            Parts { time, keys, groups, aggregates, exprs, fields, lateness, input, window: assigned.window },
        )
    }

    /// What stands for each expression of the GROUP BY, and the places of those that are keys.
    fn group_columns(
        &mut self,
        aggregate: &Aggregate,
        assigned: &Assigned,
        taken: &mut Taken<'_>,
    ) -> Option<(Vec<GroupColumn>, Vec<usize>)> {
        let mut groups = Vec::new();
        let mut keys = Vec::new();
        for (expr, field) in aggregate.group_expr.iter().zip(aggregate.schema.fields()) {
            let expr = unaliased(expr);
            if matches!(expr, Expr::GroupingSet(_)) {
                let message = "GROUPING SETS, ROLLUP and CUBE count each event several times";
                let problem = Problem::new(codes::STREAM_SHAPE, message, self.place("group"));
                self.say(problem.with_hint("write a continuous table for each grouping"));
                return None;
            }
            let at = match expr {
                Expr::Column(column) => taken.input.schema.index_of_column(column).ok(),
                _ => None,
            };
            groups.push(match at {
                Some(at) if assigned.start == Some(at) => GroupColumn::Start,
                Some(at) if assigned.end == Some(at) => GroupColumn::End,
                _ => {
                    let key = taken.add(expr.clone(), field.name());
                    keys.push(self.planned(key)?);
                    GroupColumn::Key(keys.len() - 1)
                }
            });
        }
        if !groups.iter().any(|group| !matches!(group, GroupColumn::Key(_))) {
            let message = "the windows are not grouped by: without `window_start` the groups never end";
            let problem = Problem::new(codes::STREAM_WINDOW, message, self.place("group"));
            self.say(problem.with_hint("add `window_start` to GROUP BY"));
            return None;
        }
        Some((groups, keys))
    }

    /// The window's stage between the projection that it reads and the one that gives its columns their order.
    fn grouped(&mut self, aggregate: &Aggregate, parts: Parts) -> Option<Node> {
        let Parts { time, keys, groups, aggregates, exprs, fields, lateness, input, window } = parts;
        let table = self.table.name.clone();
        let schema_of = |fields: Vec<Field>| {
            let fields = fields.into_iter().map(|field| (None, Arc::new(field)));
            DFSchema::new_with_metadata(fields.collect(), HashMap::new()).map(Arc::new)
        };
        let taken_fields = fields.clone();
        let taken = Node {
            table: table.clone(),
            schema: self.planned(schema_of(fields))?,
            time: Some(time),
            assigned: None,
            grouped: None,
            step: Step::Project { input: Box::new(input), exprs },
        };
        let key_field = |at: &usize| taken_fields.get(*at).cloned();
        let mut fields: Vec<Field> = keys.iter().filter_map(key_field).collect();
        fields.extend([WINDOW_START, WINDOW_END].map(|name| Field::new(name, timestamp(), false)));
        fields.extend(aggregates.iter().map(|aggregate| {
            let value = aggregate.column.and_then(|at| taken_fields.get(at));
            let data_type = output(aggregate.function, value.map(|field| field.data_type()));
            Field::new(&aggregate.name, data_type, true)
        }));
        let schema = self.planned(schema_of(fields))?;
        let (start, end) = (keys.len(), keys.len() + 1);
        let columns = groups.iter().map(|group| match group {
            GroupColumn::Start => start,
            GroupColumn::End => end,
            GroupColumn::Key(at) => *at,
        });
        let columns: Vec<usize> = columns.chain((0..aggregates.len()).map(|at| end + 1 + at)).collect();
        let exprs = columns.iter().zip(aggregate.schema.fields()).map(|(at, field)| {
            let found = schema.field(*at);
            let column = Expr::Column(Column::from_name(found.name()));
            if found.data_type() == field.data_type() {
                column
            } else {
                cast(column, field.data_type().clone())
            }
        });
        let exprs = exprs.collect();
        let place = |wanted: usize| columns.iter().position(|at| *at == wanted);
        let key = (0..keys.len()).map(place).chain([place(start)]).collect();
        let corrects = lateness.ms() > 0;
        let all: Vec<Option<usize>> = (0..=keys.len()).map(Some).collect();
        let windows = Node {
            table: table.clone(),
            schema: Arc::clone(&schema),
            time: Some(start),
            assigned: None,
            grouped: Some(Grouped { key: all, end: Some(end), corrects }),
            step: Step::Window { input: Box::new(taken), window, keys, aggregates, lateness },
        };
        Some(Node {
            table,
            schema: Arc::clone(&aggregate.schema),
            time: place(start),
            assigned: None,
            grouped: Some(Grouped { key, end: place(end), corrects }),
            step: Step::Project { input: Box::new(windows), exprs },
        })
    }

    fn without_window(&mut self, aggregate: &Aggregate) {
        let (message, place) = if aggregate.group_expr.is_empty() {
            let place = aggregate.aggr_expr.first().and_then(|expr| self.function_name(expr));
            ("an aggregate over all events would never be finished", place)
        } else {
            (
                "without a window, a group of events is never finished",
                crate::explain::find_word(self.text.text, "group"),
            )
        };
        let place = place.unwrap_or_else(|| self.text.whole());
        let problem = Problem::new(codes::STREAM_WINDOW, message, place);
        self.say(problem.with_hint(
            "read the stream by a window, `FROM tumble(bronze.orders, ordered_at, INTERVAL '1 minute')`, and add `window_start` to GROUP BY; totals over all time are those of a table with `materialize: incremental`",
        ));
    }

    /// The function of a window and the column that it takes.
    fn aggregated(
        &mut self,
        expr: &Expr,
        taken: &mut Taken<'_>,
        time: usize,
    ) -> Option<(AggregateName, Option<usize>)> {
        let Expr::AggregateFunction(AggregateFunction { func, params }) = unaliased(expr) else {
            self.no_aggregate(expr, "this is no aggregate of a window");
            return None;
        };
        let name = match func.name() {
            "count" => AggregateName::Count,
            "sum" => AggregateName::Sum,
            "avg" => AggregateName::Average,
            "min" => AggregateName::Min,
            "max" => AggregateName::Max,
            "first_value" => AggregateName::First,
            "last_value" => AggregateName::Last,
            other => {
                self.no_aggregate(expr, &format!("a window of a stream has no `{other}`"));
                return None;
            }
        };
        if params.distinct && !matches!(name, AggregateName::Min | AggregateName::Max) {
            self.no_aggregate(expr, "a window of a stream keeps no set of distinct values");
            return None;
        }
        let name = match name {
            AggregateName::First | AggregateName::Last => self.ordered(expr, name, params, taken, time)?,
            other => other,
        };
        let argument = params.args.first().cloned()?;
        let counts_rows =
            name == AggregateName::Count && matches!(&argument, Expr::Literal(value, _) if !value.is_null());
        let value = match (&params.filter, counts_rows) {
            (None, true) => return Some((name, None)),
            (Some(filter), _) => {
                let filtered = when(filter.as_ref().clone(), argument).end();
                self.planned(filtered)?
            }
            (None, false) => argument,
        };
        let column = taken.argument(value);
        Some((name, Some(self.planned(column)?)))
    }

    /// Which value comes first or last by the event time.
    fn ordered(
        &mut self,
        expr: &Expr,
        name: AggregateName,
        params: &datafusion::logical_expr::expr::AggregateFunctionParams,
        taken: &Taken<'_>,
        time: usize,
    ) -> Option<AggregateName> {
        let by_time = match params.order_by.as_slice() {
            [sort] => match unaliased(&sort.expr) {
                by if taken.exprs.get(time) == Some(by) => Some(sort.asc),
                _ => None,
            },
            _ => None,
        };
        let time_name = taken.name(time).to_owned();
        let Some(ascending) = by_time else {
            let hint = format!("write `last_value(status ORDER BY {time_name}) IGNORE NULLS`");
            self.refuse_aggregate(
                expr,
                "the first and the last value of a window go by its event time",
                &hint,
            );
            return None;
        };
        if params.null_treatment != Some(NullTreatment::IgnoreNulls) {
            let hint = format!("write `last_value(status ORDER BY {time_name}) IGNORE NULLS`");
            self.refuse_aggregate(expr, "the first and the last value of a window skip nulls", &hint);
            return None;
        }
        Some(match (name, ascending) {
            (AggregateName::First, true) | (AggregateName::Last, false) => AggregateName::First,
            _ => AggregateName::Last,
        })
    }

    fn no_aggregate(&mut self, expr: &Expr, message: &str) {
        let hint = "use count, sum, avg, min, max, first_value or last_value here, and compute the rest in a table that reads this one";
        self.refuse_aggregate(expr, message, hint);
    }

    /// The place of the function's name in the SQL.
    fn function_name(&self, expr: &Expr) -> Option<std::ops::Range<usize>> {
        match unaliased(expr) {
            Expr::AggregateFunction(function) => {
                crate::explain::find_word(self.text.text, function.func.name())
            }
            _ => None,
        }
    }

    fn refuse_aggregate(&mut self, expr: &Expr, message: &str, hint: &str) {
        let place = self.function_name(expr).unwrap_or_else(|| self.place_of_expr(expr));
        self.say(Problem::new(codes::STREAM_AGGREGATE, message, place).with_hint(hint));
    }
}

struct Parts {
    time: usize,
    keys: Vec<usize>,
    groups: Vec<GroupColumn>,
    aggregates: Vec<Aggregated>,
    exprs: Vec<Expr>,
    fields: Vec<Field>,
    lateness: Span,
    input: Node,
    window: millstream_stream::Window,
}

/// The type of a window's aggregate.
fn output(function: AggregateName, value: Option<&DataType>) -> DataType {
    let wider = |precision: u8, digits: u8| precision.saturating_add(digits).min(DECIMAL128_MAX_PRECISION);
    match (function, value) {
        (AggregateName::Count, _) | (_, None) => DataType::Int64,
        (AggregateName::Sum, Some(DataType::Decimal128(precision, scale))) => {
            DataType::Decimal128(wider(*precision, 10), *scale)
        }
        (AggregateName::Sum, Some(value)) if value.is_floating() => DataType::Float64,
        (AggregateName::Sum, Some(value)) if value.is_unsigned_integer() => DataType::UInt64,
        (AggregateName::Sum, Some(_)) => DataType::Int64,
        (AggregateName::Average, Some(DataType::Decimal128(precision, scale))) => {
            let digits = wider(*precision, 4);
            DataType::Decimal128(digits, scale.saturating_add(4).min(digits.cast_signed()))
        }
        (AggregateName::Average, Some(_)) => DataType::Float64,
        (
            AggregateName::Min | AggregateName::Max | AggregateName::First | AggregateName::Last,
            Some(value),
        ) => value.clone(),
    }
}
