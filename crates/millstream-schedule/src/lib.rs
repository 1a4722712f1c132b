//! When assets are due, and which of them start now: the heart of a scheduler, without a clock.
//!
//! May touch: types. Must not: do IO, read a clock, start a thread, or know what a step does.
//!
//! The way through: [`ScheduledAsset`]s with their [`Trigger`]s and what is [recorded](RecordedAsset) of them →
//! [`Scheduler::restore`]. From then on the caller tells what happens, with the present instant: [`Scheduler::tick`] when
//! [`Scheduler::next_wake`] has come, [`Scheduler::committed`], [`Scheduler::ended`] and so on. Each call returns
//! [`Decision`]s. The caller records them in one transaction, together with what it told, and then acts on them.
//!
//! ```text
//! let (mut scheduler, mut decisions) = Scheduler::restore(assets, &limits, &recorded, now)?;
//! loop {
//!     record(&told, &decisions);      // one transaction: what was told, and what was decided
//!     act(&decisions);                // begin the steps of each `Start`, list the source of each `Look`
//!     told = next_to_tell(scheduler.next_wake());
//!     decisions = match told {
//!         Told::Wake => scheduler.tick(now),
//!         Told::Committed(asset, version) => scheduler.committed(&asset, version, now),
//!         Told::Ended(asset, ending, took) => scheduler.ended(&asset, ending, took, now),
//!         Told::Webhook(name) => scheduler.triggered(&name, now), // acknowledged when recorded
//!         …
//!     };
//! }
//! ```
//!
//! A process that ends in an orderly way tells nothing of the steps that it breaks off: the next one starts them once more. Steps
//! of one [`Start`] may run as one run; each of them is told when it ends.
//!
//! Steps may run in other processes too. Those go on when the process ends that schedules ([`RecordedAsset::goes_on`]), and are
//! told with [`Scheduler::interrupted`] when their own does.
//!
//! # What holds
//!
//! - Each tick is answered exactly once: by a step, alone or with others, or by a skip, over any crash.
//! - The steps of one asset never overlap. What comes while one runs is answered by one step afterwards.
//! - No more steps run than [`Limits`] say, of all, by connection and by pool.
//! - What an asset reads goes first where it runs, is due or is stale, and nothing that is up to date runs.
//! - While a circuit is open, no step that asks its place starts; when its wait is over, one step does.
//! - An asset that was set aside holds up nothing: what reads it goes on with what it holds.
//! - Nothing waits for ever. An asset waits for the waves that began before it was due, never for later ones.
//! - Work is done for what has changed, and never for all assets. Only the clock going back by more than
//!   [`CLOCK_BACK_MAX`] and a reload look at each asset.
//! - Equal calls give equal decisions.
//!
//! # Waves
//!
//! A wave is a tick or an event with all the work that follows from it. An asset of a wave waits until everything it reads is
//! through with that wave and with earlier ones. So a table that joins two others runs once when a source that both are made of
//! has new rows, and what a wave leaves behind belongs together.

mod asset;
mod calendar;
mod circuit;
mod cron;
mod decision;
mod durations;
mod error;
mod graph;
mod ordered;
mod queue;
mod record;
mod retrying;
mod schedule;
mod scheduler;
mod share;
mod sla;
mod timers;
mod trigger;

pub use asset::{Limits, ScheduledAsset};
pub use calendar::{Calendar, CalendarError, PartitionGrain};
pub use circuit::{Circuit, CircuitChange, CircuitPolicy, CircuitState, OpenCircuit};
pub use cron::{CronError, CronLine};
pub use decision::{
    Answer, Decision, DueReason, Ending, HoldReason, ResumeReason, SOURCE_CIRCUIT, SkipReason, Start,
    StartedStep, circuit_words, shown,
};
pub use error::ScheduleError;
pub use ordered::ordered;
pub use queue::{AGEING, RESERVE_AFTER};
pub use record::{GoesOn, RecordedAside, RecordedAsset, RecordedAttempt, RecordedTrigger};
pub use retrying::{RetryBudget, Retrying, full_jitter};
pub use schedule::Schedule;
pub use scheduler::{ATTEMPTS_MAX, CATCH_UP_MAX, CLOCK_BACK_MAX, LATE_MAX, REASONS_MAX, Scheduler, Upcoming};
pub use share::{Claimant, OfferedStep, claims};
pub use sla::{
    Breach, CalendarDay, DayState, Deadline, DeadlineError, Promise, PromiseState, Sla, SlaChange, SlaFacts,
    SlaWatch, WatchedPromise, WeekDays, calendar,
};
pub use trigger::{CatchUp, Trigger, TriggerError};
