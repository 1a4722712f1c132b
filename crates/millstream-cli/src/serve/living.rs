//! The demo's living project: files keep arriving, and each step that follows is told.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use millstream_demo::{Arrivals, DemoOptions};
use millstream_engine::{
    Event, Heard, Observer, StepOutcome, StepReport, Subscription, WorkChange, WorkEvent,
};
use tokio_util::sync::CancellationToken;

use crate::{
    CliError, human,
    output::{self, FAINT, GOOD, STRONG, styled},
    progress::{json::JsonLines, line::step_line},
};

/// The width of the column of asset names.
const NAME_WIDTH: usize = 20;

/// What has happened in a living project.
#[derive(Debug)]
pub(crate) struct Life {
    began: Instant,
    files: AtomicU64,
    orders: AtomicU64,
    steps: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
}

impl Life {
    pub(crate) fn begin() -> Arc<Self> {
        let [files, orders, steps, rejected, failed] = Default::default();
        Arc::new(Self { began: Instant::now(), files, orders, steps, rejected, failed })
    }

    /// Lets files arrive below `root` until `cancel`, or until the shop's year is over.
    pub(crate) async fn arrive(
        self: Arc<Self>,
        root: &Path,
        options: DemoOptions,
        is_told: bool,
        cancel: CancellationToken,
    ) -> Result<(), CliError> {
        let mut arrivals = Arrivals::after(root, options);
        loop {
            let arriving = tokio::task::spawn_blocking(move || {
                let arrived = arrivals.arrive();
                (arrivals, arrived)
            });
            let (back, arrived) =
                arriving.await.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()));
            arrivals = back;
            let Some(arrival) = arrived? else { return Ok(()) };
            self.files.fetch_add(1, Ordering::Relaxed);
            self.orders.fetch_add(arrival.orders, Ordering::Relaxed);
            if is_told {
                let (orders, events) =
                    (human::count(arrival.orders, "order"), human::count(arrival.events, "event"));
                output::tell(&format!(
                    "{} {orders} and {events} arrive  {}",
                    styled(STRONG, '→'),
                    styled(FAINT, arrival.file.display())
                ));
            }
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(arrival.pause) => {}
            }
        }
    }

    /// Tells how steps end, for as long as there may be any.
    pub(crate) async fn follow(self: Arc<Self>, mut heard: Subscription, json: bool) {
        loop {
            match heard.hear().await {
                None => return,
                // The figures at the end lack what was missed; the steps themselves are on record.
                Some(Heard::Missed(_)) => {}
                Some(Heard::Change(WorkEvent { change: WorkChange::Told(event), .. })) => {
                    if json {
                        JsonLines.event(&event);
                    }
                    if let Event::StepFinished(step) = event.as_ref() {
                        self.count(step);
                        if !json && step.outcome != StepOutcome::Unchanged {
                            output::tell(&step_line(step, NAME_WIDTH));
                        }
                    }
                }
                Some(Heard::Change(_)) => {}
            }
        }
    }

    fn count(&self, step: &StepReport) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.rejected.fetch_add(step.rows_rejected, Ordering::Relaxed);
        let is_bad = matches!(step.outcome, StepOutcome::Failed { .. } | StepOutcome::Halted { .. });
        self.failed.fetch_add(u64::from(is_bad), Ordering::Relaxed);
    }

    /// What there is to say at the end.
    pub(crate) fn summary(&self) -> String {
        let of = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let rejected = match of(&self.rejected) {
            0 => String::new(),
            rows => format!(", {} rejected", human::count(rows, "row")),
        };
        let failed = match of(&self.failed) {
            0 => String::new(),
            steps => format!(", {} of them without success", human::thousands(steps)),
        };
        format!(
            "{} Lived for {}: {} arrived in {}, {} followed{failed}{rejected}",
            styled(GOOD, '✓'),
            human::duration(self.began.elapsed()),
            human::count(of(&self.orders), "order"),
            human::count(of(&self.files), "file"),
            human::count(of(&self.steps), "step"),
        )
    }
}
