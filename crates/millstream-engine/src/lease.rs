//! The right to write assets, held while a command works. A command waits for its lease, prolongs it in the background, and
//! gives it back at the end.
//!
//! The lake alone would keep two writers of one table apart, since each commit names the version it follows. A lease keeps
//! them from doing the same work twice, and from recording it in the wrong order.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBuilder};
use millstream_state::{Holder, LeaseRequest, LeaseToken, Mark, State, StateError};
use millstream_types::{AssetId, TimestampMicros};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::{Clock, EngineError, Event, Publisher, engine::World, error::told, housekeeping, turn::Turn};

/// How long a lease lasts when it is not prolonged. A holder that is cut off from the state store for so long loses its lease,
/// and a holder that ended on another machine keeps others away for so long. The time is longer than the wait for a server of
/// PostgreSQL, including a writer in its way and a beat that was just missed.
const LENGTH: Duration = Duration::from_secs(90);

/// The time between two beats; each beat prolongs the lease.
const BEAT: Duration = Duration::from_secs(10);

/// How soon a beat that failed is tried again, and how long one may take.
const BEAT_AGAIN: Duration = Duration::from_secs(1);
const BEAT_MAX: Duration = Duration::from_secs(20);

/// For so long after a process could not renew its leases in time it takes nobody's lease to be over by its time alone: an outage of
/// the state store is one of all holders. A beat that hangs is known to have failed when it is tried for the last time before the
/// store is back, and the beats of others may come as late after that.
const GRACE: Duration = BEAT_MAX.saturating_add(BEAT_AGAIN).saturating_mul(2);

/// How long everybody waits for housekeeping, which gives its leases back after each bounded round. The time is longer than that for
/// which a lease of housekeeping that ended on another machine keeps others away.
const HOUSEKEEPING_MAX: Duration = LENGTH.saturating_add(Duration::from_secs(30));

/// The shortest and the longest time after which a command that waits for a lease asks again.
const LOOK_MIN: Duration = Duration::from_millis(20);
const LOOK_MAX: Duration = Duration::from_millis(500);

/// How soon it is told again for whom a command waits, where that is somebody else by then.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How long a request for a lease that is not wanted any more is waited for.
const TAKING_MAX: Duration = Duration::from_secs(2);

/// A lease that is held and prolonged. After it was dropped without [`Lease::end`], others on this machine can take its
/// assets at once, and others elsewhere once its time is over.
#[derive(Debug)]
pub(crate) struct Lease {
    state: Arc<State>,
    clock: Arc<dyn Clock>,
    pub token: LeaseToken,
    renewed: Arc<Mutex<Renewed>>,
    beat: AbortHandle,
    /// Cancelled together with the command, and as soon as it is known that another process has taken the lease.
    pub cancel: CancellationToken,
    is_lost: Arc<AtomicBool>,
    mark: Option<Unleased>,
}

/// The file by which others on this machine see whether the holder of a lease is alive. Dropping this removes the file, which
/// is right as long as no lease was taken.
#[derive(Debug)]
struct Unleased(Option<Mark>);

/// The time at which a lease was last prolonged, by two clocks: the monotonic one stands still while the machine sleeps, the
/// other one can be set.
#[derive(Clone, Copy, Debug)]
struct Renewed {
    monotonic: Instant,
    wall: TimestampMicros,
}

impl World {
    /// Makes this process the only one that writes `assets`. It waits up to `wait` until others are done with them, and publishes
    /// an event that says so.
    pub(crate) async fn lease(
        &self,
        command: &str,
        assets: &[AssetId],
        wait: Duration,
        events: &Publisher,
        cancel: &CancellationToken,
    ) -> Result<Arc<Lease>, EngineError> {
        self.lease_while(command, assets, wait, events, cancel, cancel).await
    }

    /// As [`Self::lease`], and waits no longer when it is not `wanted` any more. The work under the lease ends with `cancel`.
    pub(crate) async fn lease_while(
        &self,
        command: &str,
        assets: &[AssetId],
        wait: Duration,
        events: &Publisher,
        wanted: &CancellationToken,
        cancel: &CancellationToken,
    ) -> Result<Arc<Lease>, EngineError> {
        let clock = self.options.clock.clone();
        let mark = Mark::make(&self.state_dir, &uuid::Uuid::now_v7().to_string());
        let holder = Holder::this_process(command, clock.now());
        let holder = match &mark {
            Ok(mark) => holder.with_mark(mark),
            Err(_) => holder,
        };
        let mark = mark.map(|mark| Unleased(Some(mark)));
        let (token, renewed) = self.take(assets, &holder, wait, events, wanted).await?;
        if let Err(error) = &mark {
            tracing::warn!(
                error = told(&error),
                "should this process be killed, others wait until its lease is over"
            );
        }
        let renewed = Arc::new(Mutex::new(renewed));
        let (cancel, is_lost) = (cancel.child_token(), Arc::new(AtomicBool::new(false)));
        let beat = Beat {
            state: self.state.clone(),
            clock: clock.clone(),
            token,
            renewed: renewed.clone(),
            cancel: cancel.clone(),
            is_lost: is_lost.clone(),
        };
        let beat = tokio::spawn(beat.go_on()).abort_handle();
        Ok(Arc::new(Lease {
            state: self.state.clone(),
            clock,
            token,
            renewed,
            beat,
            cancel,
            is_lost,
            mark: mark.ok(),
        }))
    }

    /// Takes the lease, and has the next turn at its assets while it waits for them.
    async fn take(
        &self,
        assets: &[AssetId],
        holder: &Holder,
        wait: Duration,
        events: &Publisher,
        wanted: &CancellationToken,
    ) -> Result<(LeaseToken, Renewed), EngineError> {
        let mut turn = Turn::new(self, assets, holder);
        let taken = self.take_in_turn(&mut turn, assets, holder, wait, events, wanted).await;
        turn.end().await;
        taken
    }

    async fn take_in_turn(
        &self,
        turn: &mut Turn<'_>,
        assets: &[AssetId],
        holder: &Holder,
        wait: Duration,
        events: &Publisher,
        wanted: &CancellationToken,
    ) -> Result<(LeaseToken, Renewed), EngineError> {
        let asked = Instant::now();
        let (mut looks, mut told) = (looks().build(), Told::default());
        let mut last = Renewed::now(self.options.clock.as_ref());
        loop {
            let begun = Renewed::now(self.options.clock.as_ref());
            if begun.is_late_after(last) {
                self.state.spare_leases(GRACE);
            }
            last = begun;
            let request = LeaseRequest { assets, holder, now: begun.wall, length: LENGTH };
            let mut taking = self.state.take_lease(&request);
            let taken = tokio::select! {
                taken = &mut taking => taken,
                () = wanted.cancelled() => {
                    // What is under way may be done, and a lease of which nobody knows keeps others away until its time is over.
                    if let Ok(Ok(token)) = tokio::time::timeout(TAKING_MAX, taking).await
                        && let Err(error) = self.state.end_lease(token).await
                    {
                        tracing::warn!(%error, "a lease was not given back; it ends by itself");
                    }
                    return Err(EngineError::Cancelled);
                }
            };
            match taken {
                Ok(token) => return Ok((token, begun)),
                Err(refused @ StateError::Locked { .. }) => {
                    let wait = if is_housekeeping(&refused) { wait.max(HOUSEKEEPING_MAX) } else { wait };
                    let left = wait.saturating_sub(asked.elapsed());
                    if left.is_zero() {
                        return Err(refused.into());
                    }
                    told.tell(&refused, events);
                    let pause = looks.next().unwrap_or(LOOK_MAX).min(left);
                    let waited = async {
                        turn.look().await;
                        tokio::time::sleep(pause).await;
                    };
                    tokio::select! {
                        () = waited => {}
                        () = wanted.cancelled() => return Err(EngineError::Cancelled),
                    }
                }
                Err(error) => {
                    self.state.spare_leases(GRACE);
                    return Err(error.into());
                }
            }
        }
    }
}

impl Lease {
    /// Makes sure, before something is committed, that this process still has the lease. The state store is only asked if a beat
    /// was missed: the process, or its machine, may have stood still for longer than the lease lasts.
    pub(crate) async fn hold(&self) -> Result<(), EngineError> {
        if self.is_lost.load(Ordering::Relaxed) {
            return Err(StateError::LeaseLost.into());
        }
        let now = Renewed::now(self.clock.as_ref());
        let last = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        if !now.is_late_after(last) {
            return Ok(());
        }
        self.state.spare_leases(GRACE);
        self.state.renew_lease(self.token, now.wall, LENGTH).await?;
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(())
    }

    /// Whether the lease was not renewed for as long as it lasts, and cannot be renewed now: others may have taken its assets long ago.
    /// The state store is only asked when that is about to be so, and not for longer than a beat may take.
    pub(crate) async fn is_cut_off(&self) -> bool {
        let last = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        if Renewed::now(self.clock.as_ref()).since(last) < LENGTH.saturating_sub(BEAT_MAX) {
            return false;
        }
        match tokio::time::timeout(BEAT_MAX, self.hold()).await {
            Ok(Ok(())) => false,
            // What has become of a lease that is known to be lost is told otherwise.
            Ok(Err(EngineError::State(StateError::LeaseLost))) => false,
            Ok(Err(_)) | Err(_) => Renewed::now(self.clock.as_ref()).since(last) >= LENGTH,
        }
    }

    /// Waits until the work under the lease is to end, and gives the reason.
    pub(crate) async fn over(&self) -> EngineError {
        self.cancel.cancelled().await;
        match self.is_lost.load(Ordering::Relaxed) {
            true => StateError::LeaseLost.into(),
            false => EngineError::Cancelled,
        }
    }

    /// Gives the assets back.
    pub(crate) async fn end(&self) {
        self.beat.abort();
        match self.state.end_lease(self.token).await {
            Ok(()) => self.mark.iter().for_each(Unleased::remove),
            Err(error) => {
                tracing::warn!(error = told(&error), "a lease was not given back; it ends by itself");
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.beat.abort();
        // The lease was not ended, so its file has to stay, unlocked: others see by it that the holder is gone.
        if let Some(mark) = &mut self.mark {
            drop(mark.0.take());
        }
    }
}

impl Unleased {
    fn remove(&self) {
        self.0.iter().for_each(Mark::remove);
    }
}

impl Drop for Unleased {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The background task that prolongs a lease.
struct Beat {
    state: Arc<State>,
    clock: Arc<dyn Clock>,
    token: LeaseToken,
    renewed: Arc<Mutex<Renewed>>,
    cancel: CancellationToken,
    is_lost: Arc<AtomicBool>,
}

impl Beat {
    /// Prolongs the lease, beat after beat, until it is lost.
    async fn go_on(self) {
        let mut pause = BEAT;
        loop {
            tokio::time::sleep(pause).await;
            let now = Renewed::now(self.clock.as_ref());
            if now.is_late_after(*self.renewed.lock().unwrap_or_else(PoisonError::into_inner)) {
                self.state.spare_leases(GRACE);
            }
            let renewal = self.state.renew_lease(self.token, now.wall, LENGTH);
            pause = BEAT_AGAIN;
            match tokio::time::timeout(BEAT_MAX, renewal).await {
                Ok(Ok(())) => {
                    *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = now;
                    pause = BEAT;
                }
                Ok(Err(StateError::LeaseLost)) => {
                    self.is_lost.store(true, Ordering::Relaxed);
                    return self.cancel.cancel();
                }
                Ok(Err(error)) => {
                    self.state.spare_leases(GRACE);
                    tracing::warn!(error = told(&error), "the end of a lease was not moved on; trying again");
                }
                Err(_) => {
                    self.state.spare_leases(GRACE);
                    tracing::warn!("the state store does not answer; trying again");
                }
            }
        }
    }
}

impl Renewed {
    fn now(clock: &dyn Clock) -> Self {
        Self { monotonic: Instant::now(), wall: clock.now() }
    }

    /// Whether a beat was missed since `earlier`.
    fn is_late_after(self, earlier: Self) -> bool {
        self.since(earlier) >= BEAT + BEAT_MAX
    }

    fn since(self, earlier: Self) -> Duration {
        let wall = u64::try_from(self.wall.0.saturating_sub(earlier.wall.0)).unwrap_or(0);
        (self.monotonic - earlier.monotonic).max(Duration::from_micros(wall))
    }
}

/// What was told of whom a command waits for.
#[derive(Default)]
struct Told {
    /// The asset and its holder, which the process, the time and the command tell apart.
    last: Option<(AssetId, u32, TimestampMicros, String)>,
    at: Option<Instant>,
}

impl Told {
    /// Tells who has the assets, unless that is known, or something was told only a moment ago.
    fn tell(&mut self, refused: &StateError, events: &Publisher) {
        let StateError::Locked { asset, holder, .. } = refused else { return };
        let present = (asset.clone(), holder.pid, holder.started, holder.command.clone());
        let is_early = self.at.is_some_and(|at| at.elapsed() < TELL_EVERY);
        if is_early || self.last.as_ref() == Some(&present) {
            return;
        }
        events.publish(Event::Waiting { because: refused.to_string() });
        (self.last, self.at) = (Some(present), Some(Instant::now()));
    }
}

/// Whether housekeeping has an asset that is wanted. For what it has as a whole there is no waiting.
fn is_housekeeping(refused: &StateError) -> bool {
    match refused {
        StateError::Locked { asset, holder, .. } => {
            holder.command == housekeeping::COMMAND && asset.as_str() != housekeeping::LEASED
        }
        _ => false,
    }
}

fn looks() -> ExponentialBuilder {
    ExponentialBuilder::default().with_min_delay(LOOK_MIN).with_max_delay(LOOK_MAX).without_max_times()
}
