//! What has to outlive the process, so that each tick is answered exactly once over crashes.

use millstream_types::{AssetId, Fingerprint, Span, TimestampMicros};

use crate::{Answer, Decision, Ending, Trigger, durations::DURATIONS_MAX};

/// What is recorded of one asset.
///
/// The caller keeps it in its store and changes it with [`Self::apply`] and [`Self::ended`], or in a way that has the same effect,
/// in one transaction for each call of the scheduler. `stale` and `goes_on` are not recorded but found out when the process begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedAsset {
    pub asset: AssetId,
    pub triggers: Vec<RecordedTrigger>,
    /// The attempt at the asset's step that was started and of which no end is recorded.
    pub running: Option<RecordedAttempt>,
    /// How that attempt goes on in another process, so that it was not interrupted.
    pub goes_on: Option<GoesOn>,
    /// Whether the plan has a reason to run the asset: its definition, its inputs' versions or its last attempt.
    pub stale: bool,
    /// What the asset holds is as fresh as of this instant; `None` if no step ever ended well.
    pub fresh_as_of: Option<TimestampMicros>,
    /// How long the last steps took that ended well, the newest last.
    pub durations: Vec<Span>,
    /// How many of the asset's last steps that the scheduler started have failed in a row.
    pub failures: u32,
    /// Whether the last step that the scheduler started could not reach what it asks, or was hindered, so that it is taken up again.
    pub is_unreachable: bool,
    /// `Some` while the asset is set aside.
    pub aside: Option<RecordedAside>,
}

/// A step that goes on in another process, as it was when it started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoesOn {
    /// The definition of the asset with which it runs.
    pub definition: Fingerprint,
    /// The connection through which it reads.
    pub connection: Option<String>,
    /// The pools in each of which it takes one place.
    pub pools: Vec<String>,
    /// Whether it tries a place whose circuit is open.
    pub is_probe: bool,
}

/// An asset that was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedAside {
    pub since: TimestampMicros,
    /// The definition that failed; another one is tried.
    pub definition: Fingerprint,
}

/// How far one trigger of an asset was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedTrigger {
    pub trigger: Trigger,
    /// All ticks and events up to and including this instant are answered.
    pub answered: TimestampMicros,
    /// The newest event that was noted; it waits for its answer if it is later than `answered`.
    pub noted: Option<TimestampMicros>,
}

/// A step that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedAttempt {
    /// From 1. A caller whose process ends in order may take the attempt back by one: it was cut short, and is no sign that the
    /// step itself ends processes. A step that was postponed has its attempt taken back too.
    pub attempt: u32,
    /// What the asset will be as fresh as of, if the step ends well.
    pub fresh_as_of: TimestampMicros,
}

impl RecordedAsset {
    /// An asset of which nothing has happened yet.
    #[must_use]
    pub fn new(asset: AssetId) -> Self {
        Self {
            asset,
            triggers: Vec::new(),
            running: None,
            goes_on: None,
            stale: true,
            fresh_as_of: None,
            durations: Vec::new(),
            failures: 0,
            is_unreachable: false,
            aside: None,
        }
    }

    /// Takes over what a decision says of this asset; decisions about others change nothing.
    pub fn apply(&mut self, decision: &Decision) {
        match decision {
            Decision::Start(start) => {
                if let Some(step) = start.steps.iter().find(|step| step.asset == self.asset) {
                    self.answer(&step.answers);
                    self.running =
                        Some(RecordedAttempt { attempt: step.attempt, fresh_as_of: step.fresh_as_of });
                }
            }
            Decision::Skip { asset, answers, because } if *asset == self.asset => {
                self.answer(answers);
                if because.ends_interrupted() {
                    self.running = None;
                }
            }
            Decision::Postponed { asset } if *asset == self.asset => {
                // The step is still owed, as one that was cut short is.
                if let Some(running) = &mut self.running {
                    running.attempt = running.attempt.saturating_sub(1);
                }
            }
            Decision::Noted { asset, trigger, at } if *asset == self.asset => {
                self.trigger(trigger, *at).noted = Some(*at);
            }
            Decision::Watch { asset, trigger, from } if *asset == self.asset => {
                *self.trigger(trigger, *from) =
                    RecordedTrigger { trigger: trigger.clone(), answered: *from, noted: None };
            }
            Decision::Unwatch { asset, trigger } if *asset == self.asset => {
                self.triggers.retain(|recorded| recorded.trigger != *trigger);
            }
            Decision::SetAside { asset, failures, definition, at } if *asset == self.asset => {
                self.failures = *failures;
                self.aside = Some(RecordedAside { since: *at, definition: *definition });
            }
            Decision::Resume { asset, .. } if *asset == self.asset => {
                (self.failures, self.aside) = (0, None);
            }
            Decision::CountAnew { asset } if *asset == self.asset => self.failures = 0,
            _ => {}
        }
    }

    /// Takes over the end of the asset's step, which took so long.
    pub fn ended(&mut self, ending: Ending, took: Span) {
        let running = self.running.take();
        if ending == Ending::Well {
            (self.failures, self.is_unreachable) = (0, false);
        }
        // What others ran says nothing of how long the asset takes here, and counts for nothing against it.
        let Some(running) = running else { return };
        self.is_unreachable = matches!(ending, Ending::Unreachable | Ending::Hindered);
        if ending == Ending::Badly {
            self.failures = self.failures.saturating_add(1);
        }
        if ending == Ending::Well {
            self.fresh_as_of = Some(running.fresh_as_of);
            self.durations.push(took);
            let surplus = self.durations.len().saturating_sub(DURATIONS_MAX);
            self.durations.drain(..surplus);
        }
    }

    fn answer(&mut self, answers: &[Answer]) {
        for answer in answers {
            self.trigger(&answer.trigger, answer.after).answered = answer.until;
        }
    }

    fn trigger(&mut self, trigger: &Trigger, answered: TimestampMicros) -> &mut RecordedTrigger {
        let found = self.triggers.iter().position(|recorded| recorded.trigger == *trigger);
        let place = found.unwrap_or_else(|| {
            self.triggers.push(RecordedTrigger { trigger: trigger.clone(), answered, noted: None });
            self.triggers.len() - 1
        });
        &mut self.triggers[place]
    }
}
