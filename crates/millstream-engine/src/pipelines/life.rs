//! The life of one pipeline: its lease, its work, and what follows on an error.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use millstream_schedule::full_jitter;
use millstream_types::TimestampMicros;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Continuous, PipelineChange, PipelineMeter, PipelineState, PipelineTold, Stint};
use crate::{EngineError, ErrorClass, Event, Publisher, assets, engine::World, error::told, lease::Lease};

/// The command under which a pipeline holds its lease.
pub(crate) const COMMAND: &str = "pipeline";

/// The longest first wait after an error, and the longest of all; each is drawn below a ceiling that doubles.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// A pipeline that has failed so often in a row, without a commit in between, is set aside, unless its error may pass by itself.
const FAILURES_MAX: u32 = 5;

pub(super) struct Life {
    pub world: Arc<World>,
    pub pipeline: Arc<dyn Continuous>,
    pub meter: Arc<PipelineMeter>,
    pub again: Arc<Notify>,
    pub stop: CancellationToken,
    pub cut_short: CancellationToken,
}

impl Life {
    pub(super) async fn live(self) {
        let events = self.world.events.begin(COMMAND);
        let mut failures = 0;
        while !self.stop.is_cancelled() {
            let before = self.meter.commits();
            let span = tracing::error_span!("pipeline", asset = %self.pipeline.asset());
            let error = match self.work_once(&events).instrument(span).await {
                Ok(()) => {
                    // What has an end has come to it; the asset is free until somebody asks for it again.
                    self.pause(Duration::MAX).await;
                    continue;
                }
                Err(error) if error.class() == ErrorClass::Cancelled => {
                    // The lease went to somebody else: the work begins again once that has ended.
                    self.pause(AGAIN).await;
                    continue;
                }
                Err(error) => error,
            };
            failures = if self.meter.commits() > before { 1 } else { failures + 1 };
            if !self.wait_after(&error, failures, &events).await {
                failures = 0;
            }
        }
        self.meter.set_state(PipelineState::Ended);
        self.tell(&events, PipelineChange::Ended);
    }

    /// Works once, from the asset's lease to the end of the work.
    async fn work_once(&self, events: &Publisher) -> Result<(), EngineError> {
        self.meter.set_state(PipelineState::Waiting);
        let asset = self.pipeline.asset();
        let assets = [asset.clone()];
        let lease = self
            .world
            .lease_while(COMMAND, &assets, Duration::MAX, events, &self.stop, &self.cut_short)
            .await?;
        self.meter.set_state(PipelineState::Working);
        self.tell(events, PipelineChange::Started);
        let worked = AssertUnwindSafe(self.work_under(&lease, events)).catch_unwind().await;
        let worked = worked.unwrap_or(Err(EngineError::Worker { doing: "keeping a pipeline at work" }));
        // What is staged and was not committed is nobody's, as long as the lease is held.
        if worked.is_err()
            && lease.hold().await.is_ok()
            && let Some(facts) = self.world.project.graph.get(asset)
            && let Ok(kind) = assets::kind_of(facts)
        {
            kind.abandon(&self.world, asset).await;
        }
        lease.end().await;
        worked
    }

    async fn work_under(&self, lease: &Arc<Lease>, events: &Publisher) -> Result<(), EngineError> {
        let stint = Stint {
            lease: lease.clone(),
            stop: self.stop.clone(),
            meter: self.meter.clone(),
            events: events.clone(),
        };
        tokio::select! {
            biased;
            reason = lease.over() => Err(reason),
            worked = self.pipeline.work(&stint) => worked,
        }
    }

    /// Tells of an error and waits before the next attempt. False where somebody asked for it, so that failures are counted anew.
    async fn wait_after(&self, error: &EngineError, failures: u32, events: &Publisher) -> bool {
        let (asset, class) = (self.pipeline.asset(), error.class());
        let (code, hint, text) = (error.code(), error.hint(), told(error));
        if failures >= FAILURES_MAX && !class.may_pass() && class != ErrorClass::Store {
            tracing::error!(%asset, code, error = text, "a pipeline is set aside: it has failed {failures} times in a row");
            self.meter.set_state(PipelineState::SetAside { error: text.clone() });
            self.tell(events, PipelineChange::SetAside { code, error: text, hint });
            self.pause(Duration::MAX).await;
            return false;
        }
        let wait = full_jitter(AGAIN, AGAIN_MAX, failures - 1, self.world.options.random.next());
        let wait = wait.max(error.retry().flatten().unwrap_or_default());
        tracing::warn!(%asset, code, error = text, ?wait, "a pipeline has failed; it begins again");
        let now = self.world.options.clock.now();
        let micros = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        let at = TimestampMicros(now.0.saturating_add(micros));
        self.meter.set_state(PipelineState::Retrying { error: text.clone(), at });
        self.tell(events, PipelineChange::Failed { code, error: text, hint, wait });
        self.pause(wait).await
    }

    /// Waits. False where somebody asked for the work before the time was over.
    async fn pause(&self, wait: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => true,
            () = self.again.notified() => false,
            () = tokio::time::sleep(wait) => true,
        }
    }

    fn tell(&self, events: &Publisher, change: PipelineChange) {
        let asset = self.pipeline.asset().clone();
        events.publish(Event::Pipeline(PipelineTold { asset, change }));
    }
}
