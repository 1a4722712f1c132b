//! `housekeeping` of `millstream.yaml`.

use millstream_schedule::Trigger;
use millstream_types::Span;

use super::{Context, schedule::of_text};
use crate::{HousekeepingSpec, Located, codes, decode::Written, file::HousekeepingFile};

/// The word that turns housekeeping off.
const OFF: &str = "off";

/// What a step may still read that began a while ago.
const FILES_MIN: Span = Span::from_ms(60 * 60 * 1_000);

/// With less than this nobody could say what ran yesterday.
const HISTORY_MIN: Span = Span::from_ms(24 * 60 * 60 * 1_000);

/// A table may take as long.
const AT_MOST_MIN: Span = Span::from_ms(60 * 1_000);

pub(super) fn housekeeping(context: &Context<'_>, file: &HousekeepingFile) -> HousekeepingSpec {
    let usual = HousekeepingSpec::default();
    HousekeepingSpec {
        schedule: match &file.schedule {
            None => usual.schedule,
            Some(written) => schedule(context, written),
        },
        files: at_least(context, "files", file.files.as_ref(), FILES_MIN, usual.files),
        runs: at_least(context, "runs", file.runs.as_ref(), HISTORY_MIN, usual.runs),
        metrics: at_least(context, "metrics", file.metrics.as_ref(), HISTORY_MIN, usual.metrics),
        served: at_least(context, "served", file.served.as_ref(), HISTORY_MIN, usual.served),
        at_most: at_most(context, file.at_most.as_ref(), usual.at_most),
    }
}

fn schedule(context: &Context<'_>, written: &Located<String>) -> Option<Trigger> {
    if written.trim() == OFF {
        return None;
    }
    of_text(context, written, written.at)?.schedule.triggers.into_iter().next()
}

fn at_least(
    context: &Context<'_>,
    key: &str,
    written: Option<&Located<Written<Span>>>,
    least: Span,
    usual: Span,
) -> Span {
    let Some(written) = written else { return usual };
    let span = written.value.0;
    if span < least {
        let message = format!("housekeeping cannot keep `{key}` for `{span}` only");
        context.error(codes::WRONG_HOUSEKEEPING, message, written.at, format!("write at least `{least}`"));
    }
    span
}

fn at_most(context: &Context<'_>, written: Option<&Located<Written<Span>>>, usual: Span) -> Span {
    let Some(written) = written else { return usual };
    let span = written.value.0;
    if span < AT_MOST_MIN {
        let message = format!("housekeeping comes to little in `{span}`");
        let hint = format!("write at least `{AT_MOST_MIN}`");
        context.error(codes::WRONG_HOUSEKEEPING, message, written.at, hint);
    }
    span
}
