//! Joins of two streams within a bound of time, and of a stream with a table of the lake.

use std::{collections::HashMap, sync::Arc};

use datafusion::{
    common::{Column, DFSchema, DFSchemaRef, JoinType, ScalarValue},
    logical_expr::{
        Expr, ExprSchemable, Join, Operator,
        utils::{conjunction, split_conjunction},
    },
};
use millstream_stream::{Distance, JoinKind};
use millstream_types::Span;

use super::{Frame, Relation};
use crate::{
    codes,
    explain::Problem,
    stream::{
        bounds::unaliased,
        node::{Assigned, Grouped, LakeTable, Node, Step},
    },
};

const WITHIN: &str =
    "add a bound of time to ON: `b.at BETWEEN a.at - INTERVAL '5 minutes' AND a.at + INTERVAL '1 minute'`";

/// What the ON clause says of two streams: microseconds of the right time after the left one.
#[derive(Default)]
struct Terms {
    pairs: Vec<(Expr, Expr)>,
    lower: Option<i64>,
    upper: Option<i64>,
    rest: Vec<Expr>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Left,
    Right,
    Both,
    Neither,
}

impl Frame<'_> {
    pub(super) fn join(&mut self, join: &Join) -> Option<Node> {
        let left = self.relation(&join.left, false);
        let right = self.relation(&join.right, false);
        match (left?, right?) {
            (Relation::Stream(left), Relation::Stream(right)) => self.streams(join, *left, *right),
            (Relation::Stream(stream), Relation::Lake(lake)) => self.lookup(join, *stream, lake, true),
            (Relation::Lake(lake), Relation::Stream(stream)) => self.lookup(join, *stream, lake, false),
            (Relation::Lake(left), Relation::Lake(right)) => {
                let message = format!("`{}` and `{}` are both tables of the lake", left.name, right.name);
                let problem = Problem::new(codes::STREAM_JOIN, message, self.place_of(&right.name));
                self.say(
                    problem.with_hint("join each of them to the stream, or join them in a table of its own"),
                );
                None
            }
        }
    }

    fn streams(&mut self, join: &Join, left: Node, right: Node) -> Option<Node> {
        if !(self.settled(&left) & self.settled(&right)) {
            return None;
        }
        let kind = match join.join_type {
            JoinType::Inner => JoinKind::Inner,
            JoinType::Left | JoinType::Right => JoinKind::Left,
            other => {
                self.no_kind(other, "write INNER, LEFT or RIGHT JOIN; two continuous tables can give both sides of a FULL JOIN");
                return None;
            }
        };
        let terms = self.terms(join, &left, &right);
        if terms.pairs.is_empty() {
            let problem =
                Problem::new(codes::STREAM_JOIN, "the streams are joined by no key", self.place("join"));
            self.say(problem.with_hint("add an equality to ON: `a.order_id = b.order_id`"));
            return None;
        }
        let (Some(lower), Some(upper)) = (terms.lower, terms.upper) else {
            let message = "rows of two streams meet within a bound of time, since what has come cannot be kept for ever";
            self.say(Problem::new(codes::STREAM_JOIN, message, self.place("join")).with_hint(WITHIN));
            return None;
        };
        if lower > upper {
            let message = "the bound of time of this join holds no instant";
            self.say(Problem::new(codes::STREAM_JOIN, message, self.place("join")).with_hint(WITHIN));
            return None;
        }
        if kind == JoinKind::Left && !terms.rest.is_empty() {
            self.rest_of_outer(&terms.rest);
            return None;
        }
        let (pairs, rest) = (terms.pairs, terms.rest);
        let node = if join.join_type == JoinType::Right {
            let pairs = pairs.into_iter().map(|(ours, theirs)| (theirs, ours)).collect();
            self.paired(join, (right, left), pairs, kind, (-upper, -lower))?
        } else {
            self.paired(join, (left, right), pairs, kind, (lower, upper))?
        };
        self.filtered(node, rest)
    }

    /// The join's stage, with the key's expressions computed before it and left out after it.
    fn paired(
        &mut self,
        join: &Join,
        (left, right): (Node, Node),
        pairs: Vec<(Expr, Expr)>,
        kind: JoinKind,
        (lower, upper): (i64, i64),
    ) -> Option<Node> {
        let (Some(from), Some(until)) = (distance(lower), distance(upper)) else {
            let message = "a bound of time between streams is one of whole milliseconds";
            self.say(Problem::new(codes::STREAM_JOIN, message, self.place("join")).with_hint(WITHIN));
            return None;
        };
        let (ours, theirs): (Vec<Expr>, Vec<Expr>) = pairs.into_iter().unzip();
        let (left, ours) = self.with_keys(left, ours, "left key")?;
        let (right, theirs) = self.with_keys(right, theirs, "right key")?;
        let time = left.time;
        let fields = left.schema.iter().chain(right.schema.iter());
        let fields = fields.map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
        let schema = DFSchema::new_with_metadata(fields, HashMap::new());
        let schema: DFSchemaRef = Arc::new(self.planned(schema)?);
        let table = self.table.name.clone();
        let joined = Node {
            table,
            schema,
            time,
            assigned: None,
            grouped: None,
            step: Step::Join {
                left: Box::new(left),
                right: Box::new(right),
                kind,
                on: ours.into_iter().zip(theirs).collect(),
                from,
                until,
            },
        };
        self.picked(joined, &join.schema)
    }

    /// The columns of `schema`, in its order, out of those of the node.
    fn picked(&mut self, node: Node, schema: &DFSchemaRef) -> Option<Node> {
        let exprs: Vec<Expr> = schema.iter().map(|column| Expr::Column(Column::from(column))).collect();
        let time = super::carried(&exprs, &node, node.time);
        Some(Node {
            table: node.table.clone(),
            schema: Arc::clone(schema),
            time,
            assigned: None,
            grouped: None,
            step: Step::Project { exprs, input: Box::new(node) },
        })
    }

    /// The node with a column for each expression, and their places. A column that is there is used as it is.
    fn with_keys(&mut self, node: Node, keys: Vec<Expr>, name: &str) -> Option<(Node, Vec<usize>)> {
        let mut exprs: Vec<Expr> =
            node.schema.iter().map(|column| Expr::Column(Column::from(column))).collect();
        let (width, mut places) = (exprs.len(), Vec::new());
        for key in keys {
            let known = match &key {
                Expr::Column(column) => node.schema.index_of_column(column).ok(),
                _ => None,
            };
            places.push(known.unwrap_or_else(|| {
                let number = exprs.len() - width;
                exprs.push(key.alias(format!("{name} {number}")));
                exprs.len() - 1
            }));
        }
        if exprs.len() == width {
            return Some((node, places));
        }
        let fields: Result<Vec<_>, _> = exprs.iter().map(|expr| expr.to_field(&node.schema)).collect();
        let fields = self.planned(fields)?;
        let schema = self.planned(DFSchema::new_with_metadata(fields, HashMap::new()))?;
        let (table, time) = (node.table.clone(), node.time);
        let step = Step::Project { exprs, input: Box::new(node) };
        Some((Node { table, schema: Arc::new(schema), time, assigned: None, grouped: None, step }, places))
    }

    fn filtered(&mut self, node: Node, rest: Vec<Expr>) -> Option<Node> {
        let Some(predicate) = conjunction(rest) else { return Some(node) };
        Some(Node {
            table: node.table.clone(),
            schema: Arc::clone(&node.schema),
            time: node.time,
            assigned: node.assigned.clone(),
            grouped: node.grouped.clone(),
            step: Step::Filter { predicate, input: Box::new(node) },
        })
    }

    /// The parts of the ON clause.
    fn terms(&self, join: &Join, left: &Node, right: &Node) -> Terms {
        let mut terms = Terms { pairs: join.on.clone(), ..Terms::default() };
        let conditions = join.filter.iter().flat_map(split_conjunction);
        for condition in conditions {
            let condition = unaliased(condition);
            if self.bounded(condition, left, right, &mut terms) {
                continue;
            }
            match equality(condition) {
                Some((first, second)) => match (of(first, left, right), of(second, left, right)) {
                    (Of::Left, Of::Right) => terms.pairs.push((first.clone(), second.clone())),
                    (Of::Right, Of::Left) => terms.pairs.push((second.clone(), first.clone())),
                    _ => terms.rest.push(condition.clone()),
                },
                None => terms.rest.push(condition.clone()),
            }
        }
        terms
    }

    /// Takes a condition in that bounds how far the times of the two rows are apart.
    fn bounded(&self, condition: &Expr, left: &Node, right: &Node, terms: &mut Terms) -> bool {
        match condition {
            Expr::Between(between) if !between.negated => {
                let low = comparison(&between.expr, Operator::GtEq, &between.low, left, right);
                let high = comparison(&between.expr, Operator::LtEq, &between.high, left, right);
                let (Some(low), Some(high)) = (low, high) else { return false };
                low.narrow(terms);
                high.narrow(terms);
                true
            }
            Expr::BinaryExpr(binary) => {
                let Some(found) = comparison(&binary.left, binary.op, &binary.right, left, right) else {
                    return false;
                };
                found.narrow(terms);
                // An instant at the bound itself is left out by the condition.
                if matches!(binary.op, Operator::Lt | Operator::Gt) {
                    terms.rest.push(condition.clone());
                }
                true
            }
            _ => false,
        }
    }

    fn lookup(&mut self, join: &Join, stream: Node, lake: LakeTable, stream_first: bool) -> Option<Node> {
        let kind = match (join.join_type, stream_first) {
            (JoinType::Inner, _) => JoinKind::Inner,
            (JoinType::Left, true) | (JoinType::Right, false) => JoinKind::Left,
            (other, _) => {
                self.no_kind(other, "rows of the lake without an event are no events: keep the stream on the side that is kept, `stream LEFT JOIN table`");
                return None;
            }
        };
        let (on, rest) = lookup_terms(join, &stream, &lake);
        if on.is_empty() {
            let message = format!("rows of `{}` are looked up by no key", lake.name);
            let problem = Problem::new(codes::STREAM_JOIN, message, self.place_of(&lake.name));
            self.say(problem.with_hint("add an equality to ON: `ON c.customer_id = o.customer_id`"));
            return None;
        }
        if kind == JoinKind::Left && !rest.is_empty() {
            self.rest_of_outer(&rest);
            return None;
        }
        let fields = stream.schema.iter().chain(lake.schema.iter());
        let fields = fields.map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect();
        let schema = self.planned(DFSchema::new_with_metadata(fields, HashMap::new()))?;
        let columns = (0..lake.schema.fields().len()).collect();
        let found = Node {
            table: self.table.name.clone(),
            schema: Arc::new(schema),
            time: stream.time,
            assigned: stream.assigned.clone(),
            grouped: stream.grouped.clone(),
            step: Step::Lookup { input: Box::new(stream), table: lake, on, columns, kind },
        };
        let node = if stream_first {
            Node { schema: Arc::clone(&join.schema), ..found }
        } else {
            let exprs: Vec<Expr> =
                join.schema.iter().map(|column| Expr::Column(Column::from(column))).collect();
            let at = |before: Option<usize>| super::carried(&exprs, &found, before);
            let time = at(found.time);
            let grouped = found.grouped.as_ref().map(|grouped| Grouped {
                key: grouped.key.iter().map(|column| at(*column)).collect(),
                end: at(grouped.end),
                corrects: grouped.corrects,
            });
            let assigned = found.assigned.as_ref().map(|assigned| Assigned {
                window: assigned.window,
                start: at(assigned.start),
                end: at(assigned.end),
            });
            let table = found.table.clone();
            let step = Step::Project { exprs, input: Box::new(found) };
            Node { table, schema: Arc::clone(&join.schema), time, assigned, grouped, step }
        };
        self.filtered(node, rest)
    }

    fn rest_of_outer(&mut self, rest: &[Expr]) {
        for expr in rest {
            let message = "an outer join of a stream takes equalities and a bound of time alone";
            let place = self.place_of_expr(expr);
            let hint = "filter before the join, in WITH or in a table of its own; write `<=` and `>=` for bounds of time";
            self.say(Problem::new(codes::STREAM_JOIN, message, place).with_hint(hint));
        }
    }

    fn no_kind(&mut self, kind: JoinType, hint: &str) {
        let message = format!(
            "a {} JOIN of a stream would have to tell rows that may still find a partner",
            kind.to_string().to_uppercase()
        );
        self.say(Problem::new(codes::STREAM_JOIN, message, self.place("join")).with_hint(hint));
    }
}

/// The equalities of a stream's expressions with those of a table, and the other conditions.
fn lookup_terms(join: &Join, stream: &Node, lake: &LakeTable) -> (Vec<(Expr, Expr)>, Vec<Expr>) {
    let mut on: Vec<(Expr, Expr)> = Vec::new();
    let mut rest = Vec::new();
    let equal = join.on.iter().map(|(left, right)| (left.clone(), right.clone()));
    let mut add =
        |first: &Expr, second: &Expr| match (is_over(first, &stream.schema), is_over(second, &lake.schema)) {
            (true, true) => {
                on.push((first.clone(), second.clone()));
                true
            }
            _ if is_over(second, &stream.schema) && is_over(first, &lake.schema) => {
                on.push((second.clone(), first.clone()));
                true
            }
            _ => false,
        };
    for (first, second) in equal {
        if !add(&first, &second) {
            rest.push(first.eq(second));
        }
    }
    for condition in join.filter.iter().flat_map(split_conjunction) {
        let is_pair = equality(condition).is_some_and(|(first, second)| add(first, second));
        if !is_pair {
            rest.push(condition.clone());
        }
    }
    (on, rest)
}

/// A comparison of the times of two rows: by how many microseconds the right one is later, at least or at most.
struct Narrower {
    lower: Option<i64>,
    upper: Option<i64>,
}

impl Narrower {
    fn narrow(&self, terms: &mut Terms) {
        if let Some(lower) = self.lower {
            terms.lower = Some(terms.lower.map_or(lower, |known| known.max(lower)));
        }
        if let Some(upper) = self.upper {
            terms.upper = Some(terms.upper.map_or(upper, |known| known.min(upper)));
        }
    }
}

fn comparison(first: &Expr, op: Operator, second: &Expr, left: &Node, right: &Node) -> Option<Narrower> {
    let (ours, theirs, op) = match (time_of(first, left), time_of(second, right)) {
        (Some(ours), Some(theirs)) => (ours, theirs, op),
        _ => (time_of(second, left)?, time_of(first, right)?, op.swap()?),
    };
    // left + ours OP right + theirs
    let apart = ours.checked_sub(theirs)?;
    Some(match op {
        Operator::LtEq | Operator::Lt => Narrower { lower: Some(apart), upper: None },
        Operator::GtEq | Operator::Gt => Narrower { lower: None, upper: Some(apart) },
        Operator::Eq => Narrower { lower: Some(apart), upper: Some(apart) },
        _ => return None,
    })
}

/// How many microseconds the expression is later than the event time of the node's row.
fn time_of(expr: &Expr, node: &Node) -> Option<i64> {
    match unaliased(expr) {
        Expr::Column(column) => {
            let at = node.schema.maybe_index_of_column(column)?;
            (Some(at) == node.time).then_some(0)
        }
        Expr::Cast(cast) => time_of(&cast.expr, node),
        Expr::BinaryExpr(binary) => {
            let length = micros_of(&binary.right)?;
            let before = time_of(&binary.left, node)?;
            match binary.op {
                Operator::Plus => before.checked_add(length),
                Operator::Minus => before.checked_sub(length),
                _ => None,
            }
        }
        _ => None,
    }
}

fn micros_of(expr: &Expr) -> Option<i64> {
    let day = 86_400_000_000_i64;
    match unaliased(expr) {
        Expr::Cast(cast) => micros_of(&cast.expr),
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(length)), _) if length.months == 0 => {
            let rest = (length.nanoseconds % 1_000 == 0).then_some(length.nanoseconds / 1_000)?;
            i64::from(length.days).checked_mul(day)?.checked_add(rest)
        }
        Expr::Literal(ScalarValue::IntervalDayTime(Some(length)), _) => {
            i64::from(length.days).checked_mul(day)?.checked_add(i64::from(length.milliseconds) * 1_000)
        }
        Expr::Literal(ScalarValue::DurationMicrosecond(Some(length)), _) => Some(*length),
        _ => None,
    }
}

fn distance(micros: i64) -> Option<Distance> {
    let span = (micros % 1_000 == 0).then(|| Span::from_ms(micros.unsigned_abs() / 1_000))?;
    Some(if micros < 0 { Distance::Earlier(span) } else { Distance::Later(span) })
}

fn equality(expr: &Expr) -> Option<(&Expr, &Expr)> {
    match unaliased(expr) {
        Expr::BinaryExpr(binary) if binary.op == Operator::Eq => Some((&binary.left, &binary.right)),
        _ => None,
    }
}

fn of(expr: &Expr, left: &Node, right: &Node) -> Of {
    match (is_over(expr, &left.schema), is_over(expr, &right.schema)) {
        (true, _) => Of::Left,
        (_, true) => Of::Right,
        _ if expr.column_refs().is_empty() => Of::Neither,
        _ => Of::Both,
    }
}

/// Whether the expression has columns, all of them those of the schema.
fn is_over(expr: &Expr, schema: &DFSchema) -> bool {
    let columns = expr.column_refs();
    !columns.is_empty() && columns.iter().all(|column| schema.maybe_index_of_column(column).is_some())
}
