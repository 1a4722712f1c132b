//! The end of a run on record, whatever it was: recorded first, then told.

use millstream_state::{RunEnd, StateError};
use millstream_types::AssetId;

use crate::{
    EngineError,
    engine::World,
    event::{Event, Publisher, RunReport},
    lease::Lease,
};

impl World {
    /// Ends a run on leased `assets`. Readers have the newest versions of these from then on, if they belong together. A run
    /// that `broke` off ends too, and what broke it off is the error that is given. A run that has lost its lease records and
    /// tells nothing more: whoever has the assets then finds it, and ends it as interrupted.
    pub(crate) async fn end_run(
        &self,
        report: RunReport,
        broke: Option<EngineError>,
        assets: &[AssetId],
        lease: &Lease,
        events: &Publisher,
    ) -> Result<RunReport, EngineError> {
        if let Err(lost @ EngineError::State(StateError::LeaseLost)) = lease.hold().await {
            // Work that is told to end because the lease is lost says that it was cancelled.
            return Err(broke.filter(|error| !matches!(error, EngineError::Cancelled)).unwrap_or(lost));
        }
        // What is newer than the set before belongs together once every step has ended well.
        let publishes = report.is_whole().then_some(assets);
        let finished = self.options.clock.now();
        let end = RunEnd { run: &report.run, finished, outcome: report.outcome(), publishes };
        match (broke, self.state.finish_run(&end).await) {
            (broke, Ok(())) => {
                events.publish(Event::RunFinished(report.clone()));
                broke.map_or(Ok(report), Err)
            }
            (None, Err(error)) => Err(error.into()),
            (Some(broke), Err(unrecorded)) => {
                tracing::warn!(run = %report.run, %unrecorded, "the end of a run was not recorded");
                Err(broke)
            }
        }
    }
}
