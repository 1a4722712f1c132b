//! One asset's reason to run.

use millstream_types::AssetId;

use crate::{AssetFacts, AssetStatus, Reason, Recorded};

/// The world around an asset at the time of the decision.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// The present version of what the asset holds.
    pub version: Option<i64>,
    /// Every stored input.
    pub inputs: &'a [InputNow<'a>],
    /// What is new beside the stored inputs: parts of a source that wait to be read, a file of labels.
    pub parts: &'a [String],
    pub force: bool,
    /// The version that was recorded of a table which the lake has no more, or of a file that is gone.
    pub vanished: Option<i64>,
    /// Why its source or its table cannot be looked at.
    pub unreadable: Option<&'a str>,
    /// Whether a freshness check of its own does not hold any more, by the clock alone.
    pub overdue: bool,
}

/// A stored input at the time of the decision.
#[derive(Clone, Copy, Debug)]
pub struct InputNow<'a> {
    pub table: &'a AssetId,
    pub version: Option<i64>,
    /// Its step runs before, so that its version will probably be another.
    pub changing: bool,
}

/// The first reason that applies, in this order:
///
/// 1. *forced*: the command says so;
/// 2. *never built*: nothing was ever committed, or the lake has no table any more, or an older one than
///    was recorded (it was deleted and made anew by someone else); *vanished* where it was there before;
/// 3. *definition changed*: the fingerprint is another one;
/// 4. *unreadable*: its source or its table cannot be looked at, which its step tells; *new input*: a stored input has or will have another version than the one that was read; for a source,
///    parts wait; for others, something that they read beside the graph is another;
/// 5. *retry*: the last attempt failed or halted. Both are tried again on each run, as with a failed step in dbt or
///    Dagster: the cause of a failure is often outside (a full disk, a fixed file), and a halt is cheap to judge again;
/// 6. *stale*: its rows are older than a freshness check allows, which is said again at each run;
/// 7. *up to date*.
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
    if now.overdue { Reason::Stale } else { Reason::UpToDate }
}

/// Whether what was recorded is still there to read.
fn is_in_lake(recorded: &Recorded, version: Option<i64>) -> bool {
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
