//! Backfills as people read them.

use std::{fmt::Write, time::Duration};

use millstream_engine::{BackfillPreview, BackfillRecord, BackfillStatus};
use millstream_types::TimestampMicros;

use crate::{
    human,
    output::{BAD, CAUTION, COMMAND, FAINT, GOOD, STRONG, styled},
};

/// What a backfill would do.
pub(super) fn preview(preview: &BackfillPreview) -> String {
    let mut text = format!("{}\n", styled(STRONG, &preview.asset));
    let Some((first, last)) = &preview.bounds else {
        let skipped = human::count(preview.skipped, "partition");
        let said =
            if preview.skipped > 0 { format!("{skipped} built already") } else { "none is known".into() };
        let _ = writeln!(text, "  nothing to build: {said}");
        return text;
    };
    let range = if first == last { first.clone() } else { format!("{first} to {last}") };
    let _ = writeln!(text, "  partitions  {}, {range}", human::thousands(preview.partitions));
    if preview.skipped > 0 {
        let _ = writeln!(text, "  skipped     {} built already", human::thousands(preview.skipped));
    }
    let side = if preview.parallel > 1 { format!(", {} at once", preview.parallel) } else { String::new() };
    let _ = writeln!(text, "  chunks      {}{side}", human::thousands(preview.chunks));
    let rows = preview.rows.map_or_else(
        || "not known before a partition was built".to_owned(),
        |rows| format!("about {}", human::thousands(rows)),
    );
    let _ = writeln!(text, "  rows        {rows}");
    let takes = preview.takes.map_or_else(
        || "not known before a partition was built".to_owned(),
        |takes| format!("about {}", human::duration(takes)),
    );
    let _ = writeln!(text, "  takes       {takes}");
    let cost = preview.cost.as_ref().map_or_else(
        || "unknown: it needs `prices` in `millstream.yaml`, and a step that was measured".to_owned(),
        |cost| match cost.total() {
            0 => format!("less than {}", human::money(1, &cost.currency)),
            total => format!("about {}", human::money(total, &cost.currency)),
        },
    );
    let _ = writeln!(text, "  cost        {cost}");
    text
}

/// How far a backfill has come.
pub(super) fn backfill(record: &BackfillRecord) -> String {
    let (done, wanted) = (human::thousands(record.done.len()), record.wanted.len());
    let status = status(record);
    let mut text = format!("{status} {}  {done} of {}\n", record.id, human::count(wanted, "partition"));
    if !matches!(record.status, BackfillStatus::Finished) {
        let resume = styled(COMMAND, format!("millstream backfill --resume {}", record.id));
        let _ = writeln!(text, "  go on with {resume}");
    }
    text
}

/// The backfills, a line each.
pub(super) fn list(records: &[BackfillRecord], now: TimestampMicros) -> String {
    let mut text = String::new();
    for record in records {
        let age = u64::try_from(now.0.saturating_sub(record.started.0)).unwrap_or(0);
        let age = human::ago(Duration::from_micros(age));
        let (done, wanted) =
            (human::thousands(record.done.len()), human::count(record.wanted.len(), "partition"));
        let failed = record.failed.len();
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        let _ = writeln!(
            text,
            "{} {}  {}  {done} of {wanted}{failed}  {}",
            status(record),
            record.id,
            record.asset,
            styled(FAINT, age)
        );
    }
    text
}

fn status(record: &BackfillRecord) -> String {
    let style = match record.status {
        BackfillStatus::Finished => GOOD,
        BackfillStatus::Failed => BAD,
        BackfillStatus::Open | BackfillStatus::Cancelled => CAUTION,
    };
    styled(style, record.status.as_str())
}
