//! `datasets/*.yaml`: labels, features, cut-off, split, output.

use std::num::NonZeroU32;

use indexmap::IndexMap;
use millstream_types::{Percent, TimestampMicros};

use super::{
    Context,
    feature::{feature_refs, not_empty, repeated, table_name},
    schedule::{Owner, schedule},
    steps::{WrittenSteps, steps},
};
use crate::{
    AsKnown, DatasetFeatures, DatasetSpec, EncodeSpec, LabelOrigin, LabelsSpec, Located, Node, NodeKind,
    OutputFormat, OutputSpec, SplitBy, SplitSpec, codes,
    decode::Written,
    file::{DatasetFile, LabelsFile, OutputFile, SplitFile},
    variables,
};

/// Reads one dataset. `None` when nothing can be made of the file.
pub(crate) fn dataset(context: &Context<'_>, name: &str, mut node: Node) -> Option<DatasetSpec> {
    variables::substitute(&mut node, context.text, context.values, context.faults);
    let file: DatasetFile = context.faults.decode_at(&node, context.start())?;
    let labels = labels(context, file.labels);
    let features = features(context, &file.features);
    let as_known = file.as_known.and_then(|node| as_known(context, &node));
    let split = file.split.and_then(|written| split(context, written));
    if let Some(embargo) = &file.embargo
        && split.as_ref().is_none_or(|split| split.by != SplitBy::Time)
        && !context.faults.has_gap_in(node.at)
    {
        let message = "`embargo` has no meaning without a split by time";
        context.error(codes::WRONG_SPLIT, message, embargo.at, "remove it, or split `by: time`");
    }
    let schedule = schedule(context, file.schedule.as_ref(), Owner::Other);
    let steps = steps(
        context,
        &WrittenSteps {
            retry: file.retry.as_ref(),
            timeout: file.timeout.as_ref(),
            set_aside_after: file.set_aside_after.as_ref(),
            sla: file.sla.as_ref(),
        },
    );
    let output = file.output.and_then(|node| output(context, &node));
    let keep = file.keep.and_then(|written| {
        let keep = NonZeroU32::new(written.value);
        if keep.is_none() {
            let message = "a dataset cannot keep 0 versions";
            context.error(codes::WRONG_OUTPUT, message, written.at, "keep 1 at least, the newest");
        }
        keep
    });
    Some(DatasetSpec {
        name: name.to_owned(),
        at: context.start(),
        description: file.description,
        owner: file.owner.or_else(|| context.defaults.owner.clone()),
        tags: context.defaults.with_tags(file.tags.0),
        labels: labels?,
        features: features?,
        as_known,
        embargo: file.embargo.map(|embargo| embargo.value.0),
        split,
        encode: file.encode.0.into_iter().map(|(column, value)| EncodeSpec { column, value }).collect(),
        output,
        refresh: file.refresh.unwrap_or_default(),
        keep,
        schedule,
        steps,
    })
}

fn labels(context: &Context<'_>, written: Located<LabelsFile>) -> Option<LabelsSpec> {
    let at = written.at;
    let LabelsFile { from, sql, file, entity, keys, time, columns } = written.value;
    let origin = match (from, sql, file) {
        (Some(from), None, None) => table_name(context, codes::WRONG_LABELS, &from).map(LabelOrigin::Table),
        (None, Some(sql), None) => not_empty(context, &sql).then_some(LabelOrigin::Sql(sql)),
        (None, None, Some(file)) => not_empty(context, &file).then_some(LabelOrigin::File(file)),
        (None, None, None) => {
            if !context.faults.has_gap_in(at) {
                let hint = "add `from: <table>`, `sql: <query>` or `file: <path>`";
                context.error(codes::WRONG_LABELS, "the labels come from nowhere", at, hint);
            }
            None
        }
        (from, sql, file) => {
            // The last of them is the surplus one.
            let at = [file, sql, from].into_iter().flatten().next().map_or(at, |surplus| surplus.at);
            let message = "the labels come from more than one place";
            context.error(codes::WRONG_LABELS, message, at, "keep one of `from`, `sql` and `file`");
            None
        }
    };
    for column in columns.iter().flat_map(|columns| repeated(columns)) {
        let message = format!("the labels name `{column}` twice");
        context.error(codes::WRONG_LABELS, message, column.at, "remove one of the two");
    }
    let has_time = not_empty(context, &time);
    let keys: IndexMap<_, _> = keys.0.into_iter().map(|(key, column)| (key.value, column)).collect();
    let columns = columns.map(|columns| columns.value);
    let origin = origin.filter(|_| has_time)?;
    Some(LabelsSpec { at, origin, entities: entity.0, keys, time, columns })
}

fn features(context: &Context<'_>, node: &Node) -> Option<DatasetFeatures> {
    if let NodeKind::Text(service) = &node.kind {
        let service = Located::new(service.clone(), node.at);
        return not_empty(context, &service).then_some(DatasetFeatures::Service(service));
    }
    let key = Located::new("features".to_owned(), node.at);
    feature_refs(context, &key, node).map(DatasetFeatures::List)
}

fn as_known(context: &Context<'_>, node: &Node) -> Option<Located<AsKnown>> {
    let as_known = match &node.kind {
        NodeKind::Null | NodeKind::Bool(false) => return None,
        NodeKind::Bool(true) => AsKnown::LabelTime,
        NodeKind::Text(text) if !text.trim().is_empty() => {
            match chrono::DateTime::parse_from_rfc3339(text.trim()) {
                Ok(time) => AsKnown::At(TimestampMicros(time.timestamp_micros())),
                Err(_) if text.starts_with(|c: char| c.is_ascii_digit()) => {
                    let message = format!("`{}` is no instant", crate::node::shorten(text));
                    context.error(
                        codes::WRONG_OUTPUT,
                        message,
                        node.at,
                        "write it as `2026-01-31T00:00:00Z`",
                    );
                    return None;
                }
                Err(_) => AsKnown::Column(text.clone()),
            }
        }
        _ => {
            let message = format!("expected a cut-off, found {}", node.describe());
            let hint = "write `true`, a column of the labels, or an instant";
            context.error(codes::WRONG_OUTPUT, message, node.at, hint);
            return None;
        }
    };
    Some(Located::new(as_known, node.at))
}

fn split(context: &Context<'_>, written: Located<SplitFile>) -> Option<Located<SplitSpec>> {
    let at = written.at;
    let SplitFile { by, train, validation, test, seed, entity } = written.value;
    if by.value == SplitBy::Time {
        let seed = seed.as_ref().map(|seed| ("seed", seed.at));
        let entity = entity.as_ref().map(|entity| ("entity", entity.at));
        for (key, at) in [seed, entity].into_iter().flatten() {
            let message = format!("`{key}` has no meaning for a split by time");
            context.error(codes::WRONG_SPLIT, message, at, "remove it, or split `by: hash` or `by: random`");
        }
    }
    let share = |written: Option<Located<Written<Percent>>>| written.map(|share| share.value.0);
    let (train, validation, test) = (train.value.0, share(validation), share(test));
    let fraction = |share: Option<Percent>| share.map_or(0.0, Percent::fraction);
    let sum = train.fraction() + fraction(validation) + fraction(test);
    if (sum - 1.0).abs() > 1e-9 && !context.faults.has_gap_in(at) {
        let message = format!("the shares add up to {}%", (sum * 1e6).round() / 1e4);
        context.error(codes::WRONG_SPLIT, message, at, "make them add up to 100%");
        return None;
    }
    let seed = seed.map_or(0, |seed| seed.value);
    Some(Located::new(SplitSpec { by: by.value, train, validation, test, seed, entity }, at))
}

fn output(context: &Context<'_>, node: &Node) -> Option<OutputSpec> {
    let OutputFile { path, format } = match &node.kind {
        NodeKind::Null => return None,
        NodeKind::Map(_) => context.faults.decode(node)?,
        NodeKind::Text(path) => OutputFile { path: Located::new(path.clone(), node.at), format: None },
        _ => {
            let message = format!("expected a path, found {}", node.describe());
            context.error(codes::WRONG_OUTPUT, message, node.at, "write `churn.parquet`");
            return None;
        }
    };
    let implied = if path.ends_with(".parquet") { OutputFormat::Parquet } else { OutputFormat::Delta };
    not_empty(context, &path).then_some(OutputSpec { path, format: format.unwrap_or(implied) })
}
