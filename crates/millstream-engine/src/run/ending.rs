//! The end of a run on record, whatever it was: recorded first, then told.

use millstream_state::{RunEnd, RunOutcome, StateError};
use millstream_types::{AssetId, RunId};

use crate::{
    EngineError,
    engine::World,
    event::{Event, Publisher, RunReport},
};

impl World {
    /// Ends a run as `done` says. Readers have the newest versions of `assets` from then on, if these belong together. A run
    /// that broke off ends too, and the error that broke it off is the one that is given. One that has lost its lease records
    /// nothing more: whoever has the assets then finds it, and ends it as interrupted.
    pub(crate) async fn end_run(
        &self,
        run: &RunId,
        assets: &[AssetId],
        done: Result<RunReport, EngineError>,
        events: &Publisher,
    ) -> Result<RunReport, EngineError> {
        let (outcome, is_whole) = match &done {
            Err(EngineError::State(StateError::LeaseLost)) => return done,
            Ok(report) => (report.outcome(), report.is_whole()),
            Err(EngineError::Cancelled) => (RunOutcome::Cancelled, false),
            Err(_) => (RunOutcome::Failed, false),
        };
        // What is newer than the set before belongs together once every step has ended well.
        let publishes = is_whole.then_some(assets);
        let end = RunEnd { run, finished: self.options.clock.now(), outcome, publishes };
        match (done, self.state.finish_run(&end).await) {
            (Ok(report), Ok(())) => {
                events.publish(Event::RunFinished(report.clone()));
                Ok(report)
            }
            (Ok(_), Err(error)) => Err(error.into()),
            (Err(error), Ok(())) => Err(error),
            (Err(error), Err(unrecorded)) => {
                tracing::warn!(%run, %unrecorded, "the end of a run was not recorded");
                Err(error)
            }
        }
    }
}
