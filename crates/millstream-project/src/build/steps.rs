//! `retry`, `timeout`, `set_aside_after` and `sla`: how the steps of an asset go.

use std::num::NonZeroU32;

use millstream_schedule::{Deadline, DeadlineError, Retrying, Sla, WeekDays};
use millstream_types::Span;

use super::Context;
use crate::{
    Located, StepsSpec, codes,
    decode::Written,
    file::{ProjectRetryFile, RetryFile, SlaFile},
};

/// After so many failures in a row an asset is set aside, where nothing is said.
const SET_ASIDE_AFTER: u32 = 5;
/// So many retries of all assets may begin within an hour, where nothing is said.
const BUDGET: u32 = 600;
/// More attempts would only wait.
const ATTEMPTS_MAX: u32 = 100;

/// What stands in one file.
pub(super) struct WrittenSteps<'a> {
    pub(super) retry: Option<&'a Located<RetryFile>>,
    pub(super) timeout: Option<&'a Located<Written<Span>>>,
    pub(super) set_aside_after: Option<&'a Located<u32>>,
    pub(super) sla: Option<&'a Located<SlaFile>>,
}

/// What is written of an asset's steps; what is not is as the project says.
pub(super) fn steps(context: &Context<'_>, written: &WrittenSteps<'_>) -> StepsSpec {
    let above = &context.defaults.steps;
    let retrying = written.retry.map(|retry| {
        let RetryFile { attempts, base, cap } = &retry.value;
        retrying(context, attempts.as_ref(), base.as_ref(), cap.as_ref())
    });
    StepsSpec {
        retrying: retrying.unwrap_or_default().or(above.retrying),
        timeout: written.timeout.and_then(|span| some_time(context, "timeout", span)).or(above.timeout),
        set_aside_after: match written.set_aside_after {
            Some(count) => NonZeroU32::new(count.value),
            None => above.set_aside_after,
        },
        sla: written.sla.map(|written| sla(context, written)).unwrap_or_default(),
    }
}

/// What the project says of all steps.
pub(super) fn project_steps(
    context: &Context<'_>,
    retry: Option<&Located<ProjectRetryFile>>,
    timeout: Option<&Located<Written<Span>>>,
    set_aside_after: Option<&Located<u32>>,
) -> StepsSpec {
    let retrying = retry.map(|retry| {
        let ProjectRetryFile { attempts, base, cap, .. } = &retry.value;
        retrying(context, attempts.as_ref(), base.as_ref(), cap.as_ref())
    });
    StepsSpec {
        retrying: retrying.unwrap_or_default(),
        timeout: timeout.and_then(|span| some_time(context, "timeout", span)),
        set_aside_after: NonZeroU32::new(set_aside_after.map_or(SET_ASIDE_AFTER, |count| count.value)),
        sla: Sla::default(),
    }
}

/// How many retries an hour of the whole project may hold.
pub(super) fn project_budget(context: &Context<'_>, retry: Option<&Located<ProjectRetryFile>>) -> u32 {
    let written = retry.and_then(|retry| retry.value.budget.as_ref());
    written.and_then(|written| budget(context, written)).unwrap_or(BUDGET)
}

/// `60/h`.
pub(super) fn budget(context: &Context<'_>, written: &Located<String>) -> Option<u32> {
    let (count, unit) = written.trim().split_once('/').unwrap_or((written.trim(), ""));
    match (count.trim().parse(), unit.trim()) {
        (Ok(count), "h" | "hour") => Some(count),
        _ => {
            let message = format!("`{written}` is no number of retries in an hour");
            context.error(codes::WRONG_STEPS, message, written.at, "write `60/h`; `0/h` for none at all");
            None
        }
    }
}

fn retrying(
    context: &Context<'_>,
    attempts: Option<&Located<u32>>,
    base: Option<&Located<Written<Span>>>,
    cap: Option<&Located<Written<Span>>>,
) -> Retrying {
    let attempts = attempts.and_then(|written| {
        if !(1..=ATTEMPTS_MAX).contains(&written.value) {
            let message = format!("a step cannot be attempted {written} times");
            let hint = format!("write a number from 1, which is never again, to {ATTEMPTS_MAX}");
            context.error(codes::WRONG_STEPS, message, written.at, hint);
        }
        NonZeroU32::new(written.value)
    });
    if let (Some(base), Some(cap)) = (base, cap)
        && base.value.0 > cap.value.0
    {
        let message = format!("`base: {}` is longer than `cap: {}`", base.value.0, cap.value.0);
        let hint = "the first wait cannot be longer than any may be";
        context.error(codes::WRONG_STEPS, message, base.at, hint);
    }
    Retrying { attempts, base: base.map(|span| span.value.0), cap: cap.map(|span| span.value.0) }
}

pub(super) fn some_time(context: &Context<'_>, key: &str, written: &Located<Written<Span>>) -> Option<Span> {
    let span = written.value.0;
    if span.ms() == 0 {
        let message = format!("`{key}: {span}` leaves no time at all");
        context.error(codes::WRONG_STEPS, message, written.at, format!("write `{key}: 10m`, or remove it"));
        return None;
    }
    Some(span)
}

fn sla(context: &Context<'_>, written: &Located<SlaFile>) -> Sla {
    let SlaFile { fresh_by, days, at_most, step_at_most } = &written.value;
    let fault =
        |error: DeadlineError, at| context.error(codes::WRONG_SLA, error.to_string(), at, error.hint());
    let week = match days {
        None => Some(WeekDays::ALL),
        Some(days) => {
            let text = days.value.0.join(", ");
            text.parse().map_err(|error| fault(error, days.at)).ok()
        }
    };
    let is_whole = !context.faults.has_gap_in(written.at);
    if let Some(days) = days.as_ref().filter(|_| fresh_by.is_none() && is_whole) {
        let message = "`days` has no meaning without `fresh_by`";
        context.error(codes::WRONG_SLA, message, days.at, "remove it, or add `fresh_by: \"09:00\"`");
    }
    let sla = Sla {
        fresh_by: fresh_by.as_ref().and_then(|text| {
            let deadline = Deadline::new(text, week.unwrap_or(WeekDays::ALL));
            deadline.map_err(|error| fault(error, text.at)).ok()
        }),
        at_most: at_most.as_ref().and_then(|span| some_time(context, "at_most", span)),
        step_at_most: step_at_most.as_ref().and_then(|span| some_time(context, "step_at_most", span)),
    };
    if fresh_by.is_none() && at_most.is_none() && step_at_most.is_none() && is_whole {
        let hint = "write one of `fresh_by: \"09:00 Europe/Berlin\"`, `at_most: 15m` and `step_at_most: 10m`";
        context.error(codes::WRONG_SLA, "`sla` promises nothing", written.at, hint);
    }
    sla
}
