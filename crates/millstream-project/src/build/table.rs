//! `tables/<schema>/*.sql`: which keys of the header go together.

use millstream_types::TableName;

use super::{
    Context,
    check::CheckReader,
    schedule::{Owner, schedule},
    steps::{WrittenSteps, steps},
    stream::stream,
};
use crate::{
    IncrementalSpec, Located, Location, Materialize, Node, NodeKind, ScheduleSpec, TableSpec, codes,
    file::{MaterializeFile, TableFile},
    variables,
};

/// Reads one table from its header and the text after it. `None` when nothing can be made of the header.
pub(crate) fn table(
    context: &Context<'_>,
    name: TableName,
    header: Option<Node>,
    header_at: Location,
    sql: Located<String>,
) -> Option<TableSpec> {
    let file = match header {
        None => TableFile::default(),
        Some(mut node) => {
            variables::substitute(&mut node, context.text, context.values, context.faults);
            context.faults.decode_at(&node, header_at)?
        }
    };
    let materialize = materialize(context, &file);
    let partition = super::partition::partition(context, &file);
    let parameters = super::partition::parameters(context, &file);
    let needs = super::needs::needs(context, &file);
    let schedule = table_schedule(context, &file);
    refuse_steps_of_view(context, &file);
    let steps = steps(
        context,
        &WrittenSteps {
            retry: file.retry.as_ref(),
            timeout: file.timeout.as_ref(),
            set_aside_after: file.set_aside_after.as_ref(),
            sla: file.sla.as_ref(),
        },
    );
    let on_violation =
        file.on_violation.as_ref().map_or(context.defaults.on_violation, |severity| severity.value);
    let mut checks = CheckReader::new(*context, on_violation);
    if let Some(items) = &file.checks {
        items.iter().for_each(|item| checks.item(item));
    }
    let checks = checks.finish();
    super::partition::judge_checks(context, partition.as_ref(), &checks);
    Some(TableSpec {
        name,
        at: header_at,
        description: file.description,
        owner: file.owner.or_else(|| context.defaults.owner.clone()),
        tags: context.defaults.with_tags(file.tags.0),
        schedule,
        steps,
        materialize: materialize?,
        partition,
        parameters,
        needs,
        checks,
        on_violation,
        halt_above: file.halt_above.map(|share| share.value.0).or(context.defaults.halt_above),
        sql,
    })
}

/// The table's schedule. Nothing of a view is stored, so nothing of it could run.
fn table_schedule(context: &Context<'_>, file: &TableFile) -> Option<ScheduleSpec> {
    let is_view = file.materialize.as_ref().is_some_and(|way| way.value == MaterializeFile::View);
    let is_stream = file.materialize.as_ref().is_some_and(|way| way.value == MaterializeFile::Stream);
    match &file.schedule {
        Some(node) if is_stream => {
            let message =
                "`schedule` on a continuous table, which `millstream serve` computes as events come";
            let hint = "remove it, or use `materialize: table` or `incremental` for a table that runs build";
            context.error(codes::WRONG_SCHEDULE, message, node.at, hint);
            None
        }
        Some(node) if is_view => {
            let message = "`schedule` on a view: nothing of a view is stored, so nothing of it runs";
            let hint = "use `materialize: table`, or schedule a table that reads it";
            context.error(codes::WRONG_SCHEDULE, message, node.at, hint);
            None
        }
        node => schedule(context, node.as_ref(), Owner::Other),
    }
}

/// Nothing of a view runs or is stored, so nothing of it can fail or be late.
fn refuse_steps_of_view(context: &Context<'_>, file: &TableFile) {
    if file.materialize.as_ref().is_none_or(|way| way.value != MaterializeFile::View) {
        return;
    }
    let keys = [
        ("retry", file.retry.as_ref().map(|written| written.at)),
        ("timeout", file.timeout.as_ref().map(|written| written.at)),
        ("set_aside_after", file.set_aside_after.as_ref().map(|written| written.at)),
    ];
    for (key, at) in keys {
        let Some(at) = at else { continue };
        let message = format!("`{key}` on a view: nothing of a view is stored, so nothing of it runs");
        context.error(
            codes::WRONG_STEPS,
            message,
            at,
            "use `materialize: table`, or say it of a table that reads it",
        );
    }
    if let Some(sla) = &file.sla {
        let message = "`sla` on a view: nothing of a view is stored, so nothing can be promised of it";
        context.error(
            codes::WRONG_SLA,
            message,
            sla.at,
            "use `materialize: table`, or promise it of a table that it reads",
        );
    }
}

/// A key of the header and the ways of keeping a table that it goes with.
struct Given {
    key: &'static str,
    at: Location,
    hint: &'static str,
}

fn materialize(context: &Context<'_>, file: &TableFile) -> Option<Materialize> {
    let has_gap =
        context.faults.has_gap_in(Location { file: context.file, start: 0, end: context.text.len() });
    let way = file.materialize.as_ref().map_or(MaterializeFile::Table, |way| way.value);
    let key = file.key.as_ref().map(|key| Given {
        key: "key",
        at: key.at,
        hint: "`key` goes with `materialize: incremental`, `history` and `stream`",
    });
    let time = file.time.as_ref().map(|time| Given {
        key: "time",
        at: time.at,
        hint: "`time` goes with `partition` of an incremental table, and with `materialize: history`",
    });
    // A mapping is another thing, which is judged by itself.
    let is_word = |node: &&Node| matches!(node.kind, NodeKind::Text(_));
    let partition = file.partition.as_ref().filter(is_word).map(|partition| Given {
        key: "partition",
        at: partition.at,
        hint: "a word goes with `materialize: incremental` and `time`; write `partition: {by: day, column: …}`",
    });
    let refuse = |given: Option<Given>, why: &str| {
        if let Some(given) = given {
            let message = format!("`{}` has no meaning {why}", given.key);
            context.error(codes::WRONG_MATERIALIZE, message, given.at, given.hint);
        }
    };
    if let Some(stream) = file.stream.as_ref().filter(|_| way != MaterializeFile::Stream) {
        let message = "`stream` has no meaning for a table that is not continuous";
        context.error(
            codes::WRONG_MATERIALIZE,
            message,
            stream.at,
            "write `materialize: stream`, or remove it",
        );
    }
    let keys = || file.key.as_ref().map(|key| key.value.0.clone()).unwrap_or_default();
    match way {
        MaterializeFile::Stream => {
            let mapping = file.partition.as_ref().map(|partition| Given {
                key: "partition",
                at: partition.at,
                hint: "remove it: partitions are those of tables that runs build",
            });
            [time, mapping].into_iter().for_each(|given| refuse(given, "for a continuous table"));
            let keys = keys();
            key_columns(context, &keys);
            Some(Materialize::Stream(stream(context, file.stream.as_ref(), keys)))
        }
        MaterializeFile::View => {
            [key, time, partition].into_iter().for_each(|given| refuse(given, "for a view"));
            view_checks(context, file);
            Some(Materialize::View)
        }
        MaterializeFile::Table => {
            [key, time, partition]
                .into_iter()
                .for_each(|given| refuse(given, "for a table that is rebuilt as a whole"));
            Some(Materialize::Table)
        }
        MaterializeFile::History => {
            refuse(partition, "for a history");
            let keys = keys();
            if keys.is_empty() && !has_gap {
                let at = file.materialize.as_ref().map_or(context.start(), |way| way.at);
                context.error(codes::WRONG_MATERIALIZE, "a history needs a `key`", at, "add `key: order_id`");
            }
            key_columns(context, &keys);
            Some(Materialize::History { key: keys, time: file.time.clone() })
        }
        MaterializeFile::Incremental => {
            incremental(context, file, keys(), has_gap, &refuse, [key, time, partition])
        }
    }
}

fn incremental(
    context: &Context<'_>,
    file: &TableFile,
    keys: Vec<Located<String>>,
    has_gap: bool,
    refuse: &dyn Fn(Option<Given>, &str),
    [key, time, partition]: [Option<Given>; 3],
) -> Option<Materialize> {
    let spec = match (key, time, partition) {
        (None, None, None) => IncrementalSpec::Append,
        (Some(_), None, None) => {
            key_columns(context, &keys);
            IncrementalSpec::Merge { key: keys }
        }
        (None, Some(_), Some(_)) => {
            let (time, partition) = (file.time.clone()?, file.partition.as_ref()?);
            IncrementalSpec::Partition { time, grain: context.faults.decode(partition)? }
        }
        (Some(_), _, Some(partition)) => {
            let message = "`key` and `partition` exclude each other";
            let hint = "keep `key` to merge rows, or `time` with `partition` to recompute whole partitions";
            context.error(codes::WRONG_MATERIALIZE, message, partition.at, hint);
            return None;
        }
        (Some(_), time @ Some(_), None) => {
            refuse(time, "beside `key`");
            return None;
        }
        (None, Some(time), None) => {
            if !has_gap {
                let hint = "add `partition: day` (hour, day, month, year)";
                context.error(codes::WRONG_MATERIALIZE, "`time` needs a `partition`", time.at, hint);
            }
            return None;
        }
        (None, None, Some(partition)) => {
            if !has_gap {
                let hint = "add `time: <column>`, the time that the partitions are made of";
                context.error(codes::WRONG_MATERIALIZE, "`partition` needs a `time`", partition.at, hint);
            }
            return None;
        }
    };
    Some(Materialize::Incremental(spec))
}

/// Keys name each column once.
fn key_columns(context: &Context<'_>, keys: &[Located<String>]) {
    for (index, key) in keys.iter().enumerate() {
        if keys.iter().take(index).any(|before| before.value == key.value) {
            let message = format!("the key names `{key}` twice");
            context.error(codes::WRONG_MATERIALIZE, message, key.at, "remove one of the two");
        }
    }
}

/// Refuses checks on a view: there is no moment at which its rows could be checked or kept back.
fn view_checks(context: &Context<'_>, file: &TableFile) {
    let checks = file.checks.as_ref().filter(|checks| !checks.is_empty()).map(|checks| ("checks", checks.at));
    let on_violation = file.on_violation.as_ref().map(|severity| ("on_violation", severity.at));
    let halt_above = file.halt_above.as_ref().map(|share| ("halt_above", share.at));
    for (key, at) in [checks, on_violation, halt_above].into_iter().flatten() {
        let message = format!("`{key}` on a view: a view is never stored, so nothing can be checked");
        context.error(
            codes::VIEW_CHECKS,
            message,
            at,
            "use `materialize: table`, or check the tables that it reads",
        );
    }
}
