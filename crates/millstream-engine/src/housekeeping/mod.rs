//! Housekeeping by itself: what `millstream maintain` does, by the schedule of the project's policy, beside runs.
//!
//! One process of a project does it at a time, the holder of the lease of [`LEASED`], a name that is no asset. Before a table is
//! compacted, its asset and those that read it are leased, for one bounded round; whoever waits for them gets them before the
//! next round. Everything else makes no version, so that nobody is in its way. A process that ends at any point leaves tables
//! as they were, or tidier, and the next attempt begins anew.
//!
//! Tables come in the order in which they were looked at last, the one that waits longest first, until the time for the whole is
//! over: see [`turns`]. Its silence is an alarm: see [`alarm`].

mod alarm;
mod due;
mod history;
mod quiet;
mod served;
mod table;
mod turns;

use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use millstream_plan::Selection;
use millstream_state::{Forgotten, HousekeepingRecord, RunEnd, RunOutcome, StateError};
use millstream_types::{AssetId, RunId, TableName, TimestampMicros};
use tokio_util::sync::CancellationToken;

use crate::{
    Engine, EngineError, Event, MaintenanceReport, Publisher,
    engine::World,
    lease::Lease,
    maintain::left_because,
    reconcile::{Scope, reconcile},
};
use due::{Due, due};
use quiet::Quiet;
use table::Tidied;
use turns::Turns;

pub use alarm::{HousekeepingAlarm, HousekeepingStatus, ToldAlarms};
pub(crate) use history::{forget, record_all_well};

/// The name that is leased by the process that does housekeeping.
pub(crate) const LEASED: &str = "housekeeping";

/// The command under which housekeeping is on record, and under which it holds leases.
pub const COMMAND: &str = "housekeeping";

/// The name of the record of housekeeping as a whole. A table's name has a dot.
const WHOLE: &str = "all";

/// The name of the record of forgetting old history.
const HISTORY: &str = "history";

/// What housekeeping did.
#[derive(Clone, Debug)]
pub struct HousekeepingReport {
    pub run: RunId,
    /// The tables to which something was done, or that were left for a reason, in the order in which they were tidied.
    pub tables: Vec<MaintenanceReport>,
    /// The tables that could not be tidied, and the history if it could not be shortened, each with the reason.
    pub failed: Vec<(String, String)>,
    /// The number of tables for which no time was left; they come first the next time.
    pub left: usize,
    pub forgotten: Forgotten,
    pub elapsed: Duration,
}

impl Engine {
    /// Does the housekeeping that is due by the project's policy. `None` when none is due, or another process is at it. Tables that
    /// cannot be tidied are left as they are and named in the report; the others are tidied all the same.
    ///
    /// # Errors
    ///
    /// The state store does not answer, another process has taken the lease, or `cancel` ended it. It is due again later.
    pub fn keep_house(
        &self,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<Option<HousekeepingReport>, EngineError>> {
        Box::pin(async move {
            if self.whole_if_due().await?.is_none() {
                return Ok(None);
            }
            let (world, events) = (self.world(), self.begin(COMMAND));
            let leased = [AssetId::new(LEASED)];
            let lease = match world.lease(COMMAND, &leased, Duration::ZERO, &events, &cancel).await {
                Ok(lease) => lease,
                // Another process is at it.
                Err(EngineError::State(StateError::Locked { .. })) => return Ok(None),
                Err(error) => return Err(error),
            };
            // The one that was at it until a moment ago may have done everything.
            let done = match self.whole_if_due().await {
                Ok(Some(whole)) => self.keep_house_leased(whole, &lease, events).await.map(Some),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            };
            lease.end().await;
            done
        })
    }

    /// The record of housekeeping as a whole, if it is due. Where nothing is recorded, that begins now.
    async fn whole_if_due(&self) -> Result<Option<HousekeepingRecord>, EngineError> {
        let (world, policy) = (self.world(), &self.project().spec.housekeeping);
        let Some(schedule) = &policy.schedule else { return Ok(None) };
        let now = world.options.clock.now();
        let whole = whole(world).await?;
        match due(schedule, whole.as_ref(), now) {
            Due::Unknown => {
                world.state.begin_housekeeping(&HousekeepingRecord::new(WHOLE, now)).await?;
                Ok(None)
            }
            Due::Later => Ok(None),
            Due::Now => Ok(whole),
        }
    }

    async fn keep_house_leased(
        &self,
        mut whole: HousekeepingRecord,
        lease: &Lease,
        events: Publisher,
    ) -> Result<HousekeepingReport, EngineError> {
        let (world, began) = (self.world(), Instant::now());
        let run = world.begin_run(COMMAND, None, world.options.clock.now(), lease).await?;
        // An attempt counts as failed until it has ended, so that a process that dies of it waits before the next one.
        whole.begun = Some(world.options.clock.now());
        whole.failures = whole.failures.saturating_add(1);
        (whole.error, whole.code) = (None, None);
        world.state.record_housekeeping(lease.token, &whole).await?;
        let mut report = HousekeepingReport {
            run: run.clone(),
            tables: Vec::new(),
            failed: Vec::new(),
            left: 0,
            forgotten: Forgotten::default(),
            elapsed: Duration::ZERO,
        };
        let done = self.tidy(lease, &events, &mut report).await;
        report.elapsed = began.elapsed();
        match &done {
            Ok(()) => (whole.ended, whole.failures) = (Some(world.options.clock.now()), 0),
            Err(error) => note_failure(&mut whole, error),
        }
        let outcome = match &done {
            Ok(()) if report.failed.is_empty() => RunOutcome::Succeeded,
            Err(EngineError::Cancelled) => RunOutcome::Cancelled,
            _ => RunOutcome::Failed,
        };
        // A server that stops in the middle of it has not failed.
        if outcome == RunOutcome::Cancelled {
            whole.failures = whole.failures.saturating_sub(1);
        }
        let finished = world.options.clock.now();
        let recorded = async {
            lease.hold().await?;
            let end = RunEnd { run: &run, finished, outcome, publishes: None, messages: &[] };
            world.state.finish_run(&end).await?;
            Ok::<_, EngineError>(world.state.record_housekeeping(lease.token, &whole).await?)
        };
        match (done, recorded.await) {
            (Ok(()), Ok(())) => Ok(report),
            (Err(error), _) | (Ok(()), Err(error)) => Err(error),
        }
    }

    /// Tidies every table, and then shortens the history.
    async fn tidy(
        &self,
        lease: &Lease,
        events: &Publisher,
        report: &mut HousekeepingReport,
    ) -> Result<(), EngineError> {
        let world = self.world();
        // Leftovers of processes that died would keep versions and disk space that nobody needs.
        reconcile(world, Scope::All).await?;
        world.clean_spill();
        let selected =
            Selection::all().resolve(&world.project.graph).map_err(millstream_plan::PlanError::from)?;
        let tables = self.tables(&selected, true).await?;
        let known: Vec<HousekeepingRecord> = world.state.housekeeping().await?;
        let mut quiet = Quiet::beside(events, world.events.subscribe());
        let at_most = world.project.spec.housekeeping.at_most;
        let turns = Turns::begin(world.options.clock.now(), at_most);
        let (mut busy, mut left) = (Vec::new(), Vec::new());
        for table in turns::in_order(&tables, &known) {
            if turns.are_over(world.options.clock.now()) {
                left.push(table);
            } else if !self.tidy_one(table, &known, &mut quiet, lease, events, report).await? {
                busy.push(table);
            }
        }
        report.left = left.len();
        if let Some(first) = left.first() {
            tracing::warn!(tables = left.len(), %first, "housekeeping had no time for all tables; these come first the next time");
        }
        // Whoever worked on these may have ended by now.
        for table in busy {
            let is_over = turns.are_over(world.options.clock.now());
            if is_over || !self.tidy_one(table, &known, &mut quiet, lease, events, report).await? {
                let because = "others were at work on it all the time".to_owned();
                self.failed(table.to_string(), &known, Failure { because, code: None }, lease, report)
                    .await?;
            }
        }
        // What is recorded of tables that are gone is about nothing any more.
        let is_gone =
            |name: &str| name.contains('.') && !tables.iter().any(|table| table.to_string() == name);
        for record in known.iter().filter(|record| is_gone(&record.name)) {
            world.state.forget_housekeeping(lease.token, &record.name).await?;
        }
        match forget(world).await {
            Ok(forgotten) => {
                report.forgotten = forgotten;
                self.well(HISTORY, &known, lease).await
            }
            Err(error @ (EngineError::State(StateError::LeaseLost) | EngineError::Cancelled)) => Err(error),
            Err(error) => self.failed(HISTORY.to_owned(), &known, Failure::of(&error), lease, report).await,
        }
    }

    /// Tidies a table and says so; false when others are at work on it.
    async fn tidy_one(
        &self,
        table: &TableName,
        known: &[HousekeepingRecord],
        quiet: &mut Quiet,
        lease: &Lease,
        events: &Publisher,
        report: &mut HousekeepingReport,
    ) -> Result<bool, EngineError> {
        lease.hold().await?;
        match self.tidy_table(table, quiet, events, &lease.cancel).await {
            Ok(Tidied::Busy(done)) => {
                done.into_iter().for_each(|done| tell_unless_idle(done, events, report));
                return Ok(false);
            }
            Ok(Tidied::Gone) => self.gone(&table.to_string(), known, lease).await?,
            Ok(Tidied::Held(because)) => {
                let failure = Failure { because, code: None };
                self.failed(table.to_string(), known, failure, lease, report).await?;
            }
            Ok(Tidied::Done(done)) => {
                self.well(&table.to_string(), known, lease).await?;
                tell_unless_idle(done, events, report);
            }
            Ok(Tidied::Foreign(left)) => {
                self.well(&table.to_string(), known, lease).await?;
                tell(left, events, report);
            }
            // The whole was told to end, or another process has taken its place.
            Err(_) if lease.cancel.is_cancelled() => return Err(lease.over().await),
            Err(error) => {
                tell(MaintenanceReport::left_alone(table, left_because(&error)), events, report);
                self.failed(table.to_string(), known, Failure::of(&error), lease, report).await?;
            }
        }
        Ok(true)
    }

    /// Records that a part is well, and when it was looked at.
    async fn well(&self, name: &str, known: &[HousekeepingRecord], lease: &Lease) -> Result<(), EngineError> {
        let now = self.world().options.clock.now();
        let since = known.iter().find(|record| record.name == name).map_or(now, |record| record.since);
        let record =
            HousekeepingRecord { begun: Some(now), ended: Some(now), ..HousekeepingRecord::new(name, since) };
        Ok(self.world().state.record_housekeeping(lease.token, &record).await?)
    }

    /// Forgets what is recorded of a table that is not there.
    async fn gone(&self, name: &str, known: &[HousekeepingRecord], lease: &Lease) -> Result<(), EngineError> {
        if known.iter().any(|record| record.name == name) {
            self.world().state.forget_housekeeping(lease.token, name).await?;
        }
        Ok(())
    }

    /// Records that a part of housekeeping failed once more.
    async fn failed(
        &self,
        name: String,
        known: &[HousekeepingRecord],
        failure: Failure,
        lease: &Lease,
        report: &mut HousekeepingReport,
    ) -> Result<(), EngineError> {
        let world = self.world();
        let now = world.options.clock.now();
        let known = known.iter().find(|record| record.name == name).cloned();
        let known = known.unwrap_or_else(|| HousekeepingRecord::new(name.as_str(), now));
        let record = HousekeepingRecord {
            begun: Some(now),
            failures: known.failures.saturating_add(1),
            error: Some(failure.because.clone()),
            code: failure.code,
            ..known
        };
        tracing::warn!(
            what = name,
            failures = record.failures,
            error = failure.because,
            "housekeeping failed"
        );
        world.state.record_housekeeping(lease.token, &record).await?;
        report.failed.push((name, failure.because));
        Ok(())
    }
}

/// Why a part of housekeeping failed, in words.
struct Failure {
    because: String,
    code: Option<String>,
}

impl Failure {
    fn of(error: &EngineError) -> Self {
        Self { because: crate::error::told(error), code: Some(error.code().to_owned()) }
    }
}

fn note_failure(record: &mut HousekeepingRecord, error: &EngineError) {
    let failure = Failure::of(error);
    (record.error, record.code) = (Some(failure.because), failure.code);
}

/// Tells of a table to which something was done, or that was left for a reason.
fn tell(done: MaintenanceReport, events: &Publisher, report: &mut HousekeepingReport) {
    events.publish(Event::TableMaintained(done.clone()));
    report.tables.push(done);
}

/// Tells of a table if something was done to it.
fn tell_unless_idle(done: MaintenanceReport, events: &Publisher, report: &mut HousekeepingReport) {
    let is_idle = done.files_compacted == 0 && done.files_deleted == 0 && done.checkpoint.is_none();
    if !is_idle {
        tell(done, events, report);
    }
}

/// The record of housekeeping as a whole.
async fn whole(world: &World) -> Result<Option<HousekeepingRecord>, EngineError> {
    let records = world.state.housekeeping().await?;
    Ok(records.into_iter().find(|record| record.name == WHOLE))
}

/// The instant that lies `age` before `now`.
fn ago(now: TimestampMicros, age: Duration) -> TimestampMicros {
    let micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
    TimestampMicros(now.0.saturating_sub(micros))
}
