//! The `key` of a contract, and what `landing: merge` asks of it.

use millstream_types::Severity;

use super::{Context, check};
use crate::{CheckKind, CheckSpec, Diagnostic, LandingMode, Located, codes, decode::OneOrMany, words};

/// A contract's key as it is written.
pub(super) type WrittenKey = Located<OneOrMany<Located<String>>>;

/// The way in which a source lands; merging needs a key to merge by.
pub(super) fn mode(
    context: &Context<'_>,
    written: Option<&Located<LandingMode>>,
    key: Option<&WrittenKey>,
    is_faulty: bool,
) -> LandingMode {
    let Some(written) = written else { return LandingMode::default() };
    let has_key = key.is_some_and(|key| !key.value.0.is_empty());
    if written.value == LandingMode::Merge && !has_key && !is_faulty {
        let message = "`landing: merge` needs the `key` by which rows are merged";
        context.error(codes::WRONG_LANDING, message, written.at, "add `key: order_id` to the contract");
    }
    written.value
}

/// What a key is a promise about.
pub(super) struct Promise<'a> {
    pub(super) mode: LandingMode,
    /// The names of the contract's columns, for hints.
    pub(super) names: &'a [&'a str],
    /// Whether the contract has a column of the name, even a faulty one.
    pub(super) is_column: &'a dyn Fn(&str) -> bool,
    pub(super) on_violation: Severity,
}

/// The key's columns, each named once and known. What a key promises is added to `checks`: that no part of it is null, and,
/// as `unique`, that no two rows have the same.
pub(super) fn key(
    context: &Context<'_>,
    written: Option<WrittenKey>,
    promise: &Promise<'_>,
    checks: &mut Vec<CheckSpec>,
) -> Vec<Located<String>> {
    let Some(written) = written else { return Vec::new() };
    let mut key: Vec<Located<String>> = Vec::new();
    for column in written.value.0 {
        if key.iter().any(|before| before.value == column.value) {
            let message = format!("the key names `{column}` twice");
            context.error(codes::WRONG_LANDING, message, column.at, "remove one of the two");
        } else if !(promise.is_column)(&column) {
            let message = format!("the key names a column `{column}` that the contract does not have");
            let mut unknown = Diagnostic::error(codes::UNKNOWN_COLUMN, message, column.at);
            unknown.hint = words::hint(&column, promise.names.iter().copied());
            context.faults.push(unknown);
        } else {
            key.push(column);
        }
    }
    if key.is_empty() {
        return key;
    }
    let severity = promise.on_violation.max(Severity::Quarantine);
    for column in &key {
        let is_of_column = |check: &&mut CheckSpec| matches!(&check.kind, CheckKind::NotNull { column: of } if of.value == column.value);
        match checks.iter_mut().find(is_of_column) {
            // A row without its key could neither be found again nor replaced.
            Some(known) => known.severity = known.severity.max(Severity::Quarantine),
            None => checks.push(implied(CheckKind::NotNull { column: column.clone() }, severity, column)),
        }
    }
    let is_key = |columns: &[Located<String>]| {
        columns.len() == key.len() && key.iter().all(|column| holds(columns, column))
    };
    if !checks.iter().any(|check| matches!(&check.kind, CheckKind::Unique { columns } if is_key(columns))) {
        let unique = CheckKind::Unique { columns: key.clone() };
        checks.extend(key.first().map(|first| implied(unique, promise.on_violation, first)));
    }
    if promise.mode == LandingMode::Merge {
        refuse_other_keys(context, &key, checks);
    }
    key
}

/// Refuses unique checks that leave out a column of the key: while rows come, those that one key replaces cannot be
/// told apart by another.
fn refuse_other_keys(context: &Context<'_>, key: &[Located<String>], checks: &[CheckSpec]) {
    for check in checks {
        let CheckKind::Unique { columns } = &check.kind else { continue };
        if !key.iter().all(|column| holds(columns, column)) {
            let message = format!(
                "`{}` cannot be judged while rows are merged by another key: the row with the same value may be about to \
                 change",
                check.id
            );
            let hint = "check it in a SQL table that reads this source";
            context.error(codes::WRONG_LANDING, message, check.at, hint);
        }
    }
}

fn holds(columns: &[Located<String>], column: &Located<String>) -> bool {
    columns.iter().any(|other| other.value == column.value)
}

fn implied(kind: CheckKind, severity: Severity, column: &Located<String>) -> CheckSpec {
    CheckSpec { id: check::id(&kind), severity, kind, at: column.at }
}
