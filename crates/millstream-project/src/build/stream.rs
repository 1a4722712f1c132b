//! `stream` in the header of a continuous table.

use std::num::NonZeroU64;

use millstream_types::Span;

use super::{Context, steps::some_time};
use crate::{
    DeduplicateSpec, Located, StreamSpec, codes,
    decode::Written,
    file::{DeduplicateFile, StreamFile},
};

const DISORDER: Span = Span::from_ms(5_000);
const IDLE_AFTER: Span = Span::from_ms(30_000);
const COMMIT_EVERY: Span = Span::from_ms(10_000);
const COMMIT_ROWS: NonZeroU64 = NonZeroU64::new(1_000_000).unwrap();

/// What the header says of the table, with the house's values for what it does not say.
pub(super) fn stream(
    context: &Context<'_>,
    file: Option<&Located<StreamFile>>,
    key: Vec<Located<String>>,
) -> StreamSpec {
    let absent = StreamFile::default();
    let file = file.map_or(&absent, |file| &file.value);
    let span = |written: &Option<Located<Written<Span>>>| written.as_ref().map(|written| written.value.0);
    let some = |name: &str, written: &Option<Located<Written<Span>>>| {
        written.as_ref().and_then(|written| some_time(context, name, written))
    };
    let commit_rows = file.commit_rows.as_ref().and_then(|rows| {
        let number = NonZeroU64::new(rows.value);
        if number.is_none() {
            let message = "`commit_rows: 0` would commit nothing";
            context.error(codes::WRONG_MATERIALIZE, message, rows.at, "write at least 1");
        }
        number
    });
    StreamSpec {
        key,
        disorder: span(&file.disorder).unwrap_or(DISORDER),
        lateness: span(&file.lateness).unwrap_or(Span::from_ms(0)),
        idle_after: Some(some("idle_after", &file.idle_after).unwrap_or(IDLE_AFTER)),
        deduplicate: file.deduplicate.as_ref().and_then(|file| deduplicate(context, file)),
        commit_every: some("commit_every", &file.commit_every).unwrap_or(COMMIT_EVERY),
        commit_rows: commit_rows.unwrap_or(COMMIT_ROWS),
    }
}

fn deduplicate(context: &Context<'_>, file: &DeduplicateFile) -> Option<DeduplicateSpec> {
    let by = file.by.value.0.clone();
    if by.is_empty() {
        let message = "`deduplicate` names no column";
        context.error(codes::WRONG_MATERIALIZE, message, file.by.at, "write `by: event_id`");
        return None;
    }
    Some(DeduplicateSpec { by, within: some_time(context, "within", &file.within)? })
}
