//! What the scheduler decides, with its reasons.

use std::fmt;

use millstream_types::{AssetId, Fingerprint, TimestampMicros};

use crate::Trigger;

/// What the caller has to do or to record.
///
/// The decisions of one call are recorded in one transaction, together with what the call told the scheduler, and only then
/// acted on. [`crate::RecordedAsset::apply`] says what each of them changes in what is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// These steps start now.
    Start(Start),
    /// The asset was due and does not run. Its ticks are answered with that.
    Skip { asset: AssetId, answers: Vec<Answer>, because: SkipReason },
    /// The asset is due and waits. Said once, when it becomes due; nothing is answered yet.
    NotNow { asset: AssetId, because: HoldReason },
    /// The step that was started did not begin, because somebody else works on the asset. It gives its places back, does not count
    /// as an attempt, and starts once more when [`crate::Scheduler::freed`] is called. What it answers stays answered.
    Postponed { asset: AssetId },
    /// Something happened that the asset has to run for. Once it is recorded, no crash loses it.
    Noted { asset: AssetId, trigger: Trigger, at: TimestampMicros },
    /// The source of the asset is to be listed, and [`crate::Scheduler::files_appeared`] called if there is something new. Nothing
    /// has to be recorded.
    Look { asset: AssetId },
    /// The ticks of the trigger count from here on: it is new, or the clock was far ahead and went back.
    Watch { asset: AssetId, trigger: Trigger, from: TimestampMicros },
    /// The asset does not have the trigger any more.
    Unwatch { asset: AssetId, trigger: Trigger },
    /// The asset has failed so many times in a row that it runs by itself no more, until [`Self::Resume`]. What reads it goes on
    /// with what it holds.
    SetAside { asset: AssetId, failures: u32, definition: Fingerprint, at: TimestampMicros },
    /// The asset was set aside, and runs by itself again.
    Resume { asset: AssetId, because: ResumeReason },
    /// The asset was not set aside, and its failures in a row are counted from none again.
    CountAnew { asset: AssetId },
}

/// Steps that start together, none of which reads another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The number of the wave that the steps belong to. Waves are counted anew by each process.
    pub wave: u64,
    /// The steps, the most urgent one first.
    pub steps: Vec<StartedStep>,
}

/// One step that starts. It runs until [`crate::Scheduler::ended`] says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartedStep {
    pub asset: AssetId,
    /// Why the asset was due, in the order in which it came to be known. At most [`crate::REASONS_MAX`].
    pub reasons: Vec<DueReason>,
    /// The priority that the step had in the queue: its own, or that of something more urgent that waits for it.
    pub priority: i8,
    /// The ticks and events that the step answers.
    pub answers: Vec<Answer>,
    /// From 1. The second attempt follows on a first one that the end of its process interrupted.
    pub attempt: u32,
    /// Whether the step is the one that tries a place whose circuit is open.
    pub is_probe: bool,
    /// If the step ends well, what the asset holds is as fresh as of this instant.
    pub fresh_as_of: TimestampMicros,
}

/// All ticks or events of one trigger in a stretch of time. The answers of a trigger follow on one another without gap or overlap,
/// so that each tick has exactly one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Answer {
    pub trigger: Trigger,
    /// The stretch begins after this instant,
    pub after: TimestampMicros,
    /// and ends with this one.
    pub until: TimestampMicros,
}

/// Why an asset is due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DueReason {
    /// This trigger's tick has come.
    Tick(Trigger),
    /// What this trigger waits for has happened.
    Event(Trigger),
    /// This input has a new version.
    Changed {
        input: AssetId,
    },
    DefinitionChanged,
    /// Nothing is known of the asset yet.
    Unknown,
    /// The asset was not up to date when the scheduler began.
    Stale,
    /// That asset is due and needs this one first.
    NeededBy {
        asset: AssetId,
    },
    /// The asset was skipped because of that one, which has ended well now.
    Recovered {
        asset: AssetId,
    },
    /// The process ended while the step ran.
    Interrupted,
    /// The asset was set aside, and somebody asked for it again.
    Resumed,
    /// What the step before asked could not be reached.
    Unreachable,
    /// What the asset holds is damaged, and is made again.
    Damaged,
    /// The step before was hindered by what all steps use.
    Hindered,
}

impl DueReason {
    /// The stable word for machines and for the state store.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Tick(_) => "tick",
            Self::Event(_) => "event",
            Self::Changed { .. } => "new_input",
            Self::DefinitionChanged => "definition_changed",
            Self::Unknown => "unknown",
            Self::Stale => "stale",
            Self::NeededBy { .. } => "needed_by",
            Self::Recovered { .. } => "recovered",
            Self::Interrupted => "interrupted",
            Self::Resumed => "resumed",
            Self::Unreachable => "unreachable",
            Self::Damaged => "repair",
            Self::Hindered => "hindered",
        }
    }
}

impl fmt::Display for DueReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick(trigger) | Self::Event(trigger) => trigger.fmt(f),
            Self::Changed { input } => write!(f, "new input: {input}"),
            Self::DefinitionChanged => f.write_str("definition changed"),
            Self::Unknown => f.write_str("nothing recorded yet"),
            Self::Stale => f.write_str("not up to date"),
            Self::NeededBy { asset } => write!(f, "needed by {asset}"),
            Self::Recovered { asset } => write!(f, "{asset} has recovered"),
            Self::Interrupted => f.write_str("interrupted by the end of the process"),
            Self::Resumed => f.write_str("resumed after it was set aside"),
            Self::Unreachable => f.write_str("what it asks could not be reached before"),
            Self::Damaged => f.write_str("repair: what it holds is damaged"),
            Self::Hindered => f.write_str("it was hindered before by what lies outside of it"),
        }
    }
}

/// Why an asset that is due waits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoldReason {
    /// The asset runs. What comes meanwhile is answered by one run afterwards.
    Running,
    /// This asset, which it reads directly or not, goes first.
    Upstream { asset: AssetId },
    /// As many steps run as may.
    Steps,
    /// As many steps run over the connection as may.
    Connection { name: String },
    /// As many steps run in the pool as may.
    Pool { name: String },
    /// Places are kept for a step that has waited for too long.
    Reserved,
    /// Somebody else works on the asset.
    KeptAway,
    /// The process starts nothing more, because it is about to end.
    Closing,
    /// What the step asks does not answer, and nobody asks before `until`; then one step tries.
    Circuit { name: String, until: TimestampMicros },
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("it runs already, and runs once more afterwards"),
            Self::Upstream { asset } => write!(f, "`{asset}` goes first"),
            Self::Steps => f.write_str("as many steps run as may at once"),
            Self::Connection { name } => write!(f, "the connection `{name}` is busy"),
            Self::Pool { name } => write!(f, "the pool `{name}` is full"),
            Self::Reserved => f.write_str("places are kept for a step that has waited for too long"),
            Self::Closing => f.write_str("the process is about to end, and the next one starts it"),
            Self::KeptAway => f.write_str("somebody else works on it, and it starts when they are done"),
            Self::Circuit { name, until } => {
                write!(f, "{} is open until {}", circuit_words(name), shown(*until))
            }
        }
    }
}

/// Why an asset that was due does not run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipReason {
    /// Neither the asset's definition nor what it reads has changed.
    UpToDate,
    /// This asset, which it reads directly or not, did not end well.
    UpstreamFailed { asset: AssetId },
    /// The ticks came while nobody looked, and the asset does not catch up.
    Missed,
    /// More ticks came while nobody looked than are caught up.
    BeyondCatchUp,
    /// The step was interrupted by the end of its process, was started again, and was interrupted again.
    InterruptedAgain,
    /// The asset does not have the trigger any more.
    TriggerRemoved,
    /// The project does not have the asset any more.
    AssetRemoved,
    /// The asset has failed too often in a row.
    SetAside,
}

impl SkipReason {
    /// The stable word for machines and for the state store.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::UpToDate => "up_to_date",
            Self::UpstreamFailed { .. } => "upstream_failed",
            Self::Missed => "missed",
            Self::BeyondCatchUp => "beyond_catch_up",
            Self::InterruptedAgain => "interrupted_again",
            Self::TriggerRemoved => "trigger_removed",
            Self::AssetRemoved => "asset_removed",
            Self::SetAside => "set_aside",
        }
    }

    /// Whether the skip is the end of an interrupted step, if there was one.
    pub(crate) fn ends_interrupted(&self) -> bool {
        matches!(self, Self::UpToDate | Self::UpstreamFailed { .. } | Self::InterruptedAgain)
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpToDate => f.write_str("up to date"),
            Self::UpstreamFailed { asset } => write!(f, "`{asset}` did not end well"),
            Self::Missed => f.write_str("missed while nobody looked, and `catch_up` is `none`"),
            Self::BeyondCatchUp => {
                write!(f, "more than {} ticks were missed while nobody looked", crate::CATCH_UP_MAX)
            }
            Self::InterruptedAgain => f.write_str("the end of the process interrupted it twice"),
            Self::TriggerRemoved => f.write_str("the asset does not have the trigger any more"),
            Self::AssetRemoved => f.write_str("the project does not have the asset any more"),
            Self::SetAside => f.write_str("set aside after too many failures in a row"),
        }
    }
}

/// Why an asset that was set aside runs by itself again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResumeReason {
    /// Somebody asked for it.
    Asked,
    /// The asset is another one now, or is not to be set aside any more.
    DefinitionChanged,
    /// A run by hand ended well.
    EndedWell,
}

impl fmt::Display for ResumeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "somebody asked for it",
            Self::DefinitionChanged => "its definition has changed",
            Self::EndedWell => "a run of it ended well",
        })
    }
}

/// What a circuit is called where people read of it: a connection has a name, a source without one is a circuit of its own.
#[must_use]
pub fn circuit_words(name: &str) -> String {
    match name.strip_prefix(SOURCE_CIRCUIT) {
        Some(source) => format!("the circuit of the source `{source}`"),
        None => format!("the circuit of the connection `{name}`"),
    }
}

/// What the name of the circuit of a source without a connection begins with.
pub const SOURCE_CIRCUIT: &str = "source:";

/// An instant for people, to the second.
#[must_use]
pub fn shown(at: TimestampMicros) -> String {
    let time = chrono::DateTime::from_timestamp_micros(at.0);
    time.map_or_else(|| at.0.to_string(), |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// The asset is up to date with what it read, whether or not that changed anything.
    Well,
    /// The step failed or was halted for a reason that lies in the asset or in its data. A step that breaks off because the
    /// process ends is not told at all: it is started once more by [`crate::Scheduler::restore`].
    Badly,
    /// The step did not end well for a reason that says nothing against the asset, and would come again if it was tried soon: it took too
    /// long. The asset is not set aside for it, and its triggers start it again.
    Passing,
    /// The step did not end well because of what lies outside of the asset: the lake was away for a moment, a disk is full, retries were
    /// used up, its run broke off. That says nothing against the asset, which is not set aside for it and is taken up again after a
    /// wait that grows.
    Hindered,
    /// The step failed because what it asks could not be reached. That says nothing against the asset, which is not set aside
    /// for it: its circuit holds it, or a wait that grows, and then it is taken up again.
    Unreachable,
}

impl Ending {
    /// Whether the asset is not up to date.
    #[must_use]
    pub fn is_bad(self) -> bool {
        self != Self::Well
    }
}
