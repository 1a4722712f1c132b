//! Items of `checks:` to [`CheckSpec`]s.

use std::collections::HashMap;

use millstream_types::{CheckId, Severity};

use super::{Context, check_body};
use crate::{
    CheckKind, CheckSpec, Diagnostic, Located, Location, Node, NodeKind, codes, file::CHECK_KINDS, words,
};

/// Reads checks one after another and keeps their ids apart.
pub(super) struct CheckReader<'a> {
    pub(super) context: Context<'a>,
    /// The severity of row checks that state none.
    pub(super) on_violation: Severity,
    checks: Vec<CheckSpec>,
    places: HashMap<CheckId, Location>,
}

/// What may stand beside the check itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Beside {
    pub(super) severity: Option<Located<Severity>>,
    pub(super) name: Option<Located<String>>,
}

impl<'a> CheckReader<'a> {
    pub(super) fn new(context: Context<'a>, on_violation: Severity) -> Self {
        Self { context, on_violation, checks: Vec::new(), places: HashMap::new() }
    }

    pub(super) fn finish(self) -> Vec<CheckSpec> {
        self.checks
    }

    /// One item of `checks:`.
    pub(super) fn item(&mut self, item: &Node) {
        let faults = self.context.faults;
        let NodeKind::Map(entries) = &item.kind else {
            let message = format!("expected a check, found {}", item.describe());
            let hint = "write a mapping with one check: `- not_null: order_id`";
            return self.context.error(codes::WRONG_CHECK, message, item.at, hint);
        };
        let mut beside = Beside::default();
        let mut bodies = Vec::new();
        let mut is_faulty = false;
        for (key, value) in entries {
            match key.value.as_str() {
                "severity" => beside.severity = faults.decode_at(value, key.at),
                "name" => beside.name = faults.decode_at(value, key.at),
                kind if CHECK_KINDS.contains(&kind) => bodies.push((key, value)),
                _ => {
                    is_faulty = true;
                    let message = format!("unknown check `{key}`");
                    let mut diagnostic = Diagnostic::error(codes::UNKNOWN_KEY, message, key.at);
                    diagnostic.hint = words::hint(key, CHECK_KINDS.into_iter().chain(["severity", "name"]));
                    faults.push(diagnostic);
                }
            }
        }
        match bodies.as_slice() {
            [(key, body)] => {
                let kinds = check_body::read(&self.context, key, body);
                let several = kinds.len() > 1;
                for kind in kinds {
                    self.add(kind, &beside, several, key.at);
                }
            }
            [] if is_faulty => {}
            [] => {
                let hint = format!("add one of {}", CHECK_KINDS.join(", "));
                self.context.error(codes::WRONG_CHECK, "this item checks nothing", item.at, hint);
            }
            [_, (second, _), ..] => {
                let message = format!("a second check, `{second}`, in one item");
                self.context.error(codes::WRONG_CHECK, message, second.at, "start a new item with `- `");
            }
        }
    }

    /// Adds a check under its name, or under kind and columns.
    pub(super) fn add(&mut self, kind: CheckKind, beside: &Beside, several: bool, at: Location) {
        let severity = match (&beside.severity, kind.is_row_check()) {
            (Some(severity), false) if severity.value == Severity::Quarantine => {
                let message = "a check on the whole table cannot quarantine rows";
                let hint = "use `severity: warn` or `severity: halt`";
                return self.context.error(codes::TABLE_CHECK_SEVERITY, message, severity.at, hint);
            }
            (Some(severity), _) => severity.value,
            (None, true) => self.on_violation,
            (None, false) => Severity::Halt,
        };
        let id = match &beside.name {
            None => id(&kind),
            Some(name) if !is_check_name(name) => {
                let message = format!("`{name}` is no name for a check");
                let hint = "use letters, digits, `_`, `-` and spaces";
                return self.context.error(codes::WRONG_NAME, message, name.at, hint);
            }
            Some(name) if several => CheckId::new(&format!("{name}({})", column_names(&kind).join(", "))),
            Some(name) => CheckId::new(name),
        };
        if let Some(first) = self.places.get(&id) {
            let line = self.line(*first);
            self.context.faults.push(
                Diagnostic::error(codes::DUPLICATE_CHECK, format!("the check `{id}` is given twice"), at)
                    .with_label(format!("first given in line {line}"))
                    .with_hint("remove one of the two, or give this one a `name`"),
            );
            return;
        }
        self.places.insert(id.clone(), at);
        self.checks.push(CheckSpec { id, severity, kind, at });
    }

    fn line(&self, at: Location) -> usize {
        self.context.text.bytes().take(at.start).filter(|byte| *byte == b'\n').count() + 1
    }
}

/// Whether a check can have the name; brackets are left to the ids that are made.
fn is_check_name(name: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ');
    !name.trim().is_empty() && name.chars().all(fits)
}

/// The id `kind(columns)`, which stays the same as long as the check does.
pub(super) fn id(kind: &CheckKind) -> CheckId {
    let name = match kind {
        CheckKind::NotNull { .. } => "not_null",
        CheckKind::Unique { .. } => "unique",
        CheckKind::Range { .. } => "range",
        CheckKind::Length { .. } => "length",
        CheckKind::OneOf { .. } => "one_of",
        CheckKind::Pattern { .. } => "pattern",
        CheckKind::Relationship { .. } => "relationship",
        CheckKind::RowCount { .. } => "row_count",
        CheckKind::Freshness { .. } => "freshness",
        CheckKind::Completeness { .. } => "completeness",
        CheckKind::DistinctCount { .. } => "distinct_count",
        CheckKind::Mean { .. } => "mean",
        CheckKind::Quantile { column, quantile, .. } => {
            return CheckId::new(&format!("quantile({column}, {quantile})"));
        }
        CheckKind::Expression { sql } => {
            let words: Vec<&str> = sql.split_whitespace().collect();
            return CheckId::new(&format!("expression({})", words.join(" ")));
        }
    };
    let columns = column_names(kind);
    if columns.is_empty() {
        CheckId::new(name)
    } else {
        CheckId::new(&format!("{name}({})", columns.join(", ")))
    }
}

fn column_names(kind: &CheckKind) -> Vec<&str> {
    match kind {
        CheckKind::Unique { columns } => columns.iter().map(|column| column.value.as_str()).collect(),
        CheckKind::NotNull { column }
        | CheckKind::Range { column, .. }
        | CheckKind::Length { column, .. }
        | CheckKind::OneOf { column, .. }
        | CheckKind::Pattern { column, .. }
        | CheckKind::Relationship { column, .. }
        | CheckKind::Completeness { column, .. }
        | CheckKind::DistinctCount { column, .. }
        | CheckKind::Mean { column, .. }
        | CheckKind::Quantile { column, .. } => vec![column.value.as_str()],
        CheckKind::Freshness { column, .. } => column.iter().map(|column| column.value.as_str()).collect(),
        CheckKind::Expression { .. } | CheckKind::RowCount { .. } => Vec::new(),
    }
}
