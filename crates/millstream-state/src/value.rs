//! Conversions between Rust's types and the values of columns.

use std::time::Duration;

use millstream_types::Severity;

use crate::{StateError, StepFigures};

/// Counts beyond the range of a column are kept as its largest value.
pub(crate) fn count_in(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(crate) fn count_out(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

pub(crate) fn duration_in(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

pub(crate) fn duration_out(micros: i64) -> Duration {
    Duration::from_micros(count_out(micros))
}

/// The member of `all` whose word is `word`.
pub(crate) fn word_out<T: Copy>(
    what: &'static str,
    word: &str,
    all: &[T],
    as_str: fn(T) -> &'static str,
) -> Result<T, StateError> {
    all.iter()
        .copied()
        .find(|value| as_str(*value) == word)
        .ok_or_else(|| StateError::Value { what, value: word.into() })
}

pub(crate) fn severity_out(word: &str) -> Result<Severity, StateError> {
    word_out("a severity", word, &[Severity::Warn, Severity::Quarantine, Severity::Halt], Severity::as_str)
}

/// A value that was stored as text and no longer parses.
pub(crate) fn unknown(what: &'static str, value: impl Into<String>) -> StateError {
    StateError::Value { what, value: value.into() }
}

pub(crate) fn figures_in(figures: &StepFigures) -> Result<String, StateError> {
    serde_json::to_string(figures).map_err(|error| unknown("a step's figures", error.to_string()))
}

pub(crate) fn figures_out(text: &str) -> Result<StepFigures, StateError> {
    serde_json::from_str(text).map_err(|_| unknown("a step's figures", text))
}
