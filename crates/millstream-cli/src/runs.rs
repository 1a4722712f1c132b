//! Runs as commands name them.

use millstream_engine::{Engine, ReadSet};
use millstream_state::{RunOutcome, RunRecord};
use millstream_types::RunId;

use crate::CliError;

/// The record of the run with this id.
pub(crate) async fn named(engine: &Engine, run: &str) -> Result<RunRecord, CliError> {
    let unknown = || {
        let hint = "`millstream status --json` has the id of the last run; `--json` of `run` has its own";
        CliError::Unknown { what: "run", name: run.to_owned(), hint: hint.to_owned() }
    };
    engine.run_record(&RunId::new(run)).await?.ok_or_else(unknown)
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
