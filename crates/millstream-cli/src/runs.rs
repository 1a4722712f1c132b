//! Runs as commands name them.

use std::collections::BTreeMap;

use millstream_engine::{Engine, EngineError, ReadSet};
use millstream_state::{RunOutcome, RunRecord, StepLogLine, StepRecord};
use millstream_types::{AssetId, AssetVersion, RunId};

use crate::CliError;

/// The lines of the logs of a run's steps that are shown at most.
const LINES_MAX: usize = 2_000;

/// A run with everything that is recorded of it.
#[derive(Debug)]
pub(crate) struct RunInFull {
    pub(crate) run: RunRecord,
    pub(crate) steps: Vec<StepRecord>,
    /// The versions that it published; `None` when it published none.
    pub(crate) set: Option<BTreeMap<AssetId, AssetVersion>>,
    /// What its steps noted and logged, by asset and in their order.
    pub(crate) log: Vec<StepLogLine>,
}

/// Everything that is recorded of a run.
pub(crate) async fn in_full(engine: &Engine, run: RunRecord) -> Result<RunInFull, EngineError> {
    let steps = engine.steps(&run.run).await?;
    let set = engine.versions_of(&run.run).await?;
    let log = engine.step_log(&run.run, LINES_MAX).await?;
    Ok(RunInFull { run, steps, set, log })
}

/// The record of the run with this id, or of the one whose id begins so.
pub(crate) async fn named(engine: &Engine, run: &str) -> Result<RunRecord, CliError> {
    let unknown = |hint: &str| CliError::Unknown { what: "run", name: run.to_owned(), hint: hint.to_owned() };
    if let Some(record) = engine.run_record(&RunId::new(run)).await? {
        return Ok(record);
    }
    let mut found = if run.is_empty() { Vec::new() } else { engine.runs_beginning(run).await? };
    match (found.pop(), found.is_empty()) {
        (Some(record), true) => Ok(record),
        (Some(_), false) => {
            let hint = "write more of the id; `millstream runs` lists the runs".to_owned();
            let message = format!("more than one run begins with `{run}`");
            Err(CliError::Call { message, hint: Some(hint) })
        }
        (None, _) => Err(unknown("`millstream runs` lists the runs")),
    }
}

/// The run that is named, or the last one.
pub(crate) async fn named_or_last(engine: &Engine, run: Option<&str>) -> Result<RunRecord, CliError> {
    match run {
        Some(run) => named(engine, run).await,
        None => engine.runs(1).await?.pop().ok_or_else(|| CliError::Unknown {
            what: "run",
            name: "last".to_owned(),
            hint: "`millstream run` makes the first one".to_owned(),
        }),
    }
}

/// The set of versions that a run has published.
pub(crate) async fn set_of(engine: &Engine, run: &str) -> Result<ReadSet, CliError> {
    let record = named(engine, run).await?;
    match engine.published_by(&record.run).await? {
        Some(set) => Ok(set),
        None => {
            let ended = match record.outcome {
                None => "it is under way",
                Some(RunOutcome::Succeeded) => "it is older than the sets that are kept",
                Some(_) => "not all of its steps ended well",
            };
            let message = format!("the run `{run}` has published no set of versions: {ended}");
            let hint =
                "without `--run` the newest set is read; `--as-of` reads the tables as they were at a time";
            Err(CliError::call(message, hint.to_owned()))
        }
    }
}
