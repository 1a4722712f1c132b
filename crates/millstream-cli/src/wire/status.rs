//! `status --json`.

use std::time::Duration;

use millstream_api::{
    catalog::{AssetState, IntakeState, StatusDocument, Writer},
    failures::{AsideState, BreakerState, ConnectionState, RepairInfo, StaleMark},
    housekeeping::{HousekeepingAlarm, HousekeepingState},
    pipelines::PipelineInfo,
    project::FailedReload,
    runs::{CheckResult, LastRun},
};
use millstream_engine::{AssetStatus, HousekeepingStatus, IntakeStatus, Status};
use millstream_state::{BreakerRecord, Holder, RunRecord};
use millstream_types::{AssetVersion, TimestampMicros};

use super::Of;
use crate::standing::{Standing, between};

impl Of<&Status> for StatusDocument {
    fn of(status: &Status) -> Self {
        let last_run = status.last_run.as_ref().map(LastRun::of);
        let aside = status.aside.iter();
        let aside =
            aside.map(|(asset, aside)| AsideState { asset: asset.to_string(), since: instant(aside.since) });
        Self {
            last_run,
            housekeeping: status.housekeeping.as_ref().map(HousekeepingState::of),
            failed_reload: status.failed_reload.as_ref().map(FailedReload::of),
            assets: status.assets.iter().map(AssetState::of).collect(),
            held: status.held.iter().map(ConnectionState::of).collect(),
            set_aside: aside.collect(),
            repairs: status.repairs.iter().map(RepairInfo::of).collect(),
            pipelines: status.pipelines.iter().map(|seen| PipelineInfo::of(&seen.status)).collect(),
            intakes: status.intakes.iter().map(|intake| intake_state(intake, status.now)).collect(),
            breakers: status.breakers.iter().map(BreakerState::of).collect(),
        }
    }
}

fn intake_state(intake: &IntakeStatus, now: TimestampMicros) -> IntakeState {
    let waits = intake.lag_since.map_or(Duration::ZERO, |since| between(since, now));
    IntakeState {
        source: intake.source.to_string(),
        events: intake.events,
        lag_events: intake.lag_events,
        lag_seconds: waits.as_secs_f64(),
        log_bytes: intake.bytes,
        damage: intake.damage.clone(),
    }
}

impl Of<&BreakerRecord> for BreakerState {
    fn of(breaker: &BreakerRecord) -> Self {
        Self {
            source: breaker.source.to_string(),
            since: instant(breaker.opened),
            rows: breaker.rows,
            rejected: breaker.rejected,
            because: breaker.examples.clone(),
        }
    }
}

impl Of<&HousekeepingStatus> for HousekeepingState {
    fn of(status: &HousekeepingStatus) -> Self {
        let alarm = |alarm: &millstream_engine::HousekeepingAlarm| HousekeepingAlarm {
            message: alarm.message.clone(),
            hint: alarm.hint.clone(),
        };
        Self {
            last: status.last.map(instant),
            next: status.next.map(instant),
            alarms: status.alarms.iter().map(alarm).collect(),
        }
    }
}

impl Of<&millstream_state::FailedReload> for FailedReload {
    fn of(failed: &millstream_state::FailedReload) -> Self {
        let millstream_state::FailedReload { at, code, message, hint } = failed.clone();
        Self { at: instant(at), code, message, hint }
    }
}

impl Of<&RunRecord> for LastRun {
    fn of(run: &RunRecord) -> Self {
        Self {
            run: run.run.to_string(),
            command: run.command.clone(),
            asked: run.asked.map(instant),
            started: instant(run.started),
            finished: run.finished.map(instant),
            outcome: run.outcome.map(|outcome| outcome.as_str()),
        }
    }
}

impl Of<&AssetStatus> for AssetState {
    fn of(asset: &AssetStatus) -> Self {
        let recorded = asset.recorded.as_ref();
        let standing = Standing::of(asset);
        let state = match standing {
            Standing::View | Standing::NeverBuilt => None,
            Standing::Built | Standing::Stale(_) | Standing::Incomplete(_) => Some("built"),
            Standing::Halted(_) => Some("halted"),
            Standing::Failed(_) => Some("failed"),
            Standing::Unreadable(_) => Some("unreadable"),
        };
        let trouble = standing.trouble().map(|(_, trouble)| trouble);
        Self {
            asset: asset.asset.to_string(),
            kind: asset.kind.as_str(),
            version: recorded.and_then(|recorded| recorded.version).map(AssetVersion::number),
            published: asset
                .published
                .filter(|published| recorded.is_some_and(|recorded| recorded.version != Some(*published)))
                .map(AssetVersion::number),
            rows: recorded.and_then(|recorded| recorded.rows),
            built_at: recorded.map(|recorded| instant(recorded.built_at)),
            state,
            message: trouble.map(|trouble| trouble.reason.to_owned()),
            hint: trouble.and_then(|trouble| trouble.hint).map(str::to_owned),
            stale: asset.stale.as_ref().map(StaleMark::of),
            checks: asset
                .checks
                .iter()
                .map(|check| CheckResult {
                    check: check.check.to_string(),
                    severity: check.severity.as_str(),
                    passed: check.passed,
                    failed: check.failed,
                    observed: check.observed.clone(),
                    message: None,
                })
                .collect(),
            written_by: asset.lease.as_ref().map(|lease| Writer::of(&lease.holder)),
        }
    }
}

impl Of<&Holder> for Writer {
    fn of(holder: &Holder) -> Self {
        Self {
            command: holder.command.clone(),
            pid: holder.pid,
            host: holder.host.clone(),
            started: instant(holder.started),
        }
    }
}

/// The time as text by RFC 3339, in UTC, to the microsecond.
pub(crate) fn instant(time: TimestampMicros) -> String {
    chrono::DateTime::from_timestamp_micros(time.0)
        .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
        .unwrap_or_default()
}
