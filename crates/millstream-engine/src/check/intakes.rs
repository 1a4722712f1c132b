//! What a source of events is given besides what its file says: the columns of what it takes in, and when it lands.

use std::collections::BTreeMap;

use millstream_connector::{ConnectorConfig, IntakeKind, OtlpSignal};
use millstream_project::{
    CheckKind, ColumnSpec, Diagnostic, Level, Located, ProjectSpec, ScheduleSpec, SourceSpec,
};
use millstream_schedule::{Schedule, Trigger};
use millstream_types::SourceName;

/// A source of events whose contract has no column, so that nothing of an event would have a place.
const NO_COLUMNS: &str = "MS-0182";

/// A check that only the whole table can answer, beside events that are followed one by one.
const UNIQUE: &str = "MS-0181";

/// Completes the sources that take events in, and reports what cannot hold for them.
pub(super) fn complete(
    spec: &mut ProjectSpec,
    connectors: &BTreeMap<SourceName, Box<dyn ConnectorConfig>>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for source in &mut spec.sources {
        let Some(intake) = connectors.get(&source.name).and_then(|config| config.intake()) else { continue };
        if let IntakeKind::Otlp(signal) = intake.what {
            give_columns(source, signal);
        }
        if source.contract.columns.is_empty() {
            let message = "the contract has no columns, and events have no schema of their own";
            let hint = "name the fields of the events under `columns`";
            diagnostics.push(Diagnostic::error(NO_COLUMNS, message, source.at).with_hint(hint));
        }
        diagnostics.extend(unique(source));
        // A server lands events by itself, unless the file says when.
        if source.schedule.as_ref().is_none_or(|written| written.schedule.triggers.is_empty()) {
            land_by_itself(source, Trigger::Events { every: intake.commit_every });
        }
    }
}

fn land_by_itself(source: &mut SourceSpec, trigger: Trigger) {
    let written = source.schedule.get_or_insert_with(|| ScheduleSpec {
        at: source.at,
        schedule: Schedule::default(),
        after: Vec::new(),
        pools: Vec::new(),
        new_files: None,
    });
    written.schedule.triggers.push(trigger);
}

/// The columns of the signal that the contract does not name come behind those that it does.
fn give_columns(source: &mut SourceSpec, signal: OtlpSignal) {
    let (at, contract) = (source.at, &mut source.contract);
    for field in signal.columns() {
        contract.columns.entry(field.name.clone()).or_insert(ColumnSpec {
            name: field.name,
            at,
            column_type: field.column_type,
            description: None,
            pii: false,
        });
    }
    let time = match signal {
        OtlpSignal::Traces => "start",
        OtlpSignal::Logs => "time",
    };
    contract.time.get_or_insert_with(|| Located::new(time.to_owned(), at));
}

/// Uniqueness is a matter of the whole table: its rows are judged when they land, and who follows the events sees them before.
fn unique(source: &SourceSpec) -> Option<Diagnostic> {
    let checks = &source.contract.checks;
    let check = checks.iter().find(|check| matches!(check.kind, CheckKind::Unique { .. }))?;
    let message = format!(
        "`{}` holds in `{}` alone: continuous tables and features see an event before it is compared with all others",
        check.id,
        source.table()
    );
    let hint = "where they must not count an event twice, say `deduplicate` in the table, or send it with an idempotency key";
    Some(Diagnostic { level: Level::Warning, ..Diagnostic::error(UNIQUE, message, check.at).with_hint(hint) })
}
