//! How far a step is, told a few times a second however often it is counted.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use millstream_types::AssetId;

use super::{Event, Publisher, StepProgress};

/// The least time between two reports of one thing, and before the first of a step that does but one.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Tells how far a step is.
#[derive(Debug)]
pub(crate) struct StepMeter {
    asset: AssetId,
    events: Publisher,
    last: Mutex<LastReport>,
}

#[derive(Debug)]
struct LastReport {
    at: Instant,
    doing: Option<String>,
}

/// Figures of a step, as [`StepProgress`] tells them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub doing: Option<String>,
    pub rows: u64,
    pub rows_total: Option<u64>,
    pub bytes: u64,
    pub bytes_total: Option<u64>,
}

impl StepMeter {
    pub(crate) fn new(asset: &AssetId, events: &Publisher) -> Self {
        let last = LastReport { at: Instant::now(), doing: None };
        Self { asset: asset.clone(), events: events.clone(), last: Mutex::new(last) }
    }

    /// Tells the figures, unless some were told a moment ago of the same doing.
    pub(crate) fn show(&self, figures: Figures) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.doing == figures.doing && last.at.elapsed() < REPORT_EVERY {
            return;
        }
        *last = LastReport { at: Instant::now(), doing: figures.doing.clone() };
        drop(last);
        let Figures { doing, rows, rows_total, bytes, bytes_total } = figures;
        let asset = self.asset.clone();
        let progress = StepProgress { asset, doing, rows, rows_total, bytes, bytes_total };
        self.events.publish(Event::StepProgress(progress));
    }
}
