//! What is wrong with housekeeping itself. Small files and old versions pile up without a word, and cost more each day, so that
//! housekeeping that fails or does not run is told of in `status` and in the log.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use millstream_schedule::Trigger;
use millstream_state::HousekeepingRecord;
use millstream_types::TimestampMicros;

use super::{COMMAND, HISTORY, WHOLE, due::last};
use crate::{Engine, EngineError, Event};

/// After so many attempts in a row that did not end well, there is an alarm.
const FAILURES_MAX: u32 = 3;

/// How long after the second tick that nobody answered the alarm comes, in microseconds: housekeeping itself takes a while, and a server may
/// just have started.
const LATE_MAX: i64 = 6 * 60 * 60 * 1_000_000;

/// What an alarm is about that says that housekeeping does not run at all.
const LATE: &str = "housekeeping that is due";

/// The alarms of housekeeping that this process has told of, by what they are about.
#[derive(Debug, Default)]
pub struct ToldAlarms(BTreeSet<String>);

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
    /// What it is about: a table, `housekeeping` as a whole, or its `history`.
    pub about: String,
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

    /// Tells the alarms of housekeeping that are new since `told`, and the all-clear of those that are over: once each.
    pub fn tell_housekeeping<'a>(
        &'a self,
        told: &'a mut ToldAlarms,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let alarms = self.housekeeping().await?.map(|status| status.alarms).unwrap_or_default();
            let (new, over) = told.take(&alarms);
            if new.is_empty() && over.is_empty() {
                return Ok(());
            }
            let events = self.begin(COMMAND);
            for HousekeepingAlarm { about, message, hint } in new {
                tracing::warn!(about, hint, "{message}");
                let message = format!("{message}; {hint}");
                events.publish(Event::Alarm { about, message, is_over: false });
            }
            for about in over {
                let message = format!("{about} is tidied again");
                tracing::info!("{message}");
                events.publish(Event::Alarm { about, message, is_over: true });
            }
            Ok(())
        })
    }
}

impl ToldAlarms {
    /// Takes over the alarms that there are now: those that are new, and what those were about that are over.
    fn take(&mut self, alarms: &[HousekeepingAlarm]) -> (Vec<HousekeepingAlarm>, Vec<String>) {
        let new = alarms.iter().filter(|alarm| !self.0.contains(&alarm.about)).cloned().collect();
        let now: BTreeSet<String> = alarms.iter().map(|alarm| alarm.about.clone()).collect();
        let over = self.0.difference(&now).cloned().collect();
        self.0 = now;
        (new, over)
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
        about: LATE.to_owned(),
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
    let about = if record.name == WHOLE { COMMAND.to_owned() } else { record.name.clone() };
    HousekeepingAlarm {
        about,
        message: format!("{what} failed {} times in a row: {error}", record.failures),
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_alarm_is_told_once_and_its_end_once() {
        let alarm = |about: &str| HousekeepingAlarm {
            about: about.to_owned(),
            message: String::new(),
            hint: String::new(),
        };
        let mut told = ToldAlarms::default();
        let mut take = |alarms: &[&str]| {
            let alarms: Vec<_> = alarms.iter().map(|about| alarm(about)).collect();
            let (new, over) = told.take(&alarms);
            (new.into_iter().map(|alarm| alarm.about).collect::<Vec<_>>(), over)
        };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(take(&[]), (vec![], vec![]));
        assert_eq!(take(&["a.b", "c.d"]), (words(&["a.b", "c.d"]), vec![]));
        assert_eq!(take(&["a.b", "c.d"]), (vec![], vec![]));
        assert_eq!(take(&["c.d", "e.f"]), (words(&["e.f"]), words(&["a.b"])));
        assert_eq!(take(&[]), (vec![], words(&["c.d", "e.f"])));
    }
}
