//! What is wrong with housekeeping itself. Small files and old versions pile up without a word, and cost more each day, so that
//! housekeeping that fails or does not run is told of in `status` and in the log.

use futures::future::BoxFuture;
use millstream_schedule::Trigger;
use millstream_state::HousekeepingRecord;
use millstream_types::TimestampMicros;

use super::{HISTORY, WHOLE, due::last};
use crate::{Engine, EngineError};

/// After so many attempts in a row that did not end well, there is an alarm.
const FAILURES_MAX: u32 = 3;

/// How long after the second tick that nobody answered the alarm comes, in microseconds: housekeeping itself takes a while, and a server may
/// just have started.
const LATE_MAX: i64 = 6 * 60 * 60 * 1_000_000;

/// How housekeeping goes, in a project that a server has tidied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HousekeepingStatus {
    /// The last time at which it ended well.
    pub last: Option<TimestampMicros>,
    /// The next time at which it is due.
    pub next: Option<TimestampMicros>,
    pub alarms: Vec<HousekeepingAlarm>,
}

/// Something that stays untidy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HousekeepingAlarm {
    /// What is wrong, in a sentence without its full stop.
    pub message: String,
    pub hint: String,
}

impl Engine {
    /// How housekeeping goes; `None` when the project has turned it off, or no server has ever run it.
    pub fn housekeeping(&self) -> BoxFuture<'_, Result<Option<HousekeepingStatus>, EngineError>> {
        Box::pin(async move {
            let Some(schedule) = &self.project().spec.housekeeping.schedule else { return Ok(None) };
            let records = self.world().state.housekeeping().await?;
            Ok(status(schedule, &records, self.now()))
        })
    }
}

/// What the records say at the time `now`.
fn status(
    schedule: &Trigger,
    records: &[HousekeepingRecord],
    now: TimestampMicros,
) -> Option<HousekeepingStatus> {
    let whole = records.iter().find(|record| record.name == WHOLE)?;
    let failing = records.iter().filter(|record| record.failures >= FAILURES_MAX);
    let late = is_late(schedule, whole, now).then(|| late(whole, now));
    Some(HousekeepingStatus {
        last: whole.ended,
        next: schedule.next_after(last(whole)),
        alarms: late.into_iter().chain(failing.map(of_failures)).collect(),
    })
}

/// Whether two ticks went by, and some hours more, without an end.
fn is_late(schedule: &Trigger, whole: &HousekeepingRecord, now: TimestampMicros) -> bool {
    let Some(first) = schedule.next_after(last(whole)) else { return false };
    let Some(second) = schedule.next_after(first) else { return false };
    now.0 > second.0.saturating_add(LATE_MAX)
}

fn late(whole: &HousekeepingRecord, now: TimestampMicros) -> HousekeepingAlarm {
    let ago = |from: TimestampMicros| span(now.0.saturating_sub(from.0));
    let since = match whole.ended {
        Some(ended) => format!("housekeeping last ended well {} ago", ago(ended)),
        None => format!("housekeeping has never ended well in {}", ago(whole.since)),
    };
    HousekeepingAlarm {
        message: format!("{since}; small files and old versions pile up"),
        hint: "let `millstream serve` run, or run `millstream maintain`".to_owned(),
    }
}

/// A span of so many microseconds, in hours, or in days from two of them on.
fn span(micros: i64) -> String {
    let hours = micros / 3_600_000_000;
    match (hours / 24, hours) {
        (2.., _) => format!("{} days", hours / 24),
        (_, 1) => "1 hour".to_owned(),
        _ => format!("{hours} hours"),
    }
}

fn of_failures(record: &HousekeepingRecord) -> HousekeepingAlarm {
    let what = match record.name.as_str() {
        WHOLE => "housekeeping".to_owned(),
        HISTORY => "forgetting old runs".to_owned(),
        table => format!("tidying `{table}`"),
    };
    let error = record.error.as_deref().unwrap_or("the process ended in the middle of it");
    let hint = match record.name.as_str() {
        WHOLE | HISTORY => "the log of `millstream serve` says more".to_owned(),
        _ => "`millstream maintain` tries it now, and says more".to_owned(),
    };
    HousekeepingAlarm { message: format!("{what} failed {} times in a row: {error}", record.failures), hint }
}
