//! What the scheduler knows of one asset.

use millstream_types::{AssetVersion, CheckId, TimestampMicros};

use super::{again::Unreached, aside::Failures};
use crate::{DueReason, ScheduledAsset, Trigger, durations::Durations};

#[derive(Debug)]
pub(super) struct Node {
    pub(super) asset: ScheduledAsset,
    pub(super) inputs: Vec<usize>,
    pub(super) users: Vec<usize>,
    /// The assets that run after this one, with the places of their triggers.
    pub(super) followers: Vec<(usize, usize)>,
    /// The asset's lane of the queue.
    pub(super) lane: usize,
    /// Whether the asset, or one that is made of it, has a trigger on freshness.
    pub(super) is_watched: bool,
    /// Whether the project does not have the asset any more; it stays while its step runs.
    pub(super) is_gone: bool,
    /// Assets that are due and wait for this one.
    pub(super) waiters: Vec<usize>,
    /// Assets that were skipped because this one did not end well.
    pub(super) skipped: Vec<usize>,
    pub(super) state: State,
}

/// What survives a reload.
#[derive(Debug)]
pub(super) struct State {
    /// One for each of the asset's triggers, in the same order.
    pub(super) triggers: Vec<TriggerState>,
    /// Whether there is a reason to run the asset, as far as the scheduler knows.
    pub(super) stale: bool,
    /// Whether a reason came up since the last step began.
    pub(super) stale_again: bool,
    pub(super) running: Option<Running>,
    pub(super) due: Option<Due>,
    /// The last step that the scheduler started, before which all that the asset reads was through with its wave.
    pub(super) cleared: Option<Cleared>,
    /// The wave of the last step, or of the last skip for a failure upstream.
    pub(super) last_wave: u64,
    /// Whether that did not end well.
    pub(super) failed: bool,
    /// The checks that halted it, if checks did.
    pub(super) halted_by: Vec<CheckId>,
    /// The last arrival before it did not end well.
    pub(super) failed_after: u64,
    /// Whether it was a skip for a failure upstream.
    pub(super) was_skipped: bool,
    pub(super) version: Option<AssetVersion>,
    pub(super) fresh_as_of: Option<TimestampMicros>,
    pub(super) durations: Durations,
    pub(super) failures: Failures,
    pub(super) unreached: Unreached,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct TriggerState {
    /// All ticks and events up to and including this instant are answered.
    pub(super) answered: TimestampMicros,
    /// All ticks and events up to and including this instant are known; those after `answered` wait for their answer.
    pub(super) seen: TimestampMicros,
    /// Ticks up to and including this instant were missed, and each gets an answer of its own.
    pub(super) missed_until: Option<TimestampMicros>,
    /// The instant of the trigger's timer.
    pub(super) timer: Option<TimestampMicros>,
    /// Whether `answered` is the instant of a tick that this process answered.
    pub(super) was_answered: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Cleared {
    pub(super) wave: u64,
    /// [`super::Scheduler::added`] at that time.
    pub(super) added: u64,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) wave: u64,
    pub(super) fresh_as_of: TimestampMicros,
    /// The lane of the queue in which the step takes its places.
    pub(super) lane: usize,
    /// The connection and the pools of the asset as they were when the step began, if there was a reload since.
    pub(super) began_with: Option<(Option<String>, Vec<String>)>,
    /// What the step was due for, if the scheduler started it.
    pub(super) started_for: Option<Due>,
}

#[derive(Debug)]
pub(super) struct Due {
    pub(super) wave: u64,
    pub(super) reasons: Vec<DueReason>,
    /// Since when the asset waits, by the scheduler's clock.
    pub(super) since: TimestampMicros,
    pub(super) priority: i8,
    pub(super) arrival: u64,
    pub(super) attempt: u32,
    /// Sources of the asset that were looked at no later than this are looked at first.
    pub(super) look_before: Option<TimestampMicros>,
    pub(super) standing: Standing,
    /// Whether it was said, or goes without saying, why the asset waits.
    pub(super) is_told: bool,
    /// Whether a start is on record that answers ticks, and of which nothing was done yet.
    pub(super) is_owed: bool,
}

/// Where an asset that is due waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has to be looked at.
    Open,
    /// It could run, and stands in the queue.
    Queued,
    /// It waits for that asset, which goes first.
    Behind(usize),
    /// It runs, and will be looked at afterwards.
    AfterRun,
    /// Its step was started, and waits until others are done with it.
    KeptAway,
    /// Its circuit is open.
    Held,
}

impl TriggerState {
    /// Nothing waits for an answer.
    pub(super) fn answered(at: TimestampMicros) -> Self {
        Self { answered: at, seen: at, missed_until: None, timer: None, was_answered: false }
    }

    pub(super) fn waits(&self) -> bool {
        self.seen > self.answered
    }
}

impl Node {
    /// Whether the asset says which checks of one that it reads it needs, and none of those that halted that one is one of them: it
    /// goes on with the version from before.
    pub(super) fn spares(&self, input: &Self) -> bool {
        let needed = self.asset.needs.get(&input.asset.id);
        let halted_by = &input.state.halted_by;
        !halted_by.is_empty()
            && needed.is_some_and(|needed| !halted_by.iter().any(|check| needed.contains(check)))
    }

    /// Whether something else than a command makes the asset run at this moment.
    pub(super) fn runs_by_itself(&self) -> bool {
        self.has_triggers() && self.state.failures.aside.is_none()
    }

    /// Whether something else than a command is to make the asset run, although it may be set aside.
    pub(super) fn has_triggers(&self) -> bool {
        !self.is_gone && self.asset.triggers.iter().any(|trigger| *trigger != Trigger::Manual)
    }

    pub(super) fn runs_on_change(&self) -> bool {
        self.asset.triggers.contains(&Trigger::OnChange) && self.state.failures.aside.is_none()
    }

    pub(super) fn is_unsettled(&self) -> bool {
        self.state.running.is_some()
            || self.state.due.is_some()
            || (self.state.stale && self.runs_by_itself())
    }
}
