//! `--limit name=value`: the bounds of a server that the command line changes.

use std::time::Duration;

use millstream_server::Limits;
use millstream_types::Span;

use crate::{CliError, human};

/// Where a bound stands among the others.
type Place<T> = fn(&mut Limits) -> &mut T;

/// Bounds that are counts, by name.
const COUNTS: [(&str, Place<usize>); 9] = [
    ("body_bytes", |limits| &mut limits.body_bytes),
    ("buffered_bytes", |limits| &mut limits.buffered_bytes),
    ("rows", |limits| &mut limits.rows),
    ("values", |limits| &mut limits.values),
    ("answer_bytes", |limits| &mut limits.answer_bytes),
    ("query_rows", |limits| &mut limits.query_rows),
    ("query_bytes", |limits| &mut limits.query_bytes),
    ("connections", |limits| &mut limits.connections),
    ("concurrent_requests", |limits| &mut limits.concurrent_requests),
];

/// Bounds that are lengths of time, by name.
const TIMES: [(&str, Place<Duration>); 5] = [
    ("request_time", |limits| &mut limits.request_time),
    ("job_time", |limits| &mut limits.job_time),
    ("idle_time", |limits| &mut limits.idle_time),
    ("shutdown_time", |limits| &mut limits.shutdown_time),
    ("query_shutdown_time", |limits| &mut limits.query_shutdown_time),
];

/// One bound and its new value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    Count(Place<usize>, usize),
    Time(Place<Duration>, Duration),
}

/// Reads `rows=200000` or `request_time=60s`; the error says what may be written.
pub(crate) fn parse(text: &str) -> Result<Limit, String> {
    let known = || COUNTS.iter().map(|(name, _)| *name).chain(TIMES.iter().map(|(name, _)| *name));
    let (name, value) = text.split_once('=').ok_or("write a name and a value, as in `rows=200000`")?;
    let (name, value) = (name.trim(), value.trim());
    if let Some((_, place)) = COUNTS.iter().find(|(known, _)| *known == name) {
        return match usize::try_from(human::whole_number(value)?) {
            Ok(0) => Err("the bound must be at least 1".to_owned()),
            Ok(count) => Ok(Limit::Count(*place, count)),
            Err(_) => Err("the number is too large".to_owned()),
        };
    }
    if let Some((_, place)) = TIMES.iter().find(|(known, _)| *known == name) {
        let time: Span = value.parse().map_err(|error: millstream_types::DurationError| error.to_string())?;
        return Ok(Limit::Time(*place, time.as_std()));
    }
    match millstream_project::nearest(name, known()) {
        Some(nearest) => Err(format!("no bound is called `{name}`: did you mean `{nearest}`?")),
        None => {
            Err(format!("no bound is called `{name}`: there are {}", known().collect::<Vec<_>>().join(", ")))
        }
    }
}

/// The server's bounds with these changed.
pub(crate) fn changed(changes: &[Limit]) -> Result<Limits, CliError> {
    let mut limits = Limits::default();
    for change in changes {
        match change {
            Limit::Count(place, count) => *place(&mut limits) = *count,
            Limit::Time(place, time) => *place(&mut limits) = *time,
        }
    }
    if limits.body_bytes > limits.buffered_bytes {
        let message = format!(
            "a body of {} would never fit into the {} of all bodies together",
            human::bytes(limits.body_bytes as u64),
            human::bytes(limits.buffered_bytes as u64),
        );
        return Err(CliError::call(message, "raise `--limit buffered_bytes=…` too".to_owned()));
    }
    Ok(limits)
}
