//! Leaves out what no later step needs: sources are read by the columns that are used, and an expression that nobody reads is not computed.

use std::{collections::HashMap, sync::Arc};

use datafusion::{
    common::{DFSchema, DFSchemaRef, Result},
    logical_expr::Expr,
};

use super::node::{Assigned, Grouped, Node, Step};

/// The node with all of its own columns, and below it only what they need.
pub(super) fn pruned(node: Node) -> Result<Node> {
    let all = vec![true; node.width()];
    prune(node, all).map(|pruned| pruned.node)
}

/// A node with fewer columns.
struct Pruned {
    node: Node,
    /// Where each of the former columns is now.
    places: Vec<Option<usize>>,
}

fn prune(node: Node, mut needed: Vec<bool>) -> Result<Pruned> {
    if let Some(time) = node.time {
        need(&mut needed, time);
    }
    let Node { table, schema, time, assigned, grouped, step } = node;
    let (step, kept) = step_with(step, &needed)?;
    let mut places = vec![None; needed.len()];
    for (now, before) in kept.iter().enumerate() {
        if let Some(place) = places.get_mut(*before) {
            *place = Some(now);
        }
    }
    let at = |before: Option<usize>| before.and_then(|before| places.get(before).copied().flatten());
    let node = Node {
        table,
        schema: subset(&schema, &kept)?,
        time: at(time),
        assigned: assigned.map(|assigned| Assigned {
            start: at(assigned.start),
            end: at(assigned.end),
            ..assigned
        }),
        grouped: grouped.map(|grouped| Grouped {
            key: grouped.key.iter().map(|column| at(*column)).collect(),
            end: at(grouped.end),
            corrects: grouped.corrects,
        }),
        step,
    };
    Ok(Pruned { node, places })
}

/// The step with the columns that it gives then, by their former places.
fn step_with(step: Step, needed: &[bool]) -> Result<(Step, Vec<usize>)> {
    let wanted = || (0..needed.len()).filter(|at| is_needed(needed, *at)).collect::<Vec<_>>();
    Ok(match step {
        Step::Input(number) => (Step::Input(number), wanted()),
        Step::Renamed(input) => {
            let below = prune(*input, needed.to_vec())?;
            (Step::Renamed(Box::new(below.node)), kept(&below.places))
        }
        Step::Result(input) => {
            // A check may look at any column.
            let below = prune(*input, vec![true; needed.len()])?;
            (Step::Result(Box::new(below.node)), kept(&below.places))
        }
        Step::Filter { input, predicate } => {
            let mut below = needed.to_vec();
            need_columns(&predicate, &input.schema, &mut below)?;
            let below = prune(*input, below)?;
            (Step::Filter { input: Box::new(below.node), predicate }, kept(&below.places))
        }
        Step::Project { input, exprs } => {
            let mut below = vec![false; input.width()];
            let given = wanted();
            let mut used = Vec::with_capacity(given.len());
            for (at, expr) in exprs.into_iter().enumerate() {
                if is_needed(needed, at) {
                    need_columns(&expr, &input.schema, &mut below)?;
                    used.push(expr);
                }
            }
            let below = prune(*input, below)?;
            (Step::Project { input: Box::new(below.node), exprs: used }, given)
        }
        Step::Deduplicate { input, by, within } => {
            // Which of several equal rows stays is decided by all of their columns.
            let below = prune(*input, vec![true; needed.len()])?;
            (Step::Deduplicate { input: Box::new(below.node), by, within }, kept(&below.places))
        }
        Step::Window { input, window, keys, aggregates, lateness } => {
            let all = vec![true; input.width()];
            let input = Box::new(prune(*input, all)?.node);
            (Step::Window { input, window, keys, aggregates, lateness }, (0..needed.len()).collect())
        }
        step @ Step::Join { .. } => join(step, needed)?,
        Step::Lookup { input, table, on, columns, kind } => {
            let width = input.width();
            let (mut ours, theirs) = split(needed, width);
            for (expr, _) in &on {
                need_columns(expr, &input.schema, &mut ours)?;
            }
            let below = prune(*input, ours)?;
            let mut given = kept(&below.places);
            let mut used = Vec::new();
            for (at, column) in columns.into_iter().enumerate() {
                if is_needed(&theirs, at) {
                    used.push(column);
                    given.push(width + at);
                }
            }
            let input = Box::new(below.node);
            (Step::Lookup { input, table, on, columns: used, kind }, given)
        }
    })
}

/// A join with what is needed of both sides.
fn join(step: Step, needed: &[bool]) -> Result<(Step, Vec<usize>)> {
    let Step::Join { left, right, kind, on, from, until } = step else {
        return Ok((step, (0..needed.len()).collect()));
    };
    let width = left.width();
    let (mut ours, mut theirs) = split(needed, width);
    for (left, right) in &on {
        need(&mut ours, *left);
        need(&mut theirs, *right);
    }
    let (left, right) = (prune(*left, ours)?, prune(*right, theirs)?);
    let place = |places: &[Option<usize>], at: usize| places.get(at).copied().flatten();
    let on = on
        .iter()
        .filter_map(|(ours, theirs)| Some((place(&left.places, *ours)?, place(&right.places, *theirs)?)));
    let on = on.collect();
    let mut given = kept(&left.places);
    given.extend(kept(&right.places).into_iter().map(|at| at + width));
    let (left, right) = (Box::new(left.node), Box::new(right.node));
    Ok((Step::Join { left, right, kind, on, from, until }, given))
}

fn is_needed(needed: &[bool], at: usize) -> bool {
    needed.get(at).copied().unwrap_or(false)
}

fn need(needed: &mut [bool], at: usize) {
    if let Some(needed) = needed.get_mut(at) {
        *needed = true;
    }
}

fn need_columns(expr: &Expr, schema: &DFSchema, needed: &mut [bool]) -> Result<()> {
    for column in expr.column_refs() {
        need(needed, schema.index_of_column(column)?);
    }
    Ok(())
}

fn split(needed: &[bool], width: usize) -> (Vec<bool>, Vec<bool>) {
    let (left, right) = needed.split_at_checked(width).unwrap_or((needed, &[]));
    (left.to_vec(), right.to_vec())
}

/// The former places of the columns that are left, in order.
fn kept(places: &[Option<usize>]) -> Vec<usize> {
    places.iter().enumerate().filter(|(_, place)| place.is_some()).map(|(before, _)| before).collect()
}

fn subset(schema: &DFSchemaRef, kept: &[usize]) -> Result<DFSchemaRef> {
    if kept.len() == schema.fields().len() {
        return Ok(Arc::clone(schema));
    }
    let fields = kept.iter().map(|at| {
        let (qualifier, field) = schema.qualified_field(*at);
        (qualifier.cloned(), Arc::clone(field))
    });
    DFSchema::new_with_metadata(fields.collect(), HashMap::new()).map(Arc::new)
}
