//! One asset's reason to run.

use millstream_types::{AssetId, AssetVersion};

use crate::{AssetFacts, AssetStatus, Reason, Recorded};

/// The world around an asset at the time of the decision.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// The present version of what the asset holds.
    pub version: Option<AssetVersion>,
    /// Every stored input of the asset, directly or through views.
    pub inputs: &'a [InputNow<'a>],
    /// What is new for the asset beside its stored inputs: parts of a source that wait to be read, or a file of labels.
    pub parts: &'a [String],
    pub force: bool,
    /// The version that was recorded of the asset, if its table or its file is no longer there.
    pub vanished: Option<AssetVersion>,
    /// Why the asset's source or its table cannot be read; none if it can.
    pub unreadable: Option<&'a str>,
    /// Whether one of the asset's freshness checks no longer holds, by the clock alone.
    pub overdue: bool,
    /// The number of the asset's partitions that are missing, stale or failed.
    pub partitions_open: u64,
}

/// A stored input at the time of the decision.
#[derive(Clone, Copy, Debug)]
pub struct InputNow<'a> {
    pub table: &'a AssetId,
    pub version: Option<AssetVersion>,
    /// Whether the input's step runs before the asset's and will probably give the input another version.
    pub changing: bool,
}

/// The first reason that applies, in this order:
///
/// 1. *forced*: the command says so;
/// 2. *never built*: nothing was ever committed, or the lake no longer has the table, or has an older version than
///    was recorded (someone else deleted and recreated it); *vanished* where it was there before;
/// 3. *definition changed*: the asset's fingerprint is another one than was recorded;
/// 4. *unreadable*: the asset's source or its table cannot be read, and its step will report why; *new input*: a stored
///    input has or will have another version than the one that was read; for a source, parts wait; for other assets,
///    something that they read beside the graph has changed;
/// 5. *retry*: the last attempt failed or halted. Both are tried again on each run, as with a failed step in dbt or
///    Dagster: the cause of a failure is often outside (a full disk, a fixed file), and a halt is cheap to judge again;
/// 6. *partitions*: some partitions are still to be built;
/// 7. *stale*: the asset's rows are older than a freshness check allows, which is reported again at each run;
/// 8. *up to date*.
///
/// A SQL view is always up to date: nothing of it is stored.
#[must_use]
pub fn decide(facts: &AssetFacts, recorded: Option<&Recorded>, now: &Now<'_>) -> Reason {
    if facts.passes_through {
        return Reason::UpToDate;
    }
    if now.force {
        return Reason::Forced;
    }
    let Some(recorded) = recorded.filter(|recorded| is_in_lake(recorded, now.version)) else {
        return match now.vanished {
            Some(version) => Reason::Vanished { version, is_table: facts.id.kind().is_none() },
            None => Reason::NeverBuilt,
        };
    };
    if recorded.fingerprint != facts.fingerprint {
        return Reason::DefinitionChanged;
    }
    if let Some(because) = now.unreadable {
        return Reason::Unreadable { because: because.to_owned() };
    }
    let from = new_inputs(recorded, now);
    if !from.is_empty() {
        return Reason::NewInput { from };
    }
    match &recorded.status {
        AssetStatus::Built => {}
        AssetStatus::Halted { reason } => return Reason::Retry { because: reason.clone() },
        AssetStatus::Failed { error, .. } => return Reason::Retry { because: error.clone() },
    }
    if now.partitions_open > 0 {
        return Reason::Partitions { open: now.partitions_open };
    }
    if now.overdue { Reason::Stale } else { Reason::UpToDate }
}

/// Whether what was recorded of the asset is still there to read.
fn is_in_lake(recorded: &Recorded, version: Option<AssetVersion>) -> bool {
    match (recorded.version, version) {
        (Some(recorded), Some(version)) => version >= recorded,
        (Some(_), None) => false,
        (None, _) => recorded.was_built(),
    }
}

fn new_inputs(recorded: &Recorded, now: &Now<'_>) -> Vec<String> {
    let is_new = |input: &&InputNow<'_>| {
        input.changing || input.version != recorded.input_versions.get(input.table).copied()
    };
    let tables = now.inputs.iter().filter(is_new).map(|input| input.table.to_string());
    tables.chain(now.parts.iter().cloned()).collect()
}
