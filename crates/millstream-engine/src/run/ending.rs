//! The end of a run on record, whatever it was: recorded first, then told.

use millstream_state::{NewMessage, RunEnd, RunRecord, StateError};
use millstream_types::AssetId;

use crate::{
    EngineError,
    engine::World,
    error::told as told_error,
    event::{Event, Publisher, RunReport},
    lease::Lease,
    telemetry::ToldRun,
};

impl World {
    /// Ends a run. Readers have the newest versions of the leased assets that it `publishes` from then on. A run
    /// that `broke` off ends too, and what broke it off is the error that is given. A run that has lost its lease records and
    /// tells nothing more: whoever has the assets then finds it, and ends it as interrupted.
    pub(crate) async fn end_run(
        &self,
        mut report: RunReport,
        broke: Option<EngineError>,
        publishes: Option<&[AssetId]>,
        lease: &Lease,
        events: &Publisher,
    ) -> Result<RunReport, EngineError> {
        if let Err(lost @ EngineError::State(StateError::LeaseLost)) = lease.hold().await {
            // Work that is told to end because the lease is lost says that it was cancelled.
            return Err(broke.filter(|error| !matches!(error, EngineError::Cancelled)).unwrap_or(lost));
        }
        let finished = self.options.clock.now();
        let messages = self.told_of_end(&report, broke.as_ref()).await?;
        let (outcome, messages) = (report.outcome(), messages.as_slice());
        let end = RunEnd { run: &report.run, finished, outcome, publishes, messages };
        match (broke, self.state.finish_run(&end).await) {
            (broke, Ok(published)) => {
                let is_made = |asset: &AssetId| report.steps.iter().any(|step| step.asset == *asset);
                report.caught_up = published.into_iter().filter(|(asset, _)| !is_made(asset)).collect();
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

    /// What is told outside of the end of a run.
    async fn told_of_end(
        &self,
        report: &RunReport,
        broke: Option<&EngineError>,
    ) -> Result<Vec<NewMessage>, EngineError> {
        if !self.is_told() {
            return Ok(Vec::new());
        }
        let Some(record) = self.state.run(&report.run).await? else { return Ok(Vec::new()) };
        let RunRecord { run, command, asked, started, .. } = &record;
        let told = ToldRun { run, command, asked: asked.unwrap_or(*started), started: *started };
        let broke = broke.map(|error| told_error(error));
        Ok(self.told_of_run(told, report, broke.as_deref()))
    }
}
