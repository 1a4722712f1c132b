//! The right to write assets, held while a command works: taken with patience, moved on in the background, given back at the
//! end.
//!
//! The lake alone would keep two writers of one table apart, since each commit names the version it follows. A lease keeps
//! them from doing the same work twice, and from recording it in the wrong order.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBuilder};
use millstream_state::{Holder, LeaseRequest, LeaseToken, Mark, State, StateError};
use millstream_types::{AssetId, TimestampMicros};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::{Clock, EngineError, engine::World};

/// How long a lease lasts without being moved on. A holder that is cut off from the state store for so long loses it, and
/// one that ended on another machine keeps others away for so long.
const LENGTH: Duration = Duration::from_secs(30);

/// How often the end is moved on: often enough that one failure is made good by the next try.
const BEAT: Duration = Duration::from_secs(8);

/// How often a command that waits looks again.
const LOOK_MIN: Duration = Duration::from_millis(20);
const LOOK_MAX: Duration = Duration::from_millis(500);

/// The folder of the files by which leases show that their holders live, in that of the state store.
const FOLDER: &str = "leases";

/// A lease at work. One that is dropped without [`Lease::end`] is free for others at once on this machine, and after its
/// time on others.
#[derive(Debug)]
pub(crate) struct Lease {
    state: Arc<State>,
    clock: Arc<dyn Clock>,
    pub token: LeaseToken,
    renewed: Arc<Mutex<Renewed>>,
    beat: AbortHandle,
    mark: Mark,
}

/// When the end of a lease was last moved on, by both clocks: one stands still while the machine sleeps, the other can be set.
#[derive(Clone, Copy, Debug)]
struct Renewed {
    monotonic: Instant,
    wall: TimestampMicros,
}

impl World {
    /// Makes this process the only one that writes `assets`, waiting up to `wait` for others to be done with them.
    pub(crate) async fn lease(
        &self,
        command: &str,
        assets: &[AssetId],
        wait: Duration,
        cancel: &CancellationToken,
    ) -> Result<Arc<Lease>, EngineError> {
        let clock = self.options.clock.clone();
        let mark = Mark::make(&self.state_dir.join(FOLDER), &uuid::Uuid::now_v7().to_string())?;
        let holder = Holder::this_process(command, clock.now()).with_mark(&mark);
        let asked = Instant::now();
        let mut looks = looks().build();
        let (token, renewed) = loop {
            let begun = Renewed::now(clock.as_ref());
            let request = LeaseRequest { assets, holder: &holder, now: begun.wall, length: LENGTH };
            match self.state.take_lease(&request).await {
                Ok(token) => break (token, begun),
                Err(refused @ StateError::Locked { .. }) => {
                    let left = wait.saturating_sub(asked.elapsed());
                    if left.is_zero() {
                        return Err(refused.into());
                    }
                    let pause = tokio::time::sleep(looks.next().unwrap_or(LOOK_MAX).min(left));
                    tokio::select! {
                        () = pause => {}
                        () = cancel.cancelled() => return Err(EngineError::Cancelled),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        };
        let renewed = Arc::new(Mutex::new(renewed));
        let beat = tokio::spawn(beat(self.state.clone(), clock.clone(), token, renewed.clone()));
        Ok(Arc::new(Lease {
            state: self.state.clone(),
            clock,
            token,
            renewed,
            beat: beat.abort_handle(),
            mark,
        }))
    }
}

impl Lease {
    /// Makes sure, before something is committed, that the assets are still this process's. Asks nobody unless a beat was
    /// missed: the process, or its machine, may have stood still for longer than the lease lasts.
    pub(crate) async fn hold(&self) -> Result<(), EngineError> {
        let now = Renewed::now(self.clock.as_ref());
        let last = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(last) < BEAT * 2 {
            return Ok(());
        }
        self.state.renew_lease(self.token, now.wall, LENGTH).await?;
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(())
    }

    /// Gives the assets back.
    pub(crate) async fn end(&self) {
        self.beat.abort();
        match self.state.end_lease(self.token).await {
            Ok(()) => self.mark.remove(),
            Err(error) => tracing::warn!(%error, "a lease was not given back; it ends by itself"),
        }
    }
}

impl Renewed {
    fn now(clock: &dyn Clock) -> Self {
        Self { monotonic: Instant::now(), wall: clock.now() }
    }

    fn since(self, earlier: Self) -> Duration {
        let wall = u64::try_from(self.wall.0.saturating_sub(earlier.wall.0)).unwrap_or(0);
        (self.monotonic - earlier.monotonic).max(Duration::from_micros(wall))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.beat.abort();
    }
}

/// Moves the end of a lease on until it is lost.
async fn beat(state: Arc<State>, clock: Arc<dyn Clock>, token: LeaseToken, renewed: Arc<Mutex<Renewed>>) {
    loop {
        tokio::time::sleep(BEAT).await;
        let now = Renewed::now(clock.as_ref());
        match state.renew_lease(token, now.wall, LENGTH).await {
            Ok(()) => *renewed.lock().unwrap_or_else(PoisonError::into_inner) = now,
            // The next commit or record says so.
            Err(StateError::LeaseLost) => return,
            Err(error) => tracing::warn!(%error, "the end of a lease was not moved on; trying again"),
        }
    }
}

fn looks() -> ExponentialBuilder {
    ExponentialBuilder::default().with_min_delay(LOOK_MIN).with_max_delay(LOOK_MAX).without_max_times()
}
