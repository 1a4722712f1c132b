//! `schedule`: a text or a mapping becomes triggers, each judged by itself.

use std::str::FromStr;

use millstream_schedule::{CronError, CronLine, Schedule, Trigger};
use millstream_types::{AssetId, SourceName, Span, TableName};

use super::{Context, feature::identifier};
use crate::{
    Located, Location, Node, NodeKind, ScheduleSpec, codes,
    decode::{OneOrMany, Written},
    file::ScheduleFile,
};

/// What is shorter would keep the process busy with looking.
const INTERVAL_MIN: Span = Span::from_ms(1_000);

/// Ten years: what is longer is a slip.
const INTERVAL_MAX: Span = Span::from_ms(520 * 7 * 24 * 3_600_000);

/// The most entries of each list. Every one is looked at whenever its asset is, and a project of people needs a few.
const LIST_MAX: usize = 64;

const EXAMPLES: &str = "write `every 15m`, a cron line as in `0 6 * * * Europe/Berlin`, or a mapping: `{every: 15m, priority: 5}`";

type List = Located<OneOrMany<Located<String>>>;

/// What the asset is to which a schedule belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Source,
    Other,
}

/// Reads a schedule. `None` when a fault leaves nothing of it.
pub(super) fn schedule(context: &Context<'_>, node: Option<&Node>, owner: Owner) -> Option<ScheduleSpec> {
    let node = node?;
    match &node.kind {
        NodeKind::Text(text) => of_text(context, text, node.at),
        NodeKind::Map(entries) => {
            let file: ScheduleFile = context.faults.decode(node)?;
            if entries.is_empty() {
                context.error(codes::WRONG_SCHEDULE, "the schedule is empty", node.at, EXAMPLES);
                return None;
            }
            of_keys(context, &file, node.at, owner)
        }
        _ => {
            let message = format!("expected a schedule, found {}", node.describe());
            context.error(codes::WRONG_KIND, message, node.at, EXAMPLES);
            None
        }
    }
}

pub(super) fn of_text(context: &Context<'_>, text: &str, at: Location) -> Option<ScheduleSpec> {
    let text = text.trim();
    let trigger = match text.strip_prefix("every ") {
        Some(interval) => match Span::from_str(interval) {
            Ok(span) => long_enough(context, "every", span, at).map(Trigger::Every),
            Err(error) => {
                context.error(codes::WRONG_SCHEDULE, error.to_string(), at, "write `every 15m`");
                None
            }
        },
        None if text.split_whitespace().count() < 2 && !text.starts_with('@') => {
            let message = format!("`{}` is no schedule", crate::node::shorten(text));
            context.error(codes::WRONG_SCHEDULE, message, at, EXAMPLES);
            None
        }
        None => cron(context, text.parse(), at).map(Trigger::Cron),
    };
    Some(ScheduleSpec {
        at,
        schedule: Schedule::of(trigger?),
        after: Vec::new(),
        pools: Vec::new(),
        new_files: None,
    })
}

fn of_keys(context: &Context<'_>, file: &ScheduleFile, at: Location, owner: Owner) -> Option<ScheduleSpec> {
    judge_lengths(context, file);
    let mut triggers = Vec::new();
    triggers.extend(span(context, "every", file.every.as_ref()).map(Trigger::Every));
    triggers.extend(cron_lines(context, file).into_iter().map(Trigger::Cron));
    let after: Vec<Located<AssetId>> =
        items(file.after.as_ref()).filter_map(|name| asset(context, name)).collect();
    triggers.extend(after.iter().map(|asset| Trigger::After(asset.value.clone())));
    triggers.extend(new_files(context, file.new_files.as_ref(), owner));
    let webhooks = items(file.webhook.as_ref()).filter(|name| identifier(context, "webhook", name));
    triggers.extend(webhooks.map(|name| Trigger::Webhook(name.value.clone())));
    triggers.extend(span(context, "freshness", file.freshness.as_ref()).map(Trigger::Freshness));
    judge_beside(context, file, at, &triggers);
    let mut pools: Vec<Located<String>> = Vec::new();
    for pool in items(file.pools.as_ref()) {
        if pools.iter().any(|given| given.value == pool.value) {
            let message = format!("the pool `{pool}` is named twice");
            context.error(codes::WRONG_SCHEDULE, message, pool.at, "remove one of the two");
        } else {
            pools.push(pool.clone());
        }
    }
    let schedule = Schedule {
        triggers,
        catch_up: file.catch_up.as_ref().map(|word| word.value.into()).unwrap_or_default(),
        priority: file.priority.as_ref().map_or(0, |priority| priority.value),
        pools: pools.iter().map(|pool| pool.value.clone()).collect(),
    };
    let new_files = file.new_files.as_ref().map(|span| span.at);
    Some(ScheduleSpec { at, schedule, after, pools, new_files })
}

/// The lists of a schedule by their keys.
fn lists(file: &ScheduleFile) -> [(&'static str, Option<&List>); 4] {
    [
        ("cron", file.cron.as_ref()),
        ("after", file.after.as_ref()),
        ("webhook", file.webhook.as_ref()),
        ("pools", file.pools.as_ref()),
    ]
}

/// Refuses lists that are too long, at the first entry that is not read any more.
fn judge_lengths(context: &Context<'_>, file: &ScheduleFile) {
    for (key, list) in lists(file) {
        let Some(list) = list else { continue };
        let Some(first) = list.value.0.get(LIST_MAX) else { continue };
        let message =
            format!("`{key}` has {} entries, and at most {LIST_MAX} are allowed", list.value.0.len());
        context.error(codes::WRONG_SCHEDULE, message, first.at, hint_of_length(key));
    }
}

fn hint_of_length(key: &str) -> &'static str {
    match key {
        "cron" => "one line may say several times: `0 6,12,18 * * MON-FRI`",
        "after" => "let it run after an asset that itself runs after several of these",
        "webhook" => "let several callers call one webhook",
        _ => "let the asset take a place in fewer pools",
    }
}

/// Refuses keys that mean nothing beside the others, and a list that names nothing.
fn judge_beside(context: &Context<'_>, file: &ScheduleFile, at: Location, triggers: &[Trigger]) {
    // A faulty trigger is reported already, and may be the one that the key belongs to.
    if context.faults.has_gap_in(at) {
        return;
    }
    for (key, list) in lists(file) {
        if let Some(list) = list.filter(|list| list.value.0.is_empty()) {
            let message = format!("`{key}` names nothing");
            context.error(codes::WRONG_SCHEDULE, message, list.at, "name something, or remove the key");
        }
    }
    if let Some(zone) = &file.zone
        && file.cron.is_none()
    {
        let message = "`zone` has no meaning without `cron`";
        let hint = "remove it: `every` counts in UTC, and the other triggers have no clock";
        context.error(codes::WRONG_SCHEDULE, message, zone.at, hint);
    }
    let is_timed = triggers.iter().any(Trigger::is_timed);
    if let Some(word) = &file.catch_up
        && !is_timed
        && file.every.is_none()
        && file.cron.is_none()
    {
        let message = "`catch_up` has no meaning without `every` or `cron`";
        context.error(codes::WRONG_SCHEDULE, message, word.at, "remove it, or add a trigger by the clock");
    }
}

/// The entries of a list, as far as they are allowed.
fn items(list: Option<&List>) -> impl Iterator<Item = &Located<String>> {
    list.into_iter().flat_map(|list| list.value.0.iter().take(LIST_MAX))
}

fn span(context: &Context<'_>, key: &str, written: Option<&Located<Written<Span>>>) -> Option<Span> {
    let written = written?;
    long_enough(context, key, written.value.0, written.at)
}

fn long_enough(context: &Context<'_>, key: &str, span: Span, at: Location) -> Option<Span> {
    if span < INTERVAL_MIN {
        let message = format!("`{key}` cannot be `{span}`: that is too often");
        context.error(codes::WRONG_SCHEDULE, message, at, format!("write at least `{INTERVAL_MIN}`"));
        return None;
    }
    if span > INTERVAL_MAX {
        let message = format!("`{key}` cannot be `{span}`: that is longer than ten years");
        context.error(codes::WRONG_SCHEDULE, message, at, format!("write at most `{INTERVAL_MAX}`"));
        return None;
    }
    Some(span)
}

fn new_files(
    context: &Context<'_>,
    written: Option<&Located<Written<Span>>>,
    owner: Owner,
) -> Option<Trigger> {
    let written = written?;
    if owner != Owner::Source {
        let message = "`new_files` belongs to sources: nothing else reads files";
        let hint = "give it to the source, or run this `after` it";
        context.error(codes::WRONG_SCHEDULE, message, written.at, hint);
        return None;
    }
    span(context, "new_files", Some(written)).map(|poll| Trigger::NewFiles { poll })
}

/// The cron lines of a mapping, in the zone of `zone` where it names one.
fn cron_lines(context: &Context<'_>, file: &ScheduleFile) -> Vec<CronLine> {
    let mut lines: Vec<CronLine> = Vec::new();
    let mut is_zone_wrong = false;
    for written in items(file.cron.as_ref()) {
        let parsed = written.parse::<CronLine>();
        let line = match (&file.zone, parsed) {
            (None, parsed) => cron(context, parsed, written.at),
            (Some(zone), parsed) => {
                let has_own_zone = parsed.is_ok() && CronLine::new(written, "UTC").is_err();
                match CronLine::new(written, zone) {
                    _ if has_own_zone => {
                        let message = "the line names a time zone, and so does `zone`";
                        context.error(codes::WRONG_SCHEDULE, message, written.at, "keep one of the two");
                        None
                    }
                    // All lines share the zone, which is reported once.
                    Err(CronError::Zone { .. }) if is_zone_wrong => None,
                    Err(error @ CronError::Zone { .. }) => {
                        is_zone_wrong = true;
                        cron(context, Err(error), zone.at)
                    }
                    line => cron(context, line, written.at),
                }
            }
        };
        let Some(line) = line else { continue };
        if lines.contains(&line) {
            let message = format!("`{line}` is given twice");
            context.error(codes::WRONG_SCHEDULE, message, written.at, "remove one of the two");
        } else {
            lines.push(line);
        }
    }
    lines
}

fn cron(context: &Context<'_>, line: Result<CronLine, CronError>, at: Location) -> Option<CronLine> {
    line.map_err(|error| context.error(codes::WRONG_SCHEDULE, error.to_string(), at, error.hint())).ok()
}

/// The asset of a name: a table, or `kind:name`. A source is the table that it lands in.
fn asset(context: &Context<'_>, name: &Located<String>) -> Option<Located<AssetId>> {
    let text = name.trim();
    if text.is_empty() {
        let hint = "name a table, as in `silver.orders`, or `view:…`, `dataset:…`, `source:…`";
        context.error(codes::WRONG_SCHEDULE, "the name is empty", name.at, hint);
        return None;
    }
    let source = text.strip_prefix("source:").and_then(|source| SourceName::new(source).ok());
    let asset = source.map_or_else(|| AssetId::new(text), |source| TableName::bronze(&source).asset_id());
    Some(Located::new(asset, name.at))
}
