//! The stages of a continuous table in words.

use datafusion::logical_expr::Expr;
use millstream_stream::{Distance, JoinKind};

use super::{
    bounds::window_text,
    node::{AggregateName, Aggregated, Node, Step},
};

/// The steps in the order in which rows pass them; steps that only rename are left out.
pub(super) fn stages(node: &Node) -> Vec<String> {
    let mut lines = Vec::new();
    describe(node, &mut lines);
    lines
}

fn describe(node: &Node, lines: &mut Vec<String>) {
    match &node.step {
        Step::Input(_) => {
            let columns = node.schema.fields().iter().map(|field| field.name().as_str());
            let time = node.time_name().unwrap_or_default();
            let columns = columns.collect::<Vec<_>>().join(", ");
            lines.push(format!("read {} by {time}: {columns}", source_of(node)));
        }
        Step::Renamed(input) => describe(input, lines),
        Step::Result(input) => {
            describe(input, lines);
            lines.push(format!("keep what the checks of {} let pass", input.table));
        }
        Step::Filter { input, predicate } => {
            describe(input, lines);
            lines.push(format!("keep rows where {}", predicate.human_display()));
        }
        Step::Project { input, exprs } => {
            describe(input, lines);
            if exprs.iter().any(|expr| !is_column(expr)) {
                let exprs =
                    exprs.iter().filter(|expr| !is_column(expr)).map(|expr| expr.human_display().to_string());
                lines.push(format!("compute {}", exprs.collect::<Vec<_>>().join(", ")));
            }
        }
        Step::Deduplicate { input, by, within } => {
            describe(input, lines);
            lines.push(format!("take rows with equal {} within {within} once", names(input, by)));
        }
        Step::Window { input, window, keys, aggregates, lateness } => {
            describe(input, lines);
            let mut line = window_text(window);
            if !keys.is_empty() {
                line += &format!(" by {}", names(input, keys));
            }
            let aggregates = aggregates.iter().map(|aggregate| aggregated(aggregate, input));
            line += &format!(": {}", aggregates.collect::<Vec<_>>().join(", "));
            if lateness.ms() > 0 {
                line += &format!(", corrected for {lateness}");
            }
            lines.push(line);
        }
        Step::Join { left, right, kind, on, from, until } => {
            describe(left, lines);
            describe(right, lines);
            let on = on
                .iter()
                .map(|(ours, theirs)| format!("{} = {}", names(left, &[*ours]), names(right, &[*theirs])));
            lines.push(format!(
                "join rows with {}, the right one from {} to {} the left one{}",
                on.collect::<Vec<_>>().join(" and "),
                distance(*from),
                distance(*until),
                outer(*kind)
            ));
        }
        Step::Lookup { input, table, on, kind, .. } => {
            describe(input, lines);
            let on = on
                .iter()
                .map(|(ours, theirs)| format!("{} = {}", ours.human_display(), theirs.human_display()));
            lines.push(format!(
                "look up {} by {}{}",
                table.name,
                on.collect::<Vec<_>>().join(" and "),
                outer(*kind)
            ));
        }
    }
}

fn source_of(node: &Node) -> String {
    let (qualifier, _) = node.schema.qualified_field(0);
    qualifier.map_or_else(|| node.table.to_string(), ToString::to_string)
}

fn outer(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Inner => "",
        JoinKind::Left => ", or none",
    }
}

fn distance(distance: Distance) -> String {
    match distance {
        Distance::Earlier(span) => format!("{span} before"),
        Distance::Later(span) => format!("{span} after"),
    }
}

fn is_column(expr: &Expr) -> bool {
    matches!(super::bounds::unaliased(expr), Expr::Column(_))
}

fn names(node: &Node, columns: &[usize]) -> String {
    let names =
        columns.iter().filter_map(|at| node.schema.fields().get(*at)).map(|field| field.name().as_str());
    names.collect::<Vec<_>>().join(", ")
}

fn aggregated(aggregate: &Aggregated, input: &Node) -> String {
    let function = match aggregate.function {
        AggregateName::Count => "count",
        AggregateName::Sum => "sum",
        AggregateName::Average => "avg",
        AggregateName::Min => "min",
        AggregateName::Max => "max",
        AggregateName::First => "first",
        AggregateName::Last => "last",
    };
    match aggregate.column {
        Some(column) => format!("{function}({})", names(input, &[column])),
        None => format!("{function}(*)"),
    }
}
