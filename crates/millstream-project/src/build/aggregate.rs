//! One feature of a view: its kind, and what stands beside it.

use millstream_types::{Aggregation, BOUND_MAX, EDGES_MAX, HALF_LIFE_MIN, K_MAX, Span};

use super::{Context, feature::identifier};
use crate::{
    AggregateSpec, Diagnostic, FeatureSpec, FeatureValue, Located, Location, Node, NodeKind, codes,
    decode::Written,
    file::{
        BoundFile, DecayFile, FEATURE_BESIDE, FEATURE_KINDS, FeatureBesideFile, HistogramFile, KFile,
        OfColumnFile, QuantileOfFile, RateFile, RatioFile, TrendFile, aggregations,
    },
    words,
};

/// Shortest window: the length of the shortest hop.
const WINDOW_MIN: Span = Span::from_ms(300_000);
/// The number of different values that are kept when the file does not say.
const BOUND_DEFAULT: usize = 10_000;

/// A key that says what is computed, and its body.
type Kind<'a> = (&'a Located<String>, &'a Node);

/// A key that stands beside the kind of a feature, and its value.
type Entry = (Located<String>, Node);

/// Reads one feature; `None` when it is faulty.
pub(super) fn feature(context: &Context<'_>, name: &Located<String>, node: &Node) -> Option<FeatureSpec> {
    let is_named = identifier(context, "feature", name);
    let (kind, beside) = parts(context, name.at, node, &FEATURE_KINDS, &FEATURE_BESIDE)?;
    let beside = Node { kind: NodeKind::Map(beside), at: node.at };
    let FeatureBesideFile { window, filter, default, description, owner, tags } =
        context.faults.decode_at(&beside, name.at)?;
    let (key, body) = kind;
    let value = match key.value.as_str() {
        "column" => context.faults.decode_at(body, key.at).map(FeatureValue::Column),
        "ratio" => ratio(context, key, body),
        "change" => change(context, key, body, window.is_some()),
        _ => aggregate(context, key, body).map(FeatureValue::Aggregate),
    };
    if let Some(window) = &window {
        let hint = format!("write `{WINDOW_MIN}` or longer, or leave it out for all time");
        if matches!(value, Some(FeatureValue::Column(_))) {
            let message = "`window` has no meaning for a column of the newest row";
            context.error(codes::WRONG_WINDOW, message, window.at, "remove it, or write `last: …`");
        } else if window.value.0 < WINDOW_MIN {
            let message = format!("the window `{}` is shorter than `{WINDOW_MIN}`", window.value.0);
            context.error(codes::WRONG_WINDOW, message, window.at, hint);
        }
    }
    let filter = match filter {
        Some(filter) => Some(condition(context, filter)?),
        None => None,
    };
    is_named.then_some(FeatureSpec {
        name: name.value.clone(),
        at: name.at,
        value: value?,
        window: window.map(|window| window.value.0),
        filter,
        default,
        description,
        owner,
        tags: tags.0,
    })
}

/// The one kind of a mapping, and the entries beside it; reports everything else.
fn parts<'a>(
    context: &Context<'_>,
    at: Location,
    node: &'a Node,
    kinds: &[&'static str],
    beside: &[&'static str],
) -> Option<(Kind<'a>, Vec<Entry>)> {
    let NodeKind::Map(entries) = &node.kind else {
        let message = format!("expected a mapping, found {}", node.describe());
        let hint = "write one kind and what belongs to it, as in `{sum: amount, window: 30d}`";
        context.error(codes::WRONG_FEATURE, message, node.at, hint);
        return None;
    };
    let (mut found, mut others, mut is_faulty) = (Vec::new(), Vec::new(), false);
    for (key, value) in entries {
        if kinds.contains(&key.value.as_str()) {
            found.push((key, value));
        } else if beside.contains(&key.value.as_str()) {
            others.push((key.clone(), value.clone()));
        } else {
            is_faulty = true;
            let mut diagnostic =
                Diagnostic::error(codes::UNKNOWN_KEY, format!("unknown key `{key}`"), key.at);
            diagnostic.hint = words::nearest(key, kinds.iter().chain(beside).copied())
                .map(|meant| format!("did you mean `{meant}`?"))
                .or_else(|| Some(format!("known here: {}", [kinds, beside].concat().join(", "))));
            context.faults.push(diagnostic);
        }
    }
    match found.as_slice() {
        [kind] => Some((*kind, others)),
        [_, (second, _), ..] => {
            let message = format!("a second kind, `{second}`, in one feature");
            context.error(codes::WRONG_FEATURE, message, second.at, "make it a feature of its own");
            None
        }
        [] if is_faulty => None,
        [] => {
            let hint = format!("add one of {}", kinds.join(", "));
            context.error(codes::WRONG_FEATURE, "nothing says what is computed", at, hint);
            None
        }
    }
}

fn ratio(context: &Context<'_>, key: &Located<String>, body: &Node) -> Option<FeatureValue> {
    let RatioFile { numerator, denominator } = context.faults.decode_at(body, key.at)?;
    let numerator = side(context, &numerator, &["where"]);
    let (denominator, against) = side(context, &denominator, &["where", "window"])?;
    Some(FeatureValue::Ratio { numerator: numerator?.0, denominator, against })
}

/// `change: {sum: amount}`, over a window that has one before it.
fn change(
    context: &Context<'_>,
    key: &Located<String>,
    body: &Node,
    has_window: bool,
) -> Option<FeatureValue> {
    if !has_window {
        let hint = "add how long both windows are, as in `{change: {sum: amount}, window: 7d}`";
        context.error(codes::WRONG_WINDOW, "a change needs a window", key.at, hint);
    }
    let (aggregate, _) = side(context, body, &["where"])?;
    if matches!(aggregate.kind, Aggregation::Count | Aggregation::CountIf | Aggregation::Sum) {
        return has_window.then_some(FeatureValue::Change(aggregate));
    }
    let message = format!("`{}` has no change", aggregate.kind.name());
    context.error(codes::WRONG_FEATURE, message, aggregate.at, "take a `count`, a `count_if` or a `sum`");
    None
}

/// One aggregation of several, with what stands beside it, and its own window.
fn side(
    context: &Context<'_>,
    node: &Node,
    beside: &[&'static str],
) -> Option<(AggregateSpec, Option<Span>)> {
    let kinds: Vec<_> = aggregations().collect();
    let ((key, body), beside) = parts(context, node.at, node, &kinds, beside)?;
    let aggregate = aggregate(context, key, body);
    let (mut filter, mut window) = (None, None);
    for (key, node) in beside {
        if key.value == "where" {
            filter = Some(condition(context, context.faults.decode_at(&node, key.at)?)?);
        } else {
            let written: Located<Written<Span>> = context.faults.decode_at(&node, key.at)?;
            if written.value.0 < WINDOW_MIN {
                let message = format!("the window `{}` is shorter than `{WINDOW_MIN}`", written.value.0);
                let hint = format!("write `{WINDOW_MIN}` or longer, or leave it out");
                context.error(codes::WRONG_WINDOW, message, written.at, hint);
                return None;
            }
            window = Some(written.value.0);
        }
    }
    Some((AggregateSpec { filter, ..aggregate? }, window))
}

fn aggregate(context: &Context<'_>, key: &Located<String>, body: &Node) -> Option<AggregateSpec> {
    let simple = Aggregation::simple(&key.value);
    let (kind, input) = match simple {
        Some(kind) => (kind, Some(of_column(context, key, body)?)),
        None => with_parameters(context, key, body)?,
    };
    let input = match input {
        Some(input) if input.trim() == "*" && kind.takes_rows() => None,
        Some(input) if input.trim() == "*" || input.trim().is_empty() => {
            let message = format!("`{key}` needs a column");
            context.error(codes::WRONG_FEATURE, message, input.at, format!("write `{key}: <column>`"));
            return None;
        }
        input => input,
    };
    Some(AggregateSpec { kind, at: key.at, input, filter: None })
}

/// `sum: amount` or `sum: {column: amount}`.
fn of_column(context: &Context<'_>, key: &Located<String>, body: &Node) -> Option<Located<String>> {
    if matches!(body.kind, NodeKind::Map(_)) {
        let OfColumnFile { column } = context.faults.decode_at(body, key.at)?;
        return Some(column);
    }
    context.faults.decode_at(body, key.at)
}

fn with_parameters(
    context: &Context<'_>,
    key: &Located<String>,
    body: &Node,
) -> Option<(Aggregation, Option<Located<String>>)> {
    let faults = context.faults;
    let is_text = matches!(body.kind, NodeKind::Text(_));
    Some(match key.value.as_str() {
        "first_k" | "last_k" | "top_k" => {
            let KFile { column, k } = faults.decode_at(body, key.at)?;
            let k = within(context, "k", &k, K_MAX)?;
            let kind = match key.value.as_str() {
                "first_k" => Aggregation::FirstK(k),
                "last_k" => Aggregation::LastK(k),
                _ => Aggregation::TopK(k),
            };
            (kind, Some(column))
        }
        "distinct" | "most_frequent" => {
            let BoundFile { column, bound } = if is_text {
                BoundFile { column: faults.decode_at(body, key.at)?, bound: None }
            } else {
                faults.decode_at(body, key.at)?
            };
            let bound = match bound {
                Some(bound) => within(context, "bound", &bound, BOUND_MAX)?,
                None => BOUND_DEFAULT,
            };
            let is_distinct = key.value == "distinct";
            let kind = if is_distinct {
                Aggregation::Distinct { bound }
            } else {
                Aggregation::MostFrequent { bound }
            };
            (kind, Some(column))
        }
        "quantile" => {
            let QuantileOfFile { column, quantile } = faults.decode_at(body, key.at)?;
            if !(0.0..=1.0).contains(&quantile.value) {
                let message = format!("`{quantile}` is no quantile");
                context.error(codes::WRONG_BOUNDS, message, quantile.at, "write a number between 0 and 1");
                return None;
            }
            (Aggregation::Quantile(quantile.value), Some(column))
        }
        "histogram" => {
            let HistogramFile { column, edges } = faults.decode_at(body, key.at)?;
            (Aggregation::Histogram(ascending(context, edges)?), Some(column))
        }
        "rate" => {
            let RateFile { column, per } = faults.decode_at(body, key.at)?;
            (Aggregation::Rate { per: per.value.0 }, column)
        }
        "trend" => {
            let TrendFile { column, per } = faults.decode_at(body, key.at)?;
            (Aggregation::Trend { per: per.value.0 }, Some(column))
        }
        "decayed_sum" | "decayed_mean" => {
            let DecayFile { column, half_life } = faults.decode_at(body, key.at)?;
            let half_life = long_enough(context, &half_life)?;
            let kind = if key.value == "decayed_sum" {
                Aggregation::DecayedSum { half_life }
            } else {
                Aggregation::DecayedMean { half_life }
            };
            (kind, Some(column))
        }
        _ => return None,
    })
}

fn within(context: &Context<'_>, what: &str, written: &Located<u64>, max: usize) -> Option<usize> {
    if let Some(value) = usize::try_from(written.value).ok().filter(|value| (1..=max).contains(value)) {
        return Some(value);
    }
    let message = format!("`{what}` is {written}");
    context.error(codes::WRONG_FEATURE, message, written.at, format!("write a number from 1 to {max}"));
    None
}

fn long_enough(context: &Context<'_>, written: &Located<Written<Span>>) -> Option<Span> {
    let half_life = written.value.0;
    if half_life >= HALF_LIFE_MIN {
        return Some(half_life);
    }
    let message = format!("a half-life of `{half_life}` is too short");
    context.error(codes::WRONG_FEATURE, message, written.at, format!("write `{HALF_LIFE_MIN}` or longer"));
    None
}

fn ascending(context: &Context<'_>, edges: Located<Vec<Located<f64>>>) -> Option<Vec<f64>> {
    let values: Vec<f64> = edges.iter().map(|edge| edge.value).collect();
    let is_ascending =
        values.is_sorted_by(|one, next| one < next) && values.iter().all(|edge| edge.is_finite());
    if is_ascending && (1..=EDGES_MAX).contains(&values.len()) {
        return Some(values);
    }
    if !context.faults.has_gap_in(edges.at) {
        let hint = format!("write 1 to {EDGES_MAX} numbers, each above the one before: `[0, 10, 100]`");
        context.error(codes::WRONG_FEATURE, "these edges make no histogram", edges.at, hint);
    }
    None
}

fn condition(context: &Context<'_>, written: Located<String>) -> Option<Located<String>> {
    if written.trim().is_empty() {
        let hint = "write a SQL condition, as in `status = 'paid'`";
        context.error(codes::WRONG_FEATURE, "the condition is empty", written.at, hint);
        return None;
    }
    Some(written)
}
